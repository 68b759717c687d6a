//go:build crash

package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/transport"
	"golang.org/x/sys/unix"
)

const (
	startLimit = 20 * time.Second // of a traced process, on a busy machine
	stopLimit  = 10 * time.Second
	stateName  = "state"
)

// nextPort gives each daemon its own ports. Nothing else uses the namespace.
var nextPort atomic.Int32

func newPort() int { return 10000 + int(nextPort.Add(1))%50000 }

// command returns the command line for a state directory. port is the UDP port and
// the port of the health checks.
func command(name, dir string, port int) []string {
	args := append([]string{binary}, strings.Fields(name)...)
	args = append(args, "--state-dir", dir)
	if name == "run" {
		args = append(args, "--show-codes", "always", "--port", fmt.Sprint(port), "--metrics-addr", fmt.Sprintf("127.0.0.1:%d", port))
	}
	return args
}

// node is a daemon, or another command, on a state directory.
type node struct {
	*process
	dir  string // of the state
	port int
	out  string // file: standard output
	err  string // file: standard error
}

// startNode starts a command on home/state. Its output goes to files in home's
// parent, which the plan ignores.
func startNode(name, home string, p *plan) (*node, error) {
	n := &node{dir: filepath.Join(home, stateName), port: newPort()}
	n.out, n.err = fmt.Sprintf("%s.%d.out", home, n.port), fmt.Sprintf("%s.%d.err", home, n.port)
	stdout, err := os.Create(n.out)
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := os.Create(n.err)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	n.process, err = launch(command(name, n.dir, n.port), stdout, stderr, p)
	return n, err
}

var errDead = errors.New("the process has ended")

// serving waits until the daemon's event loop responds.
func (n *node) serving() error {
	url := fmt.Sprintf("http://127.0.0.1:%d/healthz", n.port)
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	go func() {
		select {
		case <-n.dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		rsp, err := client.Do(req)
		if err == nil {
			rsp.Body.Close()
			if rsp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-n.dead:
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
		switch {
		case ctx.Err() == nil:
		case !n.alive():
			return errDead
		default:
			return fmt.Errorf("the daemon does not answer: %w", err)
		}
	}
}

// stop stops the daemon regularly.
func (n *node) stop() error {
	n.signal(unix.SIGTERM)
	select {
	case <-n.dead:
	case <-time.After(stopLimit):
		n.kill()
		return fmt.Errorf("the daemon had to be killed %v after SIGTERM", stopLimit)
	}
	if n.status.ExitStatus() != 0 {
		return fmt.Errorf("exit status %d after SIGTERM", n.status.ExitStatus())
	}
	return nil
}

// printed returns the content of one of the process's output files.
func printed(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// codes returns the QR code payload if the daemon has printed it completely.
func (n *node) codes() string {
	for line := range strings.Lines(printed(n.out)) {
		if text, ok := strings.CutPrefix(line, "QR code payload:"); ok && strings.HasSuffix(text, "\n") {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

// failure returns an error if the process has crashed.
func (n *node) failure() error {
	text := printed(n.err)
	for _, sign := range []string{"panic:", "fatal error:", "goroutine ", "BUG"} {
		if strings.Contains(text, sign) {
			return fmt.Errorf("the process broke down:\n%s", text)
		}
	}
	return nil
}

// refusal checks that the process ended by itself, with one line that gives the
// reason.
func (n *node) refusal() error {
	if err := n.failure(); err != nil {
		return err
	}
	text := strings.TrimSpace(printed(n.err))
	if i := strings.LastIndex(text, "\n"); i >= 0 {
		text = text[i+1:]
	}
	if !n.status.Exited() || n.status.ExitStatus() == 0 || !strings.HasPrefix(text, "opcredsd: ") {
		return fmt.Errorf("ended with status %d and %q, want a refusal in one line", n.status.ExitStatus(), text)
	}
	return nil
}

// addr returns the daemon's Matter address.
func (n *node) addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv6Loopback(), uint16(n.port))
}

// countingConn counts what it receives.
type countingConn struct {
	transport.PacketConn
	received atomic.Int64
}

func (c *countingConn) ReadFrom(b []byte) (int, transport.Path, error) {
	n, p, err := c.PacketConn.ReadFrom(b)
	if err == nil {
		c.received.Add(1)
	}
	return n, p, err
}

// newClient returns a controller and its conn.
func newClient() (*commissioner.Client, *countingConn, error) {
	conns, err := transport.Listen(transport.Options{})
	if err != nil {
		return nil, nil, err
	}
	for _, c := range conns[1:] { // IPv4
		c.Close()
	}
	conn := &countingConn{PacketConn: conns[0]}
	return commissioner.New(conn), conn, nil
}

// copyTree copies a directory of files, and keeps their holes.
func copyTree(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		a, b := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.IsDir():
			err = copyTree(b, a)
		case e.Type().IsRegular():
			var data []byte
			if data, err = os.ReadFile(a); err == nil {
				err = writeSparse(b, data)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeSparse writes a file in which pages of zeros take no space.
func writeSparse(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	const page = 4096
	var zero [page]byte
	for off := 0; off < len(data); off += page {
		part := data[off:min(off+page, len(data))]
		if bytes.Equal(part, zero[:len(part)]) {
			continue
		}
		if _, err := f.WriteAt(part, int64(off)); err != nil {
			return err
		}
	}
	return nil
}
