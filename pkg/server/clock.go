package server

import (
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// epoch returns now in seconds since 2000-01-01, or 0 where the clock is plainly
// not set: a board without one wakes up in 1970, or at the date of its image.
func epoch(now time.Time) uint32 {
	s := now.Unix() - matter.EpochOffset
	if s < clockFloor-matter.EpochOffset || s > math.MaxUint32 {
		return 0
	}
	return uint32(s)
}

// clockFloor is a time before which this program did not exist, Unix seconds:
// 2026-01-01.
const clockFloor = 1767225600
