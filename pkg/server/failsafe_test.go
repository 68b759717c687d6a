package server_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// arm sends ArmFailSafe.
func (r *rig) arm(s *commissioner.Session, seconds, breadcrumb int) string {
	return r.command(s, clGeneral, cmdArm, 0, seconds, 1, breadcrumb)
}

// armed reports whether the fail-safe is armed for a session's fabric.
func (r *rig) armed(s *commissioner.Session) bool {
	r.t.Helper()
	switch got := r.creds(s, cmdCSR, 0, make([]byte, 32)); got {
	case ok, constraintError:
		return true
	case failsafeRequired:
		return false
	default:
		r.t.Fatalf("CSRRequest: %s", got)
		return false
	}
}

// The decision table of ArmFailSafe: who may use it, and the resulting breadcrumb.
func TestArmFailSafe(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		crumb := int64(0)
		check := func(what, got, want string, isArmed bool, breadcrumb int64) {
			t.Helper()
			r.want(what, got, want)
			if r.armed(one) != isArmed {
				t.Errorf("%s: armed: %v", what, !isArmed)
			}
			if n := r.number(two, clGeneral, 0); n != breadcrumb {
				t.Errorf("%s: breadcrumb %d, want %d", what, n, breadcrumb)
			}
			crumb = breadcrumb
		}
		r.want("no breadcrumb", r.command(one, clGeneral, cmdArm, 0, 60), invalidCommand)
		r.want("no time", r.command(one, clGeneral, cmdArm, 1, 60), invalidCommand)
		r.want("too long a time", r.command(one, clGeneral, cmdArm, 0, 0x10000, 1, 1), invalidCommand)
		check("not armed, 0 seconds", r.arm(one, 0, 7), ok, false, 7)
		check("not armed", r.arm(one, 60, 8), ok, true, 8)
		check("armed, by another fabric", r.arm(two, 60, 9), busyAdmin, true, crumb)
		check("armed, by another fabric, 0 seconds", r.arm(two, 0, 9), busyAdmin, true, crumb)
		check("armed, again", r.arm(one, 60, 10), ok, true, 10)
		check("armed, by another session of the fabric", r.arm(r.session(p.c, p.a, p.one.Node), 60, 11), ok, true, 11)
		check("disarmed", r.arm(one, 0, 12), ok, false, 0)
		if !r.alive(one) || !r.alive(two) {
			t.Error("a session ended with a fail-safe in which nothing happened")
		}

		r.must(two.OpenBasicWindow(r.ctx, 900))
		check("window open, not armed", r.arm(one, 60, 13), busyAdmin, false, 0)
		check("window open, not armed, 0 seconds", r.arm(two, 0, 13), busyAdmin, false, 0)
		pase := r.pase(p.c)
		check("armed by PASE", r.arm(one, 60, 14), busyAdmin, false, 0)
		check("armed by PASE, 0 seconds", r.arm(one, 0, 14), busyAdmin, false, 0)
		check("armed by PASE, again", r.arm(pase, 60, 15), ok, false, 15)
		b := r.authority(commissioner.AuthorityOptions{})
		done, err := pase.Join(r.ctx, b)
		r.must(err)
		three := r.session(p.c, b, done.Node)
		check("the new fabric's, PASE session", r.arm(pase, 60, 16), ok, false, 16)
		check("the new fabric's, CASE session", r.arm(three, 60, 17), ok, false, 17)
		check("the new fabric's, another's session", r.arm(one, 60, 18), busyAdmin, false, 17)
		check("disarmed by the new fabric", r.arm(three, 0, 19), ok, false, 0)
		r.eventually("its sessions end", time.Second, func() bool { return r.left(pase) && three.Gone() })
	})
}

