package server_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"filippo.io/nistec"
	"github.com/opcredsd/opcredsd/internal/commissioner"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/pase"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// begun is a CASE handshake in progress.
type begun struct {
	in     *casesession.Initiator
	sigma1 []byte
}

func startCASE(a *commissioner.Authority, node matter.NodeID) (b begun, err error) {
	b.in = casesession.NewInitiator(a.Initiator(0xBEE, node, nil))
	b.sigma1, err = b.in.Start()
	return b, err
}

// with inserts elements before the end of a structure.
func with(structure []byte, elements ...byte) []byte {
	return slices.Concat(structure[:len(structure)-1], elements, []byte{0x18})
}

// octets16 returns an octet string of 16 octets with a context tag.
func octets16(tag byte) []byte { return append([]byte{0x30, tag, 16}, make([]byte, 16)...) }

// A Sigma1 must have both resumption fields or neither.
func TestOnlyOneOfTheResumptionFields(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := r.stranger(1)
		sigma1 := r.sigma1(a, done.Node)
		for _, tt := range []struct {
			name string
			b    []byte
			want uint8
		}{
			{"none", sigma1, message.OpcodeSigma2},
			{"both, of a session that nobody knows", with(with(sigma1, octets16(6)...), octets16(7)...), message.OpcodeSigma2},
			{"only the id", with(sigma1, octets16(6)...), message.OpcodeStatusReport},
			{"only the MIC", with(sigma1, octets16(7)...), message.OpcodeStatusReport},
			{"an id of no length", with(with(sigma1, 0x30, 6, 0), octets16(7)...), message.OpcodeStatusReport},
			{"a MIC that is too short", with(with(sigma1, octets16(6)...), 0x30, 7, 1, 0), message.OpcodeStatusReport},
		} {
			s.begin()
			p, body, ok := s.ask(message.OpcodeSigma1, tt.b)
			if !ok || p.Opcode != tt.want {
				t.Errorf("%s: opcode %02x, %v", tt.name, p.Opcode, ok)
			}
			if p.Opcode == message.OpcodeStatusReport {
				if rep, err := message.ParseStatusReport(body); err != nil || rep.General != message.GeneralFailure || rep.Code != message.CodeInvalidParameter {
					t.Errorf("%s: %v, %v", tt.name, &rep, err)
				}
			}
			s.ack()
		}
		r.connectsWithin(time.Second, c, a, done.Node)
	})
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// badPoints are octets that are not a usable point of the curve.
func badPoints(t *testing.T) map[string][]byte {
	t.Helper()
	key, err := mcrypto.ParsePrivateKey(append(make([]byte, 31), 5))
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public()
	good := pub[:]
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	prime := unhex(t, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
	return map[string][]byte{
		"all zero":               make([]byte, 65),
		"0 and 0":                append([]byte{4}, make([]byte, 64)...),
		"off the curve":          change(func(b []byte) { b[64] ^= 1 }),
		"x beyond the field":     change(func(b []byte) { copy(b[1:], bytes.Repeat([]byte{0xFF}, 32)) }),
		"x is the prime":         change(func(b []byte) { copy(b[1:], prime) }),
		"y is the prime":         change(func(b []byte) { copy(b[33:], prime) }),
		"compressed":             change(func(b []byte) { b[0] = 2 }),
		"hybrid":                 change(func(b []byte) { b[0] = 6 }),
		"no prefix":              change(func(b []byte) { b[0] = 0 }),
		"the identity":           {0},
		"short":                  good[:64],
		"long":                   append(bytes.Clone(good), 0),
		"of no length":           {},
		"compressed and shorter": append([]byte{2}, good[1:33]...),
	}
}

// octetString returns an octet string of up to 255 octets with a context tag.
func octetString(tag byte, b []byte) []byte {
	return append([]byte{0x30, tag, byte(len(b))}, b...)
}

// Points that are not on the curve, zeros and the identity in Sigma1 are rejected
// before any computation, and nothing is left of the handshake.
func TestInvalidPointsInCASE(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := r.stranger(1)
		sigma1 := r.sigma1(a, done.Node)
		at := bytes.Index(sigma1, []byte{0x30, 4, 65, 4})
		if at < 0 {
			t.Fatalf("no ephemeral key in %x", sigma1)
		}
		for name, point := range badPoints(t) {
			s.begin()
			b := slices.Concat(sigma1[:at], octetString(4, point), sigma1[at+3+65:])
			s.wantReport(name, message.OpcodeSigma1, b, message.GeneralFailure, message.CodeInvalidParameter)
		}
		if i := r.inspect(); i.CASE != 1 {
			t.Errorf("%d sessions", i.CASE)
		}
		r.connectsWithin(time.Second, c, a, done.Node)
	})
}

