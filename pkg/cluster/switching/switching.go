// Package switching implements the On/Off cluster, 0x0006 revision 6 ("Matter
// Application Cluster Specification", section 1.5), without the feature Lighting,
// for devices that are not lights.
package switching

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// WantOn is the bit of [cluster.Context.Want].
const WantOn uint32 = 1

// Switch is the state of a device that is on or off.
type Switch struct{ On bool }

// Commands are the additional commands of a device that can be switched on.
var Commands = []matter.CommandID{datamodel.OnOffCmdOn, datamodel.OnOffCmdToggle}

// OnOff is the On/Off cluster.
var OnOff = cluster.Define(cluster.Def[Switch]{
	Facts: datamodel.OnOff,
	Attributes: []cluster.Attribute[Switch]{
		cluster.Bool(datamodel.OnOffAttrOnOff, func(s *Switch) *bool { return &s.On }),
	},
	Commands: []cluster.Command[Switch]{
		cluster.Do(datamodel.OnOffCmdOff, func(c *cluster.Context, s *Switch) error { return s.set(c, false) }),
		cluster.Do(datamodel.OnOffCmdOn, func(c *cluster.Context, s *Switch) error { return s.set(c, true) }),
		cluster.Do(datamodel.OnOffCmdToggle, func(c *cluster.Context, s *Switch) error { return s.set(c, !s.On) }),
	},
})

func (s *Switch) set(c *cluster.Context, on bool) error {
	c.Want(WantOn)
	s.On = on
	return nil
}
