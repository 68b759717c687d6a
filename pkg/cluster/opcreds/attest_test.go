package opcreds

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// everySession returns a session of each kind that can carry a command. The node has
// one fabric.
func (r *rig) everySession(t *testing.T) map[string]*session {
	t.Helper()
	admin := r.commission(newAuthority(t, 1, false), 0x10)
	return map[string]*session{"PASE": r.pase(), "CASE": admin}
}

func TestAttestationRequest(t *testing.T) {
	r := newRig(t, 5)
	for name, s := range r.everySession(t) {
		response, err := s.invoke(cmdAttestationRequest, func(w *tlv.Writer) { w.Octets(tlv.Context(0), nonce) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rd := tlv.NewReader(s.signedElements(response))
		rd.EnterStruct()
		rd.Next()
		if cd := rd.Octets(); !bytes.Equal(cd, r.credentials.CD) {
			t.Errorf("%s: another certification declaration", name)
		}
		rd.Next()
		if !bytes.Equal(rd.Octets(), nonce) {
			t.Errorf("%s: another nonce", name)
		}
		for _, n := range []int{0, 31, 33} {
			_, err := s.invoke(cmdAttestationRequest, func(w *tlv.Writer) { w.Octets(tlv.Context(0), make([]byte, n)) })
			wantStatus(t, "nonce of the wrong length", err, matter.StatusInvalidCommand)
		}
		_, err = s.invoke(cmdAttestationRequest, nil)
		wantStatus(t, "no nonce", err, matter.StatusInvalidCommand)
		_, err = s.invoke(cmdAttestationRequest, func(w *tlv.Writer) { w.Text(tlv.Context(0), string(nonce)) })
		wantStatus(t, "a string as nonce", err, matter.StatusInvalidCommand)
	}
}

func TestAttestationWithoutKey(t *testing.T) {
	r := newRig(t, 5)
	r.cluster.opt.Attestation.Wipe()
	_, err := r.pase().invoke(cmdAttestationRequest, func(w *tlv.Writer) { w.Octets(tlv.Context(0), nonce) })
	if got := matter.StatusOf(err).Status; got != matter.StatusFailure {
		t.Errorf("status %v, want FAILURE", got)
	}
}

func TestCertificateChainRequest(t *testing.T) {
	r := newRig(t, 5)
	s := r.pase()
	for kind, want := range map[uint64][]byte{1: r.credentials.DAC, 2: r.credentials.PAI} {
		response, err := s.invoke(cmdCertificateChainRequest, func(w *tlv.Writer) { w.Uint(tlv.Context(0), kind) })
		if err != nil {
			t.Fatal(err)
		}
		rd := response.Reader()
		rd.EnterStruct()
		rd.Next()
		if der := rd.Octets(); rd.Tag() != tlv.Context(0) || !bytes.Equal(der, want) {
			t.Errorf("type %d: %x", kind, der)
		}
	}
	for _, kind := range []uint64{0, 3, 255, 256} {
		_, err := s.invoke(cmdCertificateChainRequest, func(w *tlv.Writer) { w.Uint(tlv.Context(0), kind) })
		wantStatus(t, "another type", err, matter.StatusInvalidCommand)
	}
	_, err := s.invoke(cmdCertificateChainRequest, nil)
	wantStatus(t, "no type", err, matter.StatusInvalidCommand)
}

func TestCSRRequest(t *testing.T) {
	for _, over := range []string{"PASE", "CASE"} {
		t.Run(over, func(t *testing.T) {
			r := newRig(t, 5)
			s := r.everySession(t)[over]

			_, err := s.invoke(cmdCSRRequest, func(w *tlv.Writer) { w.Octets(tlv.Context(0), nonce[1:]) })
			wantStatus(t, "short nonce, no fail-safe", err, matter.StatusInvalidCommand)
			_, err = s.invoke(cmdCSRRequest, nil)
			wantStatus(t, "no nonce", err, matter.StatusInvalidCommand)
			_, err = s.invoke(cmdCSRRequest, func(w *tlv.Writer) {
				w.Octets(tlv.Context(0), nonce)
				w.Uint(tlv.Context(1), 1)
			})
			wantStatus(t, "a number as IsForUpdateNOC", err, matter.StatusInvalidCommand)
			_, err = s.tryCSR(false)
			wantStatus(t, "no fail-safe", err, matter.StatusFailsafeRequired)
			want := matter.StatusFailsafeRequired
			if over == "PASE" {
				want = matter.StatusInvalidCommand
			}
			_, err = s.tryCSR(true)
			wantStatus(t, "for update, no fail-safe", err, want)

			s.arm()
			first := s.csr(false)
			if second := s.csr(false); second == first {
				t.Error("two CSRs with one key")
			}
			_, err = s.tryCSR(true)
			if over == "PASE" {
				wantStatus(t, "for update over PASE", err, matter.StatusInvalidCommand)
			} else {
				wantStatus(t, "for update over CASE", err, matter.StatusSuccess)
			}
		})
	}
}

func TestCSRRequestOfAnotherFabric(t *testing.T) {
	r := newRig(t, 5)
	a := r.commission(newAuthority(t, 1, false), 0x10)
	b := r.commission(newAuthority(t, 2, false), 0x10)
	a.arm()
	_, err := b.tryCSR(false)
	wantStatus(t, "the other fabric", err, matter.StatusFailsafeRequired)
	_, err = r.pase().tryCSR(false)
	wantStatus(t, "over PASE", err, matter.StatusFailsafeRequired)
}

func TestCSRRequestAfterNOC(t *testing.T) {
	r := newRig(t, 5)
	s := r.pase()
	s.join(newAuthority(t, 1, false), 0x10)
	_, err := s.tryCSR(false)
	wantStatus(t, "after AddNOC", err, matter.StatusConstraintError)
	_, err = s.tryCSR(true)
	wantStatus(t, "for update after AddNOC over PASE", err, matter.StatusInvalidCommand)
}

// A failed CSRRequest keeps the key of the previous one.
func TestFailedCSRRequestKeepsTheKey(t *testing.T) {
	r := newRig(t, 5)
	s := r.pase()
	s.arm()
	pub := s.csr(false)
	broken := errors.New("no entropy")
	r.cluster.opt.Rand = iotest.ErrReader(broken)
	if _, err := s.tryCSR(false); !errors.Is(err, broken) {
		t.Fatalf("CSRRequest = %v, want %v", err, broken)
	}
	r.cluster.opt.Rand = rand.Reader
	good := r.cluster.opt.Attestation
	r.cluster.opt.Attestation = new(attestation.Credentials) // without a key
	if _, err := s.tryCSR(false); matter.StatusOf(err).Status != matter.StatusFailure {
		t.Fatalf("CSRRequest without a key = %v", err)
	}
	r.cluster.opt.Attestation = good
	if key, _, session, ok := r.failSafe.CSR(); !ok || key.Public() != pub || session != s.serial {
		t.Error("the staged key has changed")
	}
}