// A certificate whose key is not a point does not open a session, even with a
// trusted issuer.
func TestInvalidPointsInCertificates(t *testing.T) {
	points := badPoints(t)
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{ICAC: true})
		done := r.commission(c, a)
		s := r.stranger(1)
		for name, point := range points {
			if len(point) != mcrypto.PublicKeySize {
				continue // it does not fit into a certificate
			}
			bad := func(x *cert.Certificate) { x.PublicKey = [mcrypto.PublicKeySize]byte(point) }
			for _, which := range []string{"NOC", "ICAC"} {
				cfg := a.Initiator(0xBEE, done.Node, nil)
				var err error
				if which == "NOC" {
					cfg.NOC, err = a.Reissue(cfg.NOC, bad)
				} else {
					cfg.ICAC, err = a.Reissue(cfg.ICAC, bad)
				}
				r.must(err)
				in := casesession.NewInitiator(cfg)
				sigma1, err := in.Start()
				r.must(err)
				s.begin()
				_, sigma2, ok := s.ask(message.OpcodeSigma1, sigma1)
				if !ok {
					t.Fatal("no answer")
				}
				sigma3, _, err := in.Sigma2(sigma2)
				r.must(err)
				s.wantReport(which+": "+name, message.OpcodeSigma3, sigma3, message.GeneralFailure, message.CodeInvalidParameter)
			}
		}
		if i := r.inspect(); i.CASE != 1 {
			t.Errorf("%d sessions", i.CASE)
		}
		r.connectsWithin(time.Second, c, a, done.Node)
	})
}

// The same for PASE, with the one point that makes the shared value the identity,
// for an attacker who knows w0. Each attempt counts.
func TestInvalidPointsInPASE(t *testing.T) {
	points := badPoints(t)
	bubble(t, 1, clean, func(r *rig) {
		s := r.stranger(1)
		attempts := 0
		try := func(name string, point []byte) {
			t.Helper()
			s.begin()
			request, err := pase.NewInitiator(pase.InitiatorConfig{Rand: zeros{}, Passcode: passcode, SessionID: 5, Params: message.DefaultParameters()}).Start()
			r.must(err)
			p, response, ok := s.ask(message.OpcodePBKDFParamRequest, request)
			if !ok || p.Opcode != message.OpcodePBKDFParamResponse {
				t.Fatalf("%s: opcode %02x, %v", name, p.Opcode, ok)
			}
			if point == nil {
				point = shareOfTheIdentity(t, response)
			}
			pake1 := slices.Concat([]byte{0x15}, octetString(1, point), []byte{0x18})
			s.wantReport(name, message.OpcodePake1, pake1, message.GeneralFailure, message.CodeInvalidParameter)
			attempts++
			if i := r.inspect(); i.Failures != attempts || i.PASE != 0 {
				t.Errorf("%s: %d failures after %d attempts, %d sessions", name, i.Failures, attempts, i.PASE)
			}
		}
		for name, point := range points {
			try(name, point)
		}
		try("w0 times M", nil)
		r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
	})
}

// shareOfTheIdentity returns the pA for x = 0.
func shareOfTheIdentity(t *testing.T, response []byte) []byte {
	t.Helper()
	var salt []byte
	iterations := 0
	rd := tlv.NewReader(response)
	for rd.EnterStruct(); rd.Next(); {
		if rd.ContextTag() != 4 {
			continue
		}
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				iterations = int(rd.Uint32())
			case 2:
				salt = rd.Octets()
			}
		}
		rd.Exit()
	}
	v, err := mcrypto.NewVerifier(passcode, salt, iterations)
	if err != nil {
		t.Fatal(err)
	}
	verifier := v.Bytes()
	m, err := nistec.NewP256Point().SetBytes(unhex(t, "04886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f5ff355163e43ce224e0b0e65ff02ac8e5c7be09419c785e0ca547d55a12e2d20"))
	if err != nil {
		t.Fatal(err)
	}
	if m, err = m.ScalarMult(m, verifier[:32]); err != nil {
		t.Fatal(err)
	}
	return m.Bytes()
}

