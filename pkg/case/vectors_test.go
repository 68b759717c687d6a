package casesession

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// No transcript of a handshake with its keys is published. This test derives the
// keys again from the messages and the random octets alone, with the formulas of
// the specification.

func derive(t *testing.T, ikm []byte, info string, n int, salt ...[]byte) []byte {
	t.Helper()
	k, err := hkdf.Key(sha256.New, ikm, slices.Concat(salt...), info, n)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func hash256(b ...[]byte) []byte {
	h := sha256.Sum256(slices.Concat(b...))
	return h[:]
}

func decrypt(t *testing.T, key []byte, nonce string, b []byte) []byte {
	t.Helper()
	aead, err := mcrypto.NewAEAD(key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := aead.Open(nil, []byte(nonce), b, nil)
	if err != nil {
		t.Fatalf("%s: %v", nonce, err)
	}
	return out
}

func checkKeys(t *testing.T, res Result, keys []byte) {
	t.Helper()
	if !bytes.Equal(res.I2R[:], keys[:16]) || !bytes.Equal(res.R2I[:], keys[16:32]) || !bytes.Equal(res.AttestationChallenge[:], keys[32:]) {
		t.Errorf("have %x %x %x\nwant %x", res.I2R, res.R2I, res.AttestationChallenge, keys)
	}
}

func TestKeySchedule(t *testing.T) {
	w := newWorld(t, true)
	// The initiator draws its random and then its ephemeral key.
	drawn := make([]byte, 64)
	if _, err := rand.Read(drawn); err != nil {
		t.Fatal(err)
	}
	w.initiator.Rand = io.MultiReader(bytes.NewReader(drawn), rand.Reader)
	o := w.mustRun(t)
	key, err := ecdh.P256().NewPrivateKey(drawn[32:])
	if err != nil {
		t.Fatal(err)
	}

	s1, err := parseSigma1(o.sigma1)
	if err != nil || !bytes.Equal(s1.random, drawn[:32]) || !bytes.Equal(s1.ephemeral, key.PublicKey().Bytes()) {
		t.Fatalf("%+v, %v", s1, err)
	}
	s2, err := parseSigma2(o.reply)
	if err != nil {
		t.Fatal(err)
	}
	s3, err := parseSigma3(o.sigma3)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ecdh.P256().NewPublicKey(s2.ephemeral)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.ECDH(peer)
	if err != nil {
		t.Fatal(err)
	}

	s2k := derive(t, secret, "Sigma2", 16, w.ipk[:], s2.random, s2.ephemeral, hash256(o.sigma1))
	tbe2, err := parseTBE(decrypt(t, s2k, "NCASE_Sigma2N", s2.encrypted), true)
	if err != nil {
		t.Fatal(err)
	}
	checkProof(t, w.device, tbe2, s2.ephemeral, s1.ephemeral)
	s3k := derive(t, secret, "Sigma3", 16, w.ipk[:], hash256(o.sigma1, o.reply))
	tbe3, err := parseTBE(decrypt(t, s3k, "NCASE_Sigma3N", s3), false)
	if err != nil {
		t.Fatal(err)
	}
	checkProof(t, w.controller, tbe3, s1.ephemeral, s2.ephemeral)
	checkKeys(t, o.device, derive(t, secret, "SessionKeys", 48, w.ipk[:], hash256(o.sigma1, o.reply, o.sigma3)))
	if !bytes.Equal(tbe2.resumptionID, o.controller.ResumptionID[:]) || !bytes.Equal(secret, o.controller.SharedSecret[:]) {
		t.Error("resumption record")
	}

	r := w.run(t, untouched, untouched, untouched)
	if r.opcode != message.OpcodeSigma2Resume || !r.bothSucceeded {
		t.Fatal(r.deviceErr, r.controllerErr)
	}
	r1, err := parseSigma1(r.sigma1)
	if err != nil || !bytes.Equal(r1.resumptionID, tbe2.resumptionID) {
		t.Fatal(err)
	}
	r2, err := parseSigma2Resume(r.reply)
	if err != nil {
		t.Fatal(err)
	}
	decrypt(t, derive(t, secret, "Sigma1_Resume", 16, r1.random, r1.resumptionID), "NCASE_SigmaS1", r1.resumeMIC)
	decrypt(t, derive(t, secret, "Sigma2_Resume", 16, r1.random, r2.resumptionID), "NCASE_SigmaS2", r2.mic)
	checkKeys(t, r.device, derive(t, secret, "SessionResumptionKeys", 48, r1.random, r1.resumptionID))
}

// checkProof checks a signature over TBSData, which it encodes octet by octet.
func checkProof(t *testing.T, m member, got tbe, own, other []byte) {
	t.Helper()
	if !bytes.Equal(got.noc, m.noc.Raw()) || !bytes.Equal(got.icac, m.icac.Raw()) {
		t.Fatal("certificates")
	}
	tbs := []byte{0x15}
	for i, b := range [][]byte{got.noc, got.icac, own, other} {
		if len(b) < 256 {
			tbs = append(tbs, 0x30, byte(i+1), byte(len(b)))
		} else {
			tbs = append(tbs, 0x31, byte(i+1), byte(len(b)), byte(len(b)>>8))
		}
		tbs = append(tbs, b...)
	}
	tbs = append(tbs, 0x18)
	if err := mcrypto.Verify(m.noc.PublicKey[:], tbs, got.signature); err != nil {
		t.Error(err)
	}
}

func BenchmarkResponder(b *testing.B) {
	for _, bb := range []struct {
		name     string
		withICAC bool
	}{{"NOC", false}, {"NOC and ICAC", true}} {
		w := newWorld(b, bb.withICAC)
		i, r := NewInitiator(w.initiator), NewResponder(w.responder)
		s1, err := i.Start()
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Sigma1/"+bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := NewResponder(w.responder).Sigma1(s1); err != nil {
					b.Fatal(err)
				}
			}
		})
		s2, _, err := r.Sigma1(s1)
		if err != nil {
			b.Fatal(err)
		}
		s3, _, err := i.Sigma2(s2)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Sigma3/"+bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := fork(b, r).Sigma3(s3); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkInitiator(b *testing.B) {
	w := newWorld(b, true)
	i := NewInitiator(w.initiator)
	b.Run("Start", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := NewInitiator(w.initiator).Start(); err != nil {
				b.Fatal(err)
			}
		}
	})
	s1, err := i.Start()
	if err != nil {
		b.Fatal(err)
	}
	s2, _, err := NewResponder(w.responder).Sigma1(s1)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Sigma2", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := forkInitiator(b, i).Sigma2(s2); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkResumption(b *testing.B) {
	w := newWorld(b, true)
	for range 2 {
		o := w.run(b, untouched, untouched, untouched)
		w.remembered.replace(o.device.Record())
		rec := o.controller.Record()
		w.initiator.Resume = &rec
	}
	i := NewInitiator(w.initiator)
	s1, err := i.Start()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("responder", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := NewResponder(w.responder)
			if _, _, err := r.Sigma1(s1); err != nil {
				b.Fatal(err)
			}
			if _, err := r.Resumed(); err != nil {
				b.Fatal(err)
			}
		}
	})
	reply, _, err := NewResponder(w.responder).Sigma1(s1)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("initiator", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := forkInitiator(b, i).Sigma2Resume(reply); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The cost of a Sigma1 for an unknown node: 16 fabrics with three IPKs each are
// tried.
func BenchmarkSigma1Unknown(b *testing.B) {
	w := newWorld(b, false)
	f := w.device.fabric(3, [16]byte{1}, [16]byte{2}, [16]byte{3})
	w.fabrics = nil
	for range 16 {
		w.fabrics = append(w.fabrics, f)
	}
	s1, err := NewInitiator(w.initiator).Start()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := NewResponder(w.responder).Sigma1(s1); !errors.Is(err, ErrNoSharedRoot) {
			b.Fatal(err)
		}
	}
}
