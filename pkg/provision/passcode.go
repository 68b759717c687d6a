package provision

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/onboarding"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// pbkdfIterations and saltLen are the parameters of new verifiers. A commissioner
// computes PBKDF2 once per attempt; an attacker who has the verifier computes it
// once per guess.
const (
	pbkdfIterations = 10_000
	saltLen         = 32
)

// ErrNoPasscode is returned if the store has no passcode, so that there are no codes.
var ErrNoPasscode = errors.New("only the verifier of the passcode is kept: its codes were shown before; \"opcredsd window open --enhanced\" makes fresh ones")

// Codes returns the onboarding payload of a node.
func Codes(n *store.Node, vid matter.VendorID, pid matter.ProductID) (onboarding.Payload, error) {
	if n.Passcode == 0 {
		return onboarding.Payload{}, ErrNoPasscode
	}
	return onboarding.Payload{VendorID: vid, ProductID: pid, Discriminator: n.Discriminator, Passcode: n.Passcode}, nil
}

// FreshPasscode draws a passcode and a discriminator for one window.
func FreshPasscode(rand io.Reader) (once window.Passcode, passcode uint32, err error) {
	if passcode, err = randomPasscode(rand); err != nil {
		return once, 0, err
	}
	discriminator, err := mcrypto.RandomUint32(rand)
	if err != nil {
		return once, 0, err
	}
	once.Discriminator = uint16(discriminator) & window.MaxDiscriminator
	once.Iterations, once.Salt = pbkdfIterations, make([]byte, saltLen)
	if _, err := io.ReadFull(rand, once.Salt); err != nil {
		return once, 0, err
	}
	once.Verifier, err = mcrypto.NewVerifier(passcode, once.Salt, pbkdfIterations)
	return once, passcode, err
}

// isPasscode reports whether passcode is the node's. The record may have the verifier only.
func isPasscode(n *store.Node, passcode uint32) bool {
	if n.Passcode != 0 {
		return n.Passcode == passcode
	}
	v, err := mcrypto.NewVerifier(passcode, n.Salt, int(n.Iterations))
	if err != nil {
		return false
	}
	b := v.Bytes()
	return subtle.ConstantTimeCompare(b[:], n.Verifier) == 1
}

func setPasscode(n *store.Node, passcode uint32, rand io.Reader) error {
	salt := make([]byte, saltLen)
	if _, err := io.ReadFull(rand, salt); err != nil {
		return err
	}
	v, err := mcrypto.NewVerifier(passcode, salt, pbkdfIterations)
	if err != nil {
		return err
	}
	b := v.Bytes()
	n.Passcode, n.Salt, n.Iterations, n.Verifier = passcode, salt, pbkdfIterations, b[:]
	return nil
}

// randomPasscode draws a passcode. All permitted passcodes are equally likely.
func randomPasscode(r io.Reader) (uint32, error) {
	for {
		v, err := mcrypto.RandomUint32(r)
		if err != nil {
			return 0, err
		}
		if v &= 1<<27 - 1; mcrypto.PasscodeValid(v) {
			return v, nil
		}
	}
}

// Passcode returns the node's own passcode for its commissioning window.
func Passcode(n *store.Node) (window.Passcode, error) {
	v, err := mcrypto.ParseVerifier(n.Verifier)
	if err != nil {
		return window.Passcode{}, fmt.Errorf("the node's passcode verifier: %w", err)
	}
	return window.Passcode{Verifier: v, Salt: n.Salt, Iterations: n.Iterations, Discriminator: n.Discriminator}, nil
}
