package attestation

import (
	"errors"
	"fmt"
	"io"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Signer signs with the DAC's key: ECDSA-SHA256, r and s. The process may not be able to
// read the key itself.
type Signer interface {
	Sign(msg []byte) ([mcrypto.SignatureSize]byte, error)
}

// keySigner is a Signer with a key in memory.
type keySigner struct {
	rand io.Reader
	key  *mcrypto.PrivateKey
}

func (s keySigner) Sign(msg []byte) ([mcrypto.SignatureSize]byte, error) {
	return s.key.Sign(s.rand, msg)
}

// NewSigner returns a Signer with a key in memory. Signatures use rand.
func NewSigner(key *mcrypto.PrivateKey, rand io.Reader) Signer { return keySigner{rand, key} }

// CheckSigner checks, by a signature of s, whether s has the key of a DAC in DER.
func CheckSigner(dac []byte, s Signer) error {
	leaf, err := parseCertificate("DAC", dac)
	if err != nil {
		return err
	}
	pub := publicKey(leaf)
	if pub == nil {
		return errNotP256
	}
	msg := []byte("opcredsd: is this the key of the DAC?")
	sig, err := s.Sign(msg)
	if err != nil {
		return fmt.Errorf("signing with the DAC's key: %w", err)
	}
	if mcrypto.Verify(pub, msg, sig[:]) != nil {
		return errWrongKey
	}
	return nil
}

var errWrongKey = errors.New("the key is not that of the DAC")
