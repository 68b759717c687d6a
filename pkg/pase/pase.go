package pase

import (
	"crypto/sha256"
	"errors"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// ErrPasscode is returned when the peer's confirmation is wrong: it has another passcode,
// or somebody has changed a message.
var ErrPasscode = errors.New("the confirmation is wrong: the passcodes differ, or a message was changed")

var (
	errOrder       = errors.New("step out of order")
	errPasscodeID  = errors.New("the passcode id is not 0")
	errSessionID   = errors.New("the session id is 0")
	errEcho        = errors.New("the response is for another request")
	errUnasked     = errors.New("unexpected PBKDF parameters")
	errNoPBKDF     = errors.New("no PBKDF parameters")
	contextPreface = []byte("CHIP PAKE V1 Commissioning")
)

// Result is the result of a handshake: the peer's parameters of the session, and the keys.
type Result struct {
	PeerSessionID        uint16
	PeerParams           message.SessionParameters
	I2R, R2I             [mcrypto.KeySize]byte // initiator to responder, and back
	AttestationChallenge [mcrypto.KeySize]byte
}

// Wipe erases the keys.
func (r *Result) Wipe() {
	clear(r.I2R[:])
	clear(r.R2I[:])
	clear(r.AttestationChallenge[:])
}

// deriveKeys derives the keys of r from the shared key of SPAKE2+.
func (r *Result) deriveKeys(ke []byte) error {
	var b [3 * mcrypto.KeySize]byte
	defer clear(b[:])
	if err := mcrypto.HKDF(b[:], ke, nil, "SessionKeys"); err != nil {
		return err
	}
	copy(r.I2R[:], b[:])
	copy(r.R2I[:], b[mcrypto.KeySize:])
	copy(r.AttestationChallenge[:], b[2*mcrypto.KeySize:])
	return nil
}

// step is the state of a handshake, in either role.
type step uint8

const (
	stepStart      step = iota // no message yet; ended by the request
	stepParams                 // initiator, request sent; ended by the response
	stepShares                 // parameters are known; ended by Pake1 at the responder, by Pake2 at the initiator
	stepConfirming             // responder, Pake2 sent; ended by Pake3
	stepOver                   // done, failed or wiped
)

// contextHash returns the hash that binds the keys to the first two messages, as they were
// transmitted. Nothing else authenticates these.
func contextHash(request, response []byte) [mcrypto.HashSize]byte {
	h := sha256.New()
	h.Write(contextPreface)
	h.Write(request)
	h.Write(response)
	return [mcrypto.HashSize]byte(h.Sum(nil))
}
