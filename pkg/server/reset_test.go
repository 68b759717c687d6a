package server_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
)

// leaves reports whether the only event of a report is Leave for a fabric.
func leaves(t *testing.T, rep *commissioner.Report, index string) bool {
	t.Helper()
	if rep == nil || len(rep.Attributes) != 0 || len(rep.Events) != 1 {
		return false
	}
	e := rep.Events[0]
	return e.Cluster == clBasic && e.ID == 2 && clustertest.Text(t, e.Data()) == "{0:"+index+"}"
}

// The members of a removed fabric get a report of it before their sessions end,
// whoever removed it, even if the message must be retransmitted.
func TestRemovedFabricHearsLeave(t *testing.T) {
	for name, remove := range map[string]func(p *pair) error{
		"by another":         func(p *pair) error { return p.one.CASE.RemoveFabric(p.ctx, 2) },
		"by itself":          func(p *pair) error { return p.two.CASE.RemoveFabric(p.ctx, 2) },
		"by the operator":    func(p *pair) error { return p.srv.Operator().RemoveFabric(p.ctx, 2) },
		"by a factory reset": func(p *pair) error { return p.srv.Operator().FactoryReset(p.ctx) },
	} {
		for _, lossy := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
					r := p.rig
					all := commissioner.ReadRequest{
						Attributes: []commissioner.Path{commissioner.AllOf(0, clOpCreds)}, Events: []commissioner.Path{{}}, FabricFiltered: true,
					}
					x, y := p.session(p.c, p.b, p.two.Node), p.two.CASE
					ux, err := x.Subscribe(r.ctx, all, 60, 600)
					r.must(err)
					uy, err := y.Subscribe(r.ctx, all, 60, 600)
					r.must(err)
					r.wait(time.Second)
					if lossy {
						n := 0
						r.net.SetTap(func(d simnet.Datagram) bool {
							n++
							return d.From != deviceAddr || n > 3
						})
					}
					r.must(remove(p))
					if rep := r.nextWithin(ux, 5*time.Second); !leaves(t, rep, "2") {
						t.Errorf("one subscriber hears %+v", rep)
					}
					if rep := r.nextWithin(uy, 5*time.Second); !leaves(t, rep, "2") {
						t.Errorf("the other hears %+v", rep)
					}
					r.eventually("the sessions end", 10*time.Second, func() bool { return x.Gone() && y.Gone() })
					r.wait(time.Minute)
					if i := r.inspect(); i.Subscriptions != 0 || i.Interrupted != 0 || i.Exchanges != 0 {
						t.Errorf("left are %+v", i)
					}
					r.orphans = true
				})
			})
		}
	}
}

// A member that may not read Basic Information, or did not subscribe to it, gets no
// report.
func TestRemovedFabricHearsLeaveByItsAccess(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r := p.rig
		guest, err := p.b.Admin(commissioner.RandomNodeID())
		r.must(err)
		cluster := uint32(clOpCreds)
		r.want("ACL", r.writeACL(p.two.CASE, administers(p.b), entry{
			privilege: matter.PrivilegeView, mode: matter.AuthModeCASE, subjects: []uint64{uint64(guest.NodeID)}, targets: [][3]*uint32{{&cluster}},
		}), success)
		s := r.session(p.c, guest, p.two.Node)
		u, err := s.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.AllOf(0, clOpCreds)}, Events: []commissioner.Path{{}}}, 0, 600)
		r.must(err)
		r.wait(time.Second)
		r.must(p.one.CASE.RemoveFabric(r.ctx, 2))
		if rep := r.nextWithin(u, time.Minute); rep != nil {
			t.Errorf("heard %+v", rep)
		}
		if !s.Gone() {
			t.Error("the session is still there")
		}
	})
}

// After a factory reset the node appears as a new one, and its counters of messages
// and events continue.
func TestFactoryReset(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.restart()
		c := r.client()
		a := r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := done.CASE
		r.setLabel(s, "mine")
		r.want("SetRegulatoryConfig", r.command(s, clGeneral, cmdRegulatory, 0, 0, 1, "DE", 2, 7), ok)
		if got := r.attr(s, clGeneral, 2) + r.attr(s, clGeneral, 0); got != "07" {
			t.Fatalf("before: %s", got)
		}
		unique := r.attr(s, clBasic, 18)
		_, before := r.events(s)
		time.Sleep(3*time.Hour + 40*time.Minute)
		if got := r.attr(r.reopen(c, a, done), clDiagnostics, 3); got != "3" {
			t.Fatalf("%s hours", got)
		}

		r.must(r.srv.Operator().FactoryReset(r.ctx))
		synctest.Wait()
		s = r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
		for _, v := range []struct {
			name string
			cl   matter.ClusterID
			id   matter.AttributeID
			want string
		}{
			{"NodeLabel", clBasic, 5, `""`},
			{"Location", clBasic, 6, `"XX"`},
			{"RegulatoryConfig", clGeneral, 2, "2"},
			{"Breadcrumb", clGeneral, 0, "0"},
			{"RebootCount", clDiagnostics, 1, "0"},
			{"TotalOperationalHours", clDiagnostics, 3, "0"},
		} {
			r.want(v.name, r.attr(s, v.cl, v.id), v.want)
		}
		if got := r.attr(s, clBasic, 18); got == unique {
			t.Error("the UniqueID is what it was")
		}
		list, numbers := r.events(s)
		if len(numbers) == 0 || numbers[0] <= before[len(before)-1] || strings.Contains(strings.Join(list, " "), "28/") {
			t.Errorf("events %q %d, the last before was %d", list, numbers, before[len(before)-1])
		}
		time.Sleep(50 * time.Minute)
		if r.restart(); r.srv.Commissioned() != true {
			t.Error("the new fabric is gone")
		}
	})
}

// The same without a running daemon.
func TestFactoryResetOffline(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		r.commission(c, r.authority(commissioner.AuthorityOptions{}))
		time.Sleep(2 * time.Hour)
		r.restart()
		r.stop()
		off, err := operator.OpenOffline(r.dir, provision.Change, slog.New(slog.DiscardHandler))
		r.must(err)
		r.must(off.FactoryReset(r.ctx))
		r.must(off.Close())
		r.start()
		s := r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
		r.want("RebootCount", r.attr(s, clDiagnostics, 1), "1")
		r.want("TotalOperationalHours", r.attr(s, clDiagnostics, 3), "0")
	})
}
