package device

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/lighting"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var lightKinds = map[string]kind{
	"on_off_light": {datamodel.DeviceTypeOnOffLight, buildLight},
	"on_off_plug":  {datamodel.DeviceTypeOnOffPlugInUnit, buildLight},
}

var onProperty = property[lighting.Light]{
	Property: Property{Name: "on", Kind: KindBool, Settable: true},
	want:     lighting.WantOn,
	get:      func(s *lighting.Light) Value { return Bool(s.On) },
	report: func(c *cluster.Context, s *lighting.Light, v Value) {
		if on, ok := v.Bool(); ok {
			s.ReportOn(c, on)
		}
	},
}

func buildLight(b *builder) error {
	b.Identify, b.Groups = true, true
	u := addUnit(b.Endpoint, lighting.Light{GlobalSceneControl: true}, lighting.Rules(), []property[lighting.Light]{onProperty})
	u.Serve(lighting.OnOff, cluster.Selection{Features: datamodel.OnOffFeatureLighting})
	return nil
}
