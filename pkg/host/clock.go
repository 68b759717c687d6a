package host

import (
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ClockSynchronised asks the kernel whether something keeps its clock right. A sandbox
// may forbid the question; systemd's own client leaves a mark.
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

// clockFloor is a time before which this program did not exist, Unix seconds:
// 2026-01-01. It stands in where the build does not say its time.
const clockFloor = 1767225600

// Built returns when the program was built, Unix seconds: as near as the toolchain
// knows, by the time of the commit, so that the build stays reproducible.
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

// ClockPlausible reports whether the clock can be right at now: it is not before the
// program was built.
func ClockPlausible(now time.Time) bool { return now.Unix() >= Built() }