func TestFailSafeTimes(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		until := func(d time.Duration) {
			t.Helper()
			time.Sleep(d - time.Second)
			if !r.armed(s) {
				t.Errorf("expired before %v", d)
			}
			time.Sleep(time.Second)
			if r.armed(s) {
				t.Errorf("armed after %v", d)
			}
		}
		r.want("60 s", r.arm(s, 60, 1), ok)
		until(60 * time.Second)
		if n := r.number(s, clGeneral, 0); n != 0 {
			t.Errorf("breadcrumb %d", n)
		}
		r.want("60 s", r.arm(s, 60, 1), ok)
		time.Sleep(50 * time.Second)
		r.want("90 s from now", r.arm(s, 90, 1), ok)
		until(90 * time.Second)
		r.want("60 s", r.arm(s, 60, 1), ok)
		time.Sleep(50 * time.Second)
		r.want("shorter", r.arm(s, 5, 1), ok)
		until(5 * time.Second)
		// However often it is armed, it ends 900 s after the first time.
		r.want("longest", r.arm(s, 65535, 1), ok)
		until(900 * time.Second)
		r.want("again", r.arm(s, 600, 1), ok)
		time.Sleep(500 * time.Second)
		r.want("again", r.arm(s, 600, 1), ok)
		until(400 * time.Second)
		r.want("and at once afterwards", r.arm(s, 60, 1), ok)
	})
}

// A request at the deadline is too late, even if the node was busy and handles the
// deadline late.
func TestFailSafeEnd(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		began := time.Now()
		r.want("ArmFailSafe", r.arm(s, 60, 0), ok)
		time.Sleep(time.Until(began.Add(60 * time.Second))) // both include the network's delay
		if r.armed(s) {
			t.Error("armed after 60 s")
		}
		for i := range 8 {
			r.net.SetTap(nil)
			r.want("ArmFailSafe", r.arm(s, 60, 0), ok)
			r.net.SetTap(dropAcks) // so that the request is the first datagram that the node receives
			r.announced.stall(90 * time.Second)
			r.want("label", r.creds(s, cmdLabel, 0, fmt.Sprint(i)), ok)
			time.Sleep(89 * time.Second)
			if r.armed(s) {
				r.t.Fatal("armed after 90 s")
			}
		}
	})
}

// dropAcks is a tap that drops standalone acknowledgements to the node.
func dropAcks(d simnet.Datagram) bool { return d.To != deviceAddr || len(d.Payload) > 40 }

// PASE arms the fail-safe for a minute.
func TestPASEArms(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		s := r.pase(c)
		if !r.armed(s) {
			r.t.Fatal("not armed")
		}
		time.Sleep(59 * time.Second)
		if !r.alive(s) {
			t.Error("the session ended within a minute")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(r.announced.of("_matterc._udp")) != 1 {
			t.Error("not announced after a minute")
		}
		r.eventually("the session ends", time.Second, func() bool { return r.left(s) })
		if r.alive(s) || s.Gone() {
			t.Error("a command in the session is answered")
		}
		r.commission(c, r.authority(commissioner.AuthorityOptions{}))
	})
}

// If a commissioner leaves, the node is available to the next one.
func TestPASELeaves(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		s := r.pase(c)
		r.must(s.AddRoot(r.ctx, r.authority(commissioner.AuthorityOptions{}).Root()))
		s.Close()
		time.Sleep(time.Second)
		done := r.commission(c, r.authority(commissioner.AuthorityOptions{}))
		if n := len(r.roots(done.CASE, false)); n != 1 {
			t.Errorf("%d roots", n)
		}
	})
	// A commissioner that has added its fabric continues over CASE.
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		s := r.pase(c)
		done, err := s.Join(r.ctx, a)
		r.must(err)
		s.Close()
		time.Sleep(time.Second)
		r.must(r.session(c, a, done.Node).CommissioningComplete(r.ctx))
	})
}

