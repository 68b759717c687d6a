package server_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// addNOC sends AddNOC.
func (r *rig) addNOC(s *commissioner.Session, n commissioner.NOC) string {
	_, err := s.AddNOC(r.ctx, n)
	return outcome(err)
}

// The checks of AddNOC in their order: at first everything is wrong, and then one
// fault after the other is corrected.
func TestAddNOCOrder(t *testing.T) {
	for _, over := range []string{"PASE", "CASE"} {
		t.Run(over, func(t *testing.T) {
			twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
				r, s := p.rig, p.one.CASE
				if over == "PASE" {
					r.must(s.OpenBasicWindow(r.ctx, 900))
					s = r.pase(p.c)
				}
				addNOCOrder(p, s, over == "PASE")
			})
		})
	}
}

func addNOCOrder(p *pair, s *commissioner.Session, pase bool) {
	r := p.rig
	x := r.authority(commissioner.AuthorityOptions{ICAC: true})
	other := r.noc(x, [65]byte(pubOf(r.t, x.Root()))) // with another key
	reserved := func(c *cert.Certificate) { c.Subject[0].ID = 0xFFFF_FFF0_0000_0000 }
	forged := r.reissue(x, other, reserved).Raw()
	forged[len(forged)-3] ^= 1

	n := commissioner.NOC{NOC: make([]byte, 401), ICAC: make([]byte, 401), IPK: make([]byte, 15)}
	step := func(what, want string) {
		r.t.Helper()
		r.want(what, r.addNOC(s, n), want)
	}
	step("everything wrong", invalidCommand)
	n.NOC = forged
	step("ICAC too long", invalidCommand)
	n.ICAC = x.ICAC()
	step("IPK too short", invalidCommand)
	n.IPK = make([]byte, 17)
	step("IPK too long", invalidCommand)
	n.IPK = x.EpochKey[:]
	step("vendor 0", invalidCommand)
	n.Vendor = 0xFFF5
	step("reserved vendor", invalidCommand)
	n.Vendor = 0xFFF4
	if !pase { // PASE has armed the fail-safe
		step("not armed", failsafeRequired)
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		r.want("armed by another fabric", r.addNOC(p.two.CASE, n), failsafeRequired)
	} else {
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
	}
	step("no CSR", missingCSR)
	if !pase {
		r.csr(s, true)
		step("CSR for update", constraintError)
		// A CSR is bound to its session, even for the same administrator.
		again := r.session(p.c, p.a, p.one.Node)
		r.csr(again, false)
		step("CSR of another session", missingCSR)
	}
	pub := r.csr(s, false)
	step("no root", invalidNOC)
	r.must(s.AddRoot(r.ctx, x.Root()))
	step("admin subject 0", invalidAdmin)
	for what, id := range map[string]matter.NodeID{
		"reserved": 0xFFFF_FFF0_0000_0000, "group": 0xFFFF_FFFF_FFFF_0001, "PAKE key": 0xFFFF_FFFB_0000_0000,
		"temporary": 0xFFFF_FFFE_0000_0001, "tag of version 0": 0xFFFF_FFFD_0001_0000,
	} {
		n.Admin = id
		step("admin subject: "+what, invalidAdmin)
	}
	n.Admin = 0xFFFF_FFFD_0001_0002 // a tag
	step("signature", invalidNOC)
	n.NOC = r.reissue(x, other, reserved).Raw()
	step("node id", invalidNodeOpID)
	n.NOC = other.Raw()
	step("another key", invalidPublicKey)
	n.NOC = r.noc(x, pub).Raw()
	step("everything right", ok)
	if pase {
		step("again", constraintError)
		n.NOC = forged
		step("again, and wrong", constraintError)
	} else {
		step("again, as the fail-safe is the new fabric's", failsafeRequired)
	}
	n.IPK = nil
	step("again, with a field of wrong length", invalidCommand)
}

