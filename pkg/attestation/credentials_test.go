package attestation

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func generate(t testing.TB) store.Attestation {
	t.Helper()
	a, err := Generate(rand.Reader, 0xFFF1, 0x8001, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func load(t testing.TB) *Credentials {
	t.Helper()
	c, err := Load(generate(t), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signerFunc is a Signer made of a function.
type signerFunc func(msg []byte) ([mcrypto.SignatureSize]byte, error)

func (f signerFunc) Sign(msg []byte) ([mcrypto.SignatureSize]byte, error) { return f(msg) }

func TestElementsLayout(t *testing.T) {
	for _, name := range []string{"attestation-elements", "F.2 attestation response"} {
		v := findVector(t, "attestation-and-vid.json", name)
		if v.CD == nil {
			v.CD = v.CDCMS
		}
		got, err := (&Credentials{CD: v.CD}).Elements(v.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		// The vectors also have a time and vendor elements, which are not used
		// here.
		head, ok := bytes.CutSuffix(got, []byte{0x24, 3, 0, 0x18})
		if !ok || !bytes.HasPrefix(v.Elements, head) {
			t.Errorf("%s: %x\nvector: %x", name, got, v.Elements)
		}
	}
}

func TestNOCSRElementsLayout(t *testing.T) {
	for _, name := range []string{"nocsr-elements", "F.3 NOCSR elements"} {
		v := findVector(t, "attestation-and-vid.json", name)
		got, err := (&Credentials{}).NOCSRElements(v.CSR, v.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		head, ok := bytes.CutSuffix(got, []byte{0x18})
		if !ok || !bytes.HasPrefix(v.Elements, head) {
			t.Errorf("%s: %x\nvector: %x", name, got, v.Elements)
		}
	}
}

func TestSignedBytes(t *testing.T) {
	v := findVector(t, "attestation-and-vid.json", "F.2 attestation response")
	var msg []byte
	c := &Credentials{signer: signerFunc(func(m []byte) ([mcrypto.SignatureSize]byte, error) {
		msg = m
		return [mcrypto.SignatureSize]byte(v.Signature), nil
	})}
	sig, err := c.Sign(v.Elements, v.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(msg); !bytes.Equal(sum[:], v.TBSHash) {
		t.Errorf("hash of what is signed: %x, want %x", sum, v.TBSHash)
	}
	if err := mcrypto.Verify(v.DACPublic, msg, sig[:]); err != nil {
		t.Error(err)
	}
}

func TestElementsBounds(t *testing.T) {
	c := load(t)
	for _, n := range []int{0, 31, 33} {
		if _, err := c.Elements(make([]byte, n)); err == nil {
			t.Errorf("Elements takes a nonce of %d octets", n)
		}
		if _, err := c.NOCSRElements([]byte{1}, make([]byte, n)); err == nil {
			t.Errorf("NOCSRElements takes a nonce of %d octets", n)
		}
	}
	if _, err := c.NOCSRElements(make([]byte, MaxElements), make([]byte, NonceSize)); err == nil {
		t.Error("more than 900 octets of NOCSR elements")
	}
	c.CD = make([]byte, MaxElements)
	if _, err := c.Elements(make([]byte, NonceSize)); err == nil {
		t.Error("more than 900 octets of attestation elements")
	}
	if _, err := c.Sign([]byte{1}, make([]byte, ChallengeSize+1)); err == nil {
		t.Error("Sign takes a challenge of 17 octets")
	}
}

func TestSign(t *testing.T) {
	a := generate(t)
	c, err := Load(a, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := mcrypto.ParsePrivateKey(a.Key)
	clear(a.Key)
	nonce, challenge := bytes.Repeat([]byte{7}, NonceSize), bytes.Repeat([]byte{8}, ChallengeSize)
	elements, err := c.Elements(nonce)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := c.Sign(elements, challenge)
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public()
	if err := mcrypto.Verify(pub[:], append(bytes.Clone(elements), challenge...), sig[:]); err != nil {
		t.Error(err)
	}
	r := tlv.NewReader(elements)
	r.EnterStruct()
	r.Next()
	if cd := r.Octets(); !bytes.Equal(cd, c.CD) {
		t.Error("the declaration is not the first element")
	}
	c.Wipe()
	if _, err := c.Sign(elements, challenge); err == nil {
		t.Error("Sign works after Wipe")
	}
}

func TestSignerError(t *testing.T) {
	broken := errors.New("the token was pulled out")
	a := generate(t)
	c, err := New(a.DAC, a.PAI, a.CD, signerFunc(func([]byte) (s [mcrypto.SignatureSize]byte, err error) { return s, broken }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sign(nil, make([]byte, ChallengeSize)); !errors.Is(err, broken) {
		t.Errorf("Sign = %v, want %v", err, broken)
	}
}

func TestLoadPublished(t *testing.T) {
	c, err := Load(published(t), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if c.VendorID != 0xFFF1 || c.ProductID != 0x8001 {
		t.Errorf("vendor %04X, product %04X", c.VendorID, c.ProductID)
	}
}

func TestLoadRefuses(t *testing.T) {
	other := generate(t)
	for name, change := range map[string]func(a *store.Attestation){
		"no DAC":                          func(a *store.Attestation) { a.DAC = nil },
		"no PAI":                          func(a *store.Attestation) { a.PAI = nil },
		"no declaration":                  func(a *store.Attestation) { a.CD = nil },
		"no key":                          func(a *store.Attestation) { a.Key = nil },
		"another key":                     func(a *store.Attestation) { a.Key = other.Key },
		"another DAC":                     func(a *store.Attestation) { a.DAC = other.DAC },
		"a cut DAC":                       func(a *store.Attestation) { a.DAC = a.DAC[:len(a.DAC)-1] },
		"a DAC too large":                 func(a *store.Attestation) { a.DAC = append(bytes.Clone(a.DAC), make([]byte, MaxCertificate)...) },
		"the PAI as DAC":                  func(a *store.Attestation) { a.DAC = a.PAI },
		"a PAI too large":                 func(a *store.Attestation) { a.PAI = append(bytes.Clone(a.PAI), make([]byte, MaxCertificate)...) },
		"a declaration that does not fit": func(a *store.Attestation) { a.CD = paddedDeclaration(t, 700) },
	} {
		a := generate(t)
		change(&a)
		if _, err := Load(a, rand.Reader); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// paddedDeclaration returns signed content with an unknown member of n octets.
func paddedDeclaration(t *testing.T, n int) []byte {
	t.Helper()
	d := Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID}
	w := tlv.NewWriter(bytes.TrimSuffix(d.encode(), []byte{0x18}))
	w.Octets(tlv.Context(12), make([]byte, n))
	content := append(w.Bytes(), 0x18)
	sig, err := testCDKey().Sign(rand.Reader, content)
	if err != nil {
		t.Fatal(err)
	}
	cd, err := marshalCMS(content, mustHex(testCDKeyIDHex), derSignature(sig))
	if err != nil {
		t.Fatal(err)
	}
	return cd
}

func TestDeclarationSize(t *testing.T) {
	a := generate(t)
	for _, tt := range []struct {
		n  int
		ok bool
	}{{500, true}, {700, false}} {
		a.CD = paddedDeclaration(t, tt.n)
		if _, err := Load(a, rand.Reader); (err == nil) != tt.ok {
			t.Errorf("%d octets more: Load = %v, want loaded = %v", tt.n, err, tt.ok)
		}
		if _, err := Verify(a, VerifyOptions{Now: now}); (err == nil) != tt.ok {
			t.Errorf("%d octets more: Verify = %v, want good = %v", tt.n, err, tt.ok)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	if _, err := Generate(rand.Reader, 0, 0x8001, now); err == nil {
		t.Error("vendor 0")
	}
	if _, err := Generate(rand.Reader, 0xFFF5, 0x8001, now); err == nil {
		t.Error("a reserved vendor")
	}
	if _, err := Generate(rand.Reader, 0xFFF1, 0, now); err == nil {
		t.Error("product 0")
	}
	if _, err := Generate(iotest.ErrReader(errors.New("no entropy")), 0xFFF1, 0x8001, now); err == nil {
		t.Error("a broken random source")
	}
}

func BenchmarkAttestationResponse(b *testing.B) {
	c := load(b)
	nonce, challenge := make([]byte, NonceSize), make([]byte, ChallengeSize)
	b.ReportAllocs()
	for b.Loop() {
		e, err := c.Elements(nonce)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Sign(e, challenge); err != nil {
			b.Fatal(err)
		}
	}
}
