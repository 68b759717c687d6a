package casesession

import (
	"bytes"
	"crypto/rand"
	"hash"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/message"
)

// fork returns a copy of r, so that one handshake can be used for many messages.
func fork(t testing.TB, r *Responder) *Responder {
	t.Helper()
	c := *r
	if r.transcript != nil {
		h, err := r.transcript.(hash.Cloner).Clone()
		if err != nil {
			t.Fatal(err)
		}
		c.transcript = h
	}
	return &c
}

func forkInitiator(t testing.TB, i *Initiator) *Initiator {
	t.Helper()
	c := *i
	h, err := i.transcript.(hash.Cloner).Clone()
	if err != nil {
		t.Fatal(err)
	}
	c.transcript = h
	if i.cfg.Resume != nil {
		rec := *i.cfg.Resume
		c.cfg.Resume = &rec
	}
	return &c
}

func FuzzSigma1(f *testing.F) {
	w := newWorld(f, false)
	f.Add(w.mustRun(f).sigma1)
	f.Add(w.run(f, untouched, untouched, untouched).sigma1)
	f.Add([]byte{0x15, 0x18})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewResponder(w.responder)
		reply, opcode, err := r.Sigma1(b)
		if (err == nil) != (len(reply) > 0) || err == nil && opcode != message.OpcodeSigma2 && opcode != message.OpcodeSigma2Resume {
			t.Fatalf("%x, %d, %v", reply, opcode, err)
		}
		if m, perr := parseSigma1(b); perr == nil {
			again, err := parseSigma1(m.encode())
			if err != nil || !bytes.Equal(again.encode(), m.encode()) {
				t.Fatalf("%x is no fixed point: %v", m.encode(), err)
			}
		} else if err == nil {
			t.Fatal(perr)
		}
	})
}

func FuzzSigma2(f *testing.F) {
	w := newWorld(f, true)
	i := NewInitiator(w.initiator)
	s1, err := i.Start()
	if err != nil {
		f.Fatal(err)
	}
	s2, _, err := NewResponder(w.responder).Sigma1(s1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s2)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, res, err := forkInitiator(t, i).Sigma2(b); err == nil && !bytes.Equal(b, s2) || err != nil && res != (Result{}) {
			// Parameters, random and ids are part of the transcript, but only the
			// responder's check of Sigma3 detects a change; here the MIC must.
			m, perr := parseSigma2(b)
			want, werr := parseSigma2(s2)
			if perr != nil || werr != nil || !bytes.Equal(m.encrypted, want.encrypted) || !bytes.Equal(m.random, want.random) || !bytes.Equal(m.ephemeral, want.ephemeral) {
				t.Fatalf("%x: %+v, %v", b, res, err)
			}
		}
	})
}

func FuzzSigma3(f *testing.F) {
	w := newWorld(f, true)
	i, r := NewInitiator(w.initiator), NewResponder(w.responder)
	s1, err := i.Start()
	if err != nil {
		f.Fatal(err)
	}
	s2, _, err := r.Sigma1(s1)
	if err != nil {
		f.Fatal(err)
	}
	s3, _, err := i.Sigma2(s2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s3)
	f.Fuzz(func(t *testing.T, b []byte) {
		res, err := fork(t, r).Sigma3(b)
		if err == nil {
			m, perr := parseSigma3(b)
			want, werr := parseSigma3(s3)
			if perr != nil || werr != nil || !bytes.Equal(m, want) {
				t.Fatalf("%x: %+v", b, res)
			}
		} else if res != (Result{}) {
			t.Fatal(res)
		}
	})
}

func FuzzSigma2Resume(f *testing.F) {
	w := newWorld(f, false)
	w.mustRun(f)
	i := NewInitiator(w.initiator)
	s1, err := i.Start()
	if err != nil {
		f.Fatal(err)
	}
	reply, _, err := NewResponder(w.responder).Sigma1(s1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply)
	f.Fuzz(func(t *testing.T, b []byte) {
		res, err := forkInitiator(t, i).Sigma2Resume(b)
		m, perr := parseSigma2Resume(b)
		if perr == nil {
			again, err := parseSigma2Resume(m.encode())
			if err != nil || !bytes.Equal(again.encode(), m.encode()) {
				t.Fatalf("%x is no fixed point: %v", m.encode(), err)
			}
		}
		want, werr := parseSigma2Resume(reply)
		if err == nil && (perr != nil || werr != nil || !bytes.Equal(m.mic, want.mic) || !bytes.Equal(m.resumptionID, want.resumptionID)) || err != nil && res != (Result{}) {
			t.Fatalf("%x: %+v, %v", b, res, err)
		}
	})
}

// FuzzInnerPart covers the encrypted parts before their signature is verified.
func FuzzInnerPart(f *testing.F) {
	w := newWorld(f, true, 0xABCD0001)
	id := identity{root: w.controller.root, icac: w.controller.icac, noc: w.controller.noc, key: w.controller.key}
	own, other := newKey(f).Public(), newKey(f).Public()
	for _, resumptionID := range [][]byte{nil, make([]byte, ResumptionIDSize)} {
		good, err := id.prove(rand.Reader, own[:], other[:], resumptionID)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(good, resumptionID != nil)
	}
	device := identity{root: w.device.root, noc: w.device.noc}
	f.Fuzz(func(t *testing.T, b []byte, withResumption bool) {
		p, err := device.verify(b, own[:], other[:], withResumption, inTime)
		if err == nil && (p.node != controllerNode || p.cats != w.controller.noc.CATs()) || err != nil && p != (peer{}) {
			t.Fatalf("%x: %+v, %v", b, p, err)
		}
	})
}
