package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// access says what a command does to the store when no daemon runs.
type access = server.Access

const (
	reads  = server.Read
	writes = server.Change
	makes  = server.Make
)

// noNode says that there is neither a daemon nor a store. It wraps fs.ErrNotExist.
type noNode struct {
	stateDir, adminSocket string
	cause                 error
}

func (e *noNode) Error() string {
	return fmt.Sprintf("there is no store in %s, and no daemon at %s: start the daemon once, or say where it is with --state-dir and --admin-socket",
		e.stateDir, e.adminSocket)
}

func (e *noNode) Unwrap() error { return e.cause }

// daemon returns the client of the running daemon.
func (c *common) daemon() *admin.Client { return admin.NewClient(c.adminSocket) }

// node runs f on the running daemon, or on the store where none runs.
func (c *common) node(ctx context.Context, a access, f func(n *admin.Operator) error) error {
	return c.nodeWithKey(ctx, a, "", f)
}

// nodeWithKey is node for what needs the DAC's key. A running daemon knows where
// it is; for the store alone it is in the file, if one is named.
func (c *common) nodeWithKey(ctx context.Context, a access, dacKeyFile string, f func(n *admin.Operator) error) error {
	err := f(&c.daemon().Operator)
	if !errors.Is(err, admin.ErrUnreachable) {
		return err
	}
	o, oerr := server.OpenOffline(c.stateDir, a, c.log())
	switch {
	case oerr == nil:
	case provision.Locked(oerr):
		return fmt.Errorf("%w; %v", err, oerr)
	case errors.Is(err, admin.ErrDenied) && (errors.Is(oerr, fs.ErrPermission) || errors.Is(oerr, fs.ErrNotExist)):
		return err // there is a daemon, and this is not its user
	case errors.Is(oerr, fs.ErrNotExist):
		return &noNode{c.stateDir, c.adminSocket, oerr}
	case errors.Is(oerr, fs.ErrPermission):
		return fmt.Errorf("%w: only root and the daemon's own user may look at the store", oerr)
	default:
		return oerr
	}
	o.DACKey = dacKey(dacKeyFile)
	return errors.Join(f(&o.Operator), o.Close())
}
