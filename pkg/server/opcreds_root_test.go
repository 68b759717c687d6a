package server_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func TestAddTrustedRootCertificate(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		a := r.authority(commissioner.AuthorityOptions{})
		junk := bytes.Repeat([]byte{0xFF}, cert.MaxSize+1)
		add := func(s *commissioner.Session, root []byte) string { return r.creds(s, cmdAddRoot, 0, root) }
		r.want("too long, not armed", add(one, junk), invalidCommand)
		r.want("none, not armed", r.creds(one, cmdAddRoot), invalidCommand)
		r.want("not armed", add(one, junk[1:]), failsafeRequired)
		r.must(one.ArmFailSafe(r.ctx, 60, 0))
		r.want("armed by another fabric", add(two, a.Root()), failsafeRequired)
		r.want("no certificate", add(one, junk[1:]), invalidCommand)
		r.want("empty", add(one, nil), invalidCommand)
		r.want("a NOC", add(one, r.noc(a, [65]byte(pubOf(t, a.Root()))).Raw()), invalidCommand)
		r.want("right", add(one, a.Root()), ok)
		r.want("a second", add(one, r.authority(commissioner.AuthorityOptions{}).Root()), constraintError)
		r.want("the same again", add(one, a.Root()), ok)
		r.want("the same, cut short", add(one, a.Root()[:len(a.Root())-1]), constraintError)
		r.want("the same, by another fabric", add(two, a.Root()), failsafeRequired)
		r.want("no certificate, as a second", add(one, junk[1:]), constraintError)
		r.want("too long, as a second", add(one, junk), invalidCommand)
		if got := r.roots(two, true); len(got) != 3 || got[2] != string(a.Root()) {
			t.Errorf("%d roots while one is pending", len(got))
		}

		r.must(one.ArmFailSafe(r.ctx, 0, 0))
		if got := r.roots(two, false); len(got) != 2 {
			t.Errorf("%d roots after the fail-safe", len(got))
		}
		r.must(one.ArmFailSafe(r.ctx, 60, 0))
		r.want("in another fail-safe", add(one, a.Root()), ok)
		time.Sleep(61 * time.Second)
		if got := r.roots(two, false); len(got) != 2 {
			t.Errorf("%d roots after the fail-safe timed out", len(got))
		}

		r.must(one.OpenBasicWindow(r.ctx, 180))
		pase := r.pase(p.c)
		_, err := pase.Join(r.ctx, a)
		r.must(err)
		r.want("PASE, after AddNOC, the same", add(pase, a.Root()), constraintError)
		r.want("PASE, after AddNOC, another", add(pase, p.a.Root()), constraintError)
		r.want("PASE, after AddNOC, too long", add(pase, junk), invalidCommand)
		r.want("the administrator, after AddNOC", add(one, a.Root()), failsafeRequired)
	})
}

// badRoots are faults of a root certificate apart from its signature: each is
// signed again.
var badRoots = map[string]func(*cert.Certificate){
	"ends before it begins": func(c *cert.Certificate) { c.NotBefore, c.NotAfter = year(2050), year(2040) },
	"two ids": func(c *cert.Certificate) {
		c.Subject = append(c.Subject, cert.Attribute{Type: cert.AttributeRCACID, ID: 7})
		c.Issuer = c.Subject
	},
	"id of an ICAC": func(c *cert.Certificate) {
		c.Subject = cert.DN{{Type: cert.AttributeICACID, ID: 7}}
		c.Issuer = c.Subject
	},
	"a node id besides": func(c *cert.Certificate) {
		c.Subject = append(c.Subject, cert.Attribute{Type: cert.AttributeNodeID, ID: 7})
		c.Issuer = c.Subject
	},
	"fabric id 0": func(c *cert.Certificate) {
		c.Subject = append(c.Subject, cert.Attribute{Type: cert.AttributeFabricID})
		c.Issuer = c.Subject
	},
	"a tag": func(c *cert.Certificate) {
		c.Subject = append(c.Subject, cert.Attribute{Type: cert.AttributeCAT, ID: 0x10001})
		c.Issuer = c.Subject
	},
	"another issuer": func(c *cert.Certificate) { c.Issuer = cert.DN{{Type: cert.AttributeRCACID, ID: 7}} },
	"another authority key id": func(c *cert.Certificate) {
		extension(c, cert.AuthorityKeyID).KeyID = make([]byte, 20)
	},
	"no authority":    func(c *cert.Certificate) { extension(c, cert.BasicConstraints).IsCA = false },
	"path length 2":   func(c *cert.Certificate) { e := extension(c, cert.BasicConstraints); e.HasPathLen, e.PathLen = true, 2 },
	"no cert signing": func(c *cert.Certificate) { extension(c, cert.KeyUsage).Usage = cert.UsageCRLSign },
	"encipherment":    func(c *cert.Certificate) { extension(c, cert.KeyUsage).Usage |= cert.UsageKeyEncipherment },
	"purposes": func(c *cert.Certificate) {
		c.Extensions = append(c.Extensions, cert.Extension{Type: cert.ExtendedKeyUsage, Purposes: []cert.Purpose{cert.PurposeClientAuth}})
	},
	"no key usage": func(c *cert.Certificate) { without(c, cert.KeyUsage) },
	"no key id":    func(c *cert.Certificate) { without(c, cert.SubjectKeyID) },
	"unknown critical extension": func(c *cert.Certificate) {
		c.Extensions = append(c.Extensions, cert.Extension{Type: cert.FutureExtension, DER: criticalExtension})
	},
	"key not on the curve": func(c *cert.Certificate) { c.PublicKey[64] ^= 1 },
}

