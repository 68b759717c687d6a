package device

import (
	"math"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/labels"
	"github.com/opcredsd/opcredsd/pkg/cluster/powersource"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// location contains the numbers of endpoints that an endpoint refers to.
type location struct {
	powered []matter.EndpointID // powered by its power source: itself and its parts
	metered []matter.EndpointID // measured by its meter
}

// meteredEndpoints is the number of endpoints that a meter can list (section
// 11.8.5.1 of the core specification).
const meteredEndpoints = 20

// located returns e's location, which Place sets.
func (e *Endpoint) located() *location {
	if e.location == nil {
		e.location = &location{}
	}
	return e.location
}

// Place sets the numbers of the nodes, by their keys. It must be called before they
// are added to the node.
func (a *Assembly) Place(number func(key string) matter.EndpointID) {
	var parts []matter.EndpointID
	for _, n := range a.Nodes {
		if n.Child {
			parts = append(parts, number(n.Key))
		}
	}
	for _, n := range a.Nodes {
		l := n.location
		if l == nil {
			continue
		}
		own := number(n.Key)
		l.powered, l.metered = []matter.EndpointID{own}, []matter.EndpointID{own}
		switch {
		case n.Part == nil:
			l.powered = append(l.powered, parts...)
			slices.Sort(l.powered)
		case n.Part.Type == "electrical_sensor" && n.Child && len(parts) <= meteredEndpoints:
			l.metered = slices.Sorted(slices.Values(parts)) // it measures all of them
		}
	}
}

// addPower adds the power source of a bridged device to its own endpoint and to no
// other (section 2.5 of the device library). Apple shows a battery only if the
// device type is listed too.
func (e *Endpoint) addPower(d *Device) {
	if d.Battery == nil && !d.Mains {
		return
	}
	s := powersource.Source{Mains: d.Battery == nil, Endpoints: &e.located().powered, Status: powersource.Active}
	sel := cluster.Selection{Features: datamodel.PowerSourceFeatureWired}
	if d.Battery != nil {
		sel.Features = datamodel.PowerSourceFeatureBattery
		// Without a number the attribute is omitted: Home Assistant would show no
		// battery at all if it is null.
		if !d.Battery.Percent.IsNull() {
			sel.Attributes = []matter.AttributeID{datamodel.PowerSourceAttrBatPercentRemaining}
		}
		if !d.Battery.Charging.IsNull() {
			sel.Features |= datamodel.PowerSourceFeatureRechargeable
		}
	}
	u := addUnit(e, s, cluster.Rules[powersource.Source]{}, nil)
	u.Serve(powersource.Cluster, sel)
	e.addType(datamodel.DeviceTypePowerSource)
	if d.Battery != nil {
		e.batteries = append(e.batteries, func(now time.Time, ch powersource.Charge) {
			u.Report(now, func(_ *cluster.Context, s *powersource.Source) error {
				s.Set(ch)
				return nil
			})
		})
		e.SetBattery(time.Time{}, *d.Battery)
	}
	e.setPowered = func(now time.Time, is datamodel.PowerSourcePowerSourceStatus) {
		u.Report(now, func(_ *cluster.Context, s *powersource.Source) error {
			s.Status = is
			return nil
		})
	}
}

// SetBattery sets the state of the battery, and reports whether the endpoint shows
// it. What becomes known that was not known when the device was assembled is not shown
// before the device is assembled again; see [Battery.Adds].
func (e *Endpoint) SetBattery(now time.Time, b Battery) bool {
	var ch powersource.Charge
	if f, ok := b.Percent.Number(); ok {
		ch.Percent = cluster.Some(uint8(math.Round(2 * min(max(f, 0), 100))))
	}
	ch.Low, ch.Charging = nullable(b.Low), nullable(b.Charging)
	for _, set := range e.batteries {
		set(now, ch)
	}
	return len(e.batteries) > 0
}

func nullable(v Value) cluster.Null[bool] {
	is, ok := v.Bool()
	return cluster.Null[bool]{V: is, Valid: ok}
}

// SetReachable sets whether the device can be reached. Its power source is unavailable
// otherwise, since nothing is known of it. New endpoints are reachable.
func (e *Endpoint) SetReachable(now time.Time, is bool) {
	switch {
	case e.setPowered == nil:
	case is:
		e.setPowered(now, powersource.Active)
	default:
		e.setPowered(now, powersource.Unavailable)
	}
}

// addLabels adds the room of the device in its own network, and labels that
// controllers write. A device without a room has neither.
func (e *Endpoint) addLabels(d *Device) {
	if d.Room == "" {
		return
	}
	u := addUnit(e, labels.Labels{Room: labels.Fit(d.Room)}, cluster.Rules[labels.Labels]{}, nil)
	u.Serve(labels.Fixed, cluster.Selection{})
	u.Serve(labels.User, cluster.Selection{})
	e.setRoom = func(room string) {
		u.Report(time.Time{}, func(_ *cluster.Context, s *labels.Labels) error {
			s.Room = labels.Fit(room)
			return nil
		})
	}
}
