package cluster

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// clockSet is 2025-01-01. A clock that shows an earlier time has not been set.
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
