package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
)

// Bits of [cluster.Context.Want].
const (
	WantOn uint32 = 1 << iota
)

// Light is the state of a light, or of a plug.
type Light struct {
	On                 bool
	GlobalSceneControl bool
	OnTime             uint16 // tenths of a second at counted
	OffWaitTime        uint16
	StartUpOnOff       cluster.Null[uint8]

	counting bool      // OnTime or OffWaitTime runs down
	counted  time.Time // up to when
}

// Rules returns what the clusters of a light have in common.
func Rules() cluster.Rules[Light] {
	return cluster.Rules[Light]{Tick: tick}
}

// tick brings the state to c.Now.
func tick(c *cluster.Context, s *Light) time.Time { return s.countDown(c) }
