package pase

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// ResponderConfig configures a node's side of a handshake.
type ResponderConfig struct {
	Rand       io.Reader
	Verifier   mcrypto.Verifier
	Salt       []byte // 16 to 32 octets
	Iterations uint32 // 1000 to 100000
	SessionID  uint16 // the node's id for the session, not 0
	Params     message.SessionParameters
}

// Responder is the node's side of one handshake. Call Wipe when it is over.
type Responder struct {
	cfg     ResponderConfig
	step    step
	context [mcrypto.HashSize]byte
	keys    mcrypto.SPAKE2PKeys
	result  Result
}

// NewResponder returns the node's side.
func NewResponder(cfg ResponderConfig) *Responder {
	cfg.Salt = bytes.Clone(cfg.Salt)
	return &Responder{cfg: cfg}
}

// Wipe erases the secrets and ends the handshake.
func (r *Responder) Wipe() {
	r.cfg.Verifier.Wipe()
	r.keys.Wipe()
	r.result.Wipe()
	r.step = stepOver
}

// enter checks that the handshake is at the step want, and ends it until the caller sets
// the next step.
func (r *Responder) enter(want step) error {
	if r.step != want {
		r.Wipe()
		return errOrder
	}
	r.step = stepOver
	return nil
}

// fail ends the handshake with err, if there is one.
func (r *Responder) fail(name string, err *error) {
	if *err != nil {
		r.Wipe()
		*err = fmt.Errorf("%s: %w", name, *err)
	}
}

// PBKDFParamRequest takes the first message and returns PBKDFParamResponse.
func (r *Responder) PBKDFParamRequest(b []byte) (response []byte, err error) {
	defer r.fail("PBKDFParamRequest", &err)
	if err := r.enter(stepStart); err != nil {
		return nil, err
	}
	m, err := parseParamRequest(b)
	switch {
	case err != nil:
		return nil, err
	case m.passcodeID != 0:
		return nil, errPasscodeID
	case m.sessionID == 0:
		return nil, errSessionID
	}
	answer := paramResponse{initiatorRandom: m.random, sessionID: r.cfg.SessionID, params: r.cfg.Params}
	if _, err := io.ReadFull(r.cfg.Rand, answer.random[:]); err != nil {
		return nil, fmt.Errorf("drawing a random: %w", err)
	}
	if !m.hasPBKDF {
		answer.pbkdf = &PBKDFParameters{Iterations: r.cfg.Iterations, Salt: r.cfg.Salt}
	}
	response = answer.encode()
	r.context = contextHash(b, response)
	r.result = Result{PeerSessionID: m.sessionID, PeerParams: m.params}
	r.step = stepShares
	return response, nil
}

// PeerParams returns the initiator's session parameters from its first message.
func (r *Responder) PeerParams() message.SessionParameters { return r.result.PeerParams }

// Confirming reports whether Pake2 has been sent and Pake3 has not come. An initiator that
// rejects Pake2 has another passcode.
func (r *Responder) Confirming() bool { return r.step == stepConfirming }

// Pake1 takes the initiator's share and returns Pake2.
func (r *Responder) Pake1(b []byte) (pake2 []byte, err error) {
	defer r.fail("Pake1", &err)
	if err := r.enter(stepShares); err != nil {
		return nil, err
	}
	pA, err := parsePake1(b)
	if err != nil {
		return nil, err
	}
	s, err := mcrypto.NewSPAKE2PVerifier(r.cfg.Rand, &r.cfg.Verifier)
	if err != nil {
		return nil, err
	}
	defer s.Wipe()
	if r.keys, err = s.Finish(r.context[:], pA); err != nil {
		return nil, err
	}
	r.cfg.Verifier.Wipe()
	pB := s.Share()
	r.step = stepConfirming
	return encodePake(pB[:], r.keys.CB[:]), nil
}

// Pake3 takes the initiator's confirmation. The handshake has then succeeded, and the
// caller reports success to the initiator.
func (r *Responder) Pake3(b []byte) (res Result, err error) {
	defer r.fail("Pake3", &err)
	if err := r.enter(stepConfirming); err != nil {
		return Result{}, err
	}
	cA, err := parsePake3(b)
	if err != nil {
		return Result{}, err
	}
	if subtle.ConstantTimeCompare(cA, r.keys.CA[:]) != 1 {
		return Result{}, ErrPasscode
	}
	res = r.result
	if err := res.deriveKeys(r.keys.Ke[:]); err != nil {
		return Result{}, err
	}
	r.Wipe()
	return res, nil
}
