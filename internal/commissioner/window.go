package commissioner

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	cmdOpenWindow      matter.CommandID = 0
	cmdOpenBasicWindow matter.CommandID = 1
	cmdRevokeWindow    matter.CommandID = 2

	timedTimeout = 5 * time.Second
)

// OpenBasicWindow opens a window with the node's own passcode.
func (s *Session) OpenBasicWindow(ctx context.Context, seconds uint16) error {
	_, err := s.InvokeTimed(ctx, 0, ClusterAdministratorCommissioning, cmdOpenBasicWindow, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(seconds))
	}, timedTimeout)
	return err
}

// OpenEnhancedWindow opens a window with a passcode of its own.
func (s *Session) OpenEnhancedWindow(ctx context.Context, seconds uint16, passcode uint32, discriminator uint16) error {
	const iterations = mcrypto.MinIterations
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	v, err := mcrypto.NewVerifier(passcode, salt, iterations)
	if err != nil {
		return err
	}
	verifier := v.Bytes()
	_, err = s.InvokeTimed(ctx, 0, ClusterAdministratorCommissioning, cmdOpenWindow, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(seconds))
		w.Octets(tlv.Context(1), verifier[:])
		w.Uint(tlv.Context(2), uint64(discriminator))
		w.Uint(tlv.Context(3), iterations)
		w.Octets(tlv.Context(4), salt)
	}, timedTimeout)
	return err
}

// RevokeWindow closes the window.
func (s *Session) RevokeWindow(ctx context.Context) error {
	_, err := s.InvokeTimed(ctx, 0, ClusterAdministratorCommissioning, cmdRevokeWindow, nil, timedTimeout)
	return err
}