// zeros is a random source that returns zeros.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Weak parameters of PBKDF2 are rejected, by a commissioner that receives them and
// by a node that must open a window with them.
func TestWeakPBKDFParameters(t *testing.T) {
	weak := []struct {
		iterations int
		salt       int
	}{
		{0, 32}, {1, 32}, {999, 32}, {100_001, 32}, {1<<31 - 1, 32}, {1000, 0}, {1000, 15}, {1000, 33},
	}
	for _, tt := range weak {
		in := pase.NewInitiator(pase.InitiatorConfig{Rand: zeros{}, Passcode: passcode, SessionID: 5, Params: message.DefaultParameters()})
		if _, err := in.Start(); err != nil {
			t.Fatal(err)
		}
		w := tlv.NewWriter(nil)
		w.StartStruct(tlv.Anonymous)
		w.Octets(tlv.Context(1), make([]byte, 32))
		w.Octets(tlv.Context(2), make([]byte, 32))
		w.Uint(tlv.Context(3), 7)
		w.StartStruct(tlv.Context(4))
		w.Uint(tlv.Context(1), uint64(tt.iterations))
		w.Octets(tlv.Context(2), make([]byte, tt.salt))
		w.End()
		w.End()
		if _, err := in.PBKDFParamResponse(w.Bytes()); err == nil {
			t.Errorf("a commissioner takes %d iterations and %d octets of salt", tt.iterations, tt.salt)
		}
	}
	bubble(t, 1, clean, func(r *rig) {
		done := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
		v, err := mcrypto.NewVerifier(passcode, make([]byte, 32), 1000)
		r.must(err)
		verifier := v.Bytes()
		open := func(verifier []byte, iterations, salt int) string {
			_, err := done.CASE.InvokeTimed(r.ctx, 0, clWindow, 0, args(0, 180, 1, verifier, 2, 3840, 3, iterations, 4, make([]byte, salt)), 5*time.Second)
			return outcome(err)
		}
		for _, tt := range weak {
			if got := open(verifier[:], tt.iterations, tt.salt); got != pakeParameter && got != constraintError {
				t.Errorf("window with %d iterations and %d octets of salt: %s", tt.iterations, tt.salt, got)
			}
		}
		for name, point := range badPoints(t) {
			if got := open(append(bytes.Clone(verifier[:32]), point...), 1000, 32); got != pakeParameter && got != constraintError {
				t.Errorf("window with a verifier whose L is %s: %s", name, got)
			}
		}
		if got := open(append(make([]byte, 32), verifier[32:]...), 1000, 32); got != pakeParameter {
			t.Errorf("window with a w0 of zero: %s", got)
		}
		if r.inspect().WindowOpen {
			t.Error("a window is open")
		}
		r.want("a good one", open(verifier[:], 1000, 16), ok)
	})
}

// Numbers that must be unique are never reused, even if an old store is restored.
// The node sends no messages to groups and has no group counter. Its event numbers
// come from the same kind of counter in the store.
func TestGroupCounterNeverGoesBack(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		highest := func() (n matter.EventNumber) {
			s := r.session(c, a, done.Node)
			rep, err := s.Read(r.ctx, commissioner.ReadRequest{Events: []commissioner.Path{{}}})
			r.must(err)
			for _, e := range rep.Events {
				n = max(n, e.Number)
			}
			s.Forget()
			return n
		}
		path := r.dir + "/" + store.FileName
		r.stop()
		old, err := os.ReadFile(path)
		r.must(err)
		last := matter.EventNumber(0)
		for range 3 {
			r.start()
			if n := highest(); n <= last {
				t.Errorf("event %d after %d", n, last)
			} else {
				last = n
			}
			r.stop()
		}
		var before uint64
		counter := func() (n uint64) {
			st, err := store.Open(path, store.Options{})
			r.must(err)
			defer st.Close()
			first, err := st.Reserve("group", 1000)
			r.must(err)
			return first
		}
		for range 3 {
			before = counter()
		}
		r.must(store.Restore(path, bytes.NewReader(old), store.Options{}))
		if n := counter(); n < before+1000 {
			t.Errorf("a counter stands at %d after a restore, at %d before", n, before)
		}
		r.start()
		if n := highest(); n <= last {
			t.Errorf("event %d after a restore, %d before", n, last)
		}
	})
}

// Guessing uses up a window: 20 wrong passcodes close it, from however many hosts,
// and the right one is then too late.
func TestGuessing(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		for i := range 20 {
			if _, err := r.client().PASE(r.ctx, deviceAddr, passcode+1+uint32(i)); err == nil {
				t.Fatal("a wrong passcode opens a session")
			}
		}
		ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
		defer cancel()
		if _, err := r.client().PASE(ctx, deviceAddr, passcode); err == nil {
			t.Error("the window is open after 20 attempts")
		}
		if r.inspect().WindowOpen || len(r.announced.of("_matterc._udp")) != 0 {
			t.Error("the window is open, or announced")
		}
	})
}

// An unfinished PASE handshake blocks others for a minute at most.
func TestUnfinishedPASE(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.stranger(1)
		s.begin()
		request, err := pase.NewInitiator(pase.InitiatorConfig{Rand: zeros{}, Passcode: passcode, SessionID: 5, Params: message.DefaultParameters()}).Start()
		r.must(err)
		if _, _, ok := s.ask(message.OpcodePBKDFParamRequest, request); !ok {
			t.Fatal("no answer")
		}
		s.ack()
		ctx, cancel := context.WithTimeout(r.ctx, 20*time.Second)
		defer cancel()
		if _, err := r.client().PASE(ctx, deviceAddr, passcode); err == nil {
			t.Error("two at a time")
		} else if errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
	})
}
