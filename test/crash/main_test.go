//go:build crash

package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideVar names, to the process in the namespaces, the directory that is its
// own. It is a small disk in memory: thousands of copies of a state come and go.
const insideVar = "OPCREDSD_CRASH_DIR"

// workDir and binary are where states are made and what is tested.
var workDir, binary string

// TestMain runs this program again in a network and a mount namespace of its own,
// in a user namespace too if it takes one. No daemon under test can be found
// from outside, and everything ends with the process.
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
	code, err := inside(dir, false)
	if errors.Is(err, unix.EPERM) {
		code, err = inside(dir, true)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "crash: no namespaces: %v\n"+
			"run this as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1,\n"+
			"user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0)\n", err)
		return 1
	}
	return code
}

// inside runs this program in namespaces and returns its exit status.
func inside(dir string, asUser bool) (int, error) {
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the child
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVar+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if asUser {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // gone already is as good
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// prepare makes the namespaces fit for the daemon: loopback, and nothing else, so
// that nothing is announced anywhere.
func prepare() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
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
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("no daemon: %w; build it (make build) or set OPCREDSD_BIN", err)
	}
	return probeTracing()
}

// probeTracing makes sure that a process can be traced, and killed at a call.
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
