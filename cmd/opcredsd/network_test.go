package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"

	"github.com/opcredsd/opcredsd/internal/netlab"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// patience is how long a script waits.
const patience = 30 * time.Second

// TestNetwork runs each script in testdata/network with the daemon, in a separate
// network.
func TestNetwork(t *testing.T) {
	files, err := filepath.Glob("testdata/network/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			if !netlab.Isolated(t) {
				return
			}
			p := params()
			p.Files = []string{f}
			testscript.Run(t, p)
		})
	}
}

// await runs a command until it succeeds: await opcredsd healthcheck
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: [!] await command [args]")
	}
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = ts.Exec(args[0], args[1:]...); (err != nil) == neg {
			return
		}
	}
	ts.Fatalf("%v after %v", err, patience)
}

// awaitFile waits until a file matches: awaitlog log 'msg="ready"'
func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaitlog file regexp")
	}
	want := regexp.MustCompile("(?m)" + args[1])
	var text []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, _ = os.ReadFile(ts.MkAbs(args[0]))
		if want.Match(text) {
			return
		}
	}
	ts.Fatalf("no %q in %s:\n%s", args[1], args[0], text)
}

// inherited are the variables of a script that its daemon gets.
var inherited = []string{"PATH", "WORK", "HOME", "NOTIFY_SOCKET", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY", "OPCREDSD_CONFIG", "OPCREDSD_STATE_DIR", "GOCOVERDIR"}

// daemonProcess is the daemon of a script.
type daemonProcess struct {
	cmd  *exec.Cmd
	done chan error
}

var daemons = map[*testscript.TestScript]*daemonProcess{} // one script per process

// daemonCommand controls the daemon:
//
//	daemon start [flags of run]    its output goes to the files out and log
//	daemon signal HUP
//	daemon wait N                  for its exit status
//	daemon stop                    SIGTERM, exit status 0 within 5 seconds
func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon start|signal|wait|stop")
	}
	if args[0] == "start" {
		startDaemon(ts, args[1:])
		return
	}
	d := daemons[ts]
	if d == nil {
		ts.Fatalf("no daemon was started")
	}
	switch args[0] {
	case "signal":
		ts.Check(d.cmd.Process.Signal(map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}[args[1]]))
	case "stop":
		ts.Check(d.cmd.Process.Signal(syscall.SIGTERM))
		d.wait(ts, 5*time.Second, 0)
	case "wait":
		want, err := strconv.Atoi(args[1])
		ts.Check(err)
		d.wait(ts, patience, want)
	default:
		ts.Fatalf("unknown: daemon %s", args[0])
	}
}

func startDaemon(ts *testscript.TestScript, args []string) {
	path, err := exec.LookPath("opcredsd")
	ts.Check(err)
	out, err := os.Create(ts.MkAbs("out"))
	ts.Check(err)
	defer out.Close()
	log, err := os.Create(ts.MkAbs("log"))
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(path, append([]string{"run"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = ts.MkAbs("."), out, log, []string{}
	for _, name := range inherited {
		if v := ts.Getenv(name); v != "" || name == "OPCREDSD_CONFIG" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	d := &daemonProcess{cmd, make(chan error, 1)}
	ts.Check(cmd.Start())
	go func() { d.done <- cmd.Wait() }()
	daemons[ts] = d
	ts.Defer(func() { _ = cmd.Process.Kill() })
}

func (d *daemonProcess) wait(ts *testscript.TestScript, limit time.Duration, want int) {
	select {
	case err := <-d.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			ts.Fatalf("the daemon: %v", err)
		}
		if got := d.cmd.ProcessState.ExitCode(); got != want {
			ts.Fatalf("the daemon's exit status is %d, want %d:\n%s", got, want, ts.ReadFile("log"))
		}
	case <-time.After(limit):
		ts.Fatalf("the daemon still runs after %v:\n%s", limit, ts.ReadFile("log"))
	}
}

// makeMaterial writes development material into a directory: material DIR [VID PID]
func makeMaterial(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 && len(args) != 3 {
		ts.Fatalf("usage: material dir [vid pid]")
	}
	vid, pid := uint64(0xFFF1), uint64(0x8001)
	if len(args) == 3 {
		var err error
		vid, err = strconv.ParseUint(args[1], 0, 16)
		ts.Check(err)
		pid, err = strconv.ParseUint(args[2], 0, 16)
		ts.Check(err)
	}
	a, err := attestation.Generate(rand.Reader, matter.VendorID(vid), matter.ProductID(pid), time.Now())
	ts.Check(err)
	key, err := mcrypto.ParsePrivateKey(a.Key)
	ts.Check(err)
	text, err := attestation.EncodeKey(key)
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	for name, b := range map[string][]byte{
		"dac.pem": attestation.EncodeCertificate(a.DAC), "dac.der": a.DAC,
		"pai.pem": attestation.EncodeCertificate(a.PAI), "cd.der": a.CD, "key.pem": text,
	} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
}

// makeLink creates a network interface without a peer that is up and has its
// link-local address at once: link eth0 [-down]. The other end has the name of a
// container's interface.
func makeLink(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: link name [-down]")
	}
	ip := func(line string) { ts.Check(ts.Exec("ip", strings.Fields(line)...)) }
	name, peer := args[0], "veth"+args[0]
	ip("link add " + name + " type veth peer name " + peer)
	// Without duplicate address detection, which takes seconds.
	ts.Check(os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0))
	ip("link set " + peer + " up")
	if len(args) > 1 {
		return
	}
	ip("link set " + name + " up")
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if list, err := host.Interfaces([]string{name}); err == nil && slices.ContainsFunc(list, func(i host.Interface) bool { return i.Use }) {
			return
		}
	}
	ts.Fatalf("%s has no link-local address", name)
}

// holdPort binds a UDP port until the end of the script: hold 5540
func holdPort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold port")
	}
	c, err := net.ListenPacket("udp6", "[::]:"+args[0])
	ts.Check(err)
	ts.Defer(func() { c.Close() })
}

// hangUp listens on a Unix socket and closes each connection at once, as a daemon
// does for users without permission: hangup path
func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hangup path")
	}
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// listenNotify creates a socket like systemd's, and writes what it receives into
// the file notified: listen
func listenNotify(ts *testscript.TestScript, _ bool, _ []string) {
	path := ts.MkAbs("notify.sock")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	f, err := os.Create(ts.MkAbs("notified"))
	ts.Check(err)
	ts.Setenv("NOTIFY_SOCKET", path)
	ts.Defer(func() { c.Close() })
	go func() {
		defer f.Close()
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			fmt.Fprintf(f, "%s\n--\n", bytes.TrimSpace(b[:n]))
		}
	}()
}

// makeNewer gives a store an unknown schema: newer FILE
func makeNewer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newer file")
	}
	db, err := bbolt.Open(ts.MkAbs(args[0]), 0o600, nil)
	ts.Check(err)
	ts.Check(db.Update(func(tx *bbolt.Tx) error {
		// A value consists of its checksum, which depends on the key, and its text.
		const text = "99"
		sum := crc32.Checksum([]byte("meta/schema/"+text), crc32.MakeTable(crc32.Castagnoli))
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), fmt.Appendf(nil, "%08x %s", sum, text))
	}))
	ts.Check(db.Close())
}
