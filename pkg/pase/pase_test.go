package pase

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	testPasscode = 20202021
	initiatorID  = 0x1111
	responderID  = 0x2222
)

var testSalt = []byte("SPAKE2P Key Salt")

var testVerifier = sync.OnceValue(func() mcrypto.Verifier {
	v, err := mcrypto.NewVerifier(testPasscode, testSalt, mcrypto.MinIterations)
	if err != nil {
		panic(err)
	}
	return v
})

func responderConfig() ResponderConfig {
	p := message.LocalParameters()
	p.IdleInterval = 700 * time.Millisecond
	return ResponderConfig{
		Rand: rand.Reader, Verifier: testVerifier(), Salt: testSalt, Iterations: mcrypto.MinIterations,
		SessionID: responderID, Params: p,
	}
}

func initiatorConfig() InitiatorConfig {
	p := message.LocalParameters()
	p.ActiveInterval = 900 * time.Millisecond
	return InitiatorConfig{Rand: rand.Reader, Passcode: testPasscode, SessionID: initiatorID, Params: p}
}

// The messages in order; run numbers them from 0.
var messageNames = [...]string{"PBKDFParamRequest", "PBKDFParamResponse", "Pake1", "Pake2", "Pake3"}

// run drives both sides. change may alter message n in transit. It returns both
// results, or the side that failed and its error.
func run(i *Initiator, r *Responder, change func(n int, b []byte) []byte) (ri, rr Result, refused string, err error) {
	defer i.Wipe()
	defer r.Wipe()
	request, err := i.Start()
	if err != nil {
		return ri, rr, "initiator", err
	}
	response, err := r.PBKDFParamRequest(change(0, request))
	if err != nil {
		return ri, rr, "responder", err
	}
	pake1, err := i.PBKDFParamResponse(change(1, response))
	if err != nil {
		return ri, rr, "initiator", err
	}
	pake2, err := r.Pake1(change(2, pake1))
	if err != nil {
		return ri, rr, "responder", err
	}
	pake3, ri, err := i.Pake2(change(3, pake2))
	if err != nil {
		return ri, rr, "initiator", err
	}
	if rr, err = r.Pake3(change(4, pake3)); err != nil {
		return ri, rr, "responder", err
	}
	return ri, rr, "", nil
}

func unchanged(_ int, b []byte) []byte { return b }

func TestHandshake(t *testing.T) {
	for _, known := range []bool{false, true} {
		ic := initiatorConfig()
		if known {
			ic.PBKDF = &PBKDFParameters{Iterations: mcrypto.MinIterations, Salt: testSalt}
		}
		rc := responderConfig()
		sawSalt := false
		r := NewResponder(rc)
		ri, rr, _, err := run(NewInitiator(ic), r, func(n int, b []byte) []byte {
			if n == 1 {
				sawSalt = bytes.Contains(b, testSalt)
			}
			return b
		})
		if err != nil {
			t.Fatalf("parameters known %v: %v", known, err)
		}
		if sawSalt == known {
			t.Errorf("parameters known %v, sent %v", known, sawSalt)
		}
		if ri.I2R != rr.I2R || ri.R2I != rr.R2I || ri.AttestationChallenge != rr.AttestationChallenge {
			t.Error("the keys differ")
		}
		if ri.I2R == ri.R2I || ri.I2R == ri.AttestationChallenge || ri.I2R == ([16]byte{}) {
			t.Error("the keys are not three")
		}
		if ri.PeerSessionID != responderID || rr.PeerSessionID != initiatorID {
			t.Errorf("session ids %#x and %#x", ri.PeerSessionID, rr.PeerSessionID)
		}
		if ri.PeerParams != rc.Params || rr.PeerParams != ic.Params || r.PeerParams() != ic.Params {
			t.Errorf("parameters %+v and %+v", ri.PeerParams, rr.PeerParams)
		}
	}
}

func TestTwoHandshakesDiffer(t *testing.T) {
	a, _, _, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), unchanged)
	if err != nil {
		t.Fatal(err)
	}
	b, _, _, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), unchanged)
	if err != nil {
		t.Fatal(err)
	}
	if a.I2R == b.I2R {
		t.Error("the same keys twice")
	}
}

func TestWrongPasscode(t *testing.T) {
	ic := initiatorConfig()
	ic.Passcode++
	_, _, refused, err := run(NewInitiator(ic), NewResponder(responderConfig()), unchanged)
	if refused != "initiator" || !errors.Is(err, ErrPasscode) {
		t.Errorf("%s: %v", refused, err)
	}
	if strings.Contains(err.Error(), fmt.Sprint(ic.Passcode)) {
		t.Error("the error contains the passcode")
	}
}

// An initiator that continues without the passcode is detected by its confirmation.
func TestGuessedConfirmation(t *testing.T) {
	_, _, refused, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), func(n int, b []byte) []byte {
		if n == 4 {
			return encodePake(make([]byte, mcrypto.HashSize))
		}
		return b
	})
	if refused != "responder" || !errors.Is(err, ErrPasscode) {
		t.Errorf("%s: %v", refused, err)
	}
}

