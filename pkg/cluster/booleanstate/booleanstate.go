// Package booleanstate implements the Boolean State cluster, 0x0045 revision 3
// ("Matter Application Cluster Specification", section 1.7).
package booleanstate

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// State is the state of a sensor with two states. The device type defines what true
// means: contact, water, frost or rain.
type State struct {
	Value bool
}

// Cluster is the Boolean State cluster.
var Cluster = cluster.Define(cluster.Def[State]{
	Facts: datamodel.BooleanState,
	Attributes: []cluster.Attribute[State]{
		cluster.Bool(datamodel.BooleanStateAttrStateValue, func(s *State) *bool { return &s.Value }),
	},
})

// Features are the cluster's features: each change is an event.
const Features = datamodel.BooleanStateFeatureChangeEvent

// Set sets the state from the sensor. A change is an event (section 1.7.6.1).
func (s *State) Set(c *cluster.Context, v bool) {
	if v == s.Value {
		return
	}
	s.Value = v
	c.Emit(datamodel.BooleanStateID, datamodel.BooleanStateEventStateChange, func(w *tlv.Writer) { w.Bool(tlv.Context(0), v) })
}
