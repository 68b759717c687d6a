package cert

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

const (
	testFabric matter.FabricID = 0xFAB000000000001D
	testNode   matter.NodeID   = 0xDEDEDEDE00010001
)

// chain is a chain of templates with the keys that sign them. A test can change one
// thing and sign everything again.
type chain struct {
	root, icac, noc          *Certificate
	rootKey, icacKey, nocKey *mcrypto.PrivateKey
	// nocSigner and icacSigner are the keys that sign NOC and ICAC.
	icacSigner, nocSigner *mcrypto.PrivateKey
}

// newChain returns a valid chain with a fabric id in each certificate and two CATs.
func newChain(t testing.TB, withICAC bool) *chain {
	t.Helper()
	c := &chain{rootKey: newKey(t), nocKey: newKey(t)}
	issuer, err := NewRoot(rand.Reader, c.rootKey, 1, testFabric, Validity{NotBefore: 1000, NotAfter: 2000})
	if err != nil {
		t.Fatal(err)
	}
	c.root, c.icacSigner, c.nocSigner = issuer.Certificate, c.rootKey, c.rootKey
	if withICAC {
		c.icacKey = newKey(t)
		if issuer, err = issuer.IssueICAC(c.icacKey, 2, testFabric); err != nil {
			t.Fatal(err)
		}
		c.icac, c.nocSigner = issuer.Certificate, c.icacKey
	}
	if c.noc, err = issuer.IssueNOC(c.nocKey.Public(), testNode, testFabric, 0xABCD0001, 0xABCE0002); err != nil {
		t.Fatal(err)
	}
	return c
}

// sign signs every certificate again and reads it back.
func (c *chain) sign(t testing.TB) {
	t.Helper()
	again := func(p **Certificate, key *mcrypto.PrivateKey) {
		if *p == nil {
			return
		}
		issued, err := Issue(rand.Reader, *p, key)
		if err != nil {
			t.Fatal(err)
		}
		*p = parse(t, issued.Raw())
	}
	again(&c.root, c.rootKey)
	again(&c.icac, c.icacSigner)
	again(&c.noc, c.nocSigner)
}

func (c *chain) verify(now uint32) error {
	return VerifyChain(c.noc, c.icac, c.root, VerifyOptions{Now: now, Exact: true})
}

func TestIssuedChainVerifies(t *testing.T) {
	for _, withICAC := range []bool{false, true} {
		c := newChain(t, withICAC)
		for _, again := range []bool{false, true} {
			if again {
				c.sign(t)
			}
			if err := CheckRoot(c.root); err != nil {
				t.Error(err)
			}
			for _, now := range []uint32{0, 1000, 1500, 2000} {
				if err := c.verify(now); err != nil {
					t.Errorf("ICAC %v, at %d: %v", withICAC, now, err)
				}
			}
		}
		if c.noc.CATs() != [3]matter.CAT{0xABCD0001, 0xABCE0002} || c.noc.NodeID() != testNode || c.noc.FabricID() != testFabric {
			t.Errorf("%+v", c.noc.Subject)
		}
	}
}

func remove(t AttributeType) func(*DN) {
	return func(d *DN) { *d = slices.DeleteFunc(*d, func(a Attribute) bool { return a.Type == t }) }
}

func add(t AttributeType, id uint64) func(*DN) {
	return func(d *DN) { *d = append(*d, Attribute{Type: t, ID: id}) }
}

// before inserts an attribute before all others.
func before(t AttributeType, id uint64) func(*DN) {
	return func(d *DN) { *d = slices.Insert(*d, 0, Attribute{Type: t, ID: id}) }
}

func set(t AttributeType, id uint64) func(*DN) {
	return func(d *DN) { remove(t)(d); add(t, id)(d) }
}

func drop(c *Certificate, t ExtensionType) {
	c.Extensions = slices.DeleteFunc(c.Extensions, func(e Extension) bool { return e.Type == t })
}

