package mcrypto

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"filippo.io/bigmod"
	"filippo.io/nistec"
)

// Limits of the PBKDF parameters (section 3.9) and sizes of SPAKE2+ values.
const (
	MinIterations = 1000
	MaxIterations = 100_000
	MinSaltSize   = 16
	MaxSaltSize   = 32
	VerifierSize  = ScalarSize + PublicKeySize

	wSize = 40 // w0s and w1s: 8 octets more than n, so that w mod n is nearly uniform
)

// PasscodeValid reports whether p may be a setup passcode: it is from 1 to 99999998
// and not trivial (section 5.1.7.1).
func PasscodeValid(p uint32) bool {
	switch p {
	case 11111111, 22222222, 33333333, 44444444, 55555555,
		66666666, 77777777, 88888888, 12345678, 87654321:
		return false
	}
	return p >= 1 && p <= 99999998
}

// Verifier is derived from a node's passcode, to check that a peer knows the
// passcode (section 3.10). It is a secret, as the passcode can be found from it by
// brute force.
type Verifier struct {
	W0 [ScalarSize]byte
	L  [PublicKeySize]byte
}

// NewVerifier derives the verifier of a valid passcode. The salt has 16 to 32
// octets, and iterations is 1000 to 100000.
func NewVerifier(passcode uint32, salt []byte, iterations int) (Verifier, error) {
	var v Verifier
	if !PasscodeValid(passcode) {
		return v, errors.New("the passcode is out of range or trivial")
	}
	w0, w1, err := passcodeScalars(passcode, salt, iterations)
	if err != nil {
		return v, err
	}
	defer clear(w1)
	l, err := nistec.NewP256Point().ScalarBaseMult(w1)
	if err != nil {
		return v, fmt.Errorf("computing L: %w", err)
	}
	copy(v.W0[:], w0)
	clear(w0)
	copy(v.L[:], l.Bytes())
	return v, nil
}

// ParseVerifier reads a verifier of 97 octets, w0 and L. w0 must be in 1..n-1
// and L on the curve.
func ParseVerifier(b []byte) (Verifier, error) {
	if len(b) != VerifierSize {
		return Verifier{}, fmt.Errorf("a passcode verifier has %d octets, not %d", VerifierSize, len(b))
	}
	v := Verifier{W0: [ScalarSize]byte(b), L: [PublicKeySize]byte(b[ScalarSize:])}
	if err := v.check(); err != nil {
		return Verifier{}, err
	}
	return v, nil
}

func (v *Verifier) check() error {
	if checkScalar(v.W0[:]) != nil {
		return errors.New("passcode verifier: w0 is not in 1..n-1")
	}
	if CheckPublicKey(v.L[:]) != nil {
		return errors.New("passcode verifier: L is not on the curve")
	}
	return nil
}

// Bytes returns w0 and L.
func (v *Verifier) Bytes() [VerifierSize]byte {
	var b [VerifierSize]byte
	copy(b[:], v.W0[:])
	copy(b[ScalarSize:], v.L[:])
	return b
}

// Wipe erases v.
func (v *Verifier) Wipe() { *v = Verifier{} }

// passcodeScalars derives w0 and w1, 32 octets each. The caller wipes them.
func passcodeScalars(passcode uint32, salt []byte, iterations int) (w0, w1 []byte, err error) {
	if len(salt) < MinSaltSize || len(salt) > MaxSaltSize {
		return nil, nil, fmt.Errorf("a PBKDF salt has %d to %d octets, not %d", MinSaltSize, MaxSaltSize, len(salt))
	}
	if iterations < MinIterations || iterations > MaxIterations {
		return nil, nil, fmt.Errorf("PBKDF iterations are %d to %d, not %d", MinIterations, MaxIterations, iterations)
	}
	pass := binary.LittleEndian.AppendUint32(nil, passcode)
	ws, err := pbkdf2.Key(sha256.New, string(pass), salt, iterations, 2*wSize)
	if err != nil {
		return nil, nil, fmt.Errorf("PBKDF: %w", err)
	}
	defer clear(ws)
	w0, w1 = reduce(ws[:wSize]), reduce(ws[wSize:])
	if checkScalar(w0) != nil || checkScalar(w1) != nil {
		return nil, nil, errors.New("the passcode yields a zero scalar under this salt")
	}
	return w0, w1, nil
}

// wide is a modulus above every number of wSize octets, with which bigmod can read
// one.
var wide = func() *bigmod.Modulus {
	m, err := bigmod.NewModulus(bytes.Repeat([]byte{0xFF}, wSize+1))
	if err != nil {
		panic("BUG: mcrypto: wide modulus: " + err.Error())
	}
	return m
}()

// reduce returns the big-endian number of wSize octets in b modulo n.
func reduce(b []byte) []byte {
	x, err := bigmod.NewNat().SetBytes(b, wide)
	if err != nil {
		panic("BUG: mcrypto: reduce: " + err.Error())
	}
	return bigmod.NewNat().Mod(x, order).Bytes(order)
}