// Everything staged in a fail-safe over PASE or CASE is gone when it ends, for
// whatever reason, and the next commissioning works at once.
func TestFailSafeTakesBack(t *testing.T) {
	ends := map[string]func(p *pair, by, member *commissioner.Session){
		"timeout": func(*pair, *commissioner.Session, *commissioner.Session) { time.Sleep(120 * time.Second) },
		"disarmed by the new fabric": func(p *pair, _, member *commissioner.Session) {
			p.want("ArmFailSafe", p.arm(member, 0, 9), ok)
		},
		"disarmed over PASE": func(p *pair, by, _ *commissioner.Session) { p.want("ArmFailSafe", p.arm(by, 0, 9), ok) },
		"revoked": func(p *pair, _, _ *commissioner.Session) {
			p.must(p.one.CASE.RevokeWindow(p.ctx))
		},
	}
	for name, end := range ends {
		for _, over := range []string{"PASE", "CASE"} {
			if over == "CASE" && (name == "revoked" || name == "disarmed over PASE") {
				continue
			}
			t.Run(name+" over "+over, func(t *testing.T) {
				twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
					r, by := p.rig, p.two.CASE
					if over == "PASE" {
						r.must(by.OpenBasicWindow(r.ctx, 900))
						by = r.pase(p.c)
					}
					x := r.authority(commissioner.AuthorityOptions{})
					done, err := by.Join(r.ctx, x)
					r.must(err)
					member := r.session(p.c, x, done.Node)
					r.want("key set", r.command(member, clGroupKeys, 0, 0, keySet(5, 0, 1)), ok)
					admin := entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(x.NodeID)}, nil}
					status, err := member.Write(r.ctx, 0, clAccess, 0, entries(admin, admin))
					r.must(err)
					r.want("access control", outcome(status.Status), "SUCCESS")
					r.want("label", r.creds(member, cmdLabel, 0, "x"), ok)
					end(p, by, member)
					r.eventually("its sessions end", time.Second, func() bool { return member.Gone() && (over == "CASE" || r.left(by)) })
					one := p.one.CASE
					if !r.alive(one) || !r.alive(p.two.CASE) {
						t.Error("a session of another fabric ended")
					}
					if f, n, roots := r.fabrics(one, false), r.nocs(one, false), r.roots(one, false); len(f) != 2 || len(n) != 2 || len(roots) != 2 {
						t.Errorf("%d fabrics, %d NOCs, %d roots", len(f), len(n), len(roots))
					}
					if n := r.number(one, clOpCreds, 3); n != 2 {
						t.Errorf("CommissionedFabrics %d", n)
					}
					if list := readACL(t, r, one, false); len(list) != 2 {
						t.Errorf("access control %+v", list)
					}
					if n := r.number(one, clGeneral, 0); n != 0 {
						t.Errorf("breadcrumb %d", n)
					}
					if n := len(r.announced.of("_matter._tcp")); n != 2 {
						t.Errorf("%d operational services", n)
					}
					if _, _, err := p.c.CASE(r.ctx, deviceAddr, x, done.Node, nil); err == nil {
						t.Error("CASE into the fabric that was taken back")
					}
					// The same again, completed.
					again := one
					if over == "PASE" {
						if name == "revoked" {
							r.must(one.OpenBasicWindow(r.ctx, 900))
						}
						again = r.pase(p.c)
					}
					joined := r.join(p.c, again, x)
					if joined.Fabric != 3 {
						t.Errorf("index %d", joined.Fabric)
					}
					if list := readACL(t, r, joined.CASE, true); len(list) != 1 {
						t.Errorf("access control of the next one %+v", list)
					}
					r.want("key set of the one before", r.command(joined.CASE, clGroupKeys, 1, 0, 5), notFound)
					if d := r.fabrics(joined.CASE, true); d[0].label != "" {
						t.Errorf("label of the one before: %+v", d)
					}
				})
			})
		}
	}
}

