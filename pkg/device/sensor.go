package device

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/measurement"
	"github.com/opcredsd/opcredsd/pkg/cluster/occupancysensing"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var sensorKinds = map[string]kind{
	"contact_sensor":        {datamodel.DeviceTypeContactSensor, booleanSensor("closed")},
	"water_leak_detector":   {datamodel.DeviceTypeWaterLeakDetector, booleanSensor("detected")},
	"water_freeze_detector": {datamodel.DeviceTypeWaterFreezeDetector, booleanSensor("detected")},
	"rain_sensor":           {datamodel.DeviceTypeRainSensor, booleanSensor("detected")},
	"occupancy_sensor":      {datamodel.DeviceTypeOccupancySensor, buildOccupancySensor},
	"temperature_sensor":    {datamodel.DeviceTypeTemperatureSensor, measuring(measurement.Temperature, temperature)},
	"humidity_sensor":       {datamodel.DeviceTypeHumiditySensor, measuring(measurement.Humidity, humidity)},
	"pressure_sensor":       {datamodel.DeviceTypePressureSensor, measuring(measurement.Pressure, pressure)},
	"flow_sensor":           {datamodel.DeviceTypeFlowSensor, measuring(measurement.Flow, flow)},
	"light_sensor":          {datamodel.DeviceTypeLightSensor, measuring(measurement.Illuminance, illuminance)},
	"soil_sensor":           {datamodel.DeviceTypeSoilSensor, measuring(measurement.Soil, moisture)},
}

// booleanSensor builds a sensor with Boolean State. For a contact sensor, true
// means contact and false means open.
func booleanSensor(name string) func(*builder) error { return booleanAs(name, false) }

var technologies = map[string]*occupancysensing.Technology{
	"":    &occupancysensing.PIR, // the default, as nearly all sensors are of this kind
	"pir": &occupancysensing.PIR, "ultrasonic": &occupancysensing.Ultrasonic, "radar": &occupancysensing.Radar,
	"contact": &occupancysensing.Contact, "other": &occupancysensing.Other,
}

var occupiedProperties = []property[occupancysensing.Sensor]{{
	Property: Property{Name: "occupied", Kind: KindBool, Needed: true},
	get:      func(s *occupancysensing.Sensor) Value { return Bool(s.Occupancy != 0) },
	report: func(c *cluster.Context, s *occupancysensing.Sensor, v Value) {
		if is, ok := v.Bool(); ok {
			s.Set(c, is)
		}
	},
}}

func buildOccupancySensor(b *builder) error {
	t := technologies[b.part.Options.Technology]
	if t == nil {
		return &OptionError{"technology", fmt.Sprintf("%q is not one of pir, ultrasonic, radar, contact, other", b.part.Options.Technology)}
	}
	b.Identify = true
	s, props, sel := t.Sensor, occupiedProperties, cluster.Selection{Features: t.Features}
	if o := &b.part.Options; o.MinHoldSeconds != 0 || o.MaxHoldSeconds != 0 {
		from, to := max(o.MinHoldSeconds, 1), o.MaxHoldSeconds
		if from >= to || to > math.MaxUint16 {
			return &OptionError{"max_hold_seconds", fmt.Sprintf("%d to %d is no range within 1 to %d", from, to, math.MaxUint16)}
		}
		s.Hold, s.HoldMin, s.HoldMax = uint16(from), uint16(from), uint16(to)
		props = append(slices.Clone(props), holdProperty(float64(from), float64(to)))
		sel.Attributes = occupancysensing.HoldTime
	}
	u := addUnit(b.Endpoint, s, occupancysensing.Rules(), props)
	u.Serve(occupancysensing.Cluster, sel)
	return b.addConfiguration()
}

// holdProperty is how long a sensor stays occupied after its last detection.
func holdProperty(from, to float64) property[occupancysensing.Sensor] {
	return property[occupancysensing.Sensor]{
		Property: Property{Name: "hold_seconds", Kind: KindNumber, Min: from, Max: to, Settable: true},
		want:     occupancysensing.WantHold,
		get:      func(s *occupancysensing.Sensor) Value { return Number(float64(s.Hold)) },
		report: func(_ *cluster.Context, s *occupancysensing.Sensor, v Value) {
			if f, ok := v.Number(); ok {
				s.Hold = uint16(math.Round(f))
			}
		},
	}
}

