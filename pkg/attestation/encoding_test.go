package attestation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

func block(typ string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

func TestDecodeFiles(t *testing.T) {
	a := generate(t)
	for _, tc := range []struct {
		name   string
		file   []byte
		decode func([]byte) ([]byte, error)
		want   []byte
		err    string
	}{
		{"certificate in DER", a.DAC, DecodeCertificate, a.DAC, ""},
		{"certificate in PEM", EncodeCertificate(a.DAC), DecodeCertificate, a.DAC, ""},
		{"with text around it", append([]byte("Subject: somebody\n"), EncodeCertificate(a.PAI)...), DecodeCertificate, a.PAI, ""},
		{"two certificates", append(EncodeCertificate(a.DAC), EncodeCertificate(a.PAI)...), DecodeCertificate, nil, "more than one"},
		{"key for a certificate", block("PRIVATE KEY", []byte{1}), DecodeCertificate, nil, `no PEM block "CERTIFICATE"`},
		{"nothing", nil, DecodeCertificate, nil, "empty"},
		{"garbage", []byte("garbage"), DecodeCertificate, nil, "x509"},
		{"a declaration for a certificate", a.CD, DecodeCertificate, nil, "x509"},
		{"declaration in DER", a.CD, DecodeDeclaration, a.CD, ""},
		{"declaration in PEM", block("CMS", a.CD), DecodeDeclaration, a.CD, ""},
		{"a certificate for a declaration", a.DAC, DecodeDeclaration, nil, "CMS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.decode(tc.file)
			switch {
			case tc.err == "" && err != nil, tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Fatalf("error %v, want %q", err, tc.err)
			case !bytes.Equal(got, tc.want):
				t.Fatalf("%x, want %x", got, tc.want)
			}
		})
	}
}

func TestDecodeKey(t *testing.T) {
	key, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key.ECDSA())
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key.ECDSA())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := x509.MarshalECPrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		file []byte
		err  string
	}{
		{"SEC 1 in PEM, as written here", encoded, ""},
		{"SEC 1 in DER", sec1, ""},
		{"PKCS #8 in PEM", block("PRIVATE KEY", pkcs8), ""},
		{"PKCS #8 in DER", pkcs8, ""},
		{"after its parameters, as openssl writes it", append(block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}), encoded...), ""},
		{"another curve", p384, "P-256"},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", []byte{1}), "encrypted"},
		{"garbage", []byte("garbage"), "neither"},
		{"a certificate", EncodeCertificate(generate(t).DAC), "no PEM block"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := DecodeKey(tc.file)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || got.Public() != key.Public() {
				t.Fatalf("another key, error %v", err)
			}
		})
	}
}

// FuzzDecode: operators may pass any file.
func FuzzDecode(f *testing.F) {
	key := testPAAKey()
	encoded, err := EncodeKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded)
	f.Add(EncodeCertificate(mustHex(testPAAHex)))
	f.Add([]byte("-----BEGIN CMS-----\n-----END CMS-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if der, err := DecodeCertificate(file); err == nil && len(der) == 0 {
			t.Error("an empty certificate")
		}
		if der, err := DecodeDeclaration(file); err == nil && len(der) == 0 {
			t.Error("an empty declaration")
		}
		if k, err := DecodeKey(file); err == nil && k == nil {
			t.Error("no key and no error")
		}
	})
}

func TestNewCSR(t *testing.T) {
	key, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file, err := NewCSR(rand.Reader, key, "gateway 17", 0xFFF2, 0x8004)
	if err != nil {
		t.Fatal(err)
	}
	b, rest := pem.Decode(file)
	if b == nil || b.Type != "CERTIFICATE REQUEST" || len(rest) != 0 {
		t.Fatalf("%s", file)
	}
	csr, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
	want, err := subject("gateway 17", 0xFFF2, 0x8004)
	if err != nil || !bytes.Equal(csr.RawSubject, want) {
		t.Errorf("subject %v, error %v", csr.Subject, err)
	}
	pub := key.Public()
	if got, err := csr.PublicKey.(*ecdsa.PublicKey).Bytes(); err != nil || !bytes.Equal(got, pub[:]) {
		t.Error("another key")
	}
	for _, tc := range []struct {
		common   string
		vid, pid uint16
	}{{"", 0xFFF1, 1}, {strings.Repeat("x", 65), 0xFFF1, 1}, {"x", 0, 1}, {"x", 0xFFFF, 1}, {"x", 0xFFF1, 0}} {
		if _, err := NewCSR(rand.Reader, key, tc.common, matter.VendorID(tc.vid), matter.ProductID(tc.pid)); err == nil {
			t.Errorf("%+v: no error", tc)
		}
	}
}

