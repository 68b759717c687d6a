package host

import (
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ClockSynchronised reports whether the kernel considers the clock synchronized. If
// a sandbox forbids the system call, it looks for the file that systemd-timesyncd
// creates.
func ClockSynchronised() bool {
	const (
		unsynchronised = 0x0040 // STA_UNSYNC
		mark           = "/run/systemd/timesync/synchronized"
	)
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err == nil {
		return t.Status&unsynchronised == 0
	}
	_, err := os.Stat(mark)
	return err == nil
}

// clockFloor is 2026-01-01 in Unix seconds, before which this program did not
// exist. It is used if the build contains no time.
const clockFloor = 1767225600

// Built returns when the program was built, in Unix seconds. It is the time of the
// commit, so that builds are reproducible.
var Built = sync.OnceValue(func() int64 {
	floor := int64(clockFloor)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return floor
	}
	for _, s := range info.Settings {
		if s.Key != "vcs.time" {
			continue
		}
		if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
			floor = max(floor, t.Unix())
		}
	}
	return floor
})

// ClockPlausible reports whether the clock can be right: now is not before the
// program was built.
func ClockPlausible(now time.Time) bool { return now.Unix() >= Built() }