// damages are changes of a chain with an ICAC. Each breaks one rule.
var damages = []struct {
	name   string
	change func(*chain)
	want   string // in the error
}{
	// Subject of the NOC.
	{"NOC without node id", func(c *chain) { remove(AttributeNodeID)(&c.noc.Subject) }, "NOC: subject is that of"},
	{"NOC with two node ids", func(c *chain) { add(AttributeNodeID, 5)(&c.noc.Subject) }, "NOC: 2 identifiers"},
	{"NOC without fabric id", func(c *chain) { remove(AttributeFabricID)(&c.noc.Subject) }, "NOC: 0 fabric ids"},
	{"NOC with two fabric ids", func(c *chain) { add(AttributeFabricID, uint64(testFabric))(&c.noc.Subject) }, "NOC: 2 fabric ids"},
	{"NOC with fabric id 0", func(c *chain) { set(AttributeFabricID, 0)(&c.noc.Subject) }, "NOC: fabric id is 0"},
	{"NOC with rcac-id", func(c *chain) { add(AttributeRCACID, 1)(&c.noc.Subject) }, "NOC: subject"},
	{"NOC with icac-id", func(c *chain) { add(AttributeICACID, 1)(&c.noc.Subject) }, "NOC: subject"},
	{"NOC with rcac-id first", func(c *chain) { before(AttributeRCACID, 1)(&c.noc.Subject) }, "NOC: subject is that of"},
	{"NOC with icac-id first", func(c *chain) { before(AttributeICACID, 1)(&c.noc.Subject) }, "NOC: subject is that of"},
	{"NOC with vvs-id first", func(c *chain) { before(AttributeVVSID, 1)(&c.noc.Subject) }, "NOC: subject is that of"},
	{"NOC with vvs-id", func(c *chain) { add(AttributeVVSID, 1)(&c.noc.Subject) }, "NOC: subject"},
	{"NOC with firmware signing id", func(c *chain) { add(AttributeFirmwareSigningID, 1)(&c.noc.Subject) }, "NOC: firmware"},
	{"NOC of another fabric", func(c *chain) { set(AttributeFabricID, 7)(&c.noc.Subject) }, "fabric id is not the NOC's"},
	{"CAT without version", func(c *chain) { set(AttributeCAT, 0xABCD0000)(&c.noc.Subject) }, "NOC: CASE authenticated tag without"},
	{"two versions of a CAT", func(c *chain) { add(AttributeCAT, 0xABCD0002)(&c.noc.Subject) }, "NOC: two versions"},
	{"the same CAT twice", func(c *chain) { add(AttributeCAT, 0xABCE0002)(&c.noc.Subject) }, "NOC: two versions"},
	{"four CATs", func(c *chain) {
		c.noc.Subject = DN{{Type: AttributeNodeID, ID: 1}, {Type: AttributeCAT, ID: 0x10001}, {Type: AttributeCAT, ID: 0x20001}, {Type: AttributeCAT, ID: 0x30001}, {Type: AttributeCAT, ID: 0x40001}}
	}, "NOC: "},

	// Extensions of the NOC.
	{"NOC is a CA", func(c *chain) { c.noc.extension(BasicConstraints).IsCA = true }, "NOC: basic"},
	{"NOC with path length", func(c *chain) { c.noc.extension(BasicConstraints).HasPathLen = true }, "NOC: basic"},
	{"NOC without basic constraints", func(c *chain) { drop(c.noc, BasicConstraints) }, "NOC: no basic"},
	{"NOC without key usage", func(c *chain) { drop(c.noc, KeyUsage) }, "NOC: no key usage"},
	{"NOC without extended key usage", func(c *chain) { drop(c.noc, ExtendedKeyUsage) }, "NOC: extended"},
	{"NOC without subject key id", func(c *chain) { drop(c.noc, SubjectKeyID) }, "NOC: no subject key"},
	{"NOC without authority key id", func(c *chain) { drop(c.noc, AuthorityKeyID) }, "NOC: no authority key"},
	{"NOC does not sign", func(c *chain) { c.noc.extension(KeyUsage).Usage = UsageKeyAgreement }, "NOC: key usage 0x0010"},
	{"NOC signs certificates", func(c *chain) { c.noc.extension(KeyUsage).Usage |= UsageKeyCertSign }, "NOC: key usage 0x0021"},
	{"NOC signs revocations", func(c *chain) { c.noc.extension(KeyUsage).Usage |= UsageCRLSign }, "NOC: key usage 0x0041"},
	{"NOC for servers only", func(c *chain) { c.noc.extension(ExtendedKeyUsage).Purposes = []Purpose{PurposeServerAuth} }, "NOC: extended"},
	{"NOC for clients and code", func(c *chain) {
		c.noc.extension(ExtendedKeyUsage).Purposes = []Purpose{PurposeClientAuth, PurposeCodeSigning}
	}, "NOC: extended"},
	{"NOC for everything", func(c *chain) {
		c.noc.extension(ExtendedKeyUsage).Purposes = []Purpose{PurposeServerAuth, PurposeClientAuth, PurposeCodeSigning}
	}, "NOC: extended"},

	// The ICAC.
	{"ICAC without icac-id", func(c *chain) { remove(AttributeICACID)(&c.icac.Subject) }, "ICAC: subject"},
	{"ICAC with two icac-ids", func(c *chain) { add(AttributeICACID, 3)(&c.icac.Subject) }, "ICAC: 2 identifiers"},
	{"ICAC is a root", func(c *chain) { c.icac.Subject[0].Type = AttributeRCACID }, "ICAC: subject is that of a RCAC"},
	{"ICAC with rcac-id first", func(c *chain) { before(AttributeRCACID, 3)(&c.icac.Subject) }, "ICAC: subject is that of"},
	{"ICAC with node id first", func(c *chain) { before(AttributeNodeID, 3)(&c.icac.Subject) }, "ICAC: subject is that of"},
	{"ICAC with node id", func(c *chain) { add(AttributeNodeID, 3)(&c.icac.Subject) }, "ICAC: subject"},
	{"ICAC with two fabric ids", func(c *chain) { add(AttributeFabricID, uint64(testFabric))(&c.icac.Subject) }, "ICAC: 2 fabric ids"},
	{"ICAC with fabric id 0", func(c *chain) { set(AttributeFabricID, 0)(&c.icac.Subject) }, "ICAC: fabric id is 0"},
	{"ICAC of another fabric", func(c *chain) { set(AttributeFabricID, 7)(&c.icac.Subject) }, "ICAC: fabric id is not"},
	{"ICAC with CAT", func(c *chain) { add(AttributeCAT, 0x10001)(&c.icac.Subject) }, "ICAC: 1 CASE"},
	{"ICAC is no CA", func(c *chain) { c.icac.extension(BasicConstraints).IsCA = false }, "ICAC: not a certificate authority"},
	{"ICAC with path length 1", func(c *chain) { e := c.icac.extension(BasicConstraints); e.HasPathLen, e.PathLen = true, 1 }, "ICAC: path length 1"},
	{"ICAC does not sign certificates", func(c *chain) { c.icac.extension(KeyUsage).Usage = UsageCRLSign }, "ICAC: key usage 0x0040"},
	{"ICAC does not sign revocations", func(c *chain) { c.icac.extension(KeyUsage).Usage = UsageKeyCertSign }, "ICAC: key usage 0x0020"},
	{"ICAC encrypts too", func(c *chain) { c.icac.extension(KeyUsage).Usage |= UsageKeyEncipherment }, "ICAC: key usage 0x0064"},
	{"ICAC with extended key usage", func(c *chain) {
		c.icac.Extensions = append(c.icac.Extensions, Extension{Type: ExtendedKeyUsage, Purposes: []Purpose{PurposeServerAuth}})
	}, "ICAC: extended"},
	{"ICAC without authority key id", func(c *chain) { drop(c.icac, AuthorityKeyID) }, "ICAC: no authority key"},

	// The root.
	{"root without rcac-id", func(c *chain) { remove(AttributeRCACID)(&c.root.Subject) }, "RCAC: subject"},
	{"root with two rcac-ids", func(c *chain) { add(AttributeRCACID, 1)(&c.root.Subject) }, "RCAC: 2 identifiers"},
	{"root with icac-id first", func(c *chain) { before(AttributeICACID, 1)(&c.root.Subject) }, "RCAC: subject is that of"},
	{"root with node id first", func(c *chain) { before(AttributeNodeID, 1)(&c.root.Subject) }, "RCAC: subject is that of"},
	{"root with node id", func(c *chain) { add(AttributeNodeID, 1)(&c.root.Subject) }, "RCAC: subject"},
	{"root of another fabric", func(c *chain) { set(AttributeFabricID, 7)(&c.root.Subject) }, "RCAC: fabric id is not"},
	{"root with fabric id 0", func(c *chain) { set(AttributeFabricID, 0)(&c.root.Subject) }, "RCAC: fabric id is 0"},
	{"root with CAT", func(c *chain) { add(AttributeCAT, 0x10001)(&c.root.Subject) }, "RCAC: 1 CASE"},
	{"root is no CA", func(c *chain) { c.root.extension(BasicConstraints).IsCA = false }, "RCAC: not a certificate authority"},
	{"root with path length 2", func(c *chain) { e := c.root.extension(BasicConstraints); e.HasPathLen, e.PathLen = true, 2 }, "RCAC: path length 2"},
	{"root forbids ICAC", func(c *chain) { e := c.root.extension(BasicConstraints); e.HasPathLen, e.PathLen = true, 0 }, "RCAC: path length forbids"},
	{"root with extended key usage", func(c *chain) {
		c.root.Extensions = append(c.root.Extensions, Extension{Type: ExtendedKeyUsage, Purposes: []Purpose{PurposeServerAuth}})
	}, "RCAC: extended"},
	{"root does not sign certificates", func(c *chain) { c.root.extension(KeyUsage).Usage = UsageDigitalSignature }, "RCAC: key usage 0x0001"},

	// Links.
	{"NOC names another issuer", func(c *chain) { c.noc.Issuer[0].ID++ }, "NOC: issuer is not the subject of the ICAC"},
	{"NOC names its issuer in another order", func(c *chain) { slices.Reverse(c.noc.Issuer) }, "NOC: issuer is not the subject of the ICAC"},
	{"NOC names another key", func(c *chain) { c.noc.extension(AuthorityKeyID).KeyID[0] ^= 1 }, "NOC: authority key identifier"},
	{"NOC skips the ICAC", func(c *chain) { c.noc.Issuer = c.root.Subject }, "NOC: issuer is not the subject of the ICAC"},
	{"ICAC names another issuer", func(c *chain) { c.icac.Issuer = c.icac.Issuer[:1] }, "ICAC: issuer is not the subject of the RCAC"},
	{"ICAC names another key", func(c *chain) { c.icac.extension(AuthorityKeyID).KeyID[19] ^= 1 }, "ICAC: authority key identifier"},
	{"NOC signed by the root", func(c *chain) { c.nocSigner = c.rootKey }, "NOC: signature"},
	{"NOC signed by itself", func(c *chain) { c.nocSigner = c.nocKey }, "NOC: signature"},
	{"ICAC signed by itself", func(c *chain) { c.icacSigner = c.icacKey }, "ICAC: signature"},
	{"NOC key off the curve", func(c *chain) { c.noc.PublicKey[64] ^= 1 }, "NOC: not a P-256 public key"},
	{"NOC key compressed", func(c *chain) { c.noc.PublicKey[0] = 3 }, "NOC: not a P-256 public key"},
	{"ICAC key off the curve", func(c *chain) { c.icac.PublicKey[1] ^= 1 }, "ICAC: not a P-256 public key"},
}

