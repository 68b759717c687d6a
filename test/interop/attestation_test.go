//go:build interop

package interop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

//go:embed testdata/test-paas.pem
var testPAAs []byte

// chain is the device's attestation chain.
type chain struct{ dac, pai *x509.Certificate }

// parseChain checks that the DAC is issued by the PAI and that by a test PAA.
func parseChain(dac, pai []byte) (c chain, err error) {
	if c.dac, err = x509.ParseCertificate(dac); err != nil {
		return c, fmt.Errorf("DAC: %w", err)
	}
	if c.pai, err = x509.ParseCertificate(pai); err != nil {
		return c, fmt.Errorf("PAI: %w", err)
	}
	if err := c.dac.CheckSignatureFrom(c.pai); err != nil {
		return c, fmt.Errorf("DAC by PAI: %w", err)
	}
	for rest := testPAAs; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return c, errors.New("the PAI is signed by none of the test PAAs")
		}
		paa, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return c, fmt.Errorf("PAA: %w", err)
		}
		if c.pai.CheckSignatureFrom(paa) == nil {
			return c, nil
		}
	}
}

// verify checks the DAC's signature (r and s, 64 octets) over the elements and the
// attestation challenge of the session on which they were sent.
func (c chain) verify(elements, challenge, signature []byte) error {
	key, ok := c.dac.PublicKey.(*ecdsa.PublicKey)
	if !ok || len(signature) != 64 || len(challenge) != 16 {
		return fmt.Errorf("key %T, signature of %d octets, challenge of %d", c.dac.PublicKey, len(signature), len(challenge))
	}
	digest := sha256.Sum256(append(bytes.Clone(elements), challenge...))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return errors.New("the DAC's signature over elements and challenge is wrong")
	}
	return nil
}

// fields parses an anonymous structure of octet strings and integers by context
// tag.
func fields(elements []byte) (octetStrings map[int][]byte, integers map[int]uint64, err error) {
	octetStrings, integers = make(map[int][]byte), make(map[int]uint64)
	r := tlv.NewReader(elements)
	for r.EnterStruct(); r.Next(); {
		switch r.Type() {
		case tlv.TypeBytes:
			octetStrings[r.ContextTag()] = r.Octets()
		case tlv.TypeUint:
			integers[r.ContextTag()] = r.Uint()
		}
	}
	r.Exit()
	return octetStrings, integers, r.End()
}

// checkAttestation checks attestation-elements: a declaration, our nonce, a time.
func checkAttestation(elements, nonce []byte) error {
	got, numbers, err := fields(elements)
	if err != nil {
		return err
	}
	if len(got[1]) == 0 || !bytes.Equal(got[2], nonce) {
		return fmt.Errorf("declaration of %d octets, nonce %x, want %x", len(got[1]), got[2], nonce)
	}
	if _, ok := numbers[3]; !ok {
		return errors.New("no timestamp")
	}
	return nil
}

// checkCSR checks nocsr-elements: our nonce, and a request signed with its own key.
func checkCSR(elements, nonce []byte) error {
	got, _, err := fields(elements)
	if err != nil {
		return err
	}
	if !bytes.Equal(got[2], nonce) {
		return fmt.Errorf("nonce %x, want %x", got[2], nonce)
	}
	request, err := x509.ParseCertificateRequest(got[1])
	if err != nil {
		return err
	}
	return request.CheckSignature()
}
