//go:build interop

package interop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

const (
	testVendor   = 0xFFF1
	testProduct  = 0x8001
	otherProduct = 0x8002
	stopLimit    = 5 * time.Second
)

var readyLine = regexp.MustCompile(`\bmsg="?ready"?(\s|$)`)

// device is the daemon under test: one state directory, one process at a time.
type device struct {
	binary string
	state  string
	logs   string
	name   string // of its log; empty: device
	ns     *namespace
	args   []string // further ones
	starts int
	proc   *process
}

// pairingCodes is what `opcredsd pairing -o json` prints.
type pairingCodes struct {
	QR            string `json:"qr"`
	Manual        string `json:"manual"`
	Discriminator uint16 `json:"discriminator"`
	Passcode      uint32 `json:"passcode"`
}

// start runs the daemon as the given product and waits until it is discoverable.
func (d *device) start(ctx context.Context, product int) error {
	d.starts++
	log, err := os.Create(d.logFile())
	if err != nil {
		return err
	}
	cmd := exec.Command(d.binary, append([]string{"run",
		"--state-dir", d.state,
		"--log-level", "debug",
		"--vendor-id", fmt.Sprintf("%#x", testVendor),
		"--product-id", fmt.Sprintf("%#x", product)}, d.args...)...)
	watch := &lineWatch{Writer: log, wanted: readyLine.MatchString, found: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.Env = watch, watch, environment()
	if d.proc, err = d.ns.start("opcredsd", cmd, log); err != nil {
		return err
	}
	select {
	case <-watch.found:
		return nil
	case <-d.proc.done:
		return fmt.Errorf("the daemon ended (%v) before it was ready; see %s", d.proc.cmd.ProcessState, d.logFile())
	case <-time.After(20 * time.Second):
		return fmt.Errorf("no line with msg=\"ready\" in 20 s; see %s", d.logFile())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *device) logFile() string {
	return filepath.Join(d.logs, fmt.Sprintf("%s-%d.log", cmp.Or(d.name, "device"), d.starts))
}

// stop stops the daemon and checks its exit status.
func (d *device) stop() error {
	if err := d.proc.signal(syscall.SIGTERM, stopLimit); err != nil {
		return err
	}
	if code := d.proc.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%v after SIGTERM; see %s", d.proc.cmd.ProcessState, d.logFile())
	}
	return nil
}

// kill kills the daemon.
func (d *device) kill() error {
	return d.proc.signal(syscall.SIGKILL, stopLimit)
}

func (d *device) pairing(ctx context.Context) (pairingCodes, error) {
	var codes pairingCodes
	out, err := d.ns.output(ctx, d.binary, "pairing", "--output", "json", "--state-dir", d.state)
	if err != nil {
		return codes, err
	}
	if err := json.Unmarshal(out, &codes); err != nil {
		return codes, fmt.Errorf("pairing codes %q: %w", out, err)
	}
	if codes.Passcode == 0 || codes.Discriminator > 0xFFF {
		return codes, errors.New("pairing codes out of range")
	}
	return codes, nil
}
