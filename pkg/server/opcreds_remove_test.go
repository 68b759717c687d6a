package server_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// belongings creates everything that a fabric can have on the node: another entry,
// an extension, a key set, a group with a member, a label and a statement.
func (r *rig) belongings(s *commissioner.Session, a *commissioner.Authority) {
	r.t.Helper()
	r.want("access control", r.writeACL(s, administers(a), groupEntry(7)), success)
	status, err := s.Write(r.ctx, 0, clAccess, 1, extensionList(extensionData(9)))
	r.must(err)
	r.want("extension", outcome(status.Status), success)
	r.must(s.KeySetWrite(r.ctx, 5, [16]byte{1: 0xAB}, [16]byte{2: 0xCD}))
	r.must(s.MapGroups(r.ctx, 5, 7))
	r.must(s.AddGroup(r.ctx, hall, 7, "lamps"))
	r.want("label", r.creds(s, cmdLabel, 0, "guests"), ok)
	r.want("statement", r.creds(s, cmdSetVVS, 0, 0xFFF3, 1, make([]byte, 85), 2, []byte("signer")), ok)
}

// scoped are the fabric-scoped lists of the node.
var scoped = []struct {
	cl matter.ClusterID
	at matter.AttributeID
}{{clOpCreds, 0}, {clOpCreds, 1}, {clAccess, 0}, {clAccess, 1}, {clGroupKeys, 0}, {clGroupKeys, 1}}

// owned returns the number of entries of a fabric in each list.
func (r *rig) owned(s *commissioner.Session, i matter.FabricIndex) (n []int) {
	r.t.Helper()
	for _, l := range scoped {
		rd, count := r.attribute(s, l.cl, l.at, false), 0
		for rd.EnterArray(); rd.Next(); {
			for rd.EnterStruct(); rd.Next(); {
				if rd.ContextTag() == 0xFE && rd.Uint() == uint64(i) {
					count++
				}
			}
			rd.Exit()
		}
		r.must(rd.End())
		n = append(n, count)
	}
	return n
}

// inStore returns the indexes of the fabrics with records in the store of a stopped
// node.
func (r *rig) inStore() (list []matter.FabricIndex) {
	r.t.Helper()
	st, err := store.Open(r.dir+"/"+store.FileName, store.Options{})
	r.must(err)
	defer st.Close()
	r.must(st.View(func(tx *store.Tx) error {
		fabrics, err := tx.Fabrics()
		if err != nil {
			return err
		}
		for _, f := range fabrics {
			list = append(list, f.Index)
		}
		resumptions, err := tx.Resumptions()
		for _, x := range resumptions {
			list = append(list, x.Fabric)
		}
		if err != nil {
			return err
		}
		subscriptions, err := tx.Subscriptions()
		for _, x := range subscriptions {
			list = append(list, x.Fabric)
		}
		return err
	}))
	slices.Sort(list)
	return slices.Compact(list)
}

