package mcrypto

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"

	"filippo.io/nistec"
)

type spakeVector struct {
	Name            string
	Context         string `json:"context_ascii"`
	IDProver        string `json:"idProver_ascii"`
	IDVerifier      string `json:"idVerifier_ascii"`
	W0, W1, L       hexBytes
	X1              hexBytes `json:"x"`
	X               hexBytes `json:"X"`
	Y1              hexBytes `json:"y"`
	Y               hexBytes `json:"Y"`
	Z, V, Ka, Ke    hexBytes
	KcA, KcB        hexBytes
	CA              hexBytes `json:"cA"`
	CB              hexBytes `json:"cB"`
	Passcode        uint32
	Salt            hexBytes
	Iterations      int
	Verifier        hexBytes `json:"verifier_w0_L"`
	Prefix          hexBytes
	Request         hexBytes `json:"pbkdfParamRequest"`
	Response        hexBytes `json:"pbkdfParamResponse"`
	CapturedContext hexBytes `json:"context"`
}

// With the published scalars both sides compute the published shares and agree.
// With the published identities the transcript gives the published keys.
func TestSPAKE2PVectors(t *testing.T) {
	n := 0
	for _, v := range loadVectors[spakeVector](t, "spake2p.json") {
		if v.KcA == nil {
			continue
		}
		n++
		p, s := sides(t, v)
		if got := p.Share(); !bytes.Equal(got[:], v.X) {
			t.Errorf("%s: X %x, want %x", v.Name, got, v.X)
		}
		if got := s.Share(); !bytes.Equal(got[:], v.Y) {
			t.Errorf("%s: Y %x, want %x", v.Name, got, v.Y)
		}
		tt := transcript{
			context: []byte(v.Context), idProver: []byte(v.IDProver), idVerifier: []byte(v.IDVerifier),
			x: v.X, y: v.Y, z: v.Z, v: v.V, w0: v.W0,
		}
		if h := tt.hash(); !bytes.Equal(h[:], append(bytes.Clone(v.Ka), v.Ke...)) {
			t.Errorf("%s: Ka and Ke %x, want %x %x", v.Name, h, v.Ka, v.Ke)
		}
		k, err := tt.keys()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.CA[:], v.CA) || !bytes.Equal(k.CB[:], v.CB) || !bytes.Equal(k.Ke[:], v.Ke) {
			t.Errorf("%s: cA %x cB %x Ke %x, want %x %x %x", v.Name, k.CA, k.CB, k.Ke, v.CA, v.CB, v.Ke)
		}
		if v.IDProver != "" || v.IDVerifier != "" {
			continue
		}
		kp, err := p.Finish([]byte(v.Context), v.Y)
		if err != nil || kp != k {
			t.Errorf("%s: the prover differs: %v", v.Name, err)
		}
		ks, err := s.Finish([]byte(v.Context), v.X)
		if err != nil || ks != k {
			t.Errorf("%s: the verifier differs: %v", v.Name, err)
		}
	}
	if n != 4 {
		t.Errorf("%d vectors", n)
	}
}