func TestAddNOCMissingFields(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.pase(r.client())
		all := []any{0, []byte{1}, 2, make([]byte, 16), 3, uint64(1), 4, 1}
		for i := 0; i < len(all); i += 2 {
			some := slices.Concat(all[:i], all[i+2:])
			r.want(fmt.Sprintf("without field %d", all[i]), r.creds(s, cmdAddNOC, some...), invalidCommand)
		}
		r.want("vendor of 17 bits", r.creds(s, cmdAddNOC, append(all[:7:7], 0x10001)...), invalidCommand)
		r.want("all", r.creds(s, cmdAddNOC, all...), missingCSR)
	})
}

// Each new key pair replaces the one before.
func TestAddNOCOlderCSR(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{})
		s := r.pase(r.client())
		old := r.csr(s, false)
		fresh := r.csr(s, false)
		r.must(s.AddRoot(r.ctx, a.Root()))
		r.want("for the older CSR", r.addNOC(s, fields(a, r.noc(a, old))), invalidPublicKey)
		r.want("for the newer CSR", r.addNOC(s, fields(a, r.noc(a, fresh))), ok)
	})
}

// chain is a NOC and its ICAC, to be damaged.
type chain struct {
	r    *rig
	a    *commissioner.Authority // with ICAC
	noc  *cert.Certificate
	icac *cert.Certificate
}

// reNOC and reICAC sign a changed copy. The NOC then has the changed ICAC as its
// issuer.
func (c *chain) reNOC(change func(*cert.Certificate)) { c.noc = c.r.reissue(c.a, c.noc, change) }
func (c *chain) reICAC(change func(*cert.Certificate)) {
	c.icac = c.r.reissue(c.a, c.icac, change)
	c.reNOC(func(n *cert.Certificate) { n.Issuer = c.icac.Subject })
}

