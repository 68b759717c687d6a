package mcrypto

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/nistec"
)

// The points M and N of P-256 that blind the shares of SPAKE2+.
var (
	pointM = mustPoint("04886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f5ff355163e43ce224e0b0e65ff02ac8e5c7be09419c785e0ca547d55a12e2d20")
	pointN = mustPoint("04d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b4907d60aa6bfade45008a636337f5168c64d9bd36034808cd564490b1e656edbe7")
)

// fixedPoint stores the encoded form too, because encoding a point takes an
// inversion.
type fixedPoint struct {
	*nistec.P256Point
	encoded []byte
}

func mustPoint(s string) fixedPoint {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("BUG: mcrypto: " + err.Error())
	}
	p, err := parsePoint(b)
	if err != nil {
		panic("BUG: mcrypto: " + err.Error())
	}
	return fixedPoint{p, b}
}

// parsePoint reads a point in uncompressed form. nistec checks that it is on the
// curve. The length excludes the other forms and the identity.
func parsePoint(b []byte) (*nistec.P256Point, error) {
	if len(b) != PublicKeySize {
		return nil, ErrPublicKey
	}
	p, err := nistec.NewP256Point().SetBytes(b)
	if err != nil {
		return nil, ErrPublicKey
	}
	return p, nil
}

// SPAKE2PKeys are computed by both sides of SPAKE2+. Each side sends its own
// confirmation and compares the other's. The caller compares, in constant time.
type SPAKE2PKeys struct {
	CA [HashSize]byte // the prover's confirmation
	CB [HashSize]byte // the verifier's
	Ke [KeySize]byte  // the shared key
}

// Wipe erases k.
func (k *SPAKE2PKeys) Wipe() { *k = SPAKE2PKeys{} }

// SPAKE2PProver is the side that knows the passcode, the initiator of PASE (section
// 3.10). It is used for one exchange.
type SPAKE2PProver struct {
	w0, w1, x []byte
	share     [PublicKeySize]byte
}

// NewSPAKE2PProver begins an exchange with the passcode and the PBKDF parameters of
// the verifier: a salt of 16 to 32 octets, 1000 to 100000 iterations. Call Wipe at
// the end.
func NewSPAKE2PProver(rand io.Reader, passcode uint32, salt []byte, iterations int) (*SPAKE2PProver, error) {
	w0, w1, err := passcodeScalars(passcode, salt, iterations)
	if err != nil {
		return nil, err
	}
	x, err := randomScalar(rand)
	if err != nil {
		clear(w0)
		clear(w1)
		return nil, err
	}
	return newProver(w0, w1, x)
}

// newProver takes ownership of w0, w1 and x. All of them must be in 1..n-1.
func newProver(w0, w1, x []byte) (*SPAKE2PProver, error) {
	p := &SPAKE2PProver{w0: w0, w1: w1, x: x}
	var err error
	if p.share, err = blind(x, w0, pointM); err != nil {
		p.Wipe()
		return nil, err
	}
	return p, nil
}

// Share returns pA, 65 octets.
func (p *SPAKE2PProver) Share() [PublicKeySize]byte { return p.share }

// Finish computes the keys from the context and the verifier's share pB. It returns
// ErrPublicKey if the share is not on the curve or leads to the identity.
func (p *SPAKE2PProver) Finish(context, pB []byte) (SPAKE2PKeys, error) {
	y, err := unblind(pB, p.w0, pointN)
	if err != nil {
		return SPAKE2PKeys{}, err
	}
	z, err := nistec.NewP256Point().ScalarMult(y, p.x)
	if err != nil {
		return SPAKE2PKeys{}, fmt.Errorf("computing Z: %w", err)
	}
	v, err := nistec.NewP256Point().ScalarMult(y, p.w1)
	if err != nil {
		return SPAKE2PKeys{}, fmt.Errorf("computing V: %w", err)
	}
	t := transcript{context: context, x: p.share[:], y: pB, z: z.Bytes(), v: v.Bytes(), w0: p.w0}
	return t.keys()
}

// Wipe erases the secrets. p cannot be used after it.
func (p *SPAKE2PProver) Wipe() {
	clear(p.w0)
	clear(p.w1)
	clear(p.x)
}

// SPAKE2PVerifier is the side that knows the passcode's verifier, the responder of
// PASE (section 3.10). It is used for one exchange.
type SPAKE2PVerifier struct {
	w0, y []byte
	l     *nistec.P256Point
	share [PublicKeySize]byte
}

// NewSPAKE2PVerifier begins an exchange with a copy of the verifier v, which it
// checks as [ParseVerifier] does. Call Wipe at the end.
func NewSPAKE2PVerifier(rand io.Reader, v *Verifier) (*SPAKE2PVerifier, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	y, err := randomScalar(rand)
	if err != nil {
		return nil, err
	}
	return newVerifierSide(v, y)
}

