package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// updateNOC sends UpdateNOC.
func (r *rig) updateNOC(s *commissioner.Session, noc, icac []byte) string {
	_, err := s.UpdateNOC(r.ctx, noc, icac)
	return outcome(err)
}

// The checks of UpdateNOC in their order.
func TestUpdateNOCOrder(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		own := []byte(r.nocs(s, true)[0].noc)
		n, icac := make([]byte, 401), []byte(nil)
		step := func(what, want string) {
			t.Helper()
			r.want(what, r.updateNOC(s, n, icac), want)
		}
		r.want("no NOC", r.creds(s, cmdUpdateNOC), invalidCommand)
		step("NOC too long", invalidCommand)
		n, icac = own[:100], make([]byte, 401)
		step("ICAC too long", invalidCommand)
		icac = p.b.Root()
		step("not armed", failsafeRequired)
		r.must(p.two.CASE.ArmFailSafe(r.ctx, 60, 0))
		step("armed by another fabric", failsafeRequired)
		r.must(p.two.CASE.ArmFailSafe(r.ctx, 0, 0))
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		step("no CSR", missingCSR)
		again := r.session(p.c, p.a, p.one.Node)
		r.csr(again, true)
		step("CSR of another session", missingCSR)
		r.csr(s, false)
		step("CSR for AddNOC", constraintError)
		r.must(s.AddRoot(r.ctx, r.authority(commissioner.AuthorityOptions{}).Root()))
		r.csr(s, true)
		step("after a root", constraintError)
		r.must(s.ArmFailSafe(r.ctx, 0, 0))
		step("disarmed", failsafeRequired)
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		step("the CSR went with the fail-safe", missingCSR)
		pub := r.csr(s, true)
		r.want("a VVSC", r.creds(s, cmdSetVVS, 2, []byte("signer")), ok)
		step("an ICAC beside the VVSC", missingCSR)
		r.want("no VVSC", r.creds(s, cmdSetVVS, 2, []byte{}), ok)
		step("no certificate", invalidNOC)
		icac = nil
		step("no certificate, alone", invalidNOC)
		n = r.noc(p.b, pub).Raw()
		step("of another fabric of this node", invalidNOC)
		stranger := r.authority(commissioner.AuthorityOptions{FabricID: p.a.FabricID})
		n = r.noc(stranger, pub).Raw()
		step("of another root", invalidNOC)
		sibling, err := p.a.Fabric(p.a.FabricID + 1)
		r.must(err)
		n = r.noc(sibling, pub).Raw()
		step("of another fabric id", invalidNOC)
		reserved := r.reissue(p.a, noc(t, own), func(c *cert.Certificate) { c.Subject[0].ID = 0xFFFF_FFF0_0000_0000 })
		n = bytes.Clone(reserved.Raw())
		n[len(n)-3] ^= 1
		step("signature", invalidNOC)
		n = reserved.Raw()
		step("node id", invalidNodeOpID)
		n = own
		step("the NOC that it has", invalidPublicKey)
		n = r.noc(p.a, pub).Raw()
		step("everything right", ok)

		r.eventually("the session that asked ends", time.Second, s.Gone)
		s = r.session(p.c, p.a, noc(t, n).NodeID())
		step("again", constraintError)
		r.want("CSR for update, after UpdateNOC", r.creds(s, cmdCSR, 0, make([]byte, 32), 1, true), constraintError)
		r.want("CSR, after UpdateNOC", r.creds(s, cmdCSR, 0, make([]byte, 32)), constraintError)
		r.want("a root, after UpdateNOC", r.creds(s, cmdAddRoot, 0, stranger.Root()), constraintError)
		r.want("AddNOC, after UpdateNOC", r.addNOC(s, fields(stranger, r.noc(stranger, pub))), constraintError)
	})
}

// A damaged chain is InvalidNOC here too. It does not use up the CSR, and the
// fabric does not change.
func TestBadChainsUpdate(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{ICAC: true}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		before := r.nocs(s, true)[0]
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		pub := r.csr(s, true)
		for name, damage := range badChains {
			n, icac := damage(&chain{r, p.a, r.noc(p.a, pub), p.a.ICACert()})
			r.want(name, r.updateNOC(s, n, icac), invalidNOC)
		}
		if got := r.nocs(s, true)[0]; got != before {
			t.Error("the NOC is another")
		}
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		r.want("whole", r.updateNOC(s, r.noc(p.a, pub).Raw(), p.a.ICAC()), ok)
	})
}

