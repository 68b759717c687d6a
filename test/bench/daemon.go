package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
)

const (
	passcode      = 20202021
	discriminator = 3840
	udpPort       = 5540
	metricsPort   = 9540
	startLimit    = 20 * time.Second
)

// daemon is opcredsd with one state directory. One process runs at a time.
type daemon struct {
	*process
	binary  string
	ns      *netns.Namespace
	state   string
	fabrics int    // --max-fabrics
	number  uint16 // of several at the same time, from 0: added to the ports
	out     *output

	arguments []string // more of them
}

// start starts the daemon without waiting.
func (d *daemon) start() (err error) {
	cmd := exec.Command(d.binary, "run", "--state-dir", d.state, "--log-level", "warn",
		"--passcode", strconv.Itoa(passcode), "--discriminator", strconv.Itoa(discriminator),
		"--max-fabrics", strconv.Itoa(d.fabrics), "--metrics-addr", d.metricsAddr(), "--port", strconv.Itoa(int(udpPort+d.number)))
	cmd.Args = append(cmd.Args, d.arguments...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LANG=C.UTF-8"}
	for _, name := range []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT"} {
		if v, ok := os.LookupEnv(name); ok { // to test their effect
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	d.out = new(output)
	d.process, err = startIn(d.ns, cmd, d.out)
	return err
}

func (d *daemon) metricsAddr() string { return fmt.Sprintf("127.0.0.1:%d", metricsPort+d.number) }

// ready waits until the daemon can be discovered.
func (d *daemon) ready() error {
	for end := time.Now().Add(startLimit); ; time.Sleep(5 * time.Millisecond) {
		if status, _, err := d.get("/readyz"); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("the daemon ended: %v\n%s", d.cmd.ProcessState, d.out.tail())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the daemon is not ready after %v\n%s", startLimit, d.out.tail())
		}
	}
}

func (d *daemon) stop() error {
	if d.process == nil {
		return nil
	}
	if err := d.signal(unix.SIGTERM); err != nil {
		return err
	}
	if !d.cmd.ProcessState.Success() {
		return fmt.Errorf("the daemon: %v\n%s", d.cmd.ProcessState, d.out.tail())
	}
	return nil
}

// get sends a request to the daemon's HTTP server, on a new connection.
func (d *daemon) get(path string) (status int, body []byte, err error) {
	var c net.Conn
	err = d.ns.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", d.metricsAddr(), time.Second)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", path); err != nil {
		return 0, nil, err
	}
	rsp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, nil, err
	}
	defer rsp.Body.Close()
	body, err = io.ReadAll(rsp.Body)
	return rsp.StatusCode, body, err
}

// metric returns the value of a metric without labels.
func (d *daemon) metric(name string) (float64, error) {
	_, body, err := d.get("/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// allocations returns the number of objects that the daemon allocates because of f.
func (d *daemon) allocations(f func() error) (float64, error) {
	const name = "go_memstats_mallocs_total"
	var at [3]float64
	for i := range at {
		if i == 2 {
			if err := f(); err != nil {
				return 0, err
			}
		}
		var err error
		if at[i], err = d.metric(name); err != nil {
			return 0, err
		}
	}
	scrape := at[1] - at[0] // one scrape is between each two values
	return at[2] - at[1] - scrape, nil
}

// syncs returns the number of file syncs that the daemon makes because of f. It
// returns false if strace is missing or not permitted.
func (d *daemon) syncs(f func() error) (n int, ok bool, err error) {
	out := new(output)
	cmd := exec.Command("strace", "-f", "-q", "-e", "trace=fsync,fdatasync,sync_file_range,sync,syncfs", "-p", strconv.Itoa(d.cmd.Process.Pid))
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		return 0, false, nil
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) // this detaches it from the daemon
		_ = cmd.Wait()
		n = strings.Count(out.String(), "sync(")
	}()
	if !d.traced() {
		return 0, false, nil
	}
	return 0, true, f()
}

// traced waits until a tracer is attached to every thread.
func (d *daemon) traced() bool {
	for range 200 {
		all := true
		names, _ := filepath.Glob(d.proc("task/*/status"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			all = all && (errors.Is(err, os.ErrNotExist) || err == nil && !strings.Contains(string(b), "TracerPid:\t0\n"))
		}
		if all && len(names) > 0 {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

// kill ends a daemon that a failure has left.
func (d *daemon) kill() { _ = d.cmd.Process.Kill() }
