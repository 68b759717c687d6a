package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

func TestCSR(t *testing.T) {
	key := newKey(t)
	csr, err := NewCSR(rand.Reader, key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParseCSR(csr)
	if err != nil || pub != key.Public() {
		t.Fatalf("%x, %v", pub, err)
	}
	x, err := x509.ParseCertificateRequest(csr)
	if err != nil || x.CheckSignature() != nil || x.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		t.Fatalf("%+v, %v", x, err)
	}
	want := key.Public()
	if k, ok := x.PublicKey.(*ecdsa.PublicKey); !ok {
		t.Errorf("%T", x.PublicKey)
	} else if b, err := k.Bytes(); err != nil || !bytes.Equal(b, want[:]) {
		t.Errorf("%x, %v", b, err)
	}
	for i := range csr {
		if _, err := ParseCSR(csr[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	for i := range 8 * len(csr) {
		bad := bytes.Clone(csr)
		bad[i/8] ^= 1 << (i % 8)
		if pub, err := ParseCSR(bad); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrInvalid) || pub != [65]byte{} {
			t.Errorf("bit %d: %x, %v", i, pub, err)
		}
	}
	if _, err := ParseCSR(append(bytes.Clone(csr), 0)); !errors.Is(err, ErrMalformed) {
		t.Error("octet behind:", err)
	}
	if _, err := ParseCSR(make([]byte, MaxCSR+1)); !errors.Is(err, ErrMalformed) {
		t.Error("long:", err)
	}
}

// Requests of other implementations: the standard library's, with another subject
// and no attributes, as matter.js sends them, and the example of the specification.
func TestForeignCSR(t *testing.T) {
	key := newKey(t)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA256}, key.ECDSA())
	if err != nil {
		t.Fatal(err)
	}
	if pub, err := ParseCSR(csr); err != nil || pub != key.Public() {
		t.Errorf("%x, %v", pub, err)
	}

	b, err := os.ReadFile("testdata/csr.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		CSR    octets
		Public octets `json:"operational_public_key"`
		Scalar octets `json:"operational_private_scalar"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	pub, err := ParseCSR(v.CSR)
	if err != nil || !bytes.Equal(pub[:], v.Public) {
		t.Errorf("%x, %v", pub, err)
	}
	specKey, err := mcrypto.ParsePrivateKey(v.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	own, err := NewCSR(rand.Reader, specKey)
	if err != nil {
		t.Fatal(err)
	}
	// Signatures and their lengths differ; the signed part does not.
	info := func(csr []byte) []byte { return csr[3 : 3+3+0x81] }
	if !bytes.Equal(info(own), info(v.CSR)) {
		t.Errorf("have %x\nwant %x", info(own), info(v.CSR))
	}
}
