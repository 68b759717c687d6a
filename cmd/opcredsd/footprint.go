package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// gcPercent lets the heap grow by half instead of doubling before a collection. For
// a heap of a few megabytes, memory is worth more than time.
const gcPercent = 50

// economise configures Go's runtime for a daemon that mostly runs one goroutine.
// With several threads for Go code, each datagram that a socket's goroutine passes
// to the event loop would wake another thread, which takes longer than most
// requests. The runtime's environment variables take precedence.
func economise() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// giveBack releases memory that only the start needed: freed heap, and pages of the
// program, most of which the kernel has mapped as neighbours of used ones. Pages
// that are needed again are read from the file.
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
		// A writable mapping may differ from the file.
		if strings.Contains(access, "w") || !strings.HasSuffix(strings.TrimSpace(line), " "+exe) {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return os.NewSyscallError("madvise", errno)
		}
	}
	return nil
}
