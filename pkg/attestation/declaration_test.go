package attestation

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func products(p ...matter.ProductID) []matter.ProductID { return p }

// signed returns d signed by the published test signer.
func signed(t testing.TB, d Declaration) []byte {
	t.Helper()
	b, err := d.sign(rand.Reader, testCDKey(), mustHex(testCDKeyIDHex))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// declarations returns the published declarations: content, CMS.
func declarations(t testing.TB) []vector {
	t.Helper()
	v := loadVectors(t, "certification-declaration.json")
	f2 := findVector(t, "attestation-and-vid.json", "F.2 attestation response")
	return append(v, vector{Name: f2.Name, CMS: f2.CDCMS})
}

func TestPublishedDeclarations(t *testing.T) {
	pub := testCDKey().Public()
	for _, v := range declarations(t) {
		t.Run(v.Name, func(t *testing.T) {
			d, err := ParseDeclaration(v.CMS)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Verify(pub[:]); err != nil {
				t.Error(err)
			}
			if v.Content != nil && !bytes.Equal(d.content, v.Content) {
				t.Errorf("content = %x, want %x", d.content, v.Content)
			}
			if got := d.encode(); !bytes.Equal(got, d.content) {
				t.Errorf("encoded again: %x, want %x", got, d.content)
			}
			built, err := marshalCMS(d.content, d.SignerKeyID[:], derSignature(d.signature))
			if err != nil || !bytes.Equal(built, v.CMS) {
				t.Errorf("built again: %x, %v, want %x", built, err, v.CMS)
			}
		})
	}
}

func TestDeclarationContent(t *testing.T) {
	d, err := ParseDeclaration(findVector(t, "attestation-and-vid.json", "F.2 attestation response").CDCMS)
	if err != nil {
		t.Fatal(err)
	}
	if d.VendorID != 0xFFF2 || !slices.Equal(d.ProductIDs, products(0x8001, 0x8002)) || d.DeviceType != 0x1234 ||
		d.CertificateID != "ZIG20142ZB330002-24" || d.SecurityLevel != 0 || d.SecurityInformation != 0 ||
		d.VersionNumber != 0x2694 || d.Type != CertificationTest ||
		d.Origin == nil || *d.Origin != (Origin{0xFFF1, 0x8000}) ||
		len(d.AuthorizedPAAs) != 1 || d.AuthorizedPAAs[0][0] != 0x78 {
		t.Errorf("parsed as %+v", d.Declaration)
	}
}

func TestDeclarationSignature(t *testing.T) {
	der := signed(t, Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID})
	d, err := ParseDeclaration(der)
	if err != nil {
		t.Fatal(err)
	}
	pub := testCDKey().Public()
	if err := d.Verify(pub[:]); err != nil {
		t.Errorf("Verify = %v", err)
	}
	other := testPAAKey().Public()
	if err := d.Verify(other[:]); !errors.Is(err, mcrypto.ErrSignature) {
		t.Errorf("Verify with another key = %v, want ErrSignature", err)
	}
}

// Every octet of a declaration matters: a change is rejected because of the
// structure or the signature, or changes the name of the signer.
func TestDeclarationTampering(t *testing.T) {
	der := signed(t, Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID})
	pub := testCDKey().Public()
	keyID := mustHex(testCDKeyIDHex)
	at := bytes.Index(der, keyID)
	for i := range der {
		if i >= at && i < at+len(keyID) {
			continue
		}
		for bit := range 8 {
			b := bytes.Clone(der)
			b[i] ^= 1 << bit
			if d, err := ParseDeclaration(b); err == nil && d.Verify(pub[:]) == nil {
				t.Errorf("octet %d, bit %d: accepted", i, bit)
			}
		}
	}
	for n := range der {
		if _, err := ParseDeclaration(der[:n]); err == nil {
			t.Errorf("the first %d octets are accepted", n)
		}
	}
	if _, err := ParseDeclaration(append(bytes.Clone(der), 0)); err == nil {
		t.Error("an octet too many is accepted")
	}
}

// No structure of a declaration accepts an additional element.
func TestDeclarationExtraElements(t *testing.T) {
	der := signed(t, Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID})
	n := 0
	for ; ; n++ {
		b, done := withExtra(t, der, n)
		if done {
			break
		}
		if _, err := ParseDeclaration(b); err == nil {
			t.Errorf("structure %d: accepted with a NULL at its end", n)
		}
	}
	if n != 11 {
		t.Errorf("%d structures, want 11", n)
	}
}

