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
	Switch Switch
}

// New returns the state of a light that is off.
func New() Light { return Light{Switch: Switch{GlobalSceneControl: true}} }

// Rules returns what the clusters of a light have in common.
func Rules() cluster.Rules[Light] {
	return cluster.Rules[Light]{Couple: couple, Tick: tick}
}

// couple makes the parts of a light agree after a change.
func couple(c *cluster.Context, was, is *Light) error {
	is.Switch.arm(c.Now, &was.Switch)
	return nil
}

// tick brings a light to c.Now.
func tick(c *cluster.Context, s *Light) time.Time { return s.runTimer(c) }
