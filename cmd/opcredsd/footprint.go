package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// gcPercent lets the heap grow by half before it is collected, not to twice its
// size: of a few megabytes that is worth more than the time.
const gcPercent = 50

// economise fits Go's runtime to a daemon whose work is one goroutine's. With more
// than one thread to run Go code on, each datagram that the goroutine of a socket
// hands to the event loop wakes another thread, which takes longer than most
// requests. The runtime's own environment variables have the last word.
func economise() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// giveBack returns what only the start has needed: freed memory, and the pages of
// the program itself, most of which the kernel has mapped because something near
// them was used. What is used again comes back from the file, page by page.
func giveBack() error {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); err != nil {
			return fmt.Errorf("/proc/self/maps: %w", err)
		}
		// What can be written to is not as it is in the file.
		if strings.Contains(access, "w") || !strings.HasSuffix(strings.TrimSpace(line), " "+exe) {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return os.NewSyscallError("madvise", errno)
		}
	}
	return nil
}