// criticalExtension is SEQUENCE{OID 1.3.6.1.4.1.99999, TRUE, OCTET STRING{}}.
var criticalExtension = []byte{0x30, 0x0F, 0x06, 0x08, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x86, 0x8D, 0x1F, 0x01, 0x01, 0xFF, 0x04, 0x00}

// plainExtension is the same, not critical.
var plainExtension = []byte{0x30, 0x0C, 0x06, 0x08, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x86, 0x8D, 0x1F, 0x04, 0x00}

func extension(c *cert.Certificate, t cert.ExtensionType) *cert.Extension {
	for i := range c.Extensions {
		if c.Extensions[i].Type == t {
			return &c.Extensions[i]
		}
	}
	panic("no such extension")
}

func without(c *cert.Certificate, t cert.ExtensionType) {
	for i := range c.Extensions {
		if c.Extensions[i].Type == t {
			c.Extensions = append(c.Extensions[:i:i], c.Extensions[i+1:]...)
			return
		}
	}
	panic("no such extension")
}

func TestBadRoots(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{})
		s := r.pase(r.client())
		for name, change := range badRoots {
			r.want(name, r.creds(s, cmdAddRoot, 0, r.reissue(a, a.RootCert(), change).Raw()), invalidCommand)
		}
		raw := a.Root()
		flipped := bytes.Clone(raw)
		flipped[len(flipped)-3] ^= 1
		r.want("another signature", r.creds(s, cmdAddRoot, 0, flipped), invalidCommand)
		r.want("cut short", r.creds(s, cmdAddRoot, 0, raw[:len(raw)-1]), invalidCommand)
		r.want("one octet more", r.creds(s, cmdAddRoot, 0, append(bytes.Clone(raw), 0x18)), invalidCommand)
		r.want("algorithm 2", r.creds(s, cmdAddRoot, 0, bytes.Replace(raw, []byte{0x24, 2, 1}, []byte{0x24, 2, 2}, 1)), invalidCommand)
		r.want("curve 2", r.creds(s, cmdAddRoot, 0, bytes.Replace(raw, []byte{0x24, 8, 1}, []byte{0x24, 8, 2}, 1)), invalidCommand)
		r.want("a length in two octets", r.creds(s, cmdAddRoot, 0, bytes.Replace(raw, []byte{0x30, 11, 0x40}, []byte{0x31, 11, 0x40, 0}, 1)), invalidCommand)
		withID := r.reissue(a, a.RootCert(), func(c *cert.Certificate) {
			c.Subject = append(c.Subject, cert.Attribute{Type: cert.AttributeFabricID, ID: 5})
			c.Issuer = c.Subject
			extension(c, cert.KeyUsage).Usage |= cert.UsageDigitalSignature
			e := extension(c, cert.BasicConstraints)
			e.HasPathLen, e.PathLen = true, 1
			c.Extensions = append(c.Extensions, cert.Extension{Type: cert.FutureExtension, DER: plainExtension})
		})
		r.want("with all that it may have", r.creds(s, cmdAddRoot, 0, withID.Raw()), ok)
	})
}

// A stored fabric whose root would be rejected by stricter rules still works, and
// the store does not count as damaged.
func TestStoredFabricsOutliveStricterRules(t *testing.T) {
	for _, name := range []string{"ends before it begins", "encipherment", "purposes", "no key usage", "path length 2"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
				done := r.commission(c, a)
				r.stop()
				root := r.reissue(a, a.RootCert(), badRoots[name]).Raw()
				st, err := store.Open(r.dir+"/"+store.FileName, store.Options{})
				r.must(err)
				r.must(st.Update(func(tx *store.Tx) error {
					all, err := tx.Fabrics()
					if err != nil {
						return err
					}
					all[0].Root = root
					return tx.PutFabric(all[0])
				}))
				r.must(st.Close())
				r.start()
				r.setLabel(r.session(c, a, done.Node), "still here")
			})
		})
	}
}