func TestDamagedChains(t *testing.T) {
	for _, tt := range damages {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(t, true)
			tt.change(c)
			c.sign(t)
			err := errors.Join(CheckRoot(c.root), c.verify(1500))
			if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrNodeID) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
}

func TestToleratedChains(t *testing.T) {
	for _, tt := range []struct {
		name     string
		withICAC bool
		change   func(*chain)
	}{
		{"no fabric id above the NOC", true, func(c *chain) {
			remove(AttributeFabricID)(&c.root.Subject)
			remove(AttributeFabricID)(&c.icac.Subject)
			c.root.Issuer, c.icac.Issuer, c.noc.Issuer = c.root.Subject, c.root.Subject, c.icac.Subject
		}},
		{"path lengths", true, func(c *chain) {
			e := c.root.extension(BasicConstraints)
			e.HasPathLen, e.PathLen = true, 1
			c.icac.extension(BasicConstraints).HasPathLen = true
		}},
		{"path length 0 without an ICAC", false, func(c *chain) { c.root.extension(BasicConstraints).HasPathLen = true }},
		{"authorities sign messages too", true, func(c *chain) {
			c.root.extension(KeyUsage).Usage |= UsageDigitalSignature
			c.icac.extension(KeyUsage).Usage |= UsageDigitalSignature
		}},
		{"more key usage than needed", true, func(c *chain) {
			c.noc.extension(KeyUsage).Usage |= UsageKeyAgreement | UsageNonRepudiation | UsageDecipherOnly
		}},
		{"purposes in the other order", true, func(c *chain) { slices.Reverse(c.noc.extension(ExtendedKeyUsage).Purposes) }},
		{"three CATs", true, func(c *chain) { add(AttributeCAT, 0xFFFFFFFF)(&c.noc.Subject) }},
		{"no CATs", true, func(c *chain) { remove(AttributeCAT)(&c.noc.Subject) }},
		{"fabric id before node id", true, func(c *chain) { slices.Reverse(c.noc.Subject) }},
		{"common name", true, func(c *chain) {
			c.noc.Subject[2] = Attribute{Type: AttributeCommonName, Text: "Lamp"}
		}},
		{"extensions in another order", true, func(c *chain) { slices.Reverse(c.noc.Extensions) }},
		{"no beginning", true, func(c *chain) { c.root.NotBefore, c.icac.NotBefore, c.noc.NotBefore = 0, 0, 0 }},
		{"no end", true, func(c *chain) { c.root.NotAfter, c.icac.NotAfter, c.noc.NotAfter = 0, 0, 0 }},
		{"extension unknown here", true, func(c *chain) {
			c.noc.Extensions = append(c.noc.Extensions, Extension{Type: FutureExtension, DER: []byte("\x30\x08\x06\x03\x55\x1d\x63\x04\x01\x02")})
		}},
		{"highest node id", true, func(c *chain) { set(AttributeNodeID, uint64(matter.MaxOperationalNodeID))(&c.noc.Subject) }},
	} {
		c := newChain(t, tt.withICAC)
		tt.change(c)
		c.sign(t)
		if err := CheckRoot(c.root); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := c.verify(1500); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// The node id is checked last: AddNOC answers it with InvalidNodeOpId and all other
// faults with InvalidNOC.
func TestNodeID(t *testing.T) {
	for _, id := range []uint64{0, uint64(matter.MaxOperationalNodeID) + 1, 0xFFFFFFFD00010001, 0xFFFFFFFFFFFF0001, 1<<64 - 1} {
		c := newChain(t, true)
		set(AttributeNodeID, id)(&c.noc.Subject)
		c.sign(t)
		if err := c.verify(1500); !errors.Is(err, ErrNodeID) || errors.Is(err, ErrInvalid) {
			t.Errorf("%x: %v", id, err)
		}
		c.noc.Signature[0] ^= 1
		if err := c.verify(1500); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrNodeID) {
			t.Errorf("%x, signature broken: %v", id, err)
		}
	}
}

func TestValidity(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*chain)
		now    uint32
		want   string
	}{
		{"too early", func(*chain) {}, 999, "not valid yet"},
		{"too late", func(*chain) {}, 2001, "expired"},
		{"NOC expired", func(c *chain) { c.noc.NotAfter = 1400 }, 1500, "NOC has expired"},
		{"ICAC expired", func(c *chain) { c.icac.NotAfter = 1400 }, 1500, "ICAC has expired"},
		{"root expired", func(c *chain) { c.root.NotAfter = 1400 }, 1500, "RCAC has expired"},
		{"NOC not yet", func(c *chain) { c.noc.NotBefore = 1600 }, 1500, "NOC is not valid yet"},
	} {
		c := newChain(t, true)
		tt.change(c)
		c.sign(t)
		if err := c.verify(tt.now); !errors.Is(err, ErrValidity) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := c.verify(0); err != nil {
			t.Errorf("%s, time unknown: %v", tt.name, err)
		}
		if err := CheckStored(c.noc, c.icac, c.root); err != nil {
			t.Errorf("%s, as stored: %v", tt.name, err)
		}
		err := VerifyChain(c.noc, c.icac, c.root, VerifyOptions{Now: tt.now})
		if ended := strings.Contains(tt.want, "expired"); errors.Is(err, ErrValidity) != ended || (err != nil) != ended {
			t.Errorf("%s, by a time that has come: %v", tt.name, err)
		}
		if err := CheckRoot(c.root); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestCheckRoot(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*chain)
		want   string
	}{
		{"issued by another", func(c *chain) { c.root.Issuer[0].ID++ }, "issuer and subject differ"},
		{"name in another order", func(c *chain) { slices.Reverse(c.root.Issuer) }, "issuer and subject differ"},
		{"key of another", func(c *chain) { c.root.extension(AuthorityKeyID).KeyID[0] ^= 1 }, "key identifier differ"},
		{"no authority key", func(c *chain) { drop(c.root, AuthorityKeyID) }, "no authority key"},
		{"signed by another", func(c *chain) { c.rootKey = c.nocKey }, "signature"},
		{"an ICAC", func(c *chain) { c.root.Subject[0].Type = AttributeICACID; c.root.Issuer = c.root.Subject }, "subject is that of a ICAC"},
		{"not a CA", func(c *chain) { c.root.extension(BasicConstraints).IsCA = false }, "not a certificate authority"},
		{"path length", func(c *chain) { e := c.root.extension(BasicConstraints); e.HasPathLen, e.PathLen = true, 255 }, "path length 255"},
		{"key usage", func(c *chain) { c.root.extension(KeyUsage).Usage = UsageCRLSign }, "key usage"},
		{"key off the curve", func(c *chain) { c.root.PublicKey[40] ^= 4 }, "not a P-256"},
	} {
		c := newChain(t, false)
		tt.change(c)
		c.sign(t)
		if err := CheckRoot(c.root); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A chain with one shortened octet string or one flipped bit is rejected, in
// whichever certificate.
func TestDamagedOctets(t *testing.T) {
	c := newChain(t, true)
	verify := func(which int, b []byte) error {
		d, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("Parse: %v", err)
			}
			return err
		}
		chain := *c
		switch which {
		case 0:
			chain.noc = d
		case 1:
			chain.icac = d
		case 2:
			if err := CheckRoot(d); err != nil {
				return err
			}
			chain.root = d
		}
		return chain.verify(1500)
	}
	for which, cert := range []*Certificate{c.noc, c.icac, c.root} {
		for i := range cert.Raw() {
			if verify(which, cert.Raw()[:i]) == nil {
				t.Errorf("certificate %d cut at %d verifies", which, i)
			}
		}
		for i := range 8 * len(cert.Raw()) {
			bad := bytes.Clone(cert.Raw())
			bad[i/8] ^= 1 << (i % 8)
			if verify(which, bad) == nil {
				t.Errorf("certificate %d with bit %d turned verifies", which, i)
			}
		}
		if verify(which, append(bytes.Clone(cert.Raw()), 0x18)) == nil {
			t.Errorf("certificate %d with an octet behind it verifies", which)
		}
	}
}

