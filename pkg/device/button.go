package device

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/switches"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var buttonKinds = map[string]kind{
	"generic_switch": {datamodel.DeviceTypeGenericSwitch, buildSwitch},
}

// allGestures are the gestures that a button may have, in the order of error texts.
var allGestures = []Gesture{Single, Double, Triple, Long}

// EventError is returned for an event that a part does not have.
type EventError struct {
	Event Gesture
	Have  []Gesture // empty: the part is not a button
}

func (e *EventError) Error() string {
	if len(e.Have) == 0 {
		return "event: the part is no button"
	}
	have := make([]string, len(e.Have))
	for i, g := range e.Have {
		have[i] = string(g)
	}
	return fmt.Sprintf("event: the part has no %q; it has %s", e.Event, strings.Join(have, ", "))
}

// positionsMost is the maximum number of positions of a latching switch.
const positionsMost = 32

// buildSwitch builds a push button, or a latching switch if the part has positions.
func buildSwitch(b *builder) error {
	o := &b.part.Options
	switch {
	case o.Positions == 0:
		return buildButton(b)
	case o.Positions < 2 || o.Positions > positionsMost:
		return &OptionError{"positions", fmt.Sprintf("%d is not from 2 to %d", o.Positions, positionsMost)}
	case len(o.Gestures) > 0:
		return &OptionError{"positions", "a switch has either positions or gestures"}
	}
	b.Identify = true
	u := addUnit(b.Endpoint, switches.Latch{Positions: uint8(o.Positions)}, switches.LatchRules(), []property[switches.Latch]{{
		Property: Property{Name: "position", Kind: KindNumber, Max: float64(o.Positions - 1), Needed: true},
		get:      func(s *switches.Latch) Value { return Number(float64(s.Position)) },
		report: func(c *cluster.Context, s *switches.Latch, v Value) {
			if f, ok := v.Number(); ok {
				s.Set(c, uint8(math.Round(f)))
			}
		},
	}})
	u.Serve(switches.Latching, cluster.Selection{Features: datamodel.SwitchFeatureLatchingSwitch})
	return nil
}

// buildButton builds a push button with the features that its gestures need.
// Without options it has all gestures, which ecosystems show best.
func buildButton(b *builder) error {
	gestures := make([]Gesture, 0, len(allGestures))
	for _, g := range b.part.Options.Gestures {
		if !slices.Contains(allGestures, Gesture(g)) {
			return &OptionError{"gestures", fmt.Sprintf("%q is not one of single, double, triple, long", g)}
		}
		gestures = append(gestures, Gesture(g))
	}
	if len(gestures) == 0 {
		gestures = allGestures
	}
	s := switches.Button{Features: datamodel.SwitchFeatureMomentarySwitch | datamodel.SwitchFeatureMomentarySwitchRelease}
	if slices.Contains(gestures, Long) {
		s.Features |= datamodel.SwitchFeatureMomentarySwitchLongPress
	}
	switch {
	case slices.Contains(gestures, Triple):
		s.MultiPressMax = 3
	case slices.Contains(gestures, Double):
		s.MultiPressMax = 2
	}
	if s.MultiPressMax > 0 {
		s.Features |= datamodel.SwitchFeatureMomentarySwitchMultiPress
	}
	b.Identify = true
	u := addUnit(b.Endpoint, s, switches.Rules(), nil)
	u.Serve(switches.Cluster, cluster.Selection{Features: s.Features})
	// The two halves of a press make up any gesture of the button.
	have := append(slices.Clone(gestures), Press, Release)
	b.gesture = func(now time.Time, g Gesture) error {
		if !slices.Contains(have, g) {
			return &EventError{g, have}
		}
		return u.Report(now, func(c *cluster.Context, s *switches.Button) error {
			takeGesture(c, s, g)
			return nil
		})
	}
	return nil
}

func takeGesture(c *cluster.Context, s *switches.Button, g Gesture) {
	switch g {
	case Single:
		s.Presses(c, 1)
	case Double:
		s.Presses(c, 2)
	case Triple:
		s.Presses(c, 3)
	case Long:
		s.Hold(c)
	case Press:
		s.Press(c)
	case Release:
		s.Release(c)
	}
}
