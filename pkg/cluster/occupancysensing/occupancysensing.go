// Package occupancysensing implements the Occupancy Sensing cluster, 0x0406
// revision 7 ("Matter Application Cluster Specification", section 2.7).
package occupancysensing

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Sensor is the state of an occupancy sensor.
type Sensor struct {
	Occupancy datamodel.OccupancySensingOccupancy

	// Derived from the sensor's technology; these never change. See [Technology].
	Type   datamodel.OccupancySensingOccupancySensorType
	Bitmap datamodel.OccupancySensingOccupancySensorTypeBitmap

	// Hold is how long the sensor stays occupied after its last detection, in seconds
	// from HoldMin to HoldMax, which never change. 0: that cannot be set.
	Hold, HoldMin, HoldMax uint16
}

// WantHold is the bit of [cluster.Context.Want] for the hold time.
const WantHold uint32 = 1

// HoldTime selects the attributes of a sensor whose hold time can be set.
var HoldTime = []matter.AttributeID{datamodel.OccupancySensingAttrHoldTime, datamodel.OccupancySensingAttrHoldTimeLimits}

// Cluster is the Occupancy Sensing cluster.
var Cluster = cluster.Define(cluster.Def[Sensor]{
	Facts: datamodel.OccupancySensing,
	Attributes: []cluster.Attribute[Sensor]{
		cluster.Uint(datamodel.OccupancySensingAttrOccupancy, func(s *Sensor) *datamodel.OccupancySensingOccupancy { return &s.Occupancy }),
		cluster.Uint(datamodel.OccupancySensingAttrOccupancySensorType, func(s *Sensor) *datamodel.OccupancySensingOccupancySensorType { return &s.Type }),
		cluster.Uint(datamodel.OccupancySensingAttrOccupancySensorTypeBitmap, func(s *Sensor) *datamodel.OccupancySensingOccupancySensorTypeBitmap {
			return &s.Bitmap
		}),
		cluster.Uint(datamodel.OccupancySensingAttrHoldTime, func(s *Sensor) *uint16 { return &s.Hold }).Check(checkHold),
		cluster.Computed(datamodel.OccupancySensingAttrHoldTimeLimits, writeLimits, nil),
	},
})

// checkHold rejects a time outside of the limits (section 2.7.6.3).
func checkHold(c *cluster.Context, _, is *Sensor) error {
	if is.Hold < is.HoldMin || is.Hold > is.HoldMax {
		return matter.StatusConstraintError
	}
	c.Want(WantHold)
	return nil
}

// writeLimits writes HoldTimeLimits. The sensor's default is not known.
func writeLimits(s *Sensor, w *tlv.Writer, t tlv.Tag) {
	w.StartStruct(t)
	w.Uint(tlv.Context(0), uint64(s.HoldMin))
	w.Uint(tlv.Context(1), uint64(s.HoldMax))
	w.Uint(tlv.Context(2), uint64(s.HoldMin))
	w.End()
}

// Rules returns the rules for the state of a sensor.
func Rules() cluster.Rules[Sensor] {
	return cluster.Rules[Sensor]{Restored: func(s *Sensor) { s.Hold = min(max(s.Hold, s.HoldMin), s.HoldMax) }}
}

// Technology is the technology of a sensor: features of the cluster, and the two
// older attributes with the same information, which must agree (section 2.7.6).
type Technology struct {
	Features uint32
	Sensor   Sensor
}

// The technologies. The older attributes show PIR for those that they do not have.
var (
	PIR        = technology(datamodel.OccupancySensingFeaturePassiveInfrared, 0, datamodel.OccupancySensingOccupancySensorTypeBitmapPIR)
	Ultrasonic = technology(datamodel.OccupancySensingFeatureUltrasonic, datamodel.OccupancySensingOccupancySensorTypeUltrasonic, datamodel.OccupancySensingOccupancySensorTypeBitmapUltrasonic)
	Contact    = technology(datamodel.OccupancySensingFeaturePhysicalContact, datamodel.OccupancySensingOccupancySensorTypePhysicalContact, datamodel.OccupancySensingOccupancySensorTypeBitmapPhysicalContact)
	Radar      = technology(datamodel.OccupancySensingFeatureRadar, 0, datamodel.OccupancySensingOccupancySensorTypeBitmapPIR)
	Other      = technology(datamodel.OccupancySensingFeatureOther, 0, datamodel.OccupancySensingOccupancySensorTypeBitmapPIR)
)

func technology(feature uint32, t datamodel.OccupancySensingOccupancySensorType, b datamodel.OccupancySensingOccupancySensorTypeBitmap) Technology {
	return Technology{
		Features: feature | datamodel.OccupancySensingFeatureOccupancyEvent,
		Sensor:   Sensor{Type: t, Bitmap: b},
	}
}

// Set sets whether the sensor detects somebody. A change is an event (section
// 2.7.7.1).
func (s *Sensor) Set(c *cluster.Context, occupied bool) {
	var is datamodel.OccupancySensingOccupancy
	if occupied {
		is = datamodel.OccupancySensingOccupancyOccupied
	}
	if is == s.Occupancy {
		return
	}
	s.Occupancy = is
	c.EmitNumber(datamodel.OccupancySensingID, datamodel.OccupancySensingEventOccupancyChanged, uint64(is))
}