var badChains = map[string]func(c *chain) (noc, icac []byte){
	"NOC signature": func(c *chain) ([]byte, []byte) {
		b := bytes.Clone(c.noc.Raw())
		b[len(b)-3] ^= 1
		return b, c.icac.Raw()
	},
	"ICAC signature": func(c *chain) ([]byte, []byte) {
		b := bytes.Clone(c.icac.Raw())
		b[len(b)-3] ^= 1
		return c.noc.Raw(), b
	},
	"no NOC":           func(c *chain) ([]byte, []byte) { return nil, c.icac.Raw() },
	"NOC cut short":    func(c *chain) ([]byte, []byte) { return c.noc.Raw()[:200], c.icac.Raw() },
	"NOC and more":     func(c *chain) ([]byte, []byte) { return append(bytes.Clone(c.noc.Raw()), 0), c.icac.Raw() },
	"ICAC cut short":   func(c *chain) ([]byte, []byte) { return c.noc.Raw(), c.icac.Raw()[:200] },
	"no ICAC":          func(c *chain) ([]byte, []byte) { return c.noc.Raw(), nil },
	"root as ICAC":     func(c *chain) ([]byte, []byte) { return c.noc.Raw(), c.a.Root() },
	"NOC as ICAC":      func(c *chain) ([]byte, []byte) { return c.noc.Raw(), c.noc.Raw() },
	"ICAC as NOC":      func(c *chain) ([]byte, []byte) { return c.icac.Raw(), c.icac.Raw() },
	"fabric id 0":      onNOC(func(n *cert.Certificate) { n.Subject[1].ID = 0 }),
	"no fabric id":     onNOC(func(n *cert.Certificate) { n.Subject = n.Subject[:1] }),
	"two fabric ids":   onNOC(func(n *cert.Certificate) { n.Subject = append(n.Subject, n.Subject[1]) }),
	"two node ids":     onNOC(func(n *cert.Certificate) { n.Subject = append(n.Subject, n.Subject[0]) }),
	"another issuer":   onNOC(func(n *cert.Certificate) { n.Issuer = cert.DN{{Type: cert.AttributeICACID, ID: 7}} }),
	"authority key id": onNOC(func(n *cert.Certificate) { extension(n, cert.AuthorityKeyID).KeyID = make([]byte, 20) }),
	"tag of version 0": onNOC(withTags(0x10000)),
	"two versions":     onNOC(withTags(0x10001, 0x10002)),
	"four tags":        onNOC(withTags(0x10001, 0x20001, 0x30001, 0x40001)),
	"an authority":     onNOC(func(n *cert.Certificate) { extension(n, cert.BasicConstraints).IsCA = true }),
	"key usage":        onNOC(func(n *cert.Certificate) { extension(n, cert.KeyUsage).Usage = cert.UsageKeyCertSign }),
	"one purpose": onNOC(func(n *cert.Certificate) {
		extension(n, cert.ExtendedKeyUsage).Purposes = []cert.Purpose{cert.PurposeClientAuth}
	}),
	"no purposes": onNOC(func(n *cert.Certificate) { without(n, cert.ExtendedKeyUsage) }),
	"no key id":   onNOC(func(n *cert.Certificate) { without(n, cert.SubjectKeyID) }),
	"critical extension": onNOC(func(n *cert.Certificate) {
		n.Extensions = append(n.Extensions, cert.Extension{Type: cert.FutureExtension, DER: criticalExtension})
	}),
	"ICAC of another fabric": onICAC(func(i *cert.Certificate) { i.Subject[1].ID++ }),
	"ICAC of no authority":   onICAC(func(i *cert.Certificate) { extension(i, cert.BasicConstraints).IsCA = false }),
	"ICAC path length 1": onICAC(func(i *cert.Certificate) {
		e := extension(i, cert.BasicConstraints)
		e.HasPathLen, e.PathLen = true, 1
	}),
	"ICAC with a node id": onICAC(func(i *cert.Certificate) {
		i.Subject = append(i.Subject, cert.Attribute{Type: cert.AttributeNodeID, ID: 7})
	}),
	"ICAC with two ids":        onICAC(func(i *cert.Certificate) { i.Subject = append(i.Subject, i.Subject[0]) }),
	"ICAC with two fabric ids": onICAC(func(i *cert.Certificate) { i.Subject = append(i.Subject, i.Subject[1]) }),
	"ICAC with a tag":          onICAC(withTags(0x10001)),
	"ICAC without an id":       onICAC(func(i *cert.Certificate) { i.Subject = i.Subject[1:] }),
	"ICAC with a critical extension": onICAC(func(i *cert.Certificate) {
		i.Extensions = append(i.Extensions, cert.Extension{Type: cert.FutureExtension, DER: criticalExtension})
	}),
	"ICAC's key usage":            onICAC(func(i *cert.Certificate) { extension(i, cert.KeyUsage).Usage = cert.UsageCRLSign }),
	"ICAC's authority key id":     onICAC(func(i *cert.Certificate) { extension(i, cert.AuthorityKeyID).KeyID = make([]byte, 20) }),
	"NOC's algorithm":             inNOC([]byte{0x24, 2, 1}, []byte{0x24, 2, 2}),
	"NOC's kind of key":           inNOC([]byte{0x24, 7, 1}, []byte{0x24, 7, 2}),
	"NOC's curve":                 inNOC([]byte{0x24, 8, 1}, []byte{0x24, 8, 2}),
	"ICAC's algorithm":            inICAC([]byte{0x24, 2, 1}, []byte{0x24, 2, 2}),
	"ICAC's curve":                inICAC([]byte{0x24, 8, 1}, []byte{0x24, 8, 2}),
	"NOC's length in two octets":  inNOC([]byte{0x30, 11, 0x40}, []byte{0x31, 11, 0x40, 0}),
	"ICAC's length in two octets": inICAC([]byte{0x30, 11, 0x40}, []byte{0x31, 11, 0x40, 0}),
	"ICAC of another root":        onICAC(func(i *cert.Certificate) { i.Issuer = cert.DN{{Type: cert.AttributeRCACID, ID: 7}} }),
}

func onNOC(change func(*cert.Certificate)) func(c *chain) (noc, icac []byte) {
	return func(c *chain) ([]byte, []byte) {
		c.reNOC(change)
		return c.noc.Raw(), c.icac.Raw()
	}
}

