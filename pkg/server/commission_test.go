package server_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

var clean = simnet.Conditions{Delay: time.Millisecond}

func TestCommission(t *testing.T) {
	for _, icac := range []bool{false, true} {
		t.Run(fmt.Sprintf("icac=%v", icac), func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				if got := r.announced.of("_matterc._udp"); len(got) != 1 {
					t.Fatalf("%d commissionable services", len(got))
				}
				a := r.authority(commissioner.AuthorityOptions{ICAC: icac})
				done := r.commission(r.client(), a)
				if done.Fabric != 1 {
					t.Errorf("fabric index %d", done.Fabric)
				}
				synctest.Wait()
				if got := r.announced.of("_matterc._udp"); len(got) != 0 {
					t.Errorf("still commissionable: %v", got)
				}
				ops := r.announced.of("_matter._tcp")
				cfid := fmt.Sprintf("%X", a.CompressedFabricID())
				if len(ops) != 1 || ops[0].Instance != cfid+"-"+done.Node.String() || ops[0].Subtypes[0] != "_I"+cfid {
					t.Errorf("operational services %v", ops)
				}
			})
		})
	}
}

// Commissioning works over a network that loses, duplicates and reorders datagrams.
func TestCommissionBadNetwork(t *testing.T) {
	conditions := map[string]simnet.Conditions{
		"loss":    {Delay: 2 * time.Millisecond, Loss: 0.2},
		"double":  {Delay: 2 * time.Millisecond, Duplicate: 0.5},
		"shuffle": {Delay: 2 * time.Millisecond, Reorder: 0.5, Jitter: 30 * time.Millisecond},
		"all":     {Delay: 2 * time.Millisecond, Loss: 0.1, Duplicate: 0.2, Reorder: 0.2},
	}
	for name, cond := range conditions {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				bubble(t, seed, cond, func(r *rig) {
					r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
				})
			})
		}
	}
}

func TestWrongPasscode(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		_, err := c.PASE(r.ctx, deviceAddr, passcode+1)
		if err == nil {
			t.Fatal("a wrong passcode opens a session")
		}
		r.commission(c, r.authority(commissioner.AuthorityOptions{}))
	})
}

func TestRestart(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		if err := done.CASE.UpdateFabricLabel(r.ctx, "kitchen"); err != nil {
			t.Fatal(err)
		}
		r.restart()
		s, _, err := c.CASE(r.ctx, deviceAddr, a, done.Node, nil)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.AllOf(0, 0x3E)}, FabricFiltered: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := label(t, rep.Find(0, 0x3E, 1)); got != "kitchen" {
			t.Errorf("label %q", got)
		}
		if len(r.announced.of("_matterc._udp")) != 0 {
			t.Error("a commissioned node is open after a restart")
		}
	})
}

// label returns the label of the first fabric of a Fabrics attribute.
func label(t *testing.T, a *commissioner.Attribute) (s string) {
	t.Helper()
	if a == nil {
		t.Fatal("no Fabrics in the report")
	}
	r := a.Value()
	r.EnterArray()
	r.Next()
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 5 {
			s = r.Text()
		}
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRemoveLastFabric(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		done := r.commission(c, r.authority(commissioner.AuthorityOptions{}))
		if err := done.CASE.RemoveFabric(r.ctx, done.Fabric); err != nil {
			t.Fatal(err) // the answer must arrive before the session ends
		}
		r.eventually("commissionable again", 5*time.Second, func() bool { return len(r.announced.of("_matterc._udp")) == 1 })
		if n := len(r.announced.of("_matter._tcp")); n != 0 {
			t.Errorf("%d operational services are left", n)
		}
		if _, err := done.CASE.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, 0x3E, 5)}}); err == nil {
			t.Error("the session of a removed fabric still answers")
		}
		r.commission(c, r.authority(commissioner.AuthorityOptions{}))
	})
}

func TestFailSafeExpiry(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		p, err := c.PASE(r.ctx, deviceAddr, passcode)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(r.announced.of("_matterc._udp")) != 0 {
			t.Error("announced while a PASE session lives")
		}
		done, err := p.Join(r.ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(121 * time.Second)
		synctest.Wait()
		if len(r.announced.of("_matter._tcp")) != 0 || len(r.announced.of("_matterc._udp")) != 1 {
			t.Errorf("announced: %v %v", r.announced.of("_matter._tcp"), r.announced.of("_matterc._udp"))
		}
		_, _, err = c.CASE(r.ctx, deviceAddr, a, done.Node, nil)
		var report commissioner.StatusError
		if !errors.As(err, &report) || report.Code != message.CodeNoSharedTrustRoots {
			t.Errorf("CASE into a fabric that was taken back: %v", err)
		}
		r.commission(c, r.authority(commissioner.AuthorityOptions{}))
	})
}

