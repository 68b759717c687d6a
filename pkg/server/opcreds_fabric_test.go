package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

func TestUpdateFabricLabel(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		label := func(s *commissioner.Session, l string) string { return r.creds(s, cmdLabel, 0, l) }
		long := strings.Repeat("ä", 16)
		r.want("none", r.creds(one, cmdLabel), invalidCommand)
		r.want("a number", r.creds(one, cmdLabel, 0, 1), invalidCommand)
		r.want("octets", r.creds(one, cmdLabel, 0, []byte("x")), invalidCommand)
		r.want("33 octets", label(one, long+"x"), constraintError)
		r.want("32 octets", label(one, long), ok)
		r.want("the other's, shorter by one", label(two, long[:30]), ok)
		r.want("the other's", label(two, long), labelConflict)
		r.want("the other's and more", label(two, long+"x"), constraintError)
		r.want("its own again", label(one, long), ok)
		r.want("empty", label(one, ""), ok)
		r.want("empty beside an empty one", label(two, ""), ok)
		r.want("what the other had", label(two, long), ok)
		if got := r.fabrics(one, false); got[0].label != "" || got[1].label != long {
			t.Errorf("labels %q and %q", got[0].label, got[1].label)
		}
		r.want("not UTF-8", label(one, "\xff\xfe"), invalidCommand)

		// A label in a fail-safe without a NOC command is stored at once.
		r.must(one.ArmFailSafe(r.ctx, 60, 0))
		r.want("in a fail-safe", label(one, "lasting"), ok)
		r.must(one.ArmFailSafe(r.ctx, 0, 0))
		r.restart()
		if got := r.fabrics(r.session(p.c, p.a, p.one.Node), true); got[0].label != "lasting" {
			t.Errorf("label %q after a restart", got[0].label)
		}
	})
}

func TestRemoveFabricStatuses(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		r.want("none", r.creds(s, cmdRemove), invalidCommand)
		r.want("text", r.creds(s, cmdRemove, 0, "1"), invalidCommand)
		r.want("0", r.creds(s, cmdRemove, 0, 0), constraintError)
		r.want("255", r.creds(s, cmdRemove, 0, 255), constraintError)
		r.want("unknown", r.creds(s, cmdRemove, 0, 3), invalidFabricIndex)
		r.want("254", r.creds(s, cmdRemove, 0, 254), invalidFabricIndex)
		r.want("another", r.creds(s, cmdRemove, 0, 2), ok)
		r.want("another, again", r.creds(s, cmdRemove, 0, 2), invalidFabricIndex)
	})
}

// members is what TestRemoveFabric has of each fabric before the removal.
type members struct {
	session *commissioner.Session
	second  *commissioner.Session // from another host
	sub     *commissioner.Subscription
}

func (p *pair) members(a *commissioner.Authority, done *commissioner.Commissioned) (m members) {
	p.t.Helper()
	m.session, m.second = done.CASE, p.session(p.client(), a, done.Node)
	var err error
	m.sub, err = m.second.Subscribe(p.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.AllOf(0, clOpCreds)}, FabricFiltered: false}, 0, 600)
	p.must(err)
	return m
}

// next returns the next report of a subscription, or nil if there is none for a
// minute.
func (r *rig) next(u *commissioner.Subscription) *commissioner.Report {
	return r.nextWithin(u, time.Minute)
}

// nextWithin returns the next report of a subscription, or nil if there is none
// within d.
func (r *rig) nextWithin(u *commissioner.Subscription, d time.Duration) *commissioner.Report {
	ctx, cancel := context.WithTimeout(r.ctx, d)
	defer cancel()
	rep, err := u.Next(ctx)
	if err != nil {
		return nil
	}
	return rep
}

// gone checks that nothing is left of a fabric.
func (p *pair) gone(m members, a *commissioner.Authority, node matter.NodeID) {
	p.t.Helper()
	p.eventually("its sessions end", 5*time.Second, func() bool { return m.session.Gone() && m.second.Gone() })
	if rep := p.next(m.sub); rep != nil {
		p.t.Errorf("its subscription reports %d attributes", len(rep.Attributes))
	}
	for _, ad := range p.announced.of("_matter._tcp") {
		if strings.Contains(ad.Instance, node.String()) {
			p.t.Errorf("still announced: %s", ad.Instance)
		}
	}
	_, _, err := p.c.CASE(p.ctx, deviceAddr, a, node, nil)
	var report commissioner.StatusError
	if !errors.As(err, &report) || report.Code != message.CodeNoSharedTrustRoots {
		p.t.Errorf("CASE: %v", err)
	}
}

