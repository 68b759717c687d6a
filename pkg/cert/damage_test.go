package cert

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// within is 2026-01-01, a time at which all published certificates are valid.
const within = 820454400

// publishedChain returns the chain of Node02_03 with its published keys. Each
// certificate has a fabric id, and the NOC has a tag and a common name, which
// leaves room for a second tag.
func publishedChain(t testing.TB) *chain {
	t.Helper()
	vs := readVectors(t)
	key := func(name string) *mcrypto.PrivateKey {
		k, err := mcrypto.ParsePrivateKey(vs[name].PrivateScalar)
		if err != nil {
			t.Fatal(name, err)
		}
		return k
	}
	c := &chain{rootKey: key("Root02"), icacKey: key("ICA02"), nocKey: key("Node02_03")}
	c.root, c.icac, c.noc = parse(t, vs["Root02"].TLV), parse(t, vs["ICA02"].TLV), parse(t, vs["Node02_03"].TLV)
	c.icacSigner, c.nocSigner = c.rootKey, c.icacKey
	remove(AttributeCommonName)(&c.noc.Subject)
	add(AttributeCAT, 0xABCE0002)(&c.noc.Subject)
	return c
}

// Each change of the published certificates is found, although they are signed
// again with the published keys.
func TestDamagedPublishedChains(t *testing.T) {
	c := publishedChain(t)
	c.sign(t)
	if err := errors.Join(CheckRoot(c.root), c.verify(within)); err != nil {
		t.Fatal("signed again, otherwise whole:", err)
	}
	for _, tt := range damages {
		t.Run(tt.name, func(t *testing.T) {
			c := publishedChain(t)
			tt.change(c)
			c.sign(t)
			err := errors.Join(CheckRoot(c.root), c.verify(within))
			if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrNodeID) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
}

// The rules for a root, on copies of a published one.
func TestDamagedPublishedRoots(t *testing.T) {
	subject := func(change func(*DN)) func(*Certificate) {
		return func(c *Certificate) {
			change(&c.Subject)
			c.Issuer = c.Subject
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Certificate)
		want   string
	}{
		{"no rcac-id", subject(remove(AttributeRCACID)), "subject is that of"},
		{"two rcac-ids", subject(add(AttributeRCACID, 1)), "2 identifiers"},
		{"an icac-id besides", subject(add(AttributeICACID, 1)), "subject is that of"},
		{"an icac-id first", subject(before(AttributeICACID, 1)), "subject is that of"},
		{"a node id besides", subject(add(AttributeNodeID, 1)), "subject is that of"},
		{"two fabric ids", subject(add(AttributeFabricID, 1)), "2 fabric ids"},
		{"fabric id 0", subject(set(AttributeFabricID, 0)), "fabric id is 0"},
		{"a tag", subject(add(AttributeCAT, 0x10001)), "1 CASE authenticated"},
		{"a firmware signing id", subject(add(AttributeFirmwareSigningID, 1)), "firmware"},
		{"another issuer", func(c *Certificate) { c.Issuer[0].ID++ }, "issuer and subject differ"},
		{"ends before it begins", func(c *Certificate) { c.NotBefore, c.NotAfter = 2001, 2000 }, "ends before it begins"},
		{"issuer in another order", func(c *Certificate) { slices.Reverse(c.Issuer) }, "issuer and subject differ"},
		{"not a CA", func(c *Certificate) { c.extension(BasicConstraints).IsCA = false }, "not a certificate authority"},
		{"path length 2", func(c *Certificate) { e := c.extension(BasicConstraints); e.HasPathLen, e.PathLen = true, 2 }, "path length 2"},
		{"signs messages alone", func(c *Certificate) { c.extension(KeyUsage).Usage = UsageDigitalSignature }, "key usage 0x0001"},
		{"does not sign certificates", func(c *Certificate) { c.extension(KeyUsage).Usage = UsageCRLSign }, "key usage 0x0040"},
		{"encrypts too", func(c *Certificate) { c.extension(KeyUsage).Usage |= UsageKeyEncipherment }, "key usage 0x0064"},
		{"extended key usage", func(c *Certificate) {
			c.Extensions = append(c.Extensions, Extension{Type: ExtendedKeyUsage, Purposes: []Purpose{PurposeServerAuth}})
		}, "extended key usage"},
		{"no basic constraints", func(c *Certificate) { drop(c, BasicConstraints) }, "no basic"},
		{"no key usage", func(c *Certificate) { drop(c, KeyUsage) }, "no key usage"},
		{"no subject key id", func(c *Certificate) { drop(c, SubjectKeyID) }, "no subject key"},
		{"no authority key id", func(c *Certificate) { drop(c, AuthorityKeyID) }, "no authority key"},
		{"another authority key id", func(c *Certificate) { c.extension(AuthorityKeyID).KeyID[0] ^= 1 }, "key identifier differ"},
		{"key off the curve", func(c *Certificate) { c.PublicKey[64] ^= 1 }, "not a P-256"},
		{"key of another", func(c *Certificate) { c.PublicKey = newKeyPublic(t) }, "signature"},
	} {
		c := publishedChain(t)
		tt.change(c.root)
		root, err := Issue(rand.Reader, c.root, c.rootKey)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if err := CheckRoot(parse(t, root.Raw())); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

func newKeyPublic(t testing.TB) [mcrypto.PublicKeySize]byte { return newKey(t).Public() }

// Faults of the form, in copies of each of the published certificates.
func TestDamagedPublishedForms(t *testing.T) {
	const unknown = "\x30\x0a\x06\x03\x55\x1d\x63\x01\x01\xff\x04\x00" // critical
	for name, v := range readVectors(t) {
		c := parse(t, v.TLV)
		serial := string(c.Serial)
		for _, tt := range []struct{ name, old, with, want string }{
			{"unknown critical extension", "\x18\x30\x0b\x40", "\x30\x06\x0c" + unknown + "\x18\x30\x0b\x40", "unknown critical extension"},
			{"signature algorithm 2", "\x24\x02\x01\x37\x03", "\x24\x02\x02\x37\x03", "signature algorithm 2"},
			{"public key algorithm 2", "\x24\x07\x01\x24\x08\x01", "\x24\x07\x02\x24\x08\x01", "public key algorithm 2"},
			{"curve 2", "\x24\x07\x01\x24\x08\x01", "\x24\x07\x01\x24\x08\x02", "elliptic curve 2"},
			{"length not in its shortest form", "\x30\x01" + string(rune(len(serial))) + serial, "\x31\x01" + string(rune(len(serial))) + "\x00" + serial, "shortest form"},
			{"signature not in its shortest form", "\x18\x30\x0b\x40", "\x18\x31\x0b\x40\x00", "shortest form"},
			{"serial number twice", "\x30\x01" + string(rune(len(serial))) + serial, strings.Repeat("\x30\x01"+string(rune(len(serial)))+serial, 2), "element 1 where 2"},
			{"six attributes of a name", "\x37\x06", "\x37\x06" + strings.Repeat("\x2c\x01\x01x", 6), "more than 5"},
			{"more than 400 octets", "\x37\x06", "\x37\x06\x2c\x01\xff" + strings.Repeat("x", 255), "of at most 400"},
		} {
			if _, err := Parse(replace(t, v.TLV, tt.old, tt.with)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %s: %v; want %q", name, tt.name, err, tt.want)
			}
		}
		if _, err := Parse(append(bytes.Clone(v.TLV), 0x18)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: an octet behind it: %v", name, err)
		}
	}
}
