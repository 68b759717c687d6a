package device

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/booleanstate"
	"github.com/opcredsd/opcredsd/pkg/cluster/lighting"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// plainer is a simpler type that replaces another one, with that one's properties.
type plainer struct {
	kind
	as string // its name in texts
}

var (
	// detectorAsContact is a detector shown as a contact that is open while it
	// detects.
	detectorAsContact = &plainer{kind{datamodel.DeviceTypeContactSensor, booleanAs("detected", true)}, "a contact sensor"}
	// pumpAsPlug is a pump shown as a plug.
	pumpAsPlug = &plainer{kind{datamodel.DeviceTypeOnOffPlugInUnit, buildOnOff}, "a plug"}
	// valveAsPlug is a valve shown as a plug that is on while the valve is open.
	valveAsPlug = &plainer{kind{datamodel.DeviceTypeOnOffPlugInUnit, buildValveAsPlug}, "a plug"}
)

// booleanAs is like booleanSensor, but the property may be inverted.
func booleanAs(name string, inverted bool) func(*builder) error {
	props := []property[booleanstate.State]{{
		Property: Property{Name: name, Kind: KindBool, Needed: true},
		get:      func(s *booleanstate.State) Value { return Bool(s.Value != inverted) },
		report: func(c *cluster.Context, s *booleanstate.State, v Value) {
			if is, ok := v.Bool(); ok {
				s.Set(c, is != inverted)
			}
		},
	}}
	return func(b *builder) error {
		b.Identify = true
		initial := booleanstate.State{Value: inverted}
		u := addUnit(b.Endpoint, initial, cluster.Rules[booleanstate.State]{}, props)
		u.Serve(booleanstate.Cluster, cluster.Selection{Features: booleanstate.Features})
		return b.addConfiguration()
	}
}

// buildValveAsPlug does not control the level of the valve.
func buildValveAsPlug(b *builder) error {
	open := onProperty
	open.Name = "open"
	props := []lightProperty{open}
	if b.part.Options.Level {
		props = append(props, lightProperty{
			Property: Property{Name: "level_percent", Kind: KindNumber, Max: 100},
			get:      func(*lighting.Light) Value { return Null },
			report:   func(*cluster.Context, *lighting.Light, Value) {},
		})
	}
	buildLight(b, lighting.Model{}, props...)
	return nil
}
