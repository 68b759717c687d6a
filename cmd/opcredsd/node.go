package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// node is what commands ask: the running daemon, or the store of one that does
// not run.
type node interface {
	Pairing(ctx context.Context) (admin.Pairing, error)
	Fabrics(ctx context.Context) ([]admin.Fabric, error)
	RemoveFabric(ctx context.Context, i matter.FabricIndex) error
	Attestation(ctx context.Context) (admin.Attestation, error)
	FactoryReset(ctx context.Context) error
	CheckStore(ctx context.Context) error
	Backup(ctx context.Context, w io.Writer) error
}

// access says what a command does to the store when no daemon runs.
type access bool

const (
	reads  access = false
	writes access = true
)

// daemon returns the client of the running daemon.
func (c *common) daemon() *admin.Client { return admin.NewClient(c.adminSocket) }

// node runs f on the running daemon, or on the store where none runs.
func (c *common) node(ctx context.Context, a access, f func(n node) error) error {
	err := f(c.daemon())
	if !errors.Is(err, admin.ErrUnreachable) {
		return err
	}
	o, oerr := server.OpenOffline(c.stateDir, bool(a), c.log())
	switch {
	case oerr == nil:
	case server.Locked(oerr):
		return fmt.Errorf("%w; %v", err, oerr)
	default:
		return oerr
	}
	defer o.Close()
	return f(o)
}