// Nothing of a removed fabric stays, however it was removed: neither what it wrote,
// nor its groups' access, nor anything for the next fabric with its root or index.
func TestFabricGoesWhole(t *testing.T) {
	ways := map[string]struct {
		staged bool // the fabric has not been completed
		end    func(p *pair, three *commissioner.Session)
	}{
		"removed by another": {false, func(p *pair, _ *commissioner.Session) {
			p.want("RemoveFabric", p.creds(p.one.CASE, cmdRemove, 0, 3), ok)
		}},
		"removed by itself": {false, func(p *pair, three *commissioner.Session) {
			p.want("RemoveFabric", p.creds(three, cmdRemove, 0, 3), ok)
		}},
		"removed by the operator": {false, func(p *pair, _ *commissioner.Session) {
			p.must(p.srv.Operator().RemoveFabric(p.ctx, 3))
		}},
		"staged, removed by another": {true, func(p *pair, _ *commissioner.Session) {
			p.want("RemoveFabric", p.creds(p.two.CASE, cmdRemove, 0, 3), ok)
		}},
		"staged, removed by itself": {true, func(p *pair, three *commissioner.Session) {
			p.want("RemoveFabric", p.creds(three, cmdRemove, 0, 3), ok)
		}},
		"staged, removed by the operator": {true, func(p *pair, _ *commissioner.Session) {
			p.must(p.srv.Operator().RemoveFabric(p.ctx, 3))
		}},
		"staged, disarmed":  {true, func(p *pair, three *commissioner.Session) { p.want("ArmFailSafe", p.arm(three, 0, 0), ok) }},
		"staged, timed out": {true, func(p *pair, _ *commissioner.Session) { time.Sleep(121 * time.Second) }},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
				r := p.rig
				l := &lamps{rig: r}
				r.must(r.srv.AddGroupEndpoint(hall, lamp{hall, &l.did}))
				x := r.authority(commissioner.AuthorityOptions{})
				done, err := p.one.CASE.Join(r.ctx, x)
				r.must(err)
				three := r.session(p.c, x, done.Node)
				if !way.staged {
					r.must(three.CommissioningComplete(r.ctx))
				}
				r.belongings(three, x)
				if got, want := r.owned(p.one.CASE, 3), []int{1, 1, 2, 1, 1, 1}; !slices.Equal(got, want) {
					r.t.Fatalf("before: %v of the lists' entries, want %v", got, want)
				}
				g := &commissioner.Group{From: x, ID: 7, EpochKey: [16]byte{1: 0xAB}, Counter: 1000}
				r.must(p.c.InvokeGroup(g, clLamp, 0, nil))
				pause()
				l.want("the group, before", toggled(3, hall)...)
				_, err = three.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.AllOf(0, clOpCreds)}}, 0, 600)
				r.must(err)
				pause()

				way.end(p, three)
				r.eventually("its session ends", 10*time.Second, three.Gone)
				if got := r.owned(p.one.CASE, 3); slices.Max(got) != 0 {
					t.Errorf("after: %v of the lists' entries", got)
				}
				if n := len(r.roots(p.one.CASE, false)); n != 2 {
					t.Errorf("%d roots", n)
				}
				if n := r.number(p.one.CASE, clOpCreds, 3); n != 2 {
					t.Errorf("CommissionedFabrics %d", n)
				}
				if n := len(r.announced.of("_matter._tcp")); n != 2 {
					t.Errorf("%d announced", n)
				}
				r.must(p.c.InvokeGroup(g, clLamp, 0, nil))
				pause()
				l.want("the group, after")
				if i := r.inspect(); i.Subscriptions != 0 {
					t.Errorf("%d subscriptions", i.Subscriptions)
				}
				for _, s := range []*commissioner.Session{p.one.CASE, p.two.CASE} {
					if !r.alive(s) {
						t.Error("a session of another fabric ended")
					}
				}

				// The next fabric finds nothing.
				again := r.join(p.c, p.two.CASE, x)
				if got, want := r.owned(p.one.CASE, again.Fabric), []int{1, 1, 1, 0, 0, 0}; !slices.Equal(got, want) {
					t.Errorf("the next one: %v of the lists' entries, want %v", got, want)
				}
				if d := r.fabrics(again.CASE, true)[0]; d.label != "" || d.vvs != "" || d.vendor != x.VendorID || r.nocs(again.CASE, true)[0].vvsc != "" {
					t.Errorf("the next one: %+v", d)
				}
				if got := r.indices(again.CASE); !slices.Equal(got, []uint64{0}) {
					t.Errorf("the next one: key sets %v", got)
				}
				if n := len(r.accessEvents(again.CASE)); n != 1 {
					t.Errorf("the next one: %d events", n)
				}
				r.stop()
				if got, want := fmt.Sprint(r.inStore()), fmt.Sprint([]matter.FabricIndex{1, 2, again.Fabric}); got != want {
					t.Errorf("the store holds fabrics %v, want %v", got, want)
				}
				r.start()
			})
		})
	}
}

