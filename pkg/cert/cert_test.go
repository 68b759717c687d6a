package cert

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// octets is an octet string, in hexadecimal in JSON.
type octets []byte

func (o *octets) UnmarshalText(b []byte) (err error) {
	*o, err = hex.DecodeString(string(b))
	return err
}

type vector struct {
	Name          string
	TLV, DER      octets
	PublicKey     octets   `json:"public_key"`
	PrivateScalar octets   `json:"private_scalar"`
	Subject       [][2]any `json:"subject"`
	IssuerName    string   `json:"issuer_name"`
}

func readVectors(t testing.TB) map[string]vector {
	t.Helper()
	b, err := os.ReadFile("testdata/operational-certificates.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	m := make(map[string]vector)
	for _, v := range file.Vectors {
		m[v.Name] = v
	}
	if len(m) != 14 {
		t.Fatalf("%d vectors", len(m))
	}
	return m
}

func parse(t testing.TB, b []byte) *Certificate {
	t.Helper()
	c, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey(t testing.TB) *mcrypto.PrivateKey {
	t.Helper()
	k, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVectorsBothWays(t *testing.T) {
	for name, v := range readVectors(t) {
		t.Run(name, func(t *testing.T) {
			c := parse(t, v.TLV)
			der, err := c.DER()
			if err != nil || !bytes.Equal(der, v.DER) {
				t.Fatalf("DER:\nhave %x\nwant %x\n%v", der, v.DER, err)
			}
			if b := c.Encode(); !bytes.Equal(b, v.TLV) {
				t.Errorf("TLV:\nhave %x\nwant %x", b, v.TLV)
			}
			back, err := FromDER(v.DER)
			if err != nil || !back.Equal(c) || !bytes.Equal(back.Raw(), v.TLV) {
				t.Errorf("FromDER: %+v, %v", back, err)
			}
			if !bytes.Equal(c.PublicKey[:], v.PublicKey) {
				t.Errorf("public key %x", c.PublicKey)
			}
			if len(c.Subject) != len(v.Subject) {
				t.Errorf("subject %+v", c.Subject)
			}
		})
	}
}

// The standard library reads the same from the X.509 form.
func TestVectorsAsX509(t *testing.T) {
	for name, v := range readVectors(t) {
		c := parse(t, v.TLV)
		x, err := x509.ParseCertificate(v.DER)
		if err != nil {
			t.Fatal(name, err)
		}
		tbs, err := c.TBS()
		if err != nil || !bytes.Equal(tbs, x.RawTBSCertificate) {
			t.Errorf("%s: TBSCertificate %x, %v", name, tbs, err)
		}
		if x.NotBefore.Unix() != int64(c.NotBefore)+matter.EpochOffset || x.NotAfter.Unix() != int64(c.NotAfter)+matter.EpochOffset {
			t.Errorf("%s: valid from %v to %v", name, x.NotBefore, x.NotAfter)
		}
		if !bytes.Equal(x.SubjectKeyId, c.SubjectKeyID()) || !bytes.Equal(x.AuthorityKeyId, c.AuthorityKeyID()) {
			t.Errorf("%s: key identifiers", name)
		}
	}
}

func TestVectorChains(t *testing.T) {
	vs := readVectors(t)
	get := func(name string) *Certificate {
		if name == "" {
			return nil
		}
		v, ok := vs[name]
		if !ok {
			t.Fatal("no vector", name)
		}
		return parse(t, v.TLV)
	}
	const spec = "Specification 6.5.15 "
	for _, tt := range []struct {
		noc, icac, root string
		node            matter.NodeID
		cats            [3]matter.CAT
	}{
		{"Node01_01", "ICA01", "Root01", 0xDEDEDEDE00010001, [3]matter.CAT{}},
		{"Node01_02", "", "Root01", 0xDEDEDEDE00010002, [3]matter.CAT{}},
		{"Node02_01", "ICA02", "Root02", 0xDEDEDEDE00020001, [3]matter.CAT{}},
		{"Node02_02", "ICA02", "Root02", 0xDEDEDEDE00020002, [3]matter.CAT{}},
		{"Node02_03", "ICA02", "Root02", 0xDEDEDEDE00020003, [3]matter.CAT{0xABCD0001}},
		{"Node02_04", "ICA02", "Root02", 0xDEDEDEDE00020004, [3]matter.CAT{0xABCE1002, 0xABCD0003}},
		{spec + "NOC", spec + "ICAC", spec + "RCAC", 0xDEDEDEDE00010001, [3]matter.CAT{}},
	} {
		noc, icac, root := get(tt.noc), get(tt.icac), get(tt.root)
		if err := CheckRoot(root); err != nil {
			t.Error(tt.root, err)
		}
		now := uint32(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - matter.EpochOffset)
		if err := VerifyChain(noc, icac, root, VerifyOptions{Now: now}); err != nil {
			t.Error(tt.noc, err)
		}
		if noc.NodeID() != tt.node || noc.FabricID() != 0xFAB000000000001D || noc.CATs() != tt.cats || noc.Kind() != KindNode {
			t.Errorf("%s: node %v, fabric %v, CATs %v, %v", tt.noc, noc.NodeID(), noc.FabricID(), noc.CATs(), noc.Kind())
		}
	}
	for _, tt := range []struct{ noc, icac, root string }{
		{"Node01_01", "ICA02", "Root01"},
		{"Node01_01", "ICA01", "Root02"},
		{"Node01_01", "", "Root01"},
		{"Node01_02", "ICA01", "Root01"},
		{"Node01_01", "Root01", "Root01"},
		{"Node01_01", "Node01_01", "Root01"},
		{"ICA01", "", "Root01"},
		{"Root01", "", "Root01"},
		{"FWSign01", "", "Root01"},
		{spec + "NOC", spec + "ICAC", "Root01"},
		{spec + "NOC", "ICA01", "Root01"},
	} {
		if err := VerifyChain(get(tt.noc), get(tt.icac), get(tt.root), VerifyOptions{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", tt, err)
		}
	}
	for _, name := range []string{"ICA01", "Node01_01", "FWSign01"} {
		if err := CheckRoot(get(name)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s as a root: %v", name, err)
		}
	}
}

func TestPublishedKeysSign(t *testing.T) {
	vs := readVectors(t)
	for name, v := range vs {
		if v.PrivateScalar == nil {
			continue
		}
		key, err := mcrypto.ParsePrivateKey(v.PrivateScalar)
		if err != nil || key.Public() != parse(t, v.TLV).PublicKey {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// matter.js issues such a root as its first: rcac-id 0, serial number 00, no fabric
// id.
func TestZeroRootID(t *testing.T) {
	key := newKey(t)
	pub := key.Public()
	root, err := Issue(rand.Reader, &Certificate{
		Serial: []byte{0}, Issuer: DN{{Type: AttributeRCACID}}, Subject: DN{{Type: AttributeRCACID}},
		NotBefore: 800000000, NotAfter: 1115000000, PublicKey: pub,
		Extensions: append(caExtensions(), Extension{Type: SubjectKeyID, KeyID: KeyID(pub)}, Extension{Type: AuthorityKeyID, KeyID: KeyID(pub)}),
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	root = parse(t, root.Raw())
	if err := CheckRoot(root); err != nil {
		t.Fatal(err)
	}
	der, err := root.DER()
	if err != nil {
		t.Fatal(err)
	}
	x, err := x509.ParseCertificate(der)
	if err != nil || x.SerialNumber.Sign() != 0 || x.CheckSignatureFrom(x) != nil {
		t.Errorf("%v %v", x, err)
	}
	if want := []byte("0000000000000000"); !bytes.Contains(der, want) {
		t.Errorf("no %s in %x", want, der)
	}
}

// Serial numbers are kept as content octets, with leading zeros and set top bits.
// 21 octets occur in practice.
func TestSerials(t *testing.T) {
	key := newKey(t)
	a, err := NewRoot(rand.Reader, key, 1, 0, Validity{NotBefore: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		serial []byte
		ok     bool
	}{
		{[]byte{0x80}, true},
		{[]byte{0, 0x80}, true},
		{[]byte{0xFF, 0x80}, true},
		{[]byte{0, 1}, true},
		{bytes.Repeat([]byte{0x11}, 20), true},
		{append([]byte{0}, bytes.Repeat([]byte{0x99}, 20)...), true},
		{bytes.Repeat([]byte{0x11}, 22), false},
	} {
		template := *a.Certificate
		template.Serial = tt.serial
		c, err := Issue(rand.Reader, &template, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err = Parse(c.Raw())
		if (err == nil) != tt.ok {
			t.Errorf("%x: %v", tt.serial, err)
		}
		if err != nil {
			continue
		}
		if err := CheckRoot(c); err != nil {
			t.Errorf("%x: %v", tt.serial, err)
		}
		der, err := c.DER()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := FromDER(der); err != nil || !back.Equal(c) {
			t.Errorf("%x: %v", tt.serial, err)
		}
	}
	// An empty serial number is not one; Issue would draw one.
	template := *a.Certificate
	template.Serial = nil
	if _, err := Parse(template.Encode()); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestTimes(t *testing.T) {
	key := newKey(t)
	date := func(y int) uint32 {
		return uint32(time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - matter.EpochOffset)
	}
	for _, tt := range []struct {
		before, after uint32
		want          string
	}{
		{1, date(2050) - 1, "\x17\x0d000101000001Z\x17\x0d491231235959Z"},
		{date(2049), date(2050), "\x17\x0d490101000000Z\x18\x0f20500101000000Z"},
		{date(2136), 0xFFFFFFFF, "\x18\x0f21360101000000Z\x18\x0f21360207062815Z"},
		{1, 0, "\x17\x0d000101000001Z\x18\x0f99991231235959Z"},
	} {
		a, err := NewRoot(rand.Reader, key, 1, 0, Validity{tt.before, tt.after})
		if err != nil {
			t.Fatal(err)
		}
		der, err := a.Certificate.DER()
		if err != nil || !bytes.Contains(der, []byte("\x30"+string(rune(len(tt.want)))+tt.want)) {
			t.Errorf("%d to %d: %x, %v", tt.before, tt.after, der, err)
		}
		if back, err := FromDER(der); err != nil || !back.Equal(a.Certificate) {
			t.Errorf("%d to %d: %v", tt.before, tt.after, err)
		}
	}
	if _, err := NewRoot(rand.Reader, key, 1, 0, Validity{}); !errors.Is(err, ErrInvalid) {
		t.Error("a root whose validity begins in 9999:", err)
	}
}

// A not-after of 0 may have one octet or four; integers may be wide.
func TestIntegerWidths(t *testing.T) {
	a, err := NewRoot(rand.Reader, newKey(t), 1, 0, Validity{NotBefore: 1})
	if err != nil {
		t.Fatal(err)
	}
	short := []byte{0x24, tagNotAfter, 0}
	if !bytes.Contains(a.Certificate.Raw(), short) {
		t.Fatalf("%x", a.Certificate.Raw())
	}
	wide := bytes.Replace(a.Certificate.Raw(), short, []byte{0x26, tagNotAfter, 0, 0, 0, 0}, 1)
	wide = bytes.Replace(wide, []byte{0x24, byte(AttributeRCACID), 1}, []byte{0x27, byte(AttributeRCACID), 1, 0, 0, 0, 0, 0, 0, 0}, -1)
	c := parse(t, wide)
	if err := CheckRoot(c); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(c.Raw(), wide) || !bytes.Equal(c.Encode(), a.Certificate.Raw()) {
		t.Error("Raw is not what was given, or Encode not the shortest form")
	}
}

func TestPrintableAndText(t *testing.T) {
	key := newKey(t)
	pub := key.Public()
	name := DN{
		{Type: AttributeRCACID, ID: 1},
		{Type: AttributeCommonName, Text: "Zürich"},
		{Type: AttributeCountry, Printable: true, Text: "CH"},
		{Type: AttributeDomainComponent, Text: "example"},
		{Type: AttributePseudonym, Printable: true, Text: ""},
	}
	c, err := Issue(rand.Reader, &Certificate{
		Issuer: name, Subject: name, NotBefore: 1, PublicKey: pub,
		Extensions: append(caExtensions(), Extension{Type: SubjectKeyID, KeyID: KeyID(pub)}, Extension{Type: AuthorityKeyID, KeyID: KeyID(pub)},
			Extension{Type: FutureExtension, DER: []byte("\x30\x0b\x06\x03\x55\x1d\x63\x04\x04\x01\x02\x03\x04")},
			Extension{Type: FutureExtension, DER: []byte("\x30\x07\x06\x03\x55\x1d\x62\x04\x00")}),
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	c = parse(t, c.Raw())
	if err := CheckRoot(c); err != nil {
		t.Error(err)
	}
	if !c.Subject.Equal(name) {
		t.Errorf("%+v", c.Subject)
	}
	der, err := c.DER()
	if err != nil {
		t.Fatal(err)
	}
	back, err := FromDER(der)
	if err != nil || !back.Equal(c) {
		t.Fatal(err)
	}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if x.Subject.CommonName != "Zürich" || len(x.Subject.Country) != 1 || x.Subject.Country[0] != "CH" {
		t.Errorf("%+v", x.Subject)
	}
	if same := name.Equal(DN(append(DN{name[1], name[0]}, name[2:]...))); same {
		t.Error("names in another order are equal")
	}
	plain := append(DN(nil), name...)
	plain[2].Printable = false
	if name.Equal(plain) || name.Equal(name[:4]) {
		t.Error("names with another string type, or of another length, are equal")
	}
}

func TestParseDoesNotAlias(t *testing.T) {
	v := readVectors(t)["Node02_04"]
	b := bytes.Clone(v.TLV)
	c := parse(t, b)
	clear(b)
	if der, err := c.DER(); err != nil || !bytes.Equal(der, v.DER) || !bytes.Equal(c.Raw(), v.TLV) {
		t.Error("the certificate changed with the input")
	}
}

func TestLargest(t *testing.T) {
	key := newKey(t)
	a, err := NewRoot(rand.Reader, key, 1, 0, Validity{NotBefore: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, extra := range []int{0, 1} {
		template := *a.Certificate
		fill := MaxSize - len(a.Certificate.Raw()) - 2*3 + extra
		text := func(n int) Attribute {
			return Attribute{Type: AttributeCommonName, Text: string(bytes.Repeat([]byte{'x'}, n))}
		}
		template.Subject = append(DN{text(fill / 2)}, template.Subject...)
		template.Issuer = append(DN{text(fill - fill/2)}, template.Issuer...)
		c, err := Issue(rand.Reader, &template, key)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Raw()) != MaxSize+extra {
			t.Fatalf("%d octets", len(c.Raw()))
		}
		if _, err := Parse(c.Raw()); (err == nil) != (extra == 0) {
			t.Errorf("%d octets: %v", len(c.Raw()), err)
		}
		der, err := c.DER()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := FromDER(der); (err == nil) != (extra == 0) {
			t.Errorf("%d octets from DER: %v", len(c.Raw()), err)
		}
	}
	if _, err := FromDER(make([]byte, maxDER+1)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}