func TestKeyElsewhere(t *testing.T) {
	a := generate(t)
	key, err := mcrypto.ParsePrivateKey(a.Key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.Key = nil
	if r, err := Verify(a, VerifyOptions{Now: now, Signer: NewSigner(key, rand.Reader)}); err != nil || len(r.Notes) != 0 {
		t.Errorf("with its key elsewhere: %v, %v", r.Notes, err)
	}
	if _, err := Verify(a, VerifyOptions{Now: now, Signer: NewSigner(other, rand.Reader)}); err == nil || !strings.Contains(err.Error(), "not that of the DAC") {
		t.Errorf("with another key: %v", err)
	}
	if r, err := Verify(a, VerifyOptions{Now: now}); err != nil || len(r.Notes) != 1 {
		t.Errorf("with no key at hand: %v, %v", r.Notes, err)
	}
	c, err := New(a.DAC, a.PAI, a.CD, NewSigner(key, rand.Reader))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := c.Sign([]byte("elements"), make([]byte, ChallengeSize))
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public()
	if err := mcrypto.Verify(pub[:], append([]byte("elements"), make([]byte, ChallengeSize)...), sig[:]); err != nil {
		t.Error(err)
	}
}

func TestVerifyConfiguration(t *testing.T) {
	a := generate(t)
	for _, tc := range []struct {
		vid, pid uint16
		want     string
	}{{0, 0, ""}, {0xFFF1, 0x8001, ""}, {0xFFF2, 0, "vendor-id"}, {0xFFF1, 0x8002, "product-id"}} {
		_, err := Verify(a, VerifyOptions{Now: now, VendorID: matter.VendorID(tc.vid), ProductID: matter.ProductID(tc.pid)})
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// A declaration of another signer is verified with its certificate. Without the
// certificate there is only a note.
func TestVerifyDeclarationSigner(t *testing.T) {
	key, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := func(key *mcrypto.PrivateKey, id []byte) []byte {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, SubjectKeyId: id,
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &key.ECDSA().PublicKey, key.ECDSA())
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	a := generate(t)
	d, err := ParseDeclaration(a.CD)
	if err != nil {
		t.Fatal(err)
	}
	d.Type = CertificationOfficial
	if a.CD, err = d.Declaration.sign(rand.Reader, key, keyID(key)); err != nil {
		t.Fatal(err)
	}
	forged := signer(testCDKey(), keyID(key)) // another key with this name
	for _, tc := range []struct {
		name    string
		signers [][]byte
		notes   int
		fault   string
	}{
		{"none known", nil, 1, ""},
		{"another one known", [][]byte{signer(testCDKey(), keyID(testCDKey()))}, 1, ""},
		{"known", [][]byte{signer(key, keyID(key))}, 0, ""},
		{"another key by that name", [][]byte{forged}, 0, "signature"},
		{"garbage", [][]byte{{1}}, 1, "x509"},
	} {
		r, err := Verify(a, VerifyOptions{Now: now, DeclarationSigners: tc.signers})
		if len(r.Notes) != tc.notes || (err == nil) != (tc.fault == "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%s: notes %v, error %v", tc.name, r.Notes, err)
		}
	}
}

func TestSummarize(t *testing.T) {
	a := generate(t)
	s, err := Summarize(a)
	if err != nil {
		t.Fatal(err)
	}
	if s.DAC.Subject != `"opcredsd Development DAC" vendor FFF1 product 8001` || s.PAI.Subject != `"opcredsd Development PAI" vendor FFF1` ||
		!s.DAC.NotAfter.Equal(noExpiry) || len(s.DAC.KeyID) != 40 || s.CD.Type.String() != "test" || s.CD.CertificateID != testCertificateID {
		t.Errorf("%+v", s)
	}
	a.CD = a.CD[1:]
	if _, err := Summarize(a); err == nil {
		t.Error("half a declaration is summed up")
	}
}

func TestReplace(t *testing.T) {
	a, b := generate(t), generate(t)
	c, err := Load(a, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Load(b, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Replace(d)
	sig, err := c.Sign(nil, make([]byte, ChallengeSize))
	if err != nil {
		t.Fatal(err)
	}
	key, err := mcrypto.ParsePrivateKey(b.Key)
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public()
	if mcrypto.Verify(pub[:], make([]byte, ChallengeSize), sig[:]) != nil || !bytes.Equal(c.DAC, b.DAC) {
		t.Error("still the old credentials")
	}
}
