//go:build crash

package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// insideVar passes the working directory to the process in the namespaces. It is a
// small disk in memory, for thousands of copies of a state.
const insideVar = "OPCREDSD_CRASH_DIR"

// workDir is where states are created, and binary is the program under test.
var workDir, binary string

// TestMain runs this program again in its own network and mount namespace, and in a
// user namespace if possible. So the daemons under test are not reachable from
// outside, and everything ends with the process.
func TestMain(m *testing.M) {
	if workDir = os.Getenv(insideVar); workDir == "" {
		os.Exit(outside())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
	code := m.Run()
	results.print()
	os.Exit(code)
}

func outside() int {
	dir, err := os.MkdirTemp("", "crash")
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	code, err := netns.Rerun(unix.CLONE_NEWNS, insideVar+"="+dir)
	if err != nil {
		fmt.Fprintf(os.Stderr, "crash: no namespaces: %v\n%s\n", err, netns.Denied)
	}
	return code
}

// prepare sets up the namespaces for the daemon, with no interface except loopback.
func prepare() error {
	if err := netns.Loopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", workDir, "tmpfs", 0, "mode=700"); err != nil {
		return fmt.Errorf("a disk in memory: %w", err)
	}
	if binary = os.Getenv("OPCREDSD_BIN"); binary == "" {
		binary = "../../bin/opcredsd"
	}
	var err error
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("no daemon: %w; build it (make build) or set OPCREDSD_BIN", err)
	}
	return probeTracing()
}

// probeTracing checks that a process can be traced, and killed at a call.
func probeTracing() error {
	p := &plan{root: workDir}
	p.set(action{kind: killBefore, at: 1})
	p.arm()
	log, err := os.Create(filepath.Join(workDir, "probe.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	dir := filepath.Join(workDir, "probe")
	pr, err := launch(command("run", dir, 0), log, log, p)
	if err == nil {
		<-pr.dead
		if p.struck() == "" || !pr.status.Signaled() {
			err = errors.New("the traced daemon was not stopped at its first call")
		} else if _, lerr := os.Lstat(dir); !errors.Is(lerr, os.ErrNotExist) {
			err = errors.New("the call at which the daemon was killed took place")
		}
	}
	if err != nil {
		return fmt.Errorf("tracing does not work here: %w\n"+
			"it needs Linux 5.3 or later on amd64 or arm64, and ptrace(2): in a container, --cap-add SYS_PTRACE\n"+
			"or a seccomp profile that allows it; with Yama, kernel.yama.ptrace_scope below 3", err)
	}
	return nil
}