func onICAC(change func(*cert.Certificate)) func(c *chain) (noc, icac []byte) {
	return func(c *chain) ([]byte, []byte) {
		c.reICAC(change)
		return c.noc.Raw(), c.icac.Raw()
	}
}

// inNOC and inICAC replace octets of a certificate.
func inNOC(old, by []byte) func(c *chain) (noc, icac []byte) {
	return func(c *chain) ([]byte, []byte) { return bytes.Replace(c.noc.Raw(), old, by, 1), c.icac.Raw() }
}

func inICAC(old, by []byte) func(c *chain) (noc, icac []byte) {
	return func(c *chain) ([]byte, []byte) { return c.noc.Raw(), bytes.Replace(c.icac.Raw(), old, by, 1) }
}

func withTags(cats ...uint64) func(*cert.Certificate) {
	return func(n *cert.Certificate) {
		for _, c := range cats {
			n.Subject = append(n.Subject, cert.Attribute{Type: cert.AttributeCAT, ID: c})
		}
	}
}

// A damaged chain is InvalidNOC and does not use up the CSR.
func TestBadChains(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{ICAC: true})
		s := r.pase(r.client())
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		pub := r.csr(s, false)
		r.must(s.AddRoot(r.ctx, a.Root()))
		good := fields(a, r.noc(a, pub))
		for name, damage := range badChains {
			n := good
			n.NOC, n.ICAC = damage(&chain{r, a, r.noc(a, pub), a.ICACert()})
			r.want(name, r.addNOC(s, n), invalidNOC)
		}
		for name, id := range map[string]uint64{"0": 0, "group": 0xFFFF_FFFF_FFFF_0001, "tag": 0xFFFF_FFFD_0001_0001} {
			n := good
			n.NOC, _ = onNOC(func(c *cert.Certificate) { c.Subject[0].ID = id })(&chain{r, a, r.noc(a, pub), a.ICACert()})
			r.want("node id: "+name, r.addNOC(s, n), invalidNodeOpID)
		}
		// The width of a number may be chosen by the encoder.
		good.NOC = bytes.Replace(good.NOC, []byte{0x24, 2, 1}, []byte{0x25, 2, 1, 0}, 1)
		good.ICAC = bytes.Replace(good.ICAC, []byte{0x24, 8, 1}, []byte{0x26, 8, 1, 0, 0, 0}, 1)
		r.want("whole", r.addNOC(s, good), ok)
		r.must(r.session(r.client(), a, noc(t, good.NOC).NodeID()).CommissioningComplete(r.ctx))
	})
}

// Rules of a root for the certificates below it.
func TestRootsOverChains(t *testing.T) {
	fabricID := func(id uint64) func(*cert.Certificate) {
		return func(c *cert.Certificate) {
			c.Subject = append(c.Subject, cert.Attribute{Type: cert.AttributeFabricID, ID: id})
			c.Issuer = c.Subject
		}
	}
	pathLen := func(n int) func(*cert.Certificate) {
		return func(c *cert.Certificate) {
			e := extension(c, cert.BasicConstraints)
			e.HasPathLen, e.PathLen = true, uint8(n)
		}
	}
	bubble(t, 1, clean, func(r *rig) {
		long := r.authority(commissioner.AuthorityOptions{ICAC: true})
		short := r.authority(commissioner.AuthorityOptions{})
		for _, tt := range []struct {
			name   string
			a      *commissioner.Authority
			change func(*cert.Certificate)
			want   string
		}{
			{"its fabric, with ICAC", long, fabricID(uint64(long.FabricID)), ok},
			{"its fabric", short, fabricID(uint64(short.FabricID)), ok},
			{"another fabric, with ICAC", long, fabricID(uint64(long.FabricID) + 1), invalidNOC},
			{"another fabric", short, fabricID(uint64(short.FabricID) + 1), invalidNOC},
			{"path length 1, with ICAC", long, pathLen(1), ok},
			{"path length 0, with ICAC", long, pathLen(0), invalidNOC},
			{"path length 0", short, pathLen(0), ok},
		} {
			s := r.pase(r.client())
			r.must(s.ArmFailSafe(r.ctx, 900, 0))
			root := r.reissue(tt.a, tt.a.RootCert(), tt.change)
			c := &chain{r, tt.a, r.noc(tt.a, r.csr(s, false)), tt.a.ICACert()}
			below := func(x *cert.Certificate) { x.Issuer = root.Subject }
			n := fields(tt.a, c.noc)
			if tt.a == long {
				n.NOC, n.ICAC = onICAC(below)(c)
			} else {
				n.NOC, _ = onNOC(below)(&chain{r, tt.a, c.noc, c.noc})
			}
			r.must(s.AddRoot(r.ctx, root.Raw()))
			r.want(tt.name, r.addNOC(s, n), tt.want)
			r.must(s.ArmFailSafe(r.ctx, 0, 0))
		}
	})
}

