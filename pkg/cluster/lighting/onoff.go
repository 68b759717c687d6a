package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// endless is the OnTime or OffWaitTime that does not run down.
const endless = 0xFFFF

// tenth is the unit of OnTime and OffWaitTime.
const tenth = 100 * time.Millisecond

// OnOff is the On/Off cluster with the feature Lighting.
var OnOff = cluster.Define(cluster.Def[Light]{
	Facts: datamodel.OnOff,
	Attributes: []cluster.Attribute[Light]{
		cluster.Bool(datamodel.OnOffAttrOnOff, func(s *Light) *bool { return &s.On }),
		cluster.Bool(datamodel.OnOffAttrGlobalSceneControl, func(s *Light) *bool { return &s.GlobalSceneControl }),
		countdown(cluster.Uint(datamodel.OnOffAttrOnTime, func(s *Light) *uint16 { return &s.OnTime })),
		countdown(cluster.Uint(datamodel.OnOffAttrOffWaitTime, func(s *Light) *uint16 { return &s.OffWaitTime })),
		cluster.NullUint(datamodel.OnOffAttrStartUpOnOff, func(s *Light) *cluster.Null[uint8] { return &s.StartUpOnOff }),
	},
	Commands: []cluster.Command[Light]{
		cluster.Do(datamodel.OnOffCmdOff, func(c *cluster.Context, s *Light) error { s.switchTo(c, false); return nil }),
		cluster.Do(datamodel.OnOffCmdOn, func(c *cluster.Context, s *Light) error { s.switchTo(c, true); return nil }),
		cluster.Do(datamodel.OnOffCmdToggle, func(c *cluster.Context, s *Light) error { s.switchTo(c, !s.On); return nil }),
	},
})

var _ = tlv.Anonymous

func countdown(a cluster.Attribute[Light]) cluster.Attribute[Light] { return a }

// switchTo is On or Off by a controller (section 1.5.7.1 and 1.5.7.2).
func (s *Light) switchTo(c *cluster.Context, on bool) {
	c.Want(WantOn)
	s.setOn(c, on)
}

// setOn switches, whoever is the cause.
func (s *Light) setOn(c *cluster.Context, on bool) {
	s.On = on
	if on {
		if s.OnTime == 0 {
			s.OffWaitTime = 0
		}
		s.GlobalSceneControl = true
	} else {
		s.OnTime = 0
	}
}

func (s *Light) countDown(c *cluster.Context) time.Time { return time.Time{} }

// ReportOn takes from the device whether it is on.
func (s *Light) ReportOn(c *cluster.Context, on bool) {
	if on != s.On {
		s.setOn(c, on)
	}
}
