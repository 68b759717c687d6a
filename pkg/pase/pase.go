package pase

import (
	"crypto/sha256"
	"errors"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// ErrPasscode is returned when the peer does not know the passcode: its confirmation
// is wrong. It would be, too, if somebody had changed a message.
var ErrPasscode = errors.New("the confirmation is wrong: the passcodes differ, or a message was changed")

var (
	errOrder       = errors.New("a step out of order")
	errPasscodeID  = errors.New("the passcode id is not 0")
	errSessionID   = errors.New("the session id is 0")
	errEcho        = errors.New("the response answers another request")
	errUnasked     = errors.New("PBKDF parameters came that were not asked for")
	errNoPBKDF     = errors.New("no PBKDF parameters")
	contextPreface = []byte("CHIP PAKE V1 Commissioning")
)

// Result is what a handshake yields: the peer's side of the session, and its
// keys.
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

// deriveKeys fills the keys of r from the shared key of SPAKE2+.
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

// step is how far a handshake has come, in either role.
type step uint8

const (
	stepStart      step = iota // nothing was exchanged; ended by the request
	stepParams                 // the request is out, at the initiator; ended by the response
	stepShares                 // parameters are exchanged; ended by Pake1 at the responder, by Pake2 at the initiator
	stepConfirming             // Pake2 is out, at the responder; ended by Pake3
	stepOver                   // done, failed or wiped
)

// contextHash binds the keys to the two messages that are not authenticated
// otherwise; both are taken as they were on the wire.
func contextHash(request, response []byte) [mcrypto.HashSize]byte {
	h := sha256.New()
	h.Write(contextPreface)
	h.Write(request)
	h.Write(response)
	return [mcrypto.HashSize]byte(h.Sum(nil))
}