// No single change of any message lets both sides succeed.
func TestEveryBitFlip(t *testing.T) {
	for n, name := range messageNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			size := 1
			for bit := 0; bit < size*8; bit++ {
				_, rr, _, err := run(NewInitiator(knownConfig()), NewResponder(responderConfig()), func(m int, b []byte) []byte {
					if m != n {
						return b
					}
					size = len(b)
					b = bytes.Clone(b)
					b[bit/8] ^= 1 << (bit % 8)
					return b
				})
				if err == nil {
					t.Errorf("bit %d flipped, and the handshake succeeded", bit)
				}
				if rr != (Result{}) {
					t.Errorf("bit %d flipped: a result beside an error", bit)
				}
			}
		})
	}
}

// knownConfig only makes the response shorter. The long form is covered by
// TestEveryTruncation and the fuzz targets.
func knownConfig() InitiatorConfig {
	c := initiatorConfig()
	c.PBKDF = &PBKDFParameters{Iterations: mcrypto.MinIterations, Salt: testSalt}
	return c
}

func TestEveryTruncation(t *testing.T) {
	for n, name := range messageNames {
		size := 1
		for cut := 0; cut < size; cut++ {
			_, _, _, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), func(m int, b []byte) []byte {
				if m != n {
					return b
				}
				size = len(b)
				return b[:cut]
			})
			if err == nil || !strings.HasPrefix(err.Error(), name+":") {
				t.Errorf("%s cut to %d octets: %v", name, cut, err)
			}
		}
		_, _, _, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), func(m int, b []byte) []byte {
			if m == n {
				return append(bytes.Clone(b), 0x18)
			}
			return b
		})
		if err == nil {
			t.Errorf("%s with an octet more was accepted", name)
		}
	}
}

// edit rewrites a message field by field. put returns false to omit the original
// field. extra writes additional fields at the end.
func edit(b []byte, put func(w *tlv.Writer, tag int) bool, extra func(w *tlv.Writer)) []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		if put == nil || put(w, r.ContextTag()) {
			w.Element(r.Tag(), r.Element())
		}
	}
	if extra != nil {
		extra(w)
	}
	w.End()
	return w.Bytes()
}

func TestResponderOrder(t *testing.T) {
	request, err := NewInitiator(initiatorConfig()).Start()
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]func(r *Responder) error{
		"request": func(r *Responder) error { _, err := r.PBKDFParamRequest(request); return err },
		"pake1":   func(r *Responder) error { _, err := r.Pake1(nil); return err },
		"pake3":   func(r *Responder) error { _, err := r.Pake3(nil); return err },
	}
	for _, seq := range [][]string{
		{"pake1"},
		{"pake3"},
		{"request", "request"},
		{"request", "pake3"},
		{"request", "pake1", "pake1"}, // a failed step cannot be repeated
		{"pake1", "request"},
	} {
		r := NewResponder(responderConfig())
		var err error
		for _, s := range seq {
			err = steps[s](r)
		}
		if !errors.Is(err, errOrder) {
			t.Errorf("%v: %v", seq, err)
		}
		if r.cfg.Verifier != (mcrypto.Verifier{}) {
			t.Errorf("%v: the verifier is left after an error", seq)
		}
	}
}

func TestInitiatorOrder(t *testing.T) {
	for name, f := range map[string]func(i *Initiator) error{
		"response first": func(i *Initiator) error { _, err := i.PBKDFParamResponse(nil); return err },
		"pake2 first":    func(i *Initiator) error { _, _, err := i.Pake2(nil); return err },
		"start twice": func(i *Initiator) error {
			if _, err := i.Start(); err != nil {
				return err
			}
			_, err := i.Start()
			return err
		},
		"pake2 after start": func(i *Initiator) error {
			if _, err := i.Start(); err != nil {
				return err
			}
			_, _, err := i.Pake2(nil)
			return err
		},
	} {
		if err := f(NewInitiator(initiatorConfig())); !errors.Is(err, errOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWipe(t *testing.T) {
	r := NewResponder(responderConfig())
	r.Wipe()
	if r.cfg.Verifier != (mcrypto.Verifier{}) {
		t.Error("the verifier is left")
	}
	if _, err := r.PBKDFParamRequest(nil); !errors.Is(err, errOrder) {
		t.Errorf("a wiped responder goes on: %v", err)
	}
	res := Result{I2R: [16]byte{1}, R2I: [16]byte{2}, AttestationChallenge: [16]byte{3}}
	res.Wipe()
	if res != (Result{}) {
		t.Error("keys are left")
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestNoRandomness(t *testing.T) {
	ic, rc := initiatorConfig(), responderConfig()
	ic.Rand = failingReader{}
	if _, err := NewInitiator(ic).Start(); err == nil {
		t.Error("the initiator went on")
	}
	rc.Rand = failingReader{}
	if _, _, refused, err := run(NewInitiator(initiatorConfig()), NewResponder(rc), unchanged); refused != "responder" || err == nil {
		t.Errorf("%s: %v", refused, err)
	}
}

func BenchmarkResponder(b *testing.B) {
	rc := responderConfig()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		i, r := NewInitiator(initiatorConfig()), NewResponder(rc)
		request, err := i.Start()
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		response, err := r.PBKDFParamRequest(request)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		pake1, err := i.PBKDFParamResponse(response)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		pake2, err := r.Pake1(pake1)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		pake3, _, err := i.Pake2(pake2)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := r.Pake3(pake3); err != nil {
			b.Fatal(err)
		}
	}
}
