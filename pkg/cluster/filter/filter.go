// Package filter implements the clusters of filters that wear out: HEPA Filter
// Monitoring 0x0071 and Activated Carbon Filter Monitoring 0x0072, both revision 1
// ("Matter Application Cluster Specification", section 2.8).
package filter

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// WantReset is the bit of [cluster.Context.Want] for a filter that was replaced.
const WantReset uint32 = 1

// Filter is the state of a filter.
type Filter struct {
	Condition   uint8 // percent: 100 is a new filter
	Indication  datamodel.HEPAFilterMonitoringChangeIndication
	LastChanged cluster.Null[uint32] // seconds since 2000; null: unknown
}

// New returns the state of a new filter.
func New() Filter { return Filter{Condition: 100} }

// The clusters.
var (
	HEPA   = define(datamodel.HEPAFilterMonitoring)
	Carbon = define(datamodel.ActivatedCarbonFilterMonitoring)
)

// Selection is the part of the clusters that a filter with a known condition
// serves.
var Selection = cluster.Selection{
	Features:   datamodel.HEPAFilterMonitoringFeatureCondition | datamodel.HEPAFilterMonitoringFeatureWarning,
	Attributes: []matter.AttributeID{datamodel.HEPAFilterMonitoringAttrLastChangedTime},
	Commands:   []matter.CommandID{datamodel.HEPAFilterMonitoringCmdResetCondition},
}

// The two clusters differ only in their ids.
func define(f *datamodel.Cluster) *cluster.Cluster[Filter] {
	return cluster.Define(cluster.Def[Filter]{
		Facts: f,
		Attributes: []cluster.Attribute[Filter]{
			cluster.Uint(datamodel.HEPAFilterMonitoringAttrCondition, func(s *Filter) *uint8 { return &s.Condition }).
				Quiet(wear),
			cluster.Constant[Filter](datamodel.HEPAFilterMonitoringAttrDegradationDirection, uint64(datamodel.HEPAFilterMonitoringDegradationDirectionDown)),
			cluster.Uint(datamodel.HEPAFilterMonitoringAttrChangeIndication, func(s *Filter) *datamodel.HEPAFilterMonitoringChangeIndication {
				return &s.Indication
			}),
			cluster.NullUint(datamodel.HEPAFilterMonitoringAttrLastChangedTime, func(s *Filter) *cluster.Null[uint32] { return &s.LastChanged }),
		},
		Commands: []cluster.Command[Filter]{cluster.Do(datamodel.HEPAFilterMonitoringCmdResetCondition, reset)},
	})
}

// wear delays reports while the filter wears out, and reports a new filter at once.
func wear(was, is cluster.Number, at cluster.Moment) time.Duration {
	if is.V > was.V {
		return 0
	}
	return slow(was, is, at)
}

var slow = cluster.Slow(cluster.Step{Abs: 1}, cluster.Step{})

// The conditions in percent below which a filter must be replaced soon, or now.
const (
	soon = 10
	now  = 1
)

// Set sets the condition that the device reports.
func (s *Filter) Set(percent uint8) {
	s.Condition = percent
	switch {
	case percent < now:
		s.Indication = datamodel.HEPAFilterMonitoringChangeIndicationCritical
	case percent < soon:
		s.Indication = datamodel.HEPAFilterMonitoringChangeIndicationWarning
	default:
		s.Indication = datamodel.HEPAFilterMonitoringChangeIndicationOK
	}
}

// reset handles ResetCondition: the filter was replaced (section 2.8.7.1). Without
// a clock the time of that is unknown.
func reset(c *cluster.Context, s *Filter) error {
	s.Set(100)
	s.LastChanged = cluster.Epoch(c.Now)
	c.Want(WantReset)
	return nil
}
