package pase

import (
	"crypto/subtle"
	"fmt"
	"io"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// InitiatorConfig configures a commissioner's side of a handshake.
type InitiatorConfig struct {
	Rand      io.Reader
	Passcode  uint32
	SessionID uint16 // the commissioner's id for the session, not 0
	Params    message.SessionParameters
	PBKDF     *PBKDFParameters // of the node, if they are known; nil: ask for them
}

// Initiator is the commissioner's side of one handshake. Call Wipe when it is over.
type Initiator struct {
	cfg     InitiatorConfig
	step    step
	random  [randomSize]byte
	request []byte
	context [mcrypto.HashSize]byte
	prover  *mcrypto.SPAKE2PProver
	result  Result
}

// NewInitiator returns the commissioner's side.
func NewInitiator(cfg InitiatorConfig) *Initiator { return &Initiator{cfg: cfg} }

// Wipe erases the secrets and ends the handshake.
func (i *Initiator) Wipe() {
	if i.prover != nil {
		i.prover.Wipe()
	}
	i.cfg.Passcode = 0
	i.result.Wipe()
	i.step = stepOver
}

func (i *Initiator) enter(want step) error {
	if i.step != want {
		i.Wipe()
		return errOrder
	}
	i.step = stepOver
	return nil
}

func (i *Initiator) fail(name string, err *error) {
	if *err != nil {
		i.Wipe()
		*err = fmt.Errorf("%s: %w", name, *err)
	}
}

// Start returns PBKDFParamRequest.
func (i *Initiator) Start() (request []byte, err error) {
	defer i.fail("PBKDFParamRequest", &err)
	if err := i.enter(stepStart); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(i.cfg.Rand, i.random[:]); err != nil {
		return nil, fmt.Errorf("drawing a random: %w", err)
	}
	m := paramRequest{random: i.random, sessionID: i.cfg.SessionID, hasPBKDF: i.cfg.PBKDF != nil, params: i.cfg.Params}
	i.request = m.encode()
	i.step = stepParams
	return i.request, nil
}

// PBKDFParamResponse takes the node's parameters and returns Pake1. It runs PBKDF2 with at
// most 100000 iterations.
func (i *Initiator) PBKDFParamResponse(b []byte) (pake1 []byte, err error) {
	defer i.fail("PBKDFParamResponse", &err)
	if err := i.enter(stepParams); err != nil {
		return nil, err
	}
	m, err := parseParamResponse(b)
	if err != nil {
		return nil, err
	}
	pbkdf := m.pbkdf
	switch {
	case m.initiatorRandom != i.random:
		return nil, errEcho
	case m.sessionID == 0:
		return nil, errSessionID
	case i.cfg.PBKDF != nil && pbkdf != nil:
		return nil, errUnasked
	case i.cfg.PBKDF != nil:
		pbkdf = i.cfg.PBKDF
	case pbkdf == nil:
		return nil, errNoPBKDF
	}
	// mcrypto checks salt and iterations before it begins.
	i.prover, err = mcrypto.NewSPAKE2PProver(i.cfg.Rand, i.cfg.Passcode, pbkdf.Salt, int(pbkdf.Iterations))
	if err != nil {
		return nil, err
	}
	i.context = contextHash(i.request, b)
	i.result = Result{PeerSessionID: m.sessionID, PeerParams: m.params}
	i.step = stepShares
	pA := i.prover.Share()
	return encodePake(pA[:]), nil
}

// Pake2 takes the node's share and confirmation and returns Pake3. The caller must not use
// the result before the node has reported success.
func (i *Initiator) Pake2(b []byte) (pake3 []byte, res Result, err error) {
	defer i.fail("Pake2", &err)
	if err := i.enter(stepShares); err != nil {
		return nil, Result{}, err
	}
	pB, cB, err := parsePake2(b)
	if err != nil {
		return nil, Result{}, err
	}
	keys, err := i.prover.Finish(i.context[:], pB)
	if err != nil {
		return nil, Result{}, err
	}
	defer keys.Wipe()
	if subtle.ConstantTimeCompare(cB, keys.CB[:]) != 1 {
		return nil, Result{}, ErrPasscode
	}
	res = i.result
	if err := res.deriveKeys(keys.Ke[:]); err != nil {
		return nil, Result{}, err
	}
	i.Wipe()
	return encodePake(keys.CA[:]), res, nil
}
