package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
)

// access is how a command opens the store if no daemon runs.
type access = provision.Access

const (
	reads  = provision.Read
	writes = provision.Change
	makes  = provision.Make
)

// noNode is the error if there is neither a daemon nor a store. It wraps
// fs.ErrNotExist.
type noNode struct {
	stateDir, adminSocket string
	cause                 error
}

func (e *noNode) Error() string {
	return fmt.Sprintf("there is no store in %s, and no daemon at %s: start the daemon once, or set --state-dir and --admin-socket",
		e.stateDir, e.adminSocket)
}

func (e *noNode) Unwrap() error { return e.cause }

// daemon returns a client of the running daemon. It uses the status socket if this user
// may use only that one.
func (c *common) daemon() *admin.Client {
	if c.statusSocket != "" && errors.Is(unix.Access(c.adminSocket, unix.W_OK), unix.EACCES) && unix.Access(c.statusSocket, unix.W_OK) == nil {
		return admin.NewClient(c.statusSocket)
	}
	return admin.NewClient(c.adminSocket)
}

// node calls f with the running daemon, or with the store if there is none.
func (c *common) node(ctx context.Context, a access, f func(n *admin.Operator) error) error {
	return c.nodeWithKey(ctx, a, "", f)
}

// nodeWithKey is like node, for commands that need the DAC's key. A running daemon
// knows its location. With the store alone it is in the file dacKeyFile, if that is
// set.
func (c *common) nodeWithKey(ctx context.Context, a access, dacKeyFile string, f func(n *admin.Operator) error) error {
	err := f(&c.daemon().Operator)
	if !errors.Is(err, admin.ErrUnreachable) {
		return err
	}
	o, oerr := operator.OpenOffline(c.stateDir, a, c.log())
	switch {
	case oerr == nil:
	case provision.Locked(oerr):
		return fmt.Errorf("%w; %v", err, oerr)
	case errors.Is(err, admin.ErrDenied) && (errors.Is(oerr, fs.ErrPermission) || errors.Is(oerr, fs.ErrNotExist)):
		return err // a daemon is running, but this is not its user
	case errors.Is(oerr, fs.ErrNotExist):
		return &noNode{c.stateDir, c.adminSocket, oerr}
	case errors.Is(oerr, fs.ErrPermission):
		return fmt.Errorf("%w: only root and the daemon's own user may open the store", oerr)
	default:
		return oerr
	}
	o.DACKey = dacKey(dacKeyFile)
	return errors.Join(f(&o.Operator), o.Close())
}