// updated is a node on two fabrics, during an UpdateNOC of the first.
type updated struct {
	*pair
	other  *commissioner.Session // another session of the first fabric
	before descriptor
	node   matter.NodeID // the new node id
}

// withUpdate runs f after an UpdateNOC. The first fabric's NOC has an ICAC before
// it and none after it.
func withUpdate(t *testing.T, f func(u *updated)) {
	t.Helper()
	twoFabrics(t, commissioner.AuthorityOptions{ICAC: true}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		u := &updated{pair: p, other: r.session(r.client(), p.a, p.one.Node)}
		r.want("label", r.creds(s, cmdLabel, 0, "before"), ok)
		u.before = r.fabrics(s, true)[0]
		r.must(s.ArmFailSafe(r.ctx, 120, 5))
		fresh, err := p.a.WithoutICAC()
		r.must(err)
		n := r.noc(fresh, r.csr(s, true))
		u.node = n.NodeID()
		// The first transmission of the answer is lost, but the answer must arrive.
		lost := r.dropOnce(func(d simnet.Datagram) bool { return true })
		r.want("UpdateNOC", r.updateNOC(s, n.Raw(), nil), ok)
		if !lost() {
			t.Error("no datagram was lost")
		}
		f(u)
	})
}

func TestUpdateNOCEffects(t *testing.T) {
	withUpdate(t, func(u *updated) {
		r := u.rig
		r.eventually("sessions of the fabric end", time.Second, func() bool { return u.one.CASE.Gone() && u.other.Gone() })
		if !r.alive(u.two.CASE) {
			t.Error("a session of another fabric ended")
		}
		names := map[string]bool{}
		for _, ad := range r.announced.of("_matter._tcp") {
			names[ad.Instance] = true
		}
		instance := func(n matter.NodeID) string { return fmt.Sprintf("%X-%v", u.a.CompressedFabricID(), n) }
		if len(names) != 2 || names[instance(u.one.Node)] || !names[instance(u.node)] {
			t.Errorf("announced: %v", names)
		}
		_, _, err := u.c.CASE(r.ctx, deviceAddr, u.a, u.one.Node, nil)
		var report commissioner.StatusError
		if !errors.As(err, &report) || report.Code != message.CodeNoSharedTrustRoots {
			t.Errorf("CASE with the old identity: %v", err)
		}
		s := r.session(u.c, u.a, u.node)
		got := r.fabrics(s, true)[0]
		want := u.before
		want.node = u.node
		if got != want {
			t.Errorf("entry %+v, want %+v", got, want)
		}
		if e := r.nocs(s, true)[0]; !e.nullICAC || noc(t, []byte(e.noc)).NodeID() != u.node {
			t.Error("NOCs does not show the new NOC, without an ICAC")
		}
		if acl := readACL(t, r, s, true); len(acl) != 1 || acl[0].subjects[0] != uint64(u.a.NodeID) {
			t.Errorf("access control %+v", acl)
		}
		r.must(s.CommissioningComplete(r.ctx))
		if !r.alive(s) {
			t.Error("the session that completed has ended")
		}
		r.want("a second end", r.command(s, clGeneral, cmdComplete), noFailSafe)
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		r.must(s.ArmFailSafe(r.ctx, 0, 0)) // completed changes stay
		r.restart()
		s = r.session(u.c, u.a, u.node)
		if got := r.fabrics(s, true)[0]; got != want {
			t.Errorf("after a restart %+v, want %+v", got, want)
		}
	})
}

