package server_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cert"
)

// A NOC with two faults: the order of the checks of the table, of the fabric's
// identity, of the chain, of the node id and of the key.
func TestAddNOCTwoFaults(t *testing.T) {
	const max = 5
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.opt.MaxFabrics = max
		r.start()
		defer r.finish()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		first := r.commission(c, a)
		s := first.CASE
		for range max - 2 {
			r.join(c, s, r.authority(commissioner.AuthorityOptions{}))
		}
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		pub := r.csr(s, false)
		r.must(s.AddRoot(r.ctx, a.Root()))
		good := fields(a, r.noc(a, pub))
		with := func(change func(n *commissioner.NOC)) commissioner.NOC {
			n := good
			change(&n)
			return n
		}
		reserved := r.reissue(a, r.noc(a, [65]byte(pubOf(t, a.Root()))), func(c *cert.Certificate) { c.Subject[0].ID = 0xFFFF_FFF0_0000_0000 })
		faults := map[string]commissioner.NOC{
			"conflict alone":       good,
			"and another key":      with(func(n *commissioner.NOC) { n.NOC = r.noc(a, [65]byte(pubOf(t, a.Root()))).Raw() }),
			"and a bad node id":    with(func(n *commissioner.NOC) { n.NOC = reserved.Raw() }),
			"and the root as ICAC": with(func(n *commissioner.NOC) { n.ICAC = a.Root() }),
			"and an ICAC of junk":  with(func(n *commissioner.NOC) { n.ICAC = []byte("junk") }),
		}
		for name, n := range faults {
			r.want(name, r.addNOC(s, n), fabricConflict)
			n.Admin = 0
			r.want(name+", and nobody", r.addNOC(s, n), invalidAdmin)
		}
		// Something that is not a certificate has no fabric id.
		r.want("junk", r.addNOC(s, with(func(n *commissioner.NOC) { n.NOC = []byte("junk") })), invalidNOC)

		// The same again with a full table.
		r.must(s.ArmFailSafe(r.ctx, 0, 0))
		r.join(c, s, r.authority(commissioner.AuthorityOptions{}))
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		r.csr(s, false)
		r.must(s.AddRoot(r.ctx, a.Root()))
		for name, n := range faults {
			r.want("full, "+name, r.addNOC(s, n), tableFull)
		}
		r.want("full, nobody", r.addNOC(s, with(func(n *commissioner.NOC) { n.Admin = 0 })), invalidAdmin)
		r.want("full, too long", r.addNOC(s, with(func(n *commissioner.NOC) { n.NOC = make([]byte, 401) })), invalidCommand)
	})
}

// A CSR is valid only on its session: on another one there is none, for either
// command. One for the other command is refused before the certificates are
// checked.
func TestCSRTwoFaults(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		again := r.session(p.c, p.a, p.one.Node)
		x := r.authority(commissioner.AuthorityOptions{})
		junk := commissioner.NOC{NOC: []byte("junk"), IPK: x.EpochKey[:], Vendor: 1}
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		r.csr(again, true)
		r.want("AddNOC, the other's CSR for update", r.addNOC(s, junk), missingCSR)
		r.want("UpdateNOC, the other's CSR", r.updateNOC(s, junk.NOC, nil), missingCSR)
		r.want("AddNOC, CSR for update", r.addNOC(again, junk), constraintError)
		r.csr(again, false)
		r.want("UpdateNOC, CSR for AddNOC", r.updateNOC(again, junk.NOC, nil), constraintError)
		r.want("UpdateNOC, the other's CSR for AddNOC", r.updateNOC(s, junk.NOC, nil), missingCSR)
		r.want("AddNOC, no root, nobody", r.addNOC(again, junk), invalidNOC)
		// Only the last CSR is valid, on whichever session.
		pub := r.csr(s, false)
		r.must(again.AddRoot(r.ctx, x.Root())) // the root belongs to the fail-safe
		r.want("AddNOC, the CSR before", r.addNOC(again, fields(x, r.noc(x, pub))), missingCSR)
		r.want("AddNOC", r.addNOC(s, fields(x, r.noc(x, pub))), ok)
	})
}

// A statement with two faults.
func TestStatementTwoFaults(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{ICAC: true}, func(p *pair) {
		r, s := p.rig, p.one.CASE // it has an ICAC
		vvsc, statement := make([]byte, 400), make([]byte, 85)
		for _, tt := range []struct {
			name   string
			fields []any
			want   string
		}{
			{"vendor, VVSC beside an ICAC", []any{0, 0xFFF5, 2, vvsc}, constraintError},
			{"VVSC too long, beside an ICAC", []any{2, append(bytes.Clone(vvsc), 0)}, constraintError},
			{"VVSC beside an ICAC, statement too short", []any{1, statement[1:], 2, vvsc}, invalidCommand},
			{"VVSC beside an ICAC, statement too long", []any{1, append(bytes.Clone(statement), 0), 2, vvsc}, invalidCommand},
			{"vendor, statement", []any{0, 0, 1, statement[1:]}, constraintError},
			{"wrong type, vendor", []any{0, 0, 1, "text"}, invalidCommand},
			{"vendor of 17 bits", []any{0, 0x10001}, invalidCommand},
			{"VVSC beside an ICAC, the rest right", []any{0, 0xFFF1, 1, statement, 2, vvsc}, invalidCommand},
			{"right", []any{0, 0xFFF1, 1, statement}, ok},
		} {
			r.want(tt.name, r.creds(s, cmdSetVVS, tt.fields...), tt.want)
		}
	})
}

