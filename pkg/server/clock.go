package server

import (
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// epoch returns now in seconds since 2000-01-01, or 0 where the clock is plainly
// wrong: before the last known good time, which is never before this program was
// built (section 3.5.6.1). A board without a clock wakes up in 1970, or at the
// date of its image; by such a time no certificate is judged, neither as not yet
// valid nor as expired, or the board would lock its administrators out.
func (s *Server) epoch(now time.Time) uint32 {
	if t := epoch(now); t >= s.trust.fabrics.LastKnownGoodTime() {
		return t
	}
	return 0
}

// epoch is the same without what certificates have taught this node.
func epoch(now time.Time) uint32 {
	s := now.Unix() - matter.EpochOffset
	if now.Unix() < built() || s > math.MaxUint32 {
		return 0
	}
	return uint32(s)
}

// clockFloor is a time before which this program did not exist, Unix seconds:
// 2026-01-01. It stands in where the build does not say its time.
const clockFloor = 1767225600

// built returns when the program was built, Unix seconds: as near as the
// toolchain tells, by the time of the commit. The build stays reproducible.
var built = sync.OnceValue(func() int64 {
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