// quantity is a measured quantity, with its form in the property and in the
// attribute.
type quantity struct {
	property string
	min, max float64 // range of the attribute, in the unit of the property
	encode   func(float64) float64
	decode   func(float64) float64
	// least is the lowest MinMeasuredValue.
	least float64
	// last means that the last value stays when the source reports null:
	// SmartThings' drivers fail on null.
	last bool
}

var (
	temperature = quantity{"temperature_celsius", -273.15, 327.67, times(100), over(100), -27315, false}
	humidity    = quantity{"humidity_percent", 0, 100, times(100), over(100), 0, false}
	pressure    = quantity{"pressure_hpa", -32767, 32767, times(1), over(1), -32767, true}
	flow        = quantity{"flow_m3_per_hour", 0, 6553.4, times(10), over(10), 0, false}
	illuminance = quantity{"illuminance_lux", 0, 3_575_000, encodeLux, decodeLux, 1, true}
	moisture    = quantity{"moisture_percent", 0, 100, times(1), over(1), 0, false}
)

func times(n float64) func(float64) float64 {
	return func(f float64) float64 { return math.Round(f * n) }
}

func over(n float64) func(float64) float64 {
	return func(f float64) float64 { return f / n }
}

// encodeLux returns 10000·log10(lx) + 1 (section 2.2.5.1). Less than half a lux is
// 0, too dark to measure. There is no encoding between that and one lux.
func encodeLux(lux float64) float64 {
	if lux < 0.5 {
		return 0
	}
	return max(1, math.Round(10000*math.Log10(lux))+1)
}

// decodeLux returns the shortest number that is encoded as v.
func decodeLux(v float64) float64 {
	if v == 0 {
		return 0
	}
	lux := math.Pow(10, (v-1)/10000)
	for digits := 0; ; digits++ {
		short, err := strconv.ParseFloat(strconv.FormatFloat(lux, 'e', digits, 64), 64)
		if err != nil || encodeLux(short) == v || digits == 5 {
			return short
		}
	}
}

// measuring builds a sensor for one quantity.
func measuring[T int16 | uint16 | uint8](c *cluster.Cluster[measurement.Measurement[T]], q quantity) func(*builder) error {
	type state = measurement.Measurement[T]
	return func(b *builder) error {
		p := property[state]{
			Property: Property{Name: q.property, Kind: KindNumber, Min: q.min, Max: q.max, Needed: true},
			get: func(s *state) Value {
				if !s.Value.Valid {
					return Null
				}
				return Number(q.decode(float64(s.Value.V)))
			},
			report: func(_ *cluster.Context, s *state, v Value) {
				if f, ok := v.Number(); ok {
					s.Value = cluster.Some(T(q.encode(f)))
				} else if !q.last {
					s.Value = cluster.Null[T]{}
				}
			},
		}
		var s state
		if err := measuringRange(b.part, q, &p.Property, &s); err != nil {
			return err
		}
		b.Identify = true
		u := addUnit(b.Endpoint, s, cluster.Rules[state]{}, []property[state]{p})
		u.Serve(c, cluster.Selection{})
		return nil
	}
}

// measuringRange sets the range from the part's options. It is also the property's
// range, as a value outside of it would not be valid for the attribute.
func measuringRange[T int16 | uint16 | uint8](part *Part, q quantity, p *Property, s *measurement.Measurement[T]) error {
	o := &part.Options
	for _, x := range []struct {
		name  string
		value *float64
		bound *float64
		limit *cluster.Null[T]
	}{{"min", o.Min, &p.Min, &s.Min}, {"max", o.Max, &p.Max, &s.Max}} {
		if x.value == nil {
			continue
		}
		if !(*x.value >= q.min && *x.value <= q.max) {
			return &OptionError{x.name, fmt.Sprintf("%v is not from %v to %v", *x.value, Number(q.min), Number(q.max))}
		}
		*x.bound = *x.value
		*x.limit = cluster.Some(T(max(q.least, q.encode(*x.value))))
	}
	least, most := T(q.least), T(q.encode(q.max))
	switch {
	case s.Min.Valid && s.Min.V >= most:
		return &OptionError{"min", fmt.Sprintf("nothing is above %v", *o.Min)}
	case s.Max.Valid && s.Max.V <= s.Min.Or(least):
		return &OptionError{"max", fmt.Sprintf("nothing is below %v", *o.Max)}
	}
	return nil
}