// General Commissioning commands with two faults.
func TestRegulatoryTwoFaults(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.pase(r.client())
		r.want("country, location", r.command(s, clGeneral, cmdRegulatory, 0, 3, 1, "X", 2, 4), constraintError)
		r.want("location, country unknown", r.command(s, clGeneral, cmdRegulatory, 0, 255, 1, "??", 2, 4), outsideRange)
		r.want("location of 9 bits", r.command(s, clGeneral, cmdRegulatory, 0, 256, 1, "FR", 2, 4), invalidCommand)
		r.want("country of octets", r.command(s, clGeneral, cmdRegulatory, 0, 0, 1, []byte("FR"), 2, 4), invalidCommand)
		if n := r.number(s, clGeneral, 0); n != 0 {
			t.Errorf("breadcrumb %d after refusals", n)
		}
	})
}

// A command that is refused for any reason changes nothing: the correct one
// succeeds in the same fail-safe.
func TestRefusalsUseNothingUp(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		x := r.authority(commissioner.AuthorityOptions{ICAC: true})
		r.must(s.ArmFailSafe(r.ctx, 900, 7))
		pub := r.csr(s, false)
		r.must(s.AddRoot(r.ctx, x.Root()))
		fabrics, nocs, roots, acl := r.fabrics(s, false), r.nocs(s, false), r.roots(s, false), readACL(t, r, s, false)
		same := func(what string) {
			t.Helper()
			if len(r.fabrics(s, false)) != len(fabrics) || len(r.nocs(s, false)) != len(nocs) || len(r.roots(s, false)) != len(roots) || len(readACL(t, r, s, false)) != len(acl) {
				t.Errorf("%s: something has changed", what)
			}
			if n := r.number(s, clGeneral, 0); n != 7 {
				t.Errorf("%s: breadcrumb %d", what, n)
			}
			if len(r.announced.of("_matter._tcp")) != 2 {
				t.Errorf("%s: %d announced", what, len(r.announced.of("_matter._tcp")))
			}
		}
		good := fields(x, r.noc(x, pub))
		for name, change := range map[string]func(n *commissioner.NOC){
			"IPK":         func(n *commissioner.NOC) { n.IPK = n.IPK[1:] },
			"vendor":      func(n *commissioner.NOC) { n.Vendor = 0xFFFF },
			"subject":     func(n *commissioner.NOC) { n.Admin = 0xFFFF_FFFF_FFFF_0001 },
			"NOC":         func(n *commissioner.NOC) { n.NOC = n.NOC[1:] },
			"ICAC":        func(n *commissioner.NOC) { n.ICAC = n.ICAC[1:] },
			"another key": func(n *commissioner.NOC) { n.NOC = r.noc(x, [65]byte(pubOf(t, x.Root()))).Raw() },
			"known fabric": func(n *commissioner.NOC) {
				n.NOC, n.ICAC = r.noc(p.b, pub).Raw(), nil // of another root: no conflict, but not a chain
			},
		} {
			n := good
			change(&n)
			if got := r.addNOC(s, n); got == ok {
				r.t.Fatalf("%s: taken", name)
			}
			same(name)
		}
		for name, fault := range map[string]string{
			"CSR, nonce":                r.creds(s, cmdCSR, 0, make([]byte, 31)),
			"CSR, by another":           r.creds(p.two.CASE, cmdCSR, 0, make([]byte, 32)),
			"root, another":             r.creds(s, cmdAddRoot, 0, p.a.Root()),
			"root, junk":                r.creds(s, cmdAddRoot, 0, make([]byte, 401)),
			"UpdateNOC":                 r.updateNOC(s, good.NOC, good.ICAC),
			"ArmFailSafe, by another":   r.arm(p.two.CASE, 0, 9),
			"CommissioningComplete, by": r.command(p.two.CASE, clGeneral, cmdComplete),
			"RemoveFabric":              r.creds(s, cmdRemove, 0, 77),
			"label":                     r.creds(s, cmdLabel, 0, string(make([]byte, 33))),
		} {
			if fault == ok {
				r.t.Fatalf("%s: taken", name)
			}
			same(name)
		}
		r.want("the right one", r.addNOC(s, good), ok)
	})
}
