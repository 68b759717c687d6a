package cluster

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// clockSet is a time (2025-01-01) before which a clock is not believed.
const clockSet = 1_735_689_600

// Epoch returns a time as epoch-s, in seconds since 2000, and null if the clock was never
// set.
func Epoch(t time.Time) Null[uint32] {
	s := t.Unix()
	if s < clockSet {
		return Null[uint32]{}
	}
	return Some(uint32(s - matter.EpochOffset))
}