func sides(t *testing.T, v spakeVector) (*SPAKE2PProver, *SPAKE2PVerifier) {
	t.Helper()
	p, err := newProver(bytes.Clone(v.W0), bytes.Clone(v.W1), bytes.Clone(v.X1))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newVerifierSide(&Verifier{W0: [32]byte(v.W0), L: [65]byte(v.L)}, bytes.Clone(v.Y1))
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

func TestVerifierVector(t *testing.T) {
	n := 0
	for _, v := range loadVectors[spakeVector](t, "spake2p.json") {
		if v.Verifier == nil {
			continue
		}
		n++
		ver, err := NewVerifier(v.Passcode, v.Salt, v.Iterations)
		if err != nil {
			t.Fatal(err)
		}
		if b := ver.Bytes(); !bytes.Equal(b[:], v.Verifier) {
			t.Errorf("%s: %x, want %x", v.Name, b, v.Verifier)
		}
		again, err := ParseVerifier(v.Verifier)
		if err != nil || again != ver {
			t.Errorf("%s: parsed %v", v.Name, err)
		}
		again.Wipe()
		if again != (Verifier{}) {
			t.Error("Wipe left something")
		}
	}
	if n != 1 {
		t.Errorf("%d vectors", n)
	}
}

// The context hash of a captured exchange, as package pase computes it.
func TestContextVector(t *testing.T) {
	n := 0
	for _, v := range loadVectors[spakeVector](t, "spake2p.json") {
		if v.CapturedContext == nil {
			continue
		}
		n++
		h := sha256.New()
		h.Write(v.Prefix)
		h.Write(v.Request)
		h.Write(v.Response)
		if !bytes.Equal(h.Sum(nil), v.CapturedContext) {
			t.Error(v.Name)
		}
	}
	if n != 1 {
		t.Errorf("%d vectors", n)
	}
}

func TestSPAKE2PAgrees(t *testing.T) {
	salt := []byte("SPAKE2P Key Salt")
	ver, err := NewVerifier(20202021, salt, MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		passcode       uint32
		contextP, want string
		agree          bool
	}{
		{"same passcode", 20202021, "c", "c", true},
		{"wrong passcode", 20202022, "c", "c", false},
		{"other context", 20202021, "c", "d", false},
	} {
		p, err := NewSPAKE2PProver(rand.Reader, c.passcode, salt, MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSPAKE2PVerifier(rand.Reader, &ver)
		if err != nil {
			t.Fatal(err)
		}
		pA, pB := p.Share(), s.Share()
		kp, err := p.Finish([]byte(c.contextP), pB[:])
		if err != nil {
			t.Fatal(err)
		}
		ks, err := s.Finish([]byte(c.want), pA[:])
		if err != nil {
			t.Fatal(err)
		}
		if (kp.CA == ks.CA) != c.agree || (kp.CB == ks.CB) != c.agree || (kp.Ke == ks.Ke) != c.agree {
			t.Errorf("%s: %+v and %+v", c.name, kp, ks)
		}
	}
}

func TestSPAKE2PRefusesShares(t *testing.T) {
	v := loadVectors[spakeVector](t, "spake2p.json")[3]
	p, s := sides(t, v)
	bad := badPoints(t)
	// A share that is only the blinding leaves the identity.
	for name, b := range map[string]fixedPoint{"w0·M": pointM, "w0·N": pointN} {
		q, err := nistec.NewP256Point().ScalarMult(b.P256Point, v.W0)
		if err != nil {
			t.Fatal(err)
		}
		bad[name] = q.Bytes()
	}
	for name, b := range bad {
		if name != "w0·M" {
			if k, err := p.Finish(nil, b); !errors.Is(err, ErrPublicKey) || k != (SPAKE2PKeys{}) {
				t.Errorf("prover, %s: %v", name, err)
			}
		}
		if name != "w0·N" {
			if k, err := s.Finish(nil, b); !errors.Is(err, ErrPublicKey) || k != (SPAKE2PKeys{}) {
				t.Errorf("verifier, %s: %v", name, err)
			}
		}
	}
}

func TestVerifierRefuses(t *testing.T) {
	ver, err := NewVerifier(20202021, []byte("SPAKE2P Key Salt"), MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	good := ver.Bytes()
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good[:])
		f(b)
		return b
	}
	for name, b := range map[string][]byte{
		"empty":            nil,
		"short":            good[:96],
		"long":             append(good[:], 0),
		"w0 is 0":          change(func(b []byte) { clear(b[:32]) }),
		"w0 is the order":  change(func(b []byte) { copy(b, unhex(t, orderHex)) }),
		"L off the curve":  change(func(b []byte) { b[96] ^= 1 }),
		"L is no point":    change(func(b []byte) { clear(b[32:]) }),
		"L in hybrid form": change(func(b []byte) { b[32] = 6 + b[96]&1 }),
	} {
		if _, err := ParseVerifier(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if len(b) == VerifierSize {
			v := Verifier{W0: [32]byte(b), L: [65]byte(b[32:])}
			if _, err := NewSPAKE2PVerifier(rand.Reader, &v); err == nil {
				t.Errorf("%s: NewSPAKE2PVerifier accepted it", name)
			}
		}
	}
}

func TestPBKDFBounds(t *testing.T) {
	for _, c := range []struct {
		passcode   uint32
		salt, iter int
		ok         bool
	}{
		{20202021, 16, 1000, true},
		{20202021, 32, 1000, true},
		{20202021, 15, 1000, false},
		{20202021, 33, 1000, false},
		{20202021, 0, 1000, false},
		{20202021, 16, 999, false},
		{20202021, 16, 100_001, false},
		{20202021, 16, -1, false},
		{0, 16, 1000, false},
		{12345678, 16, 1000, false},
		{99999999, 16, 1000, false},
	} {
		if _, err := NewVerifier(c.passcode, make([]byte, c.salt), c.iter); (err == nil) != c.ok {
			t.Errorf("NewVerifier %+v: %v", c, err)
		}
		if !PasscodeValid(c.passcode) {
			continue // a prover uses what the user typed
		}
		if _, err := NewSPAKE2PProver(rand.Reader, c.passcode, make([]byte, c.salt), c.iter); (err == nil) != c.ok {
			t.Errorf("NewSPAKE2PProver %+v: %v", c, err)
		}
	}
}

func TestPasscodeValid(t *testing.T) {
	for _, p := range []uint32{1, 20202021, 99999998, 12345679, 11111112} {
		if !PasscodeValid(p) {
			t.Errorf("%08d is refused", p)
		}
	}
	for _, p := range []uint32{0, 11111111, 22222222, 33333333, 44444444, 55555555, 66666666, 77777777, 88888888, 99999999, 12345678, 87654321, 100000000, 1 << 27, 1<<32 - 1} {
		if PasscodeValid(p) {
			t.Errorf("%08d is accepted", p)
		}
	}
}

// Reduction against values whose residue is known.
func TestReduce(t *testing.T) {
	n := unhex(t, orderHex)
	pad := func(b []byte) []byte { return append(make([]byte, wSize-len(b)), b...) }
	one := append(make([]byte, 31), 1)
	plus := bytes.Clone(n)
	plus[31]++
	shifted := append(bytes.Clone(n), make([]byte, 8)...) // n·2^64
	for _, c := range []struct{ in, want []byte }{
		{make([]byte, wSize), make([]byte, 32)},
		{pad(one), one},
		{pad(n), make([]byte, 32)},
		{pad(plus), one},
		{shifted, make([]byte, 32)},
	} {
		if got := reduce(c.in); !bytes.Equal(got, c.want) {
			t.Errorf("%x: %x, want %x", c.in, got, c.want)
		}
	}
}

func TestSPAKE2PWipe(t *testing.T) {
	v := loadVectors[spakeVector](t, "spake2p.json")[3]
	p, s := sides(t, v)
	p.Wipe()
	s.Wipe()
	zero := make([]byte, ScalarSize)
	for _, b := range [][]byte{p.w0, p.w1, p.x, s.w0, s.y} {
		if !bytes.Equal(b, zero) {
			t.Error("a secret is left")
		}
	}
	if s.l.IsInfinity() != 1 {
		t.Error("L is left")
	}
}

// A hostile share leads to keys that nobody knows or to ErrPublicKey.
func FuzzSPAKE2PShare(f *testing.F) {
	ver, err := NewVerifier(20202021, []byte("SPAKE2P Key Salt"), MinIterations)
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewSPAKE2PVerifier(rand.Reader, &ver)
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range badPoints(f) {
		f.Add(b)
	}
	f.Add(pointM.encoded)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := s.Finish(nil, b)
		if onCurve := CheckPublicKey(b) == nil; onCurve != (err == nil) {
			t.Errorf("on the curve %v, but %v", onCurve, err)
		}
	})
}

func BenchmarkVerifierFinish(b *testing.B) {
	ver, err := NewVerifier(20202021, []byte("SPAKE2P Key Salt"), MinIterations)
	if err != nil {
		b.Fatal(err)
	}
	peer := mustKey(b).Public()
	b.ReportAllocs()
	for b.Loop() {
		s, err := NewSPAKE2PVerifier(rand.Reader, &ver)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Finish(nil, peer[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewVerifier(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewVerifier(20202021, []byte("SPAKE2P Key Salt"), MinIterations); err != nil {
			b.Fatal(err)
		}
	}
}