// withExtra returns der with a NULL at the end of its n-th constructed element, in
// depth-first order. done reports that there are fewer.
func withExtra(t *testing.T, der []byte, n int) (b []byte, done bool) {
	t.Helper()
	seen := 0
	var walk func(der []byte) []byte
	walk = func(der []byte) []byte {
		var out []byte
		for len(der) > 0 {
			var v asn1.RawValue
			rest, err := asn1.Unmarshal(der, &v)
			if err != nil {
				t.Fatal(err)
			}
			der = rest
			if v.IsCompound {
				mine := seen == n
				seen++
				v.Bytes = walk(v.Bytes)
				if mine {
					v.Bytes = append(v.Bytes, asn1.TagNull, 0)
				}
			}
			v.FullBytes = nil
			one, err := asn1.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, one...)
		}
		return out
	}
	b = walk(der)
	return b, n >= seen
}

func TestDeclarationRules(t *testing.T) {
	good := Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID}
	many := make([]matter.ProductID, maxProducts+1)
	for _, tt := range []struct {
		name   string
		change func(d *Declaration)
		ok     bool
	}{
		{"as it should be", func(*Declaration) {}, true},
		{"100 products", func(d *Declaration) { d.ProductIDs = many[:maxProducts] }, true},
		{"101 products", func(d *Declaration) { d.ProductIDs = many }, false},
		{"no product", func(d *Declaration) { d.ProductIDs = nil }, false},
		{"a short certificate id", func(d *Declaration) { d.CertificateID = "CSA00000SWC00000-0" }, false},
		{"an unknown type", func(d *Declaration) { d.Type = 3 }, false},
		{"10 PAAs", func(d *Declaration) { d.AuthorizedPAAs = make([][keyIDSize]byte, maxPAAs) }, true},
		{"11 PAAs", func(d *Declaration) { d.AuthorizedPAAs = make([][keyIDSize]byte, maxPAAs+1) }, false},
		{"another origin", func(d *Declaration) { d.Origin = &Origin{0xFFF2, 0x8002} }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := good
			tt.change(&d)
			if _, err := decodeDeclaration(d.encode()); (err == nil) != tt.ok {
				t.Errorf("error %v, want accepted = %v", err, tt.ok)
			}
		})
	}
}

func TestDeclarationMembers(t *testing.T) {
	// Each mandatory member missing, and an incomplete origin.
	full := Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID, Origin: &Origin{0xFFF2, 0x8002}}
	whole := full.encode()
	for without := range uint8(11) {
		w := tlv.NewWriter(nil)
		w.StartStruct(tlv.Anonymous)
		r := tlv.NewReader(whole)
		for r.EnterStruct(); r.Next(); {
			if r.Tag() != tlv.Context(without) {
				w.Element(r.Tag(), r.Element())
			}
		}
		w.End()
		if _, err := decodeDeclaration(w.Bytes()); err == nil {
			t.Errorf("accepted without member %d", without)
		}
	}
	nobody := append(bytes.Clone(whole[:len(whole)-1]), 0x36, 11, 0x18, 0x18)
	if _, err := decodeDeclaration(nobody); err == nil || !strings.Contains(err.Error(), "authorized PAAs") {
		t.Errorf("a list that allows no PAA: %v", err)
	}
	future := bytes.Clone(whole)
	at := bytes.Index(future, []byte{0x24, 0, 1})
	future[at+2] = 2
	if _, err := decodeDeclaration(future); err == nil {
		t.Error("a future format is accepted")
	}
}

func FuzzParseDeclaration(f *testing.F) {
	for _, v := range declarations(f) {
		f.Add([]byte(v.CMS))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDeclaration(b)
		if err != nil {
			return
		}
		built, err := marshalCMS(d.content, d.SignerKeyID[:], derSignature(d.signature))
		if err != nil || !bytes.Equal(built, b) {
			t.Errorf("parsed and built again: %x, %v, want %x", built, err, b)
		}
		again, err := decodeDeclaration(d.encode())
		if err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		if !bytes.Equal(again.encode(), d.encode()) {
			t.Errorf("encoding is no fixed point: %x, %x", again.encode(), d.encode())
		}
	})
}