// A fail-safe ends when its own fabric is removed, and not for another.
func TestFailSafeOfRemovedFabric(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		x := r.authority(commissioner.AuthorityOptions{})
		// The fabric that armed it is removed, and everything staged with it.
		r.must(two.ArmFailSafe(r.ctx, 600, 3))
		r.csr(two, false)
		r.must(two.AddRoot(r.ctx, x.Root()))
		r.want("RemoveFabric", r.creds(one, cmdRemove, 0, 2), ok)
		if n := len(r.roots(one, false)); n != 1 {
			t.Errorf("%d roots", n)
		}
		if n := r.number(one, clGeneral, 0); n != 0 {
			t.Errorf("breadcrumb %d", n)
		}
		r.want("armed at once", r.arm(one, 600, 4), ok)
		r.want("nothing of the one before", r.addNOC(one, fields(x, r.noc(x, [65]byte(pubOf(t, x.Root()))))), missingCSR)
		r.must(one.ArmFailSafe(r.ctx, 0, 0))

		// The fabric that armed it is removed after it has added another one, which
		// stays.
		p.two = r.join(p.c, one, p.b)
		done, err := p.two.CASE.Join(r.ctx, x)
		r.must(err)
		r.want("RemoveFabric", r.creds(one, cmdRemove, 0, p.two.Fabric), ok)
		three := r.session(p.c, x, done.Node)
		r.must(three.CommissioningComplete(r.ctx))
		if list := r.fabrics(three, false); len(list) != 2 || list[1].index != done.Fabric {
			t.Errorf("fabrics %+v", list)
		}

		// A fabric that is removed during an UpdateNOC does not return with its old
		// identity.
		r.must(three.ArmFailSafe(r.ctx, 600, 5))
		n := r.noc(x, r.csr(three, true))
		r.want("UpdateNOC", r.updateNOC(three, n.Raw(), nil), ok)
		r.want("RemoveFabric", r.creds(one, cmdRemove, 0, done.Fabric), ok)
		r.want("armed at once", r.arm(one, 60, 0), ok)
		r.wait(2 * time.Minute)
		for _, node := range []matter.NodeID{done.Node, n.NodeID()} {
			if _, _, err := p.c.CASE(r.ctx, deviceAddr, x, node, nil); err == nil {
				t.Errorf("CASE with node %v", node)
			}
		}
		r.restart()
		if list := r.fabrics(r.session(p.c, p.a, p.one.Node), false); len(list) != 1 {
			t.Errorf("after a restart: %+v", list)
		}
	})
}

// The breadcrumb is cleared at each end of a fail-safe and at a restart.
func TestBreadcrumb(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		want := func(what string, want int64) {
			t.Helper()
			if n := r.number(two, clGeneral, 0); n != want {
				t.Errorf("%s: %d, want %d", what, n, want)
			}
		}
		write := func(s *commissioner.Session, v uint64) {
			t.Helper()
			status, err := s.Write(r.ctx, 0, clGeneral, 0, func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, v) })
			r.must(err)
			r.want("writing", outcome(status.Status), success)
		}
		write(two, 1<<63-1)
		want("written", 1<<63-1)
		r.want("ArmFailSafe", r.arm(one, 60, 4), ok)
		want("armed", 4)
		write(two, 5) // any fabric may write it
		want("written by another", 5)
		r.want("ArmFailSafe", r.arm(one, 0, 6), ok)
		want("disarmed", 0)
		r.want("ArmFailSafe", r.arm(one, 60, 7), ok)
		r.want("CommissioningComplete", r.command(one, clGeneral, cmdComplete), ok)
		want("completed", 0)
		r.want("ArmFailSafe", r.arm(one, 60, 8), ok)
		r.wait(61 * time.Second)
		want("expired", 0)
		write(one, 9)
		r.restart()
		two = r.session(p.c, p.b, p.two.Node)
		want("restarted", 0)
	})
}