// newVerifierSide takes ownership of y. Both y and v must be valid.
func newVerifierSide(v *Verifier, y []byte) (*SPAKE2PVerifier, error) {
	l, err := parsePoint(v.L[:])
	if err != nil {
		return nil, err
	}
	s := &SPAKE2PVerifier{w0: append([]byte(nil), v.W0[:]...), y: y, l: l}
	if s.share, err = blind(y, s.w0, pointN); err != nil {
		s.Wipe()
		return nil, err
	}
	return s, nil
}

// Share returns pB, 65 octets.
func (s *SPAKE2PVerifier) Share() [PublicKeySize]byte { return s.share }

// Finish computes the keys from the context and the prover's share pA. It returns
// ErrPublicKey if the share is not on the curve or leads to the identity.
func (s *SPAKE2PVerifier) Finish(context, pA []byte) (SPAKE2PKeys, error) {
	x, err := unblind(pA, s.w0, pointM)
	if err != nil {
		return SPAKE2PKeys{}, err
	}
	z, err := nistec.NewP256Point().ScalarMult(x, s.y)
	if err != nil {
		return SPAKE2PKeys{}, fmt.Errorf("computing Z: %w", err)
	}
	v, err := nistec.NewP256Point().ScalarMult(s.l, s.y)
	if err != nil {
		return SPAKE2PKeys{}, fmt.Errorf("computing V: %w", err)
	}
	t := transcript{context: context, x: pA, y: s.share[:], z: z.Bytes(), v: v.Bytes(), w0: s.w0}
	return t.keys()
}

// Wipe erases the secrets. s cannot be used after it.
func (s *SPAKE2PVerifier) Wipe() {
	clear(s.w0)
	clear(s.y)
	s.l = nistec.NewP256Point()
}

// blind returns k·P + w0·B, the share of the side with the random scalar k.
func blind(k, w0 []byte, b fixedPoint) (share [PublicKeySize]byte, err error) {
	p, err := nistec.NewP256Point().ScalarBaseMult(k)
	if err != nil {
		return share, fmt.Errorf("computing a share: %w", err)
	}
	m, err := nistec.NewP256Point().ScalarMult(b.P256Point, w0)
	if err != nil {
		return share, fmt.Errorf("computing a share: %w", err)
	}
	p.Add(p, m)
	if p.IsInfinity() == 1 {
		return share, errors.New("computing a share: it is the identity")
	}
	copy(share[:], p.Bytes())
	return share, nil
}

// unblind returns share − w0·B, which must not be the identity. Then Z and V are
// not the identity either, as scalars are not 0 and the group has prime order.
func unblind(share, w0 []byte, b fixedPoint) (*nistec.P256Point, error) {
	p, err := parsePoint(share)
	if err != nil {
		return nil, err
	}
	m, err := nistec.NewP256Point().ScalarMult(b.P256Point, w0)
	if err != nil {
		return nil, fmt.Errorf("unblinding a share: %w", err)
	}
	p.Add(p, m.Negate(m))
	if p.IsInfinity() == 1 {
		return nil, ErrPublicKey
	}
	return p, nil
}

// transcript is TT, from which the keys are derived. Matter leaves both identities
// empty; the published vectors do not.
type transcript struct {
	context, idProver, idVerifier []byte
	x, y, z, v, w0                []byte
}

func (t *transcript) hash() [HashSize]byte {
	h := sha256.New()
	for _, b := range [][]byte{t.context, t.idProver, t.idVerifier, pointM.encoded, pointN.encoded, t.x, t.y, t.z, t.v, t.w0} {
		writeWithLength(h, b)
	}
	return [HashSize]byte(h.Sum(nil))
}

func writeWithLength(h hash.Hash, b []byte) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
	h.Write(n[:])
	h.Write(b)
}

// keys implements the key schedule of the draft that Matter refers to, which
// differs from that of RFC 9383. It wipes Z and V.
func (t *transcript) keys() (SPAKE2PKeys, error) {
	var k SPAKE2PKeys
	defer clear(t.z)
	defer clear(t.v)
	main := t.hash()
	defer clear(main[:])
	ka, ke := main[:KeySize], main[KeySize:]
	var kc [2 * KeySize]byte
	defer clear(kc[:])
	if err := HKDF(kc[:], ka, nil, "ConfirmationKeys"); err != nil {
		return k, err
	}
	k.CA = confirm(kc[:KeySize], t.y)
	k.CB = confirm(kc[KeySize:], t.x)
	copy(k.Ke[:], ke)
	return k, nil
}

func confirm(key, share []byte) [HashSize]byte {
	m := hmac.New(sha256.New, key)
	m.Write(share)
	return [HashSize]byte(m.Sum(nil))
}
