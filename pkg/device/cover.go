package device

import (
	"fmt"
	"math"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/windowcovering"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var coverKinds = map[string]kind{
	"window_covering": {datamodel.DeviceTypeWindowCovering, buildCover},
}

// coverings maps the kinds of window coverings to Matter's. A covering with both
// lift and tilt is a shutter or a blind there. The product must match the type, and is
// unknown otherwise, as for garage doors and gates. Every ecosystem shows Roller shade
// with a sensible name.
var coverings = map[string]struct {
	lift, both datamodel.WindowCoveringType
	product    datamodel.WindowCoveringEndProductType // of one with lift alone
	tilting    datamodel.WindowCoveringEndProductType // of one with both
}{
	"":             {datamodel.WindowCoveringTypeRollerShade, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeUnknown, datamodel.WindowCoveringEndProductTypeUnknown},
	"roller_shade": {datamodel.WindowCoveringTypeRollerShade, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeRollerShade, datamodel.WindowCoveringEndProductTypeUnknown},
	"curtain":      {datamodel.WindowCoveringTypeDrapery, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeCentralCurtain, datamodel.WindowCoveringEndProductTypeUnknown},
	"awning":       {datamodel.WindowCoveringTypeAwning, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeAwningTerracePatio, datamodel.WindowCoveringEndProductTypeUnknown},
	"shutter":      {datamodel.WindowCoveringTypeShutter, datamodel.WindowCoveringTypeShutter, datamodel.WindowCoveringEndProductTypeRollerShutter, datamodel.WindowCoveringEndProductTypeRollerShutter},
	"blind":        {datamodel.WindowCoveringTypeRollerShade, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeUnknown, datamodel.WindowCoveringEndProductTypeInteriorBlind},
	"screen":       {datamodel.WindowCoveringTypeProjectorScreen, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeUnknown, datamodel.WindowCoveringEndProductTypeUnknown},
	"garage_door":  {datamodel.WindowCoveringTypeRollerShade, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeUnknown, datamodel.WindowCoveringEndProductTypeUnknown},
	"gate":         {datamodel.WindowCoveringTypeRollerShade, datamodel.WindowCoveringTypeTiltBlindLiftAndTilt, datamodel.WindowCoveringEndProductTypeUnknown, datamodel.WindowCoveringEndProductTypeUnknown},
}

func buildCover(b *builder) error {
	o := &b.part.Options
	kind, ok := coverings[o.Kind]
	if !ok {
		return &OptionError{"kind", fmt.Sprintf("%q is not one of roller_shade, curtain, awning, shutter, blind, screen, garage_door, gate", o.Kind)}
	}
	if b.profile.ShutterAsShade && kind.lift == datamodel.WindowCoveringTypeShutter {
		shade := coverings["roller_shade"]
		kind.lift, kind.both = shade.lift, shade.both
	}
	position := o.Position == nil || *o.Position
	config := windowcovering.Config{Type: kind.lift, Product: kind.product}
	switch {
	case position:
		config.Features = windowcovering.Lift | windowcovering.PositionLift
	case !o.Tilt:
		config.Features = windowcovering.Lift
	default: // slats that only turn
		config.Type, config.Product = datamodel.WindowCoveringTypeTiltBlindTiltOnly, datamodel.WindowCoveringEndProductTypeTiltOnlyInteriorBlind
	}
	if o.Tilt {
		if position {
			config.Type, config.Product = kind.both, kind.tilting
		}
		config.Features |= windowcovering.Tilt | windowcovering.PositionTilt
	}
	b.Identify, b.Groups = true, true
	u := addUnit(b.Endpoint, windowcovering.Covering{Config: config}, windowcovering.Rules(), coverProperties(o, config, position))
	u.Serve(windowcovering.Cluster, windowcovering.Select(config))
	return nil
}

// coverProperties returns the properties of a covering. Moving comes last, so that
// a report of a position and of the end of the movement is handled in that order.
func coverProperties(o *Options, config windowcovering.Config, position bool) (all []property[windowcovering.Covering]) {
	type covering = windowcovering.Covering
	axis := func(name string, want uint32, needed bool, at func(*covering) *windowcovering.Axis) property[covering] {
		return property[covering]{
			Property: Property{Name: name, Kind: KindNumber, Max: 100, Settable: true, Needed: needed, Slow: windowcovering.Travel},
			want:     want,
			get:      func(s *covering) Value { return openPercent(at(s).Current, o.Inverted) },
			wish:     func(s *covering) Value { return openPercent(at(s).Target, o.Inverted) },
			report: func(c *cluster.Context, s *covering, v Value) {
				if p, ok := v.Number(); ok {
					at(s).ReportPosition(c, closedHundredths(p, o.Inverted))
				}
			},
		}
	}
	lift := func(s *covering) *windowcovering.Axis { return &s.Lift }
	tilt := func(s *covering) *windowcovering.Axis { return &s.Tilt }
	main := lift
	if config.Features&windowcovering.Lift != 0 {
		all = append(all, axis("position_percent", windowcovering.WantLift, position, lift))
	} else {
		main = tilt
	}
	if config.Features&windowcovering.Tilt != 0 {
		all = append(all, axis("tilt_percent", windowcovering.WantTilt, true, tilt))
	}
	return append(all, property[covering]{
		Property: Property{Name: "moving", Kind: KindText, Values: []string{"stopped", "opening", "closing"}},
		get: func(s *covering) Value {
			return Text([]string{"stopped", "opening", "closing"}[main(s).Status])
		},
		report: func(c *cluster.Context, s *covering, v Value) {
			switch is, _ := v.Text(); is {
			case "stopped":
				main(s).ReportMoving(c, windowcovering.Stopped)
			case "opening":
				main(s).ReportMoving(c, windowcovering.Opening)
			case "closing":
				main(s).ReportMoving(c, windowcovering.Closing)
			}
		},
	})
}

// openPercent and closedHundredths convert between percent open and hundredths of a
// percent closed. inverted is for a source that counts in the other direction.

func openPercent(p cluster.Null[uint16], inverted bool) Value {
	switch {
	case !p.Valid:
		return Null
	case inverted:
		return Number(float64(p.V) / 100)
	}
	return Number(100 - float64(p.V)/100)
}

func closedHundredths(percent float64, inverted bool) uint16 {
	if !inverted {
		percent = 100 - percent
	}
	return uint16(math.Round(percent * 100))
}
