//go:build interop

package interop

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideVar marks a process that is already in the user namespace.
const insideVar = "OPCREDSD_INTEROP_INSIDE"

// TestMain moves the test into a user namespace if this user may not make
// network namespaces otherwise. It lets all tests that may run at the same time do
// so: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	err := probeNamespaces()
	switch {
	case err == nil:
		os.Exit(m.Run())
	case errors.Is(err, unix.EPERM) && os.Getenv(insideVar) == "":
		os.Exit(insideUserNamespace())
	}
	fmt.Fprintf(os.Stderr, "interop: no network namespaces: %v\n", err)
	os.Exit(1)
}

func probeNamespaces() error {
	n, err := newNamespace()
	if err != nil {
		return err
	}
	n.close()
	return nil
}

// insideUserNamespace runs this program again as the root of a user namespace of
// its own and returns its exit status.
func insideUserNamespace() int {
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the child
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "interop: no user namespace: %v\n"+
			"run this as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1,\n"+
			"user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0)\n", err)
		return 1
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // gone already is as good
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintf(os.Stderr, "interop: %v\n", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}
