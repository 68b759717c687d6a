package server_test

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// situations are states of a session with a node on two fabrics. Each returns the
// session and fields that are valid for a command.
var situations = []struct {
	name string
	make func(p *pair) *commissioner.Session
}{
	{"PASE", func(p *pair) *commissioner.Session {
		p.must(p.one.CASE.OpenBasicWindow(p.ctx, 900))
		return p.pase(p.c)
	}},
	{"PASE, NOC added", func(p *pair) *commissioner.Session {
		p.must(p.one.CASE.OpenBasicWindow(p.ctx, 900))
		s := p.pase(p.c)
		_, err := s.Join(p.ctx, p.authority(commissioner.AuthorityOptions{}))
		p.must(err)
		return s
	}},
	{"CASE, not armed", func(p *pair) *commissioner.Session { return p.one.CASE }},
	{"CASE, armed", func(p *pair) *commissioner.Session {
		p.must(p.one.CASE.ArmFailSafe(p.ctx, 600, 0))
		return p.one.CASE
	}},
	{"CASE, armed by another", func(p *pair) *commissioner.Session {
		p.must(p.two.CASE.ArmFailSafe(p.ctx, 600, 0))
		return p.one.CASE
	}},
	{"CASE, has added another's NOC", func(p *pair) *commissioner.Session {
		_, err := p.one.CASE.Join(p.ctx, p.authority(commissioner.AuthorityOptions{}))
		p.must(err)
		return p.one.CASE
	}},
	{"CASE, its NOC is added", func(p *pair) *commissioner.Session {
		x := p.authority(commissioner.AuthorityOptions{})
		done, err := p.one.CASE.Join(p.ctx, x)
		p.must(err)
		return p.session(p.c, x, done.Node)
	}},
	{"CASE, NOC updated", func(p *pair) *commissioner.Session {
		s := p.one.CASE
		p.must(s.ArmFailSafe(p.ctx, 600, 0))
		n := p.noc(p.a, p.csr(s, true))
		p.want("UpdateNOC", p.updateNOC(s, n.Raw(), nil), ok)
		return p.session(p.c, p.a, n.NodeID())
	}},
}

// The answer to each command in each situation: on which session, and in which
// fail-safe.
func TestCommandsBySituation(t *testing.T) {
	const (
		access, armed, done = unsupportedAccess, failsafeRequired, constraintError
	)
	nonce, challenge := make([]byte, 32), make([]byte, 32)
	x, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	noc, err := x.IssueNOC([65]byte(pubOf(t, x.Root())), 7)
	if err != nil {
		t.Fatal(err)
	}
	// The order matters: commands that need a missing CSR come first.
	commands := []struct {
		name   string
		cl     matter.ClusterID
		cmd    matter.CommandID
		fields []any
		want   [8]string // by situation
	}{
		{"AttestationRequest", clOpCreds, cmdAttestation, []any{0, nonce}, [8]string{ok, ok, ok, ok, ok, ok, ok, ok}},
		{"CertificateChainRequest", clOpCreds, cmdChain, []any{0, 2}, [8]string{ok, ok, ok, ok, ok, ok, ok, ok}},
		{"AddNOC", clOpCreds, cmdAddNOC, []any{0, noc.Raw(), 2, x.EpochKey[:], 3, x.NodeID, 4, x.VendorID},
			[8]string{missingCSR, done, armed, missingCSR, armed, armed, done, done}},
		{"UpdateNOC", clOpCreds, cmdUpdateNOC, []any{0, noc.Raw()}, [8]string{access, done, armed, missingCSR, armed, armed, done, done}},
		{"CSRRequest for AddNOC", clOpCreds, cmdCSR, []any{0, nonce, 1, false}, [8]string{ok, done, armed, ok, armed, armed, done, done}},
		{"CSRRequest for UpdateNOC", clOpCreds, cmdCSR, []any{0, nonce, 1, true},
			[8]string{invalidCommand, invalidCommand, armed, ok, armed, armed, done, done}},
		{"AddTrustedRootCertificate", clOpCreds, cmdAddRoot, []any{0, x.Root()}, [8]string{ok, done, armed, ok, armed, armed, done, done}},
		{"UpdateFabricLabel", clOpCreds, cmdLabel, []any{0, ""}, [8]string{access, ok, ok, ok, ok, ok, ok, ok}},
		{"SetVIDVerificationStatement", clOpCreds, cmdSetVVS, []any{0, 0xFFF1}, [8]string{access, ok, ok, ok, ok, ok, ok, ok}},
		{"SignVIDVerificationRequest", clOpCreds, cmdSignVID, []any{0, 1, 1, challenge}, [8]string{ok, ok, ok, ok, ok, ok, ok, ok}},
		{"RemoveFabric", clOpCreds, cmdRemove, []any{0, 99},
			[8]string{invalidFabricIndex, invalidFabricIndex, invalidFabricIndex, invalidFabricIndex, invalidFabricIndex, invalidFabricIndex, invalidFabricIndex, invalidFabricIndex}},
		{"ArmFailSafe", clGeneral, cmdArm, []any{0, 600, 1, 0}, [8]string{ok, ok, ok, ok, busyAdmin, busyAdmin, ok, ok}},
		{"CommissioningComplete", clGeneral, cmdComplete, nil, [8]string{access, invalidAuth, ok, ok, invalidAuth, invalidAuth, ok, ok}},
		{"CommissioningComplete again", clGeneral, cmdComplete, nil, [8]string{access, invalidAuth, noFailSafe, noFailSafe, invalidAuth, invalidAuth, noFailSafe, noFailSafe}},
	}
	for i, at := range situations {
		t.Run(at.name, func(t *testing.T) {
			twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
				s := at.make(p)
				for _, c := range commands {
					p.want(c.name, p.command(s, c.cl, c.cmd, c.fields...), c.want[i])
				}
			})
		})
	}
}

// Without Administer the answer to every command is the same, whatever else is
// wrong. A session without a fabric cannot use the commands of a fabric.
func TestCommandsWithoutPrivilege(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		b, err := a.Admin(commissioner.RandomNodeID())
		r.must(err)
		manager := entry{matter.PrivilegeManage, matter.AuthModeCASE, []uint64{uint64(b.NodeID)}, nil}
		r.want("access control", r.writeACL(done.CASE, administers(a), manager), success)
		s := r.session(c, b, done.Node)
		junk := []any{0, make([]byte, 401), 1, "x", 2, nil, 3, true}
		for cl, commands := range map[matter.ClusterID][]matter.CommandID{
			clOpCreds:   {cmdAttestation, cmdChain, cmdCSR, cmdAddNOC, cmdUpdateNOC, cmdLabel, cmdRemove, cmdAddRoot, cmdSetVVS, cmdSignVID},
			clGeneral:   {cmdArm, cmdRegulatory, cmdComplete},
			clWindow:    {cmdOpenEnhanced, cmdOpenBasic, cmdRevoke},
			clGroupKeys: {cmdKeySetWrite, cmdKeySetRead, cmdKeySetRemove, cmdKeySetIndices},
		} {
			for _, cmd := range commands {
				r.want("fields", r.command(s, cl, cmd, junk...), unsupportedAccess)
				r.want("no fields", r.command(s, cl, cmd), unsupportedAccess)
			}
		}
		if r.armed(done.CASE) {
			t.Error("the fail-safe is armed")
		}
	})
}
