package switches

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// Latch is the state of a latching switch, such as a rocker switch or a selector: it
// stays in its position.
type Latch struct {
	Positions uint8 // at least 2; never changes
	Position  uint8 // from 0
}

// Latching is the Switch cluster of a latching switch.
var Latching = cluster.Define(cluster.Def[Latch]{
	Facts: datamodel.Switch,
	Attributes: []cluster.Attribute[Latch]{
		cluster.Uint(datamodel.SwitchAttrNumberOfPositions, func(s *Latch) *uint8 { return &s.Positions }),
		cluster.Uint(datamodel.SwitchAttrCurrentPosition, func(s *Latch) *uint8 { return &s.Position }),
	},
})

// LatchRules returns the rules for the state of a latching switch.
func LatchRules() cluster.Rules[Latch] {
	return cluster.Rules[Latch]{Restored: func(s *Latch) { s.Position = min(s.Position, s.Positions-1) }}
}

// Set sets the position. A change is an event (section 1.13.6.1).
func (s *Latch) Set(c *cluster.Context, position uint8) {
	if position == s.Position {
		return
	}
	s.Position = position
	emit(c, datamodel.SwitchEventSwitchLatched, position)
}