// A node that stops during a commissioning has no trace of it after a restart.
func TestRestartInFailSafe(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		p, err := c.PASE(r.ctx, deviceAddr, passcode)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Join(r.ctx, a); err != nil {
			t.Fatal(err)
		}
		r.restart()
		if len(r.announced.of("_matter._tcp")) != 0 || len(r.announced.of("_matterc._udp")) != 1 {
			t.Error("the node is not as before")
		}
		r.commission(c, a)
	})
}

func TestRefusals(t *testing.T) {
	open := func(t *testing.T, r *rig) (*commissioner.Session, [65]byte, *commissioner.Authority) {
		a := r.authority(commissioner.AuthorityOptions{ICAC: true})
		p, err := r.client().PASE(r.ctx, deviceAddr, passcode)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.ArmFailSafe(r.ctx, 60, 0); err != nil {
			t.Fatal(err)
		}
		pub, err := p.CSR(r.ctx, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p, pub, a
	}
	fields := func(t *testing.T, from *commissioner.Authority, pub [65]byte) commissioner.NOC {
		noc, err := from.IssueNOC(pub, commissioner.RandomNodeID())
		if err != nil {
			t.Fatal(err)
		}
		return commissioner.NOC{NOC: noc.Raw(), ICAC: from.ICAC(), IPK: from.EpochKey[:], Admin: from.NodeID, Vendor: from.VendorID}
	}
	const invalidPublicKey, invalidNOC = commissioner.NOCError(1), commissioner.NOCError(3)
	tests := map[string]struct {
		change func(t *testing.T, r *rig, a *commissioner.Authority, n *commissioner.NOC)
		want   commissioner.NOCError
	}{
		"another root": {func(t *testing.T, r *rig, a *commissioner.Authority, n *commissioner.NOC) {
			other := r.authority(commissioner.AuthorityOptions{FabricID: a.FabricID, ICAC: true})
			n.NOC, n.ICAC = fields(t, other, [65]byte(pubOf(t, n.NOC))).NOC, other.ICAC()
		}, invalidNOC},
		"signature": {func(_ *testing.T, _ *rig, _ *commissioner.Authority, n *commissioner.NOC) {
			n.NOC = append([]byte(nil), n.NOC...)
			n.NOC[len(n.NOC)-5] ^= 1
		}, invalidNOC},
		"another key": {func(t *testing.T, r *rig, a *commissioner.Authority, n *commissioner.NOC) {
			n.NOC = fields(t, a, [65]byte(pubOf(t, a.ICAC()))).NOC
		}, invalidPublicKey},
		"root as ICAC": {func(_ *testing.T, _ *rig, a *commissioner.Authority, n *commissioner.NOC) { n.ICAC = a.Root() }, invalidNOC},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				p, pub, a := open(t, r)
				if err := p.AddRoot(r.ctx, a.Root()); err != nil {
					t.Fatal(err)
				}
				n := fields(t, a, pub)
				good := n
				tt.change(t, r, a, &n)
				var got commissioner.NOCError
				if _, err := p.AddNOC(r.ctx, n); !errors.As(err, &got) || got != tt.want {
					t.Errorf("%v, want %v", err, tt.want)
				}
				// A failure does not use up the CSR or the root.
				if _, err := p.AddNOC(r.ctx, good); err != nil {
					t.Errorf("the right one afterwards: %v", err)
				}
			})
		})
	}
}

func TestNoPrivilege(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		stranger, err := a.Admin(commissioner.RandomNodeID())
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := c.CASE(r.ctx, deviceAddr, stranger, done.Node, nil)
		if err != nil {
			t.Fatal(err) // it has a valid NOC and may connect
		}
		if err := s.RemoveFabric(r.ctx, done.Fabric); matter.StatusOf(err).Status != matter.StatusUnsupportedAccess {
			t.Errorf("RemoveFabric without privilege: %v", err)
		}
		rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, 0x3E, 0)}})
		if err != nil {
			t.Fatal(err)
		}
		if len(rep.Attributes) != 1 || rep.Attributes[0].Status.Status != matter.StatusUnsupportedAccess {
			t.Errorf("reading NOCs without privilege: %+v", rep.Attributes)
		}
		if rep, err = s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}}); err != nil || len(rep.Attributes) != 0 {
			t.Errorf("a wildcard read without privilege: %d attributes, %v", len(rep.Attributes), err)
		}
	})
}
