package casesession

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Nonces. Each key is used for one message.
const (
	nonceSigma2       = "NCASE_Sigma2N"
	nonceSigma3       = "NCASE_Sigma3N"
	nonceSigma1Resume = "NCASE_SigmaS1"
	nonceSigma2Resume = "NCASE_SigmaS2"
)

// The info strings of the key derivations.
const (
	infoSigma2            = "Sigma2"
	infoSigma3            = "Sigma3"
	infoSigma1Resume      = "Sigma1_Resume"
	infoSigma2Resume      = "Sigma2_Resume"
	infoSession           = "SessionKeys"
	infoSessionResumption = "SessionResumptionKeys"
)

// destinationID returns the identifier of a node that only those can compute who have the
// IPK of its fabric (section 4.14.2.4.1).
func destinationID(ipk, initiatorRandom, rootPublicKey []byte, fabric matter.FabricID, node matter.NodeID) [mcrypto.HashSize]byte {
	h := hmac.New(sha256.New, ipk)
	h.Write(initiatorRandom)
	h.Write(rootPublicKey)
	var ids [16]byte
	binary.LittleEndian.PutUint64(ids[:], uint64(fabric))
	binary.LittleEndian.PutUint64(ids[8:], uint64(node))
	h.Write(ids[:])
	return [mcrypto.HashSize]byte(h.Sum(nil))
}

// cipherFor derives a key for one message.
func cipherFor(secret, salt []byte, info string) (cipher.AEAD, error) {
	var key [mcrypto.KeySize]byte
	defer clear(key[:])
	if err := mcrypto.HKDF(key[:], secret, salt, info); err != nil {
		return nil, err
	}
	return mcrypto.NewAEAD(key[:])
}

// seal encrypts plaintext in place and returns it with its MIC of 16 octets appended.
func seal(secret, salt []byte, info, nonce string, plaintext []byte) ([]byte, error) {
	aead, err := cipherFor(secret, salt, info)
	if err != nil {
		return nil, err
	}
	return aead.Seal(plaintext[:0], []byte(nonce), plaintext, nil), nil
}

// open is the inverse of seal. It does not change ciphertext.
func open(secret, salt []byte, info, nonce string, ciphertext []byte) ([]byte, error) {
	aead, err := cipherFor(secret, salt, info)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, []byte(nonce), ciphertext, nil)
	if err != nil {
		return nil, errDecrypt
	}
	return plaintext, nil
}

// resumeMIC returns the MIC of an empty message, which proves knowledge of the secret of
// the session to be resumed. id is the resumption id that the message contains: the old
// one in Sigma1, the new one in Sigma2_Resume.
func resumeMIC(secret, initiatorRandom, id []byte, info, nonce string) ([]byte, error) {
	return seal(secret, slices.Concat(initiatorRandom, id), info, nonce, nil)
}

func checkResumeMIC(secret, initiatorRandom, id, mic []byte, info, nonce string) error {
	if _, err := open(secret, slices.Concat(initiatorRandom, id), info, nonce, mic); err != nil {
		return errResumeMIC
	}
	return nil
}

// deriveKeys derives the session's keys.
func (r *Result) deriveKeys(salt []byte, info string) error {
	var k [3 * mcrypto.KeySize]byte
	defer clear(k[:])
	if err := mcrypto.HKDF(k[:], r.SharedSecret[:], salt, info); err != nil {
		return err
	}
	copy(r.I2R[:], k[0:])
	copy(r.R2I[:], k[mcrypto.KeySize:])
	copy(r.AttestationChallenge[:], k[2*mcrypto.KeySize:])
	return nil
}
