package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultLockTimeout = time.Second
	lockRetry          = 20 * time.Millisecond
)

// lock takes the kernel lock that bbolt takes too: it belongs to the open file,
// so bbolt's own attempt on the same file succeeds at once.
func lock(f *os.File, path string, shared bool, timeout time.Duration) error {
	how := unix.LOCK_EX | unix.LOCK_NB
	if shared {
		how = unix.LOCK_SH | unix.LOCK_NB
	}
	for start := time.Now(); ; time.Sleep(lockRetry) {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", path, err)
		case time.Since(start) >= timeout:
			pid, command := holder(f)
			return &LockedError{Path: path, PID: pid, Command: command}
		}
	}
}

// holder returns the process that has the file locked, as far as that can be found
// out. In a container the list of locks may lack it; then holder returns a process
// that has the file open.
func holder(f *os.File) (pid int, command string) {
	info, err := f.Stat()
	if err != nil {
		return 0, ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err == nil {
		pid = lockOwner(string(locks), uint64(st.Dev), st.Ino)
	}
	if pid == 0 {
		pid = openedBy(info)
	}
	if pid == 0 {
		return 0, ""
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return pid, ""
	}
	return pid, strings.TrimSpace(string(comm))
}

// lockOwner returns the owner of the lock on an inode from the text of /proc/locks,
// whose lines look like "1: FLOCK  ADVISORY  WRITE 1234 fd:01:131090 0 EOF". Some file
// systems show another device there than stat does, so lockOwner prefers an owner on
// the right device but takes any.
func lockOwner(locks string, dev, inode uint64) (pid int) {
	device := fmt.Sprintf("%02x:%02x", unix.Major(dev), unix.Minor(dev))
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		cut := strings.LastIndexByte(f[5], ':')
		if cut < 0 || f[5][cut+1:] != strconv.FormatUint(inode, 10) {
			continue
		}
		owner, err := strconv.Atoi(f[4])
		if err != nil || owner <= 0 {
			continue
		}
		if f[5][:cut] == device {
			return owner
		}
		pid = owner
	}
	return pid
}

// openedBy returns another process that has the file open.
func openedBy(info os.FileInfo) int {
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0
	}
	for _, fd := range fds {
		pid, err := strconv.Atoi(strings.Split(fd, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if other, err := os.Stat(fd); err == nil && os.SameFile(info, other) {
			return pid
		}
	}
	return 0
}
