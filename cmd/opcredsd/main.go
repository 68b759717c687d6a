// Command opcredsd is a Matter node for Linux gateways.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// Exit statuses.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &output{Writer: stdout}
	root := newRoot(&common{stdout: out, stderr: stderr, args: args})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil || out.err != nil && errors.Is(err, out.err) {
		err = out.err
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "opcredsd:", err)
	var usage usageError
	var option *server.UsageError
	switch {
	case errors.As(err, &usage), errors.As(err, &option), errors.Is(err, admin.ErrConfiguration):
		return exitUsage
	case errors.Is(err, admin.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailed
}

// output is the standard output. It keeps the first error of a write, so that a command
// whose answer was lost fails, however it was written.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err == nil {
		return n, nil
	}
	if o.err == nil {
		o.err = fmt.Errorf("standard output: %w", reason(err))
	}
	return n, o.err
}

// reason returns what is wrong with a file, without its name.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// usageError is a wrong command line or configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }
