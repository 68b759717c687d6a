package mcrypto

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
)

func mustKey(t testing.TB) *PrivateKey {
	t.Helper()
	k, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignAndVerify(t *testing.T) {
	k, msg := mustKey(t), []byte("a message")
	pub := k.Public()
	sig, err := k.Sign(rand.Reader, msg)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(pub[:], msg, sig[:]); err != nil {
		t.Fatal(err)
	}
	if err := Verify(pub[:], []byte("a massage"), sig[:]); !errors.Is(err, ErrSignature) {
		t.Errorf("other message: %v", err)
	}
	for i := range len(sig) * 8 {
		bad := sig
		bad[i/8] ^= 1 << (i % 8)
		if err := Verify(pub[:], msg, bad[:]); !errors.Is(err, ErrSignature) {
			t.Errorf("bit %d of the signature flipped: %v", i, err)
		}
	}
	for i := range len(pub) * 8 {
		bad := pub
		bad[i/8] ^= 1 << (i % 8)
		if err := Verify(bad[:], msg, sig[:]); err == nil {
			t.Errorf("bit %d of the public key flipped: accepted", i)
		}
	}
	for n := range sig {
		if err := Verify(pub[:], msg, sig[:n]); !errors.Is(err, ErrSignature) {
			t.Errorf("%d octets of signature: %v", n, err)
		}
	}
	if err := Verify(pub[:], msg, make([]byte, SignatureSize)); !errors.Is(err, ErrSignature) {
		t.Errorf("r = s = 0: %v", err)
	}
	other := mustKey(t).Public()
	if err := Verify(other[:], msg, sig[:]); !errors.Is(err, ErrSignature) {
		t.Errorf("other key: %v", err)
	}
}

func TestSharedSecret(t *testing.T) {
	a, b := mustKey(t), mustKey(t)
	pa, pb := a.Public(), b.Public()
	x, err := a.SharedSecret(pb[:])
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.SharedSecret(pa[:])
	if err != nil || x != y || x == ([ScalarSize]byte{}) {
		t.Errorf("%x and %x, %v", x, y, err)
	}
	for name, bad := range badPoints(t) {
		if s, err := a.SharedSecret(bad); !errors.Is(err, ErrPublicKey) || s != ([ScalarSize]byte{}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// badPoints are encodings that no operation may accept as a point.
func badPoints(t testing.TB) map[string][]byte {
	good := mustKey(t).Public()
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good[:])
		f(b)
		return b
	}
	return map[string][]byte{
		"empty":             {},
		"identity":          {0},
		"identity, padded":  make([]byte, PublicKeySize),
		"zero coordinates":  append([]byte{4}, make([]byte, 64)...),
		"compressed":        elliptic.MarshalCompressed(elliptic.P256(), new(big.Int).SetBytes(good[1:33]), new(big.Int).SetBytes(good[33:])),
		"hybrid form":       change(func(b []byte) { b[0] = 6 + b[64]&1 }),
		"compressed prefix": change(func(b []byte) { b[0] = 2 }),
		"off the curve":     change(func(b []byte) { b[64] ^= 1 }),
		"x is the field's prime": change(func(b []byte) {
			elliptic.P256().Params().P.FillBytes(b[1:33])
		}),
		"x above the field": change(func(b []byte) { copy(b[1:33], bytes.Repeat([]byte{0xFF}, 32)) }),
		"an octet short":    good[:64],
		"an octet long":     append(good[:], 0),
	}
}

func TestBadPointsRefused(t *testing.T) {
	k := mustKey(t)
	pub := k.Public()
	if err := CheckPublicKey(pub[:]); err != nil {
		t.Fatal(err)
	}
	sig, err := k.Sign(rand.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range badPoints(t) {
		if err := CheckPublicKey(bad); !errors.Is(err, ErrPublicKey) {
			t.Errorf("CheckPublicKey, %s: %v", name, err)
		}
		if err := Verify(bad, nil, sig[:]); !errors.Is(err, ErrPublicKey) {
			t.Errorf("Verify, %s: %v", name, err)
		}
		if _, err := CompressedFabricID(bad, 1); !errors.Is(err, ErrPublicKey) {
			t.Errorf("CompressedFabricID, %s: %v", name, err)
		}
	}
}

const orderHex = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"

func TestParsePrivateKey(t *testing.T) {
	k := mustKey(t)
	again, err := ParsePrivateKey(k.Scalar())
	if err != nil || again.Public() != k.Public() {
		t.Fatalf("round trip: %v", err)
	}
	below := unhex(t, orderHex)
	below[31]--
	for _, ok := range [][]byte{append(make([]byte, 31), 1), below} {
		if _, err := ParsePrivateKey(ok); err != nil {
			t.Errorf("%x: %v", ok, err)
		}
	}
	above := unhex(t, orderHex)
	above[31]++
	for _, bad := range [][]byte{nil, {1}, make([]byte, 32), unhex(t, orderHex), above, bytes.Repeat([]byte{0xFF}, 32), append(make([]byte, 32), 1)} {
		if _, err := ParsePrivateKey(bad); !errors.Is(err, ErrPrivateKey) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// Wiping the returned scalar does not change the key.
func TestScalarIsACopy(t *testing.T) {
	k := mustKey(t)
	clear(k.Scalar())
	if bytes.Equal(k.Scalar(), make([]byte, ScalarSize)) {
		t.Error("wiping the copy wiped the key")
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestGenerateKey(t *testing.T) {
	seed, err := hex.DecodeString("8b0f3f383905cf3a3bb955ef8fb62e24849dd349a05ca79aafb18041d30cbdb6")
	if err != nil {
		t.Fatal(err)
	}
	k, err := GenerateKey(bytes.NewReader(seed))
	if err != nil || !bytes.Equal(k.Scalar(), seed) {
		t.Errorf("the key is not what the source gave: %v", err)
	}
	// The first draw is out of range, so the next one is used.
	k, err = GenerateKey(bytes.NewReader(append(unhex(t, orderHex), seed...)))
	if err != nil || !bytes.Equal(k.Scalar(), seed) {
		t.Errorf("after a draw out of range: %v", err)
	}
	if _, err := GenerateKey(failingReader{}); err == nil {
		t.Error("a failing source was accepted")
	}
	if _, err := GenerateKey(bytes.NewReader(make([]byte, 1024))); err == nil {
		t.Error("a source of zeros was accepted")
	}
}

func BenchmarkSign(b *testing.B) {
	k, msg := mustKey(b), make([]byte, 500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Sign(rand.Reader, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	k, msg := mustKey(b), make([]byte, 500)
	pub := k.Public()
	sig, err := k.Sign(rand.Reader, msg)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := Verify(pub[:], msg, sig[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSharedSecret(b *testing.B) {
	k, peer := mustKey(b), mustKey(b).Public()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.SharedSecret(peer[:]); err != nil {
			b.Fatal(err)
		}
	}
}
