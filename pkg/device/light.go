package device

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/lighting"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

var lightKinds = map[string]kind{
	"on_off_light":           {datamodel.DeviceTypeOnOffLight, buildOnOff},
	"on_off_plug":            {datamodel.DeviceTypeOnOffPlugInUnit, buildOnOff},
	"mounted_on_off_control": {datamodel.DeviceTypeMountedOnOffControl, buildMounted(datamodel.DeviceTypeOnOffPlugInUnit, buildOnOff)},
}

var onProperty = property[lighting.Light]{
	Property: Property{Name: "on", Kind: KindBool, Settable: true},
	want:     lighting.WantOn,
	get:      func(s *lighting.Light) Value { return Bool(s.Switch.On) },
	report: func(c *cluster.Context, s *lighting.Light, v Value) {
		if on, ok := v.Bool(); ok {
			s.ReportOn(c, on)
		}
	},
}

func buildOnOff(b *builder) error {
	b.Identify, b.Groups = true, true
	u := addUnit(b.Endpoint, lighting.New(), lighting.Rules(), []property[lighting.Light]{onProperty})
	u.Serve(lighting.OnOff, cluster.Selection{Features: datamodel.OnOffFeatureLighting})
	return nil
}

// buildMounted returns a build function for what is fixed to a wall. It names the plug
// that does the same first, as few ecosystems know the mounted kinds, and none shows what
// they use.
func buildMounted(plug matter.DeviceTypeID, build func(*builder) error) func(*builder) error {
	return func(b *builder) error {
		b.addType(plug)
		slices.Reverse(b.Types)
		return build(b)
	}
}
