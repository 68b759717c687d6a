package mdns

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// Options of New.
type Options struct {
	// Interfaces says by name which interfaces may be used; nil allows all.
	// What else it takes (up, multicast, an IPv6 address) is followed as it
	// changes.
	Interfaces func(name string) bool
	// Log is required.
	Log *slog.Logger
	// Rand is required: crypto/rand.Reader but in tests.
	Rand io.Reader
	// Conflict, if set, is called when another host turns out to own the name
	// of a service, on a goroutine of the responder: it must not wait. The
	// service is then announced no more, but tried again from time to time.
	Conflict func(Service)
}

// Responder announces services and answers questions about them.
type Responder struct{}

// New opens the sockets and starts to follow the interfaces.
func New(opt Options) (*Responder, error) { return nil, errors.ErrUnsupported }

// Set makes services what is announced: what is new is announced, what is not
// among them any more withdrawn. It may be called from any goroutine and does
// not wait.
func (r *Responder) Set(services []Service) {}

// Close withdraws everything and ends the responder; ctx bounds it.
func (r *Responder) Close(ctx context.Context) error { return nil }

// Check looks s up from the wire, as a controller would, and says what is
// wrong with what it found.
func (r *Responder) Check(ctx context.Context, s Service) error { return nil }

// Status is a snapshot, one entry for each interface that may be used.
func (r *Responder) Status() Status { return Status{} }