func TestSkewOfIssuers(t *testing.T) {
	c := newChain(t, true)
	c.noc.NotBefore = 1600
	c.sign(t)
	for skew, ok := range map[uint32]bool{0: false, 99: false, 100: true, 1<<32 - 1: true} {
		if err := VerifyChain(c.noc, c.icac, c.root, VerifyOptions{Now: 1500, Exact: true, Skew: skew}); (err == nil) != ok {
			t.Errorf("skew %d: %v", skew, err)
		}
	}
	if err := VerifyChain(c.noc, c.icac, c.root, VerifyOptions{Now: 2001, Exact: true, Skew: 1000}); !errors.Is(err, ErrValidity) {
		t.Errorf("the end, with a skew: %v", err)
	}
}

// Rules that have become stricter since a chain was stored do not make it invalid.
func TestCheckStored(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*chain)
		whole  bool
	}{
		{"as issued", func(*chain) {}, true},
		{"root ends before it begins", func(c *chain) { c.root.NotAfter = 1 }, true},
		{"root encrypts", func(c *chain) { c.root.extension(KeyUsage).Usage |= UsageKeyEncipherment }, true},
		{"root without basic constraints", func(c *chain) { drop(c.root, BasicConstraints) }, true},
		{"ICAC with path length 1", func(c *chain) { e := c.icac.extension(BasicConstraints); e.HasPathLen, e.PathLen = true, 1 }, true},
		{"NOC for servers only", func(c *chain) { c.noc.extension(ExtendedKeyUsage).Purposes = []Purpose{PurposeServerAuth} }, true},
		{"NOC names another issuer", func(c *chain) { c.noc.Issuer[0].ID++ }, false},
		{"ICAC names another key", func(c *chain) { c.icac.extension(AuthorityKeyID).KeyID[0] ^= 1 }, false},
		{"NOC signed by the root", func(c *chain) { c.nocSigner = c.rootKey }, false},
		{"ICAC signed by itself", func(c *chain) { c.icacSigner = c.icacKey }, false},
		{"root names another issuer", func(c *chain) { c.root.Issuer[0].ID++ }, false},
		{"root names another key", func(c *chain) { c.root.extension(AuthorityKeyID).KeyID[0] ^= 1 }, false},
		{"root signed by another", func(c *chain) { c.root.PublicKey = newKeyPublic(t) }, false},
	} {
		c := newChain(t, true)
		c.root.Issuer = slices.Clone(c.root.Issuer)
		tt.change(c)
		c.sign(t)
		if err := CheckStored(c.noc, c.icac, c.root); (err == nil) != tt.whole || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