func TestRemoveFabric(t *testing.T) {
	tests := map[string]struct {
		by   func(p *pair) *commissioner.Session
		left int // remaining fabric
	}{
		"another": {func(p *pair) *commissioner.Session { return p.one.CASE }, 1},
		"own":     {func(p *pair) *commissioner.Session { return p.two.CASE }, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
				r := p.rig
				_, res, err := p.c.CASE(r.ctx, deviceAddr, p.b, p.two.Node, nil)
				r.must(err)
				record := res.Record()
				one, two := p.members(p.a, p.one), p.members(p.b, p.two)
				r.want("a key set", r.command(two.session, clGroupKeys, 0, 0, keySet(7, 0, 1)), ok)
				lost := r.dropOnce(func(simnet.Datagram) bool { return true })
				r.want("RemoveFabric", r.creds(tt.by(p), cmdRemove, 0, 2), ok)
				if !lost() {
					t.Error("the answer was not lost")
				}
				p.gone(two, p.b, p.two.Node)
				if !r.alive(one.session) || !r.alive(one.second) {
					t.Error("a session of the other fabric ended")
				}
				rep := r.next(one.sub)
				if rep == nil || rep.Find(0, clOpCreds, 1) == nil || rep.Find(0, clOpCreds, 3) == nil {
					t.Errorf("report to the other fabric: %+v", rep)
				} else if rep.Find(0, clOpCreds, 0) != nil || rep.Find(0, clOpCreds, 4) != nil {
					t.Error("NOCs or TrustedRootCertificates are reported")
				}
				if got := r.fabrics(one.session, false); len(got) != 1 || got[0].index != 1 {
					t.Errorf("fabrics %+v", got)
				}
				if got := r.roots(one.session, false); len(got) != 1 || got[0] != string(p.a.Root()) {
					t.Errorf("%d roots", len(got))
				}
				if len(readACL(t, r, one.session, false)) != 1 {
					t.Error("access control of the removed fabric is left")
				}
				if n := len(r.announced.of("_matterc._udp")); n != 0 {
					t.Error("commissionable, though a fabric is left")
				}
				// A new fabric inherits nothing of it, even with the same
				// administrator. No session can be resumed.
				again := r.join(p.c, one.session, p.b)
				if again.Fabric != 3 {
					t.Errorf("index %d", again.Fabric)
				}
				if list := readACL(t, r, again.CASE, true); len(list) != 1 {
					t.Errorf("access control %+v", list)
				}
				r.want("its key set", r.command(again.CASE, clGroupKeys, 1, 0, 7), notFound)
				_, res, err = p.c.CASE(r.ctx, deviceAddr, p.b, again.Node, &record)
				r.must(err)
				if res.Resumed {
					t.Error("a session of the removed fabric was resumed")
				}
			})
		})
	}
}

// A root stays as long as another fabric uses it.
func TestRemoveFabricSharedRoot(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		one := r.commission(c, a).CASE
		b, err := a.Fabric(a.FabricID + 1)
		r.must(err)
		two := r.join(c, one, b)
		if got := r.roots(one, false); len(got) != 1 {
			t.Errorf("%d roots for two fabrics under one", len(got))
		}
		r.want("RemoveFabric", r.creds(two.CASE, cmdRemove, 0, 1), ok)
		if got := r.roots(two.CASE, false); len(got) != 1 || got[0] != string(a.Root()) {
			t.Errorf("%d roots", len(got))
		}
		if !r.alive(r.session(c, b, two.Node)) {
			t.Error("no new session")
		}
	})
}

// After the last fabric was removed the node can be commissioned, even after a
// restart.
func TestRemoveLastFabricInFailSafe(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		r.must(done.CASE.ArmFailSafe(r.ctx, 600, 3))
		n := r.noc(a, r.csr(done.CASE, true))
		r.want("UpdateNOC", r.updateNOC(done.CASE, n.Raw(), nil), ok)
		s := r.session(c, a, n.NodeID())
		r.want("RemoveFabric", r.creds(s, cmdRemove, 0, 1), ok)
		r.eventually("commissionable again", time.Second, func() bool { return len(r.announced.of("_matterc._udp")) == 1 })
		done = r.commission(c, a) // the fail-safe must be free for this
		if done.Fabric != 2 {
			t.Errorf("index %d", done.Fabric)
		}
		r.want("RemoveFabric", r.creds(done.CASE, cmdRemove, 0, 2), ok)
		r.restart()
		if len(r.announced.of("_matterc._udp")) != 1 || len(r.announced.of("_matter._tcp")) != 0 {
			t.Error("not as new after a restart")
		}
		r.commission(c, a)
	})
}

// A fabric that is only staged is removed by its own PASE session.
func TestRemoveStagedFabric(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		s := r.pase(c)
		_, err := s.Join(r.ctx, a)
		r.must(err)
		r.want("RemoveFabric", r.creds(s, cmdRemove, 0, 1), ok)
		r.eventually("the session ends", time.Second, func() bool { return r.left(s) })
		synctest.Wait()
		if len(r.announced.of("_matterc._udp")) != 1 || len(r.announced.of("_matter._tcp")) != 0 {
			t.Error("not open again")
		}
		if done := r.commission(c, a); done.Fabric != 1 {
			t.Errorf("index %d: one that was never complete was used up", done.Fabric)
		}
	})
}

// The window of a removed administrator stays open, without its name.
func TestRemoveFabricKeepsWindow(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r := p.rig
		r.must(p.two.CASE.OpenBasicWindow(r.ctx, 300))
		if n := r.number(p.one.CASE, clWindow, 1); n != 2 {
			t.Errorf("AdminFabricIndex %d", n)
		}
		r.want("RemoveFabric", r.creds(p.one.CASE, cmdRemove, 0, 2), ok)
		if status, index, vendor := r.number(p.one.CASE, clWindow, 0), r.number(p.one.CASE, clWindow, 1), r.number(p.one.CASE, clWindow, 2); status != 2 || index != -1 || vendor != int64(p.b.VendorID) {
			t.Errorf("WindowStatus %d, AdminFabricIndex %d, AdminVendorId %04X", status, index, vendor)
		}
		r.commission(p.c, r.authority(commissioner.AuthorityOptions{}))
	})
}