// A fabric is identified by its root and its fabric id alone.
func TestFabricConflict(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		pub := r.csr(s, false)
		before := r.roots(s, false)
		r.must(s.AddRoot(r.ctx, p.b.Root())) // a root that is known already
		if got := r.roots(s, false); !slices.Equal(got, before) {
			t.Errorf("a known root made %d roots of %d", len(got), len(before))
		}
		n := fields(p.b, r.noc(p.b, pub))
		r.want("known fabric", r.addNOC(s, n), fabricConflict)
		bad := n
		bad.NOC = bytes.Clone(n.NOC)
		bad.NOC[len(bad.NOC)-3] ^= 1
		r.want("known fabric, bad signature", r.addNOC(s, bad), fabricConflict)
		x, err := p.b.Fabric(p.b.FabricID + 1)
		r.must(err)
		r.want("another fabric of the root", r.addNOC(s, fields(x, r.noc(x, pub))), ok)
	})
}

func TestTableFull(t *testing.T) {
	const max = 5
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.opt.MaxFabrics = max
		r.start()
		defer r.finish()
		c := r.client()
		first := r.commission(c, r.authority(commissioner.AuthorityOptions{}))
		for range max - 1 {
			r.join(c, first.CASE, r.authority(commissioner.AuthorityOptions{}))
		}
		if n := r.number(first.CASE, clOpCreds, 3); n != max {
			t.Fatalf("%d fabrics", n)
		}
		if n := r.number(first.CASE, clOpCreds, 2); n != max {
			t.Errorf("SupportedFabrics %d", n)
		}
		r.must(first.CASE.OpenBasicWindow(r.ctx, 900))
		a := r.authority(commissioner.AuthorityOptions{})
		s := r.pase(c)
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		pub := r.csr(s, false)
		r.want("a root", r.creds(s, cmdAddRoot, 0, a.Root()), ok)
		n := fields(a, r.noc(a, pub))
		r.want("one fabric too many", r.addNOC(s, n), tableFull)
		wrong := n
		wrong.NOC = nil
		r.want("one too many, and no certificate", r.addNOC(s, wrong), tableFull)
		wrong.Admin = 0
		r.want("one too many, and nobody", r.addNOC(s, wrong), invalidAdmin)
		r.want("room again", r.creds(s, cmdRemove, 0, 3), ok)
		r.want("the same AddNOC", r.addNOC(s, n), ok)
		done := r.session(c, a, noc(t, n.NOC).NodeID())
		r.must(done.CommissioningComplete(r.ctx))
		list := r.fabrics(done, false)
		// A freed index is reused as late as possible.
		if len(list) != max || list[max-1].index != max+1 {
			t.Errorf("%d fabrics, the last at %d", len(list), list[len(list)-1].index)
		}
	})
}

