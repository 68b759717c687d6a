package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	passcode   = 20202021
	udpPort    = 5540
	metricsURL = "127.0.0.1:9540"
	startLimit = 20 * time.Second
	stopLimit  = 10 * time.Second
)

// daemon is opcredsd with one state directory. One process runs at a time.
type daemon struct {
	net    *network
	binary string
	state  string

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	out  *output
}

// output keeps the end of the daemon's output.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() > 64<<10 {
		o.text.Next(o.text.Len() - 32<<10)
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts the daemon and waits until it can be discovered.
func (d *daemon) start() error {
	d.out = new(output)
	d.cmd = exec.Command(d.binary, "run", "--state-dir", d.state, "--log-level", "warn",
		"--passcode", strconv.Itoa(passcode), "--discriminator", "3840", "--metrics-addr", metricsURL)
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C.UTF-8"}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	d.cmd.WaitDelay = time.Second
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.net.Do(d.cmd.Start); err != nil {
		return err
	}
	d.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // ProcessState contains more
		close(done)
	}(d.cmd, d.done)
	for end := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		if rsp, _, err := d.get("/readyz"); err == nil && rsp.StatusCode == http.StatusOK {
			return nil
		}
		if err := d.alive(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the daemon is not ready after %v\n%s", startLimit, d.out)
		}
	}
}

// alive returns an error if the daemon has ended unexpectedly.
func (d *daemon) alive() error {
	select {
	case <-d.done:
		return fmt.Errorf("the daemon ended: %v\n%s", d.cmd.ProcessState, d.out)
	default:
		return nil
	}
}

// stop ends the daemon with a signal, in order or not.
func (d *daemon) stop(sig syscall.Signal) error {
	if err := d.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-d.done:
	case <-time.After(stopLimit):
		return fmt.Errorf("the daemon is still there %v after %v", stopLimit, sig)
	}
	if sig == unix.SIGTERM && !d.cmd.ProcessState.Success() {
		return fmt.Errorf("the daemon: %v\n%s", d.cmd.ProcessState, d.out)
	}
	return nil
}

func (d *daemon) kill() {
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Kill()
		<-d.done
	}
}

// get sends a request to the daemon's HTTP server, on a new connection.
func (d *daemon) get(path string) (rsp *http.Response, body []byte, err error) {
	var c net.Conn
	err = d.net.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", metricsURL, time.Second)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, nil, err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", path); err != nil {
		return nil, nil, err
	}
	if rsp, err = http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		return nil, nil, err
	}
	defer rsp.Body.Close()
	body, err = io.ReadAll(rsp.Body)
	return rsp, body, err
}

// timeOfDay returns the time of the daemon's clock, in whole seconds.
func (d *daemon) timeOfDay() (time.Time, error) {
	rsp, _, err := d.get("/healthz")
	if err != nil {
		return time.Time{}, err
	}
	return http.ParseTime(rsp.Header.Get("Date"))
}

// vitals are values that must not grow.
type vitals struct {
	Goroutines, FDs, Threads int
	RSS                      int // KiB
	Heap                     int // KiB in use, garbage included
	Sessions, Exchanges      int
	Subscriptions, Fabrics   int
	Window                   int
	Store                    int // KiB
	Received                 int // datagrams
	Dropped                  map[string]int
}

// measure reads the values from the daemon and the kernel.
func (d *daemon) measure() (v vitals, err error) {
	rsp, body, err := d.get("/metrics")
	if err != nil {
		return v, fmt.Errorf("metrics: %w", err)
	}
	if rsp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("metrics: %s", rsp.Status)
	}
	m := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(name, "#") {
			m[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	v = vitals{
		Goroutines:    int(m["go_goroutines"]),
		Heap:          int(m["go_memstats_heap_alloc_bytes"]) >> 10,
		Sessions:      int(m[`opcredsd_sessions{type="case"}`] + m[`opcredsd_sessions{type="pase"}`]),
		Exchanges:     int(m["opcredsd_exchanges"]),
		Subscriptions: int(m["opcredsd_subscriptions"]),
		Fabrics:       int(m["opcredsd_fabrics"]),
		Window:        int(m["opcredsd_commissioning_window_open"]),
		Received:      int(m["opcredsd_datagrams_received_total"]),
		Dropped:       map[string]int{},
	}
	for name, n := range m {
		if reason, ok := strings.CutPrefix(name, `opcredsd_datagrams_dropped_total{reason="`); ok && n > 0 {
			v.Dropped[strings.TrimSuffix(reason, `"}`)] = int(n)
		}
	}
	return v, d.kernel(&v)
}

// kernel reads the values from the kernel.
func (d *daemon) kernel(v *vitals) error {
	proc := filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid))
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return err
	}
	v.FDs = len(fds)
	b, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 {
			switch f[0] {
			case "VmRSS:":
				v.RSS, _ = strconv.Atoi(f[1])
			case "Threads:":
				v.Threads, _ = strconv.Atoi(f[1])
			}
		}
	}
	f, err := os.Stat(filepath.Join(d.state, "opcredsd.db"))
	if err != nil {
		return err
	}
	v.Store = int(f.Size() >> 10)
	return nil
}

// rig is a daemon in its network, and a controller's socket.
type rig struct {
	*daemon
	*settings
	remove func()
}

func newRig(s *settings) (*rig, error) {
	n, err := newNetwork()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, "soak-")
	if err != nil {
		return nil, err
	}
	r := &rig{settings: s, daemon: &daemon{net: n, binary: s.daemon, state: dir}}
	r.remove = func() {
		r.kill()
		if l := n.part(); l != nil {
			fmt.Fprintln(os.Stderr, "soak:", l)
		}
		n.Close()
		os.RemoveAll(dir)
	}
	if err := r.start(); err != nil {
		r.remove()
		return nil, err
	}
	return r, nil
}

// newCommissioned returns a rig whose daemon has one fabric, and the fabric's
// controller.
func newCommissioned(ctx context.Context, s *settings) (*rig, *member, error) {
	r, err := newRig(s)
	if err != nil {
		return nil, nil, err
	}
	c, err := newClient()
	if err != nil {
		r.remove()
		return nil, nil, err
	}
	remove := r.remove
	r.remove = func() {
		c.Close()
		remove()
	}
	m, err := commission(ctx, c, deviceAt(deviceULA))
	if err != nil {
		r.remove()
		return nil, nil, fmt.Errorf("commissioning: %w", err)
	}
	return r, m, nil
}
