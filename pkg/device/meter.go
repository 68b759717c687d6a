package device

import (
	"fmt"
	"math"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/electrical"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var meterKinds = map[string]kind{
	"electrical_sensor": {datamodel.DeviceTypeElectricalSensor, buildMeter},
}

// meterProperties are the properties of a meter, by bit.
var meterProperties = []property[electrical.Meter]{
	milli("power_watts", electrical.Power, -electrical.PowerRange, electrical.PowerRange, func(s *electrical.Meter) *cluster.Null[int64] { return &s.Power }),
	milli("voltage_volts", electrical.Voltage, 0, electrical.VoltageRange, func(s *electrical.Meter) *cluster.Null[int64] { return &s.Voltage }),
	milli("current_amperes", electrical.Current, -electrical.CurrentRange, electrical.CurrentRange, func(s *electrical.Meter) *cluster.Null[int64] { return &s.Current }),
	kilowattHours("energy_kwh", electrical.Imported, func(s *electrical.Meter) *electrical.Counter { return &s.Imported }),
	kilowattHours("energy_exported_kwh", electrical.Exported, func(s *electrical.Meter) *electrical.Counter { return &s.Exported }),
}

// milli returns a property whose attribute has thousandths of its unit. The range
// is that of the attribute.
func milli(name string, measures uint8, least, most float64, at func(*electrical.Meter) *cluster.Null[int64]) property[electrical.Meter] {
	return property[electrical.Meter]{
		Property: Property{Name: name, Kind: KindNumber, Min: least / 1000, Max: most / 1000},
		want:     uint32(measures),
		get: func(s *electrical.Meter) Value {
			if v := at(s); v.Valid {
				return Number(float64(v.V) / 1000)
			}
			return Null
		},
		report: func(_ *cluster.Context, s *electrical.Meter, v Value) {
			f, ok := v.Number()
			switch {
			case ok:
				*at(s) = cluster.Some(int64(math.Round(f * 1000)))
			case measures == electrical.Power:
				// Apple never shows the power of a device that has once been null.
				*at(s) = cluster.Some[int64](0)
			default:
				*at(s) = cluster.Null[int64]{}
			}
		},
	}
}

// kilowattHours returns an energy. The property is the source's own counter, which
// may be reset; the attribute continues.
func kilowattHours(name string, measures uint8, at func(*electrical.Meter) *electrical.Counter) property[electrical.Meter] {
	return property[electrical.Meter]{
		Property: Property{Name: name, Kind: KindNumber, Max: electrical.EnergyRange / 1e6, Total: true},
		want:     uint32(measures),
		get: func(s *electrical.Meter) Value {
			if e := at(s); e.Total.Valid {
				return Number(float64(e.Source) / 1e6)
			}
			return Null
		},
		report: func(c *cluster.Context, s *electrical.Meter, v Value) {
			if f, ok := v.Number(); ok {
				s.SetEnergy(c, at(s), int64(math.Round(f*1e6)))
			}
		},
	}
}

// buildMeter builds a meter that is a separate part. It is not shown without its
// first value.
func buildMeter(b *builder) error {
	return b.addMeter(func(p *Property) { p.Needed = true })
}

// addMeter adds a meter with the properties of the part to an endpoint of any type.
// first modifies the first property.
func (b *builder) addMeter(first func(*Property)) error {
	props := named(b, meterProperties, "power_watts")
	var s electrical.Meter
	for _, p := range props {
		s.Measures |= uint8(p.want)
	}
	first(&props[0].Property)
	if s.Measures&(electrical.Voltage|electrical.Current) != 0 && s.Measures&electrical.Power == 0 {
		return &OptionError{"properties", "voltage_volts and current_amperes want power_watts besides"}
	}
	if s.Measures&electrical.Power != 0 {
		s.Power = cluster.Some[int64](0)
	}
	s.Endpoints = &b.located().metered
	u := addUnit(b.Endpoint, s, cluster.Rules[electrical.Meter]{}, props)
	if b.profile.SetTopology {
		u.Serve(electrical.Topology, cluster.Selection{Features: datamodel.PowerTopologyFeatureSetTopology})
	} else {
		u.Serve(electrical.Topology, cluster.Selection{Features: datamodel.PowerTopologyFeatureTreeTopology})
	}
	if s.Measures&electrical.Power != 0 {
		u.Serve(electrical.PowerMeasurement, cluster.Selection{Features: electrical.PowerFeatures, Attributes: electrical.PowerAttributes(s.Measures)})
	}
	if s.Measures&(electrical.Imported|electrical.Exported) != 0 {
		u.Serve(electrical.EnergyMeasurement, cluster.Selection{Features: electrical.EnergyFeatures(s.Measures)})
	}
	return nil
}

// named returns the props in the part's options. Without options it returns those
// with a value in its first state, or else the one named otherwise. What a state
// implies becomes an option, so that the next description of the part has the same
// result.
func named[S comparable](b *builder, props []property[S], otherwise string) (have []property[S]) {
	o := &b.part.Options
	is := func(name string) bool { return slices.Contains(o.Properties, name) }
	if !slices.ContainsFunc(props, func(p property[S]) bool { return is(p.Name) }) {
		is = func(name string) bool { return !b.part.State[name].IsNull() }
	}
	for _, p := range props {
		if is(p.Name) {
			have = append(have, p)
		}
	}
	if have == nil {
		n := slices.IndexFunc(props, func(p property[S]) bool { return p.Name == otherwise })
		have = append(have, props[n])
	}
	for _, p := range have {
		if !slices.Contains(o.Properties, p.Name) {
			o.Properties = append(slices.Clone(o.Properties), p.Name)
		}
	}
	return have
}

// optional reports whether the part has a property that not all parts of its type have:
// its options list it, or its first state has a value of it, which then becomes an
// option.
func (b *builder) optional(name string) bool {
	o := &b.part.Options
	if slices.Contains(o.Properties, name) {
		return true
	}
	if b.part.State[name].IsNull() {
		return false
	}
	o.Properties = append(slices.Clone(o.Properties), name)
	return true
}

// checkProperties returns an error if the options contain a property that the part
// does not have.
func (b *builder) checkProperties() error {
	for _, name := range b.part.Options.Properties {
		if b.Property(name) == nil {
			return &OptionError{"properties", fmt.Sprintf("a %s cannot have %q", b.part.Type, name)}
		}
	}
	return nil
}
