//go:build interop

package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// run is one run of the test: the network, the two programs in it, and the summary.
// The first failure ends it.
type run struct {
	t         *testing.T
	ctx       context.Context
	summary   io.Writer
	steps     int
	stage     string
	logs      string
	device    *device
	ctl       *controllers
	wire      *resolver    // IPv6
	wire4     *resolver    // IPv4
	home      []netip.Addr // the device's addresses
	pairing   pairingCodes
	announced string               // instance name of the window discovered last
	fabrics   map[string]*fabricOf // by controller
}

// newRun sets up everything except the daemon.
func newRun(t *testing.T) *run {
	t.Helper()
	r := newBareRun(t)
	var err error
	r.ctl, err = r.ctl.ns.startControllers(t.TempDir(), r.logs)
	r.must(err)
	t.Cleanup(func() {
		if err := r.ctl.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// newBareRun sets up everything except the daemon and matter.js.
func newBareRun(t *testing.T) *run {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	r := &run{t: t, ctx: ctx, logs: filepath.Join("out", t.Name()), fabrics: make(map[string]*fabricOf)}
	r.must(os.RemoveAll(r.logs))
	r.must(os.MkdirAll(r.logs, 0o755))
	file, err := os.Create(filepath.Join(r.logs, "summary.txt"))
	r.must(err)
	t.Cleanup(func() { file.Close() })
	r.summary = io.MultiWriter(os.Stdout, file)

	binary := r.binary()
	deviceNS, controllerNS, err := newPair()
	r.must(err)
	t.Cleanup(controllerNS.Close)
	t.Cleanup(deviceNS.Close)
	r.listen(deviceNS, controllerNS)
	r.ctl = &controllers{ns: controllerNS}
	r.device = &device{binary: binary, state: filepath.Join(t.TempDir(), "state"), logs: r.logs, ns: deviceNS}
	t.Cleanup(func() {
		if r.device.proc != nil {
			_ = r.device.kill() // it has ended already unless the test failed
		}
		if t.Failed() {
			r.showLogs()
		}
	})
	return r
}

// binary returns the daemon under test.
func (r *run) binary() string {
	name := os.Getenv("OPCREDSD_BIN")
	if name == "" {
		name = "../../bin/opcredsd"
	}
	name, err := filepath.Abs(name)
	r.must(err)
	if _, err := os.Stat(name); err != nil {
		r.t.Fatalf("no daemon: %v; build it (make build) or set OPCREDSD_BIN", err)
	}
	return name
}

// listen opens the resolvers in the controllers' namespace.
func (r *run) listen(deviceNS, controllerNS *namespace) {
	var err error
	r.home, err = deviceNS.addresses()
	r.must(err)
	own, err := controllerNS.addresses()
	r.must(err)
	r.wire, err = controllerNS.newResolver("udp6", own)
	r.must(err)
	r.t.Cleanup(r.wire.close)
	r.wire4, err = controllerNS.newResolver("udp4", own)
	r.must(err)
	r.t.Cleanup(r.wire4.close)
}

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// begin starts a new part of the summary.
func (r *run) begin(stage string) { r.stage = stage }

func (r *run) record(ms float64, text string) {
	r.steps++
	fmt.Fprintf(r.summary, "%9.1f ms  %s: %s\n", ms, r.stage, text)
}

func (r *run) fail(text string, err error) {
	r.t.Helper()
	if r.ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(r.summary, "   FAILED     %s: %s: %v\n", r.stage, text, err)
	r.t.Fatalf("%s: %s: %v", r.stage, text, err)
}

// step times one step of the test itself.
func (r *run) step(text string, f func() error) {
	r.t.Helper()
	started := time.Now()
	if err := f(); err != nil {
		r.fail(text, err)
	}
	r.record(float64(time.Since(started).Microseconds())/1000, text)
}

// call runs a command of a controller and then a check. The time is that of the
// controller.
func (r *run) call(text, command string, a args, result any, check func() error) {
	r.t.Helper()
	got, err := r.ctl.call(r.ctx, command, a, result)
	for _, s := range got.Steps {
		r.record(s.MS, text+": "+s.Name)
	}
	if err == nil && check != nil {
		err = check()
	}
	if err != nil {
		r.fail(text, err)
	}
	r.record(got.MS, text)
}

// showLogs copies the end of each log to the test's output.
func (r *run) showLogs() {
	names, err := filepath.Glob(filepath.Join(r.logs, "*.log"))
	if err != nil {
		return
	}
	for _, name := range names {
		if tail, err := lastLines(name, 15); err == nil {
			r.t.Logf("end of %s:\n%s", name, tail)
		}
	}
}

func lastLines(name string, count int) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if lines = append(lines, s.Text()); len(lines) > count {
			lines = lines[1:]
		}
	}
	return strings.Join(lines, "\n"), nil
}
