// Package occupancysensing implements the Occupancy Sensing cluster, 0x0406
// revision 7 ("Matter Application Cluster Specification", section 2.7).
package occupancysensing

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Sensor is the state of an occupancy sensor.
type Sensor struct {
	Occupancy datamodel.OccupancySensingOccupancy

	// Derived from the sensor's technology; these never change. See [Technology].
	Type   datamodel.OccupancySensingOccupancySensorType
	Bitmap datamodel.OccupancySensingOccupancySensorTypeBitmap
}

// Cluster is the Occupancy Sensing cluster.
var Cluster = cluster.Define(cluster.Def[Sensor]{
	Facts: datamodel.OccupancySensing,
	Attributes: []cluster.Attribute[Sensor]{
		cluster.Uint(datamodel.OccupancySensingAttrOccupancy, func(s *Sensor) *datamodel.OccupancySensingOccupancy { return &s.Occupancy }),
		cluster.Uint(datamodel.OccupancySensingAttrOccupancySensorType, func(s *Sensor) *datamodel.OccupancySensingOccupancySensorType { return &s.Type }),
		cluster.Uint(datamodel.OccupancySensingAttrOccupancySensorTypeBitmap, func(s *Sensor) *datamodel.OccupancySensingOccupancySensorTypeBitmap {
			return &s.Bitmap
		}),
	},
})

// Technology is the technology of a sensor: features of the cluster, and the two
// older attributes with the same information, which must agree (section 2.7.6.2).
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
	c.Emit(datamodel.OccupancySensingID, datamodel.OccupancySensingEventOccupancyChanged, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(is))
	})
}
