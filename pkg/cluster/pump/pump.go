// Package pump implements the Pump Configuration and Control cluster, 0x0200
// revision 5 ("Matter Application Cluster Specification", section 4.2), of a pump
// that can only be switched, with one speed.
package pump

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Pump is the state of a pump.
type Pump struct {
	// Mode is a controller's choice. With one speed all modes are the same.
	Mode datamodel.PumpConfigurationAndControlOperationMode
}

// Features are the features of a pump with one speed.
const Features = datamodel.PumpConfigurationAndControlFeatureConstantSpeed

// Cluster is the Pump Configuration and Control cluster.
var Cluster = cluster.Define(cluster.Def[Pump]{
	Facts: datamodel.PumpConfigurationAndControl,
	Attributes: []cluster.Attribute[Pump]{
		unknown(datamodel.PumpConfigurationAndControlAttrMaxPressure),
		unknown(datamodel.PumpConfigurationAndControlAttrMaxSpeed),
		unknown(datamodel.PumpConfigurationAndControlAttrMaxFlow),
		unknown(datamodel.PumpConfigurationAndControlAttrMinConstSpeed),
		unknown(datamodel.PumpConfigurationAndControlAttrMaxConstSpeed),
		unknown(datamodel.PumpConfigurationAndControlAttrCapacity),
		// The effective mode is the chosen one, since nothing else can override it.
		cluster.Computed(datamodel.PumpConfigurationAndControlAttrEffectiveOperationMode,
			func(s *Pump, w *tlv.Writer, t tlv.Tag) { w.Uint(t, uint64(s.Mode)) },
			func(a, b *Pump) bool { return a.Mode == b.Mode }),
		cluster.Constant[Pump](datamodel.PumpConfigurationAndControlAttrEffectiveControlMode,
			uint64(datamodel.PumpConfigurationAndControlControlModeConstantSpeed)),
		cluster.Uint(datamodel.PumpConfigurationAndControlAttrOperationMode, func(s *Pump) *datamodel.PumpConfigurationAndControlOperationMode {
			return &s.Mode
		}).Check(checkMode),
	},
})

func unknown(id matter.AttributeID) cluster.Attribute[Pump] {
	return cluster.Computed(id, func(_ *Pump, w *tlv.Writer, t tlv.Tag) { w.Null(t) }, nil)
}

// checkMode rejects a mode of a feature that the pump does not have (section
// 4.2.7.22).
func checkMode(_ *cluster.Context, _, is *Pump) error {
	if is.Mode == datamodel.PumpConfigurationAndControlOperationModeLocal {
		return matter.StatusConstraintError
	}
	return nil
}
