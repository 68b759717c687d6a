package attestation

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Sizes in octets (sections 6.2.2, 11.18.4.7, 11.18.4.9 and 11.18.6).
const (
	MaxCertificate = 600 // DER of DAC, PAI or PAA
	MaxElements    = 900
	NonceSize      = 32
	ChallengeSize  = 16
)

// Credentials are the attestation credentials of a node. Only Wipe and Replace change
// them.
type Credentials struct {
	DAC, PAI []byte // X.509 DER
	CD       []byte // the certification declaration, CMS SignedData

	VendorID  matter.VendorID // of the DAC
	ProductID matter.ProductID

	signer Signer
}

// New returns credentials that sign with s. It checks sizes and that everything can be
// parsed; [Verify] checks more.
func New(dac, pai, cd []byte, s Signer) (*Credentials, error) {
	leaf, err := parseCertificate("DAC", dac)
	if err != nil {
		return nil, err
	}
	if _, err := parseCertificate("PAI", pai); err != nil {
		return nil, err
	}
	if _, err := ParseDeclaration(cd); err != nil {
		return nil, err
	}
	id, err := subjectIDs(leaf)
	if err != nil {
		return nil, fmt.Errorf("subject of the DAC: %w", err)
	}
	if !id.hasVendor || !id.hasProduct {
		return nil, errNoIDs
	}
	c := &Credentials{
		DAC: slices.Clone(dac), PAI: slices.Clone(pai), CD: slices.Clone(cd),
		VendorID: id.vendor, ProductID: id.product, signer: s,
	}
	if _, err := c.Elements(make([]byte, NonceSize)); err != nil {
		return nil, err
	}
	return c, nil
}

var errNoIDs = errors.New("the DAC names no vendor or no product")

// parseCertificate reads an attestation certificate.
func parseCertificate(name string, der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, fmt.Errorf("the %s has %d octets, more than %d", name, len(der), MaxCertificate)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", name, err)
	}
	return c, nil
}

// Load returns the credentials of a record that has the DAC's key. Signatures use rand. The
// caller may wipe the record's key afterwards.
func Load(a store.Attestation, rand io.Reader) (*Credentials, error) {
	leaf, err := parseCertificate("DAC", a.DAC)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(leaf, a.Key)
	if err != nil {
		return nil, err
	}
	return New(a.DAC, a.PAI, a.CD, keySigner{rand, key})
}

// keyOf returns the key with this scalar, or an error if it is not the DAC's.
func keyOf(dac *x509.Certificate, scalar []byte) (*mcrypto.PrivateKey, error) {
	key, err := mcrypto.ParsePrivateKey(scalar)
	if err != nil {
		return nil, fmt.Errorf("reading the DAC's key: %w", err)
	}
	if pub := key.Public(); !bytes.Equal(pub[:], publicKey(dac)) {
		return nil, errWrongKey
	}
	return key, nil
}

// Elements returns the attestation-elements for a nonce of 32 octets (section 11.18.4.7).
// The timestamp is 0, which means unknown.
func (c *Credentials) Elements(nonce []byte) ([]byte, error) {
	w := tlv.NewWriter(make([]byte, 0, len(c.CD)+NonceSize+16))
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), c.CD)
	w.Octets(tlv.Context(2), nonce)
	w.Uint(tlv.Context(3), 0)
	w.End()
	return bounded(w.Bytes(), nonce)
}

// NOCSRElements returns the nocsr-elements for a CSR in DER and a nonce of 32
// octets (section 11.18.4.9).
func (c *Credentials) NOCSRElements(csr, nonce []byte) ([]byte, error) {
	w := tlv.NewWriter(make([]byte, 0, len(csr)+NonceSize+16))
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), csr)
	w.Octets(tlv.Context(2), nonce)
	w.End()
	return bounded(w.Bytes(), nonce)
}

func bounded(elements, nonce []byte) ([]byte, error) {
	if len(nonce) != NonceSize {
		return nil, fmt.Errorf("a nonce has %d octets, not %d", NonceSize, len(nonce))
	}
	if len(elements) > MaxElements {
		return nil, fmt.Errorf("attestation elements of %d octets, more than %d", len(elements), MaxElements)
	}
	return elements, nil
}

// Sign signs elements and the attestation challenge, 16 octets, of the session
// that carries them (section 11.18.4.7).
func (c *Credentials) Sign(elements, challenge []byte) ([mcrypto.SignatureSize]byte, error) {
	if c.signer == nil {
		return [mcrypto.SignatureSize]byte{}, errors.New("the attestation credentials are wiped")
	}
	if len(challenge) != ChallengeSize {
		return [mcrypto.SignatureSize]byte{}, fmt.Errorf("an attestation challenge has %d octets, not %d", ChallengeSize, len(challenge))
	}
	sig, err := c.signer.Sign(slices.Concat(elements, challenge))
	if err != nil {
		return sig, fmt.Errorf("signing with the DAC's key: %w", err)
	}
	return sig, nil
}

// Elsewhere reports whether the key is outside of the process, on a token for
// example. Sign may then be slow.
func (c *Credentials) Elsewhere() bool {
	_, own := c.signer.(keySigner)
	return !own
}

// Wipe drops the key. Sign returns errors from then on.
func (c *Credentials) Wipe() { c.signer = nil }

// Replace copies other to c. c must not be in use meanwhile.
func (c *Credentials) Replace(other *Credentials) { *c = *other }