// An UpdateNOC that is not completed leaves no trace, however it ends.
func TestUpdateNOCTakenBack(t *testing.T) {
	ends := map[string]func(u *updated, s *commissioner.Session){
		"timeout": func(u *updated, _ *commissioner.Session) { time.Sleep(121 * time.Second) },
		"disarmed": func(u *updated, s *commissioner.Session) {
			u.must(s.ArmFailSafe(u.ctx, 0, 0)) // the answer arrives before the session ends
			time.Sleep(time.Second)
		},
		"restart": func(u *updated, _ *commissioner.Session) { u.restart() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			withUpdate(t, func(u *updated) {
				r := u.rig
				s, res, err := u.c.CASE(r.ctx, deviceAddr, u.a, u.node, nil)
				r.must(err)
				r.want("label", r.creds(s, cmdLabel, 0, "after"), ok)
				r.want("statement", r.creds(s, cmdSetVVS, 0, 0xFFF2, 1, make([]byte, 85), 2, []byte("signer")), ok)
				view := entry{privilege: matter.PrivilegeView, mode: matter.AuthModeCASE}
				admin := entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(u.a.NodeID)}, nil}
				status, err := s.Write(r.ctx, 0, clAccess, 0, entries(admin, view))
				if err != nil || status.Status != matter.StatusSuccess {
					r.t.Fatal(status, err)
				}
				end(u, s)
				if r.alive(s) {
					t.Error("a session with the rolled back identity is still there")
				}
				if name != "restart" && !r.alive(u.two.CASE) {
					t.Error("a session of another fabric ended")
				}
				// It cannot be resumed either.
				record := res.Record()
				if _, _, err := u.c.CASE(r.ctx, deviceAddr, u.a, u.node, &record); err == nil {
					t.Error("a session with the rolled back identity is resumed")
				}
				s = r.session(u.c, u.a, u.one.Node)
				if got := r.fabrics(s, true)[0]; got != u.before {
					t.Errorf("entry %+v, want %+v", got, u.before)
				}
				if e := r.nocs(s, true)[0]; e.icac != string(u.a.ICAC()) || e.vvsc != "" || noc(t, []byte(e.noc)).NodeID() != u.one.Node {
					t.Error("NOCs does not show the old NOC")
				}
				if n := r.number(s, clGeneral, 0); n != 0 {
					t.Errorf("Breadcrumb %d", n)
				}
				// UpdateNOC does not change access control.
				if acl := readACL(t, r, s, true); len(acl) != 2 {
					t.Errorf("access control %+v", acl)
				}
				r.must(s.ArmFailSafe(r.ctx, 60, 0)) // the next UpdateNOC works
				n := r.noc(u.a, r.csr(s, true))
				r.want("UpdateNOC", r.updateNOC(s, n.Raw(), u.a.ICAC()), ok)
				r.must(r.session(u.c, u.a, n.NodeID()).CommissioningComplete(r.ctx))
			})
		})
	}
}

// A resumption record from before UpdateNOC is not valid after it.
func TestUpdateNOCForgetsResumption(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r := p.rig
		s, res, err := p.c.CASE(r.ctx, deviceAddr, p.a, p.one.Node, nil)
		r.must(err)
		record := res.Record()
		s2, res2, err := p.c.CASE(r.ctx, deviceAddr, p.a, p.one.Node, &record)
		r.must(err)
		if !res2.Resumed {
			r.t.Fatal("not resumed before")
		}
		record = res2.Record()
		s2.Close()
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		n := r.noc(p.a, r.csr(s, true))
		r.want("UpdateNOC", r.updateNOC(s, n.Raw(), nil), ok)
		s, res, err = p.c.CASE(r.ctx, deviceAddr, p.a, n.NodeID(), &record)
		r.must(err)
		if res.Resumed {
			t.Error("resumed with a record from before UpdateNOC")
		}
		r.must(s.CommissioningComplete(r.ctx))
	})
}

// The node id may stay the same.
func TestUpdateNOCSameNode(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		pub := r.csr(s, true)
		n, err := p.a.IssueNOC(pub, p.one.Node)
		r.must(err)
		r.want("UpdateNOC", r.updateNOC(s, n.Raw(), nil), ok)
		s = r.session(p.c, p.a, p.one.Node)
		if e := r.nocs(s, true)[0]; e.noc != string(n.Raw()) {
			t.Error("NOCs does not show the new NOC")
		}
		r.must(s.CommissioningComplete(r.ctx))
	})
}
