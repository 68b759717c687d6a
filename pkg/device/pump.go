package device

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/pump"
	"github.com/opcredsd/opcredsd/pkg/cluster/switching"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var pumpKinds = map[string]kind{
	"pump": {datamodel.DeviceTypePump, buildPump},
}

func buildPump(b *builder) error {
	b.Identify = true
	addSwitch(b, 0)
	u := addUnit(b.Endpoint, pump.Pump{}, cluster.Rules[pump.Pump]{}, nil)
	u.Serve(pump.Cluster, cluster.Selection{Features: pump.Features})
	return nil
}

// addSwitch adds On/Off without the feature Lighting, and the property "on".
func addSwitch(b *builder, features uint32) {
	props := []property[switching.Switch]{{
		Property: Property{Name: "on", Kind: KindBool, Settable: true},
		want:     switching.WantOn,
		get:      func(s *switching.Switch) Value { return Bool(s.On) },
		report: func(_ *cluster.Context, s *switching.Switch, v Value) {
			if on, ok := v.Bool(); ok {
				s.On = on
			}
		},
	}}
	u := addUnit(b.Endpoint, switching.Switch{}, cluster.Rules[switching.Switch]{}, props)
	u.Serve(switching.OnOff, cluster.Selection{Features: features, Commands: switching.Commands})
}