// noc parses a certificate.
func noc(t *testing.T, raw []byte) *cert.Certificate {
	t.Helper()
	c, err := cert.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Effects of a successful AddNOC before anything is completed.
func TestAddNOCEffects(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{ICAC: true})
		s := r.pase(c)
		if n := r.number(s, clOpCreds, 5); n != 0 {
			t.Errorf("CurrentFabricIndex %d over PASE", n)
		}
		r.want("label without a fabric", r.creds(s, cmdLabel, 0, "x"), unsupportedAccess)
		r.want("UpdateNOC without a fabric", r.creds(s, cmdUpdateNOC, 0, []byte{1}), unsupportedAccess)
		r.want("statement without a fabric", r.creds(s, cmdSetVVS, 0, 1), unsupportedAccess)
		r.want("complete without a fabric", r.command(s, clGeneral, cmdComplete), unsupportedAccess)
		done, err := s.Join(r.ctx, a)
		r.must(err)
		if n := r.number(s, clOpCreds, 5); n != 1 {
			t.Errorf("CurrentFabricIndex %d after AddNOC", n)
		}
		if n := r.number(s, clOpCreds, 3); n != 1 {
			t.Errorf("CommissionedFabrics %d after AddNOC", n)
		}
		list, nocs, roots := r.fabrics(s, true), r.nocs(s, true), r.roots(s, true)
		if len(list) != 1 || len(nocs) != 1 || len(roots) != 1 {
			r.t.Fatalf("%d fabrics, %d NOCs, %d roots", len(list), len(nocs), len(roots))
		}
		want := descriptor{index: 1, root: string(pubOf(t, a.Root())), vendor: a.VendorID, fabric: a.FabricID, node: done.Node}
		if list[0] != want {
			t.Errorf("fabric %+v, want %+v", list[0], want)
		}
		if nocs[0].index != 1 || nocs[0].icac != string(a.ICAC()) || noc(t, []byte(nocs[0].noc)).NodeID() != done.Node || roots[0] != string(a.Root()) {
			t.Error("NOCs and roots do not show what was added")
		}
		if acl := readACL(t, r, s, true); len(acl) != 1 || acl[0].privilege != matter.PrivilegeAdminister || acl[0].fabric != 1 || !slices.Equal(acl[0].subjects, []uint64{uint64(a.NodeID)}) {
			t.Errorf("access control: %+v", acl)
		}
		if ops := r.announced.of("_matter._tcp"); len(ops) != 1 {
			t.Errorf("announced: %v", ops)
		}
		r.want("label over the PASE session", r.creds(s, cmdLabel, 0, "kitchen"), ok)
		r.want("UpdateNOC over PASE", r.creds(s, cmdUpdateNOC, 0, []byte{1}), constraintError)
		r.want("complete over PASE", r.command(s, clGeneral, cmdComplete), invalidAuth)
		admin := r.session(c, a, done.Node)
		r.must(admin.CommissioningComplete(r.ctx))
		if got := r.fabrics(admin, true); len(got) != 1 || got[0].label != "kitchen" {
			t.Errorf("after the end: %+v", got)
		}
		r.eventually("the PASE session ends", time.Second, func() bool { return r.left(s) })
	})
}

// An administrator that adds another fabric stays on its own.
func TestAddNOCOverCASE(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a, b := r.client(), r.authority(commissioner.AuthorityOptions{}), r.authority(commissioner.AuthorityOptions{})
		one := r.commission(c, a).CASE
		done, err := one.Join(r.ctx, b)
		r.must(err)
		if n := r.number(one, clOpCreds, 5); n != 1 || done.Fabric != 2 {
			t.Errorf("CurrentFabricIndex %d, new fabric %d", n, done.Fabric)
		}
		r.want("the fail-safe is the new fabric's", r.command(one, clGeneral, cmdArm, 0, 60, 1, 0), busyAdmin)
		r.want("to be completed by it", r.command(one, clGeneral, cmdComplete), invalidAuth)
		two := r.session(c, b, done.Node)
		r.must(two.CommissioningComplete(r.ctx))
		for _, s := range []*commissioner.Session{one, two} {
			if !r.alive(s) {
				t.Error("a session ended with the fail-safe")
			}
		}
	})
}
