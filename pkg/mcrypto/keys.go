package mcrypto

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"

	"filippo.io/bigmod"
)

// Sizes in octets (section 3.5 and 3.6).
const (
	KeySize       = 16 // AES-128
	PublicKeySize = 65 // P-256, uncompressed form
	ScalarSize    = 32 // P-256, also a coordinate
	SignatureSize = 64 // ECDSA, r and s
	MICSize       = 16 // AES-CCM
	NonceSize     = 13 // AES-CCM
	HashSize      = 32 // SHA-256
)

// Errors that callers may check for.
var (
	ErrPublicKey  = errors.New("not a P-256 public key")
	ErrPrivateKey = errors.New("not a P-256 private key")
	ErrSignature  = errors.New("signature does not verify")
)

// order is the order n of P-256.
var order = func() *bigmod.Modulus {
	m, err := bigmod.NewModulus(elliptic.P256().Params().N.Bytes())
	if err != nil {
		panic("BUG: mcrypto: order of P-256: " + err.Error())
	}
	return m
}()

// PrivateKey is a P-256 key pair, for ECDSA and ECDH. It is immutable.
type PrivateKey struct {
	ecdh   *ecdh.PrivateKey
	public [PublicKeySize]byte
	// ecdsa creates the ECDSA form on demand: each form computes the public key
	// again, and ephemeral keys sign nothing.
	ecdsa func() *ecdsa.PrivateKey
}

// GenerateKey draws a key pair from rand.
func GenerateKey(rand io.Reader) (*PrivateKey, error) {
	scalar, err := randomScalar(rand)
	if err != nil {
		return nil, err
	}
	defer clear(scalar)
	return ParsePrivateKey(scalar)
}

// randomScalar draws 32 octets in 1..n-1. A draw fails with a probability of about
// 2^-32, so a reader that repeatedly fails is broken.
func randomScalar(rand io.Reader) ([]byte, error) {
	b := make([]byte, ScalarSize)
	for range 8 {
		if _, err := io.ReadFull(rand, b); err != nil {
			clear(b)
			return nil, fmt.Errorf("drawing a scalar: %w", err)
		}
		if checkScalar(b) == nil {
			return b, nil
		}
	}
	return nil, errors.New("drawing a scalar: the random source is stuck")
}

// checkScalar returns an error unless b is 32 octets in 1..n-1.
func checkScalar(b []byte) error {
	if len(b) != ScalarSize {
		return ErrPrivateKey
	}
	x, err := bigmod.NewNat().SetBytes(b, order)
	if err != nil || x.IsZero() == 1 {
		return ErrPrivateKey
	}
	return nil
}

// ParsePrivateKey returns the key pair of a scalar of 32 octets, big-endian, in
// 1..n-1. For anything else it returns ErrPrivateKey.
func ParsePrivateKey(scalar []byte) (*PrivateKey, error) {
	if len(scalar) != ScalarSize {
		return nil, ErrPrivateKey
	}
	dh, err := ecdh.P256().NewPrivateKey(scalar)
	if err != nil {
		return nil, ErrPrivateKey
	}
	k := &PrivateKey{ecdh: dh, public: [PublicKeySize]byte(dh.PublicKey().Bytes())}
	k.ecdsa = sync.OnceValue(func() *ecdsa.PrivateKey {
		scalar := dh.Bytes()
		defer clear(scalar)
		signer, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		if err != nil {
			panic("BUG: mcrypto: ECDH key is not an ECDSA key: " + err.Error())
		}
		return signer
	})
	return k, nil
}

// Scalar returns a copy of the private scalar, 32 octets big-endian. The caller
// wipes it.
func (k *PrivateKey) Scalar() []byte { return k.ecdh.Bytes() }

// Public returns the public key in uncompressed form.
func (k *PrivateKey) Public() [PublicKeySize]byte { return k.public }

// ECDSA returns the key in the form of crypto/x509.
func (k *PrivateKey) ECDSA() *ecdsa.PrivateKey { return k.ecdsa() }

// Sign signs the SHA-256 of msg (section 3.5.3). The signature is r and s, 32
// octets each.
func (k *PrivateKey) Sign(rand io.Reader, msg []byte) ([SignatureSize]byte, error) {
	var sig [SignatureSize]byte
	digest := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand, k.ecdsa(), digest[:])
	if err != nil {
		return sig, fmt.Errorf("signing: %w", err)
	}
	r.FillBytes(sig[:ScalarSize])
	s.FillBytes(sig[ScalarSize:])
	return sig, nil
}

// Verify checks a signature of 64 octets, r and s, over the SHA-256 of msg. The
// public key has 65 octets. The error is ErrPublicKey for an invalid key and
// ErrSignature for a wrong signature.
func Verify(pub, msg, sig []byte) error {
	if len(pub) != PublicKeySize {
		return ErrPublicKey
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), pub)
	if err != nil {
		return ErrPublicKey
	}
	if len(sig) != SignatureSize {
		return ErrSignature
	}
	digest := sha256.Sum256(msg)
	r, s := new(big.Int).SetBytes(sig[:ScalarSize]), new(big.Int).SetBytes(sig[ScalarSize:])
	if !ecdsa.Verify(k, digest[:], r, s) {
		return ErrSignature
	}
	return nil
}

// CheckPublicKey returns ErrPublicKey unless pub is a point of P-256 in
// uncompressed form, 65 octets. The identity has no such form.
func CheckPublicKey(pub []byte) error {
	_, err := parsePoint(pub)
	return err
}

// SharedSecret computes ECDH with the peer's public key of 65 octets. It returns
// the x coordinate of the shared point, or ErrPublicKey if the peer's key is not on
// the curve.
func (k *PrivateKey) SharedSecret(peer []byte) ([ScalarSize]byte, error) {
	p, err := ecdh.P256().NewPublicKey(peer)
	if err != nil {
		return [ScalarSize]byte{}, ErrPublicKey
	}
	s, err := k.ecdh.ECDH(p)
	if err != nil {
		return [ScalarSize]byte{}, ErrPublicKey
	}
	defer clear(s)
	return [ScalarSize]byte(s), nil
}