func TestCommissioningComplete(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		complete := func(s *commissioner.Session) string { return r.command(s, clGeneral, cmdComplete) }
		r.want("not armed", complete(one), noFailSafe)
		r.want("armed", r.arm(one, 60, 5), ok)
		r.want("by another fabric", complete(two), invalidAuth)
		if n := r.number(one, clGeneral, 0); n != 5 {
			t.Errorf("breadcrumb %d after a failure", n)
		}
		r.want("without a NOC", complete(one), ok)
		if n := r.number(one, clGeneral, 0); n != 0 {
			t.Errorf("breadcrumb %d", n)
		}
		r.want("again", complete(one), noFailSafe)
		r.must(one.OpenBasicWindow(r.ctx, 900))
		s := r.pase(p.c)
		x := r.authority(commissioner.AuthorityOptions{})
		done, err := s.Join(r.ctx, x)
		r.must(err)
		r.want("over PASE", complete(s), invalidAuth)
		r.want("by another fabric than the new one", complete(one), invalidAuth)
		three := r.session(p.c, x, done.Node)
		r.want("by the new fabric", complete(three), ok)
		r.eventually("the PASE session ends", time.Second, func() bool { return r.left(s) })
		if n := r.number(three, clWindow, 0); n != 0 {
			t.Errorf("WindowStatus %d", n)
		}
		if len(r.announced.of("_matterc._udp")) != 0 {
			t.Error("still commissionable")
		}
	})
}

func TestSetRegulatoryConfig(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.pase(r.client())
		set := func(what, want string, pairs ...any) {
			t.Helper()
			r.want(what, r.command(s, clGeneral, cmdRegulatory, pairs...), want)
		}
		set("nothing", invalidCommand)
		set("no breadcrumb", invalidCommand, 0, 0, 1, "XX")
		set("country of one octet", constraintError, 0, 0, 1, "X", 2, 4)
		set("country of three octets", constraintError, 0, 0, 1, "XXX", 2, 4)
		set("unknown location", outsideRange, 0, 3, 1, "FR", 2, 4)
		if n, b := r.number(s, clGeneral, 2), r.number(s, clGeneral, 0); n != 2 || b != 0 {
			t.Errorf("refused: RegulatoryConfig %d, breadcrumb %d", n, b)
		}
		set("right", ok, 0, 1, 1, "FR", 2, 4)
		if n, b := r.number(s, clGeneral, 2), r.number(s, clGeneral, 0); n != 1 || b != 4 {
			t.Errorf("RegulatoryConfig %d, breadcrumb %d", n, b)
		}
		rd := r.attribute(s, clBasic, 6, false)
		if country := rd.Text(); country != "FR" {
			t.Errorf("Location %q", country)
		}
	})
}

// A session that is only kept for its last answer accepts no new requests, as its
// fail-safe has ended.
func TestClosingSession(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.pase(r.client())
		// The answer is retransmitted without the peer's acknowledgements.
		r.net.SetTap(dropAcks)
		r.want("ArmFailSafe", r.arm(s, 0, 0), ok)
		if r.left(s) {
			r.t.Fatal("it has ended without its answer having been acknowledged")
		}
		if got := r.arm(s, 60, 0); got == ok {
			t.Error("a PASE session arms the fail-safe after it has ended")
		}
		r.eventually("it ends", time.Minute, func() bool { return r.left(s) })
	})
}

// A fail-safe ends at once when its fabric is removed, so that the next
// administrator need not wait.
func TestFailSafeOfAFabricThatTheOperatorRemoves(t *testing.T) {
	for name, stage := range map[string]func(p *pair){
		"nothing": func(*pair) {},
		"a root":  func(p *pair) { p.must(p.one.CASE.AddRoot(p.ctx, p.authority(commissioner.AuthorityOptions{}).Root())) },
		"UpdateNOC": func(p *pair) {
			n := p.noc(p.a, p.csr(p.one.CASE, true))
			p.want("UpdateNOC", p.updateNOC(p.one.CASE, n.Raw(), nil), ok)
		},
	} {
		t.Run(name, func(t *testing.T) {
			twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
				p.must(p.one.CASE.ArmFailSafe(p.ctx, 900, 0))
				stage(p)
				p.wait(time.Minute)
				p.one.CASE.Forget() // without notifying the peer
				p.must(p.srv.Operator().RemoveFabric(p.ctx, 1))
				p.want("the other administrator", outcome(p.two.CASE.ArmFailSafe(p.ctx, 60, 0)), ok)
				p.must(p.two.CASE.ArmFailSafe(p.ctx, 0, 0))
				p.want("and a window", p.window(p.two.CASE, cmdOpenBasic, 0, 180), ok)
			})
		})
	}
}
