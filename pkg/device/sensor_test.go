package device

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// trip is a value of a property, the resulting attribute, and the value that is
// read back.
type trip struct {
	value Value
	raw   string
	back  Value
}

// same is a trip whose value is read back unchanged.
func same(v float64, raw string) trip { return trip{Number(v), raw, Number(v)} }

// checkTrips reports each value on an endpoint without a state.
func (r *rig) checkTrips(p Part, property string, cl matter.ClusterID, id matter.AttributeID, trips []trip) {
	r.t.Helper()
	for _, x := range trips {
		r.renew(p)
		r.report(Values{property: x.value})
		if got := r.read(cl, id); got != x.raw {
			r.t.Errorf("%s %s is shown as %s, want %s", property, x.value, got, x.raw)
		}
		if got := r.e.State(r.Now)[property]; got != x.back {
			r.t.Errorf("%s %s comes back as %s, want %s", property, x.value, got, x.back)
		}
	}
}

// checkTrips is rig.checkTrips with a new rig.
func checkTrips(t *testing.T, p Part, property string, cl matter.ClusterID, id matter.AttributeID, trips []trip) {
	t.Helper()
	newRig(t, p).checkTrips(p, property, cl, id, trips)
}

func TestMeasurements(t *testing.T) {
	for _, tt := range []struct {
		typ, property string
		cluster       matter.ClusterID
		attribute     matter.AttributeID
		trips         []trip
		refused       []float64
	}{
		{"temperature_sensor", "temperature_celsius", datamodel.TemperatureMeasurementID, 0, []trip{ // section 2.3.4.1
			same(-40, "-4000"), same(0, "+0"), same(21.46, "+2146"), same(-273.15, "-27315"), same(327.67, "+32767"),
			{Number(21.4567), "+2146", Number(21.46)}, {Number(-0.004), "+0", Number(0)},
		}, []float64{-273.16, 327.68, 1e9}},
		{"humidity_sensor", "humidity_percent", datamodel.RelativeHumidityMeasurementID, 0, []trip{ // section 2.6.4.1
			same(0, "0"), same(0.01, "1"), same(45.5, "4550"), same(100, "10000"),
		}, []float64{-0.01, 100.01}},
		{"pressure_sensor", "pressure_hpa", datamodel.PressureMeasurementID, 0, []trip{ // section 2.4.5.1: tenths of a kPa
			same(1013, "+1013"), same(0, "+0"), same(32767, "+32767"), same(-32767, "-32767"), {Number(1013.25), "+1013", Number(1013)},
		}, []float64{101325, -32768}},
		{"flow_sensor", "flow_m3_per_hour", datamodel.FlowMeasurementID, 0, []trip{ // section 2.5.4.1
			same(0, "0"), same(0.1, "1"), same(12.3, "123"), same(6553.4, "65534"),
		}, []float64{-0.1, 6553.5}},
		{"light_sensor", "illuminance_lux", datamodel.IlluminanceMeasurementID, 0, []trip{ // section 2.2.5.1
			same(0, "0"), same(1, "1"), same(2, "3011"), same(500, "26991"), same(1234, "30914"), same(100_000, "50001"), same(3_575_000, "65534"),
			{Number(0.4), "0", Number(0)}, {Number(0.7), "1", Number(1)},
		}, []float64{-1, 3_575_001}},
		{"soil_sensor", "moisture_percent", datamodel.SoilMeasurementID, datamodel.SoilMeasurementAttrSoilMoistureMeasuredValue, []trip{ // section 2.15.4.2
			same(0, "0"), same(100, "100"), {Number(33.4), "33", Number(33)},
		}, []float64{-1, 101}},
	} {
		p := Part{Type: tt.typ}
		checkTrips(t, p, tt.property, tt.cluster, tt.attribute, append(tt.trips, trip{Null, "null", Null}))
		r := newRig(t, p)
		for _, v := range tt.refused {
			var refused *ValueError
			if err := r.e.Report(r.Now, Values{tt.property: Number(v)}); !errors.As(err, &refused) {
				t.Errorf("%s %v: %v", tt.property, v, err)
			}
		}
	}
}

func TestNullAfterAValue(t *testing.T) {
	for typ, want := range map[string]string{
		"temperature_sensor": "null", "humidity_sensor": "null", "flow_sensor": "null",
		// Values on which SmartThings' drivers fail are kept.
		"light_sensor": "20001", "pressure_sensor": "+100",
	} {
		r := newRig(t, Part{Type: typ})
		p := r.e.Properties()[0]
		cl := r.e.Clusters()[0].Spec().ID
		r.report(Values{p.Name: Number(100)})
		r.report(Values{p.Name: Null})
		if got := r.read(cl, 0); got != want {
			t.Errorf("%s: null after 100 is shown as %s, want %s", typ, got, want)
		}
	}
}

func TestMeasuringRange(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	temperature := datamodel.TemperatureMeasurementID
	r := newRig(t, Part{Type: "temperature_sensor", Options: Options{Min: f(-40), Max: f(85)}})
	if lo, hi := r.read(temperature, 1), r.read(temperature, 2); lo != "-4000" || hi != "+8500" {
		t.Errorf("MinMeasuredValue %s, MaxMeasuredValue %s", lo, hi)
	}
	r.report(Values{"temperature_celsius": Number(-40)})
	r.report(Values{"temperature_celsius": Number(85)})
	err := r.e.Report(r.Now, Values{"temperature_celsius": Number(85.01)})
	if want := "temperature_celsius: 85.01 is not a number from -40 to 85"; err == nil || err.Error() != want {
		t.Errorf("outside of the range: %v, want %s", err, want)
	}
	r = newRig(t, Part{Type: "humidity_sensor"})
	if lo, hi := r.read(datamodel.RelativeHumidityMeasurementID, 1), r.read(datamodel.RelativeHumidityMeasurementID, 2); lo != "null" || hi != "null" {
		t.Errorf("without options: MinMeasuredValue %s, MaxMeasuredValue %s", lo, hi)
	}
	r = newRig(t, Part{Type: "light_sensor", Options: Options{Min: f(0), Max: f(1000)}})
	if lo, hi := r.read(datamodel.IlluminanceMeasurementID, 1), r.read(datamodel.IlluminanceMeasurementID, 2); lo != "1" || hi != "30001" {
		t.Errorf("illuminance: MinMeasuredValue %s, MaxMeasuredValue %s", lo, hi)
	}
	r = newRig(t, Part{Type: "soil_sensor", Options: Options{Min: f(10), Max: f(90)}})
	if got, want := r.read(datamodel.SoilMeasurementID, 0), "{0:17,1:true,2:+10,3:+90,4:[{0:+10,1:+90,2:10}]}"; got != want {
		t.Errorf("SoilMoistureMeasurementLimits %s, want %s", got, want)
	}
	for _, tt := range []struct {
		typ      string
		min, max *float64
		want     string
	}{
		{"temperature_sensor", f(20), f(20), "options.max: nothing is below 20"},
		{"temperature_sensor", f(30), f(20), "options.max: nothing is below 20"},
		{"temperature_sensor", f(-300), nil, "options.min: -300 is not from -273.15 to 327.67"},
		{"humidity_sensor", f(100), nil, "options.min: nothing is above 100"},
		{"humidity_sensor", nil, f(0), "options.max: nothing is below 0"},
		{"humidity_sensor", nil, f(101), "options.max: 101 is not from 0 to 100"},
	} {
		_, err := New("test:1", &Part{Type: tt.typ, Options: Options{Min: tt.min, Max: tt.max}}, nil)
		if fmt.Sprint(err) != tt.want {
			t.Errorf("%s from %v to %v: %v, want %s", tt.typ, tt.min, tt.max, err, tt.want)
		}
	}
}

func TestBooleanStates(t *testing.T) {
	for typ, property := range map[string]string{
		"contact_sensor": "closed", "water_leak_detector": "detected", "water_freeze_detector": "detected", "rain_sensor": "detected",
	} {
		r := newRig(t, Part{Type: typ})
		for _, is := range []bool{false, true, true, false} {
			r.report(Values{property: Bool(is)})
			if got := r.read(datamodel.BooleanStateID, 0); got != fmt.Sprint(is) {
				t.Errorf("%s: %s %v is shown as %s", typ, property, is, got)
			}
			if got := r.e.State(r.Now)[property]; got != Bool(is) {
				t.Errorf("%s: %s %v comes back as %s", typ, property, is, got)
			}
		}
		r.report(Values{property: Null})
		// Section 1.7.6.1: one event for each change, and none without a change.
		if got, want := r.Events(clustertest.Admin(1), datamodel.BooleanStateID), []string{"0{0:true}", "0{0:false}"}; !slices.Equal(got, want) {
			t.Errorf("%s: events %v, want %v", typ, got, want)
		}
	}
}

func TestBeginningIsNoEvent(t *testing.T) {
	r := newBareRig(t, Part{Type: "water_leak_detector"})
	if err := r.e.Report(r.Now, Values{"detected": Bool(true)}); err != nil {
		t.Fatal(err)
	}
	r.add()
	if got := r.Events(clustertest.Admin(1), datamodel.BooleanStateID); got != nil {
		t.Errorf("what the endpoint begins with made the events %v", got)
	}
	r.report(Values{"detected": Bool(false)})
	if got, want := r.Events(clustertest.Admin(1), datamodel.BooleanStateID), []string{"0{0:false}"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestOccupancy(t *testing.T) {
	occupancy := datamodel.OccupancySensingID
	for technology, want := range map[string]string{ // features, type, bitmap (section 2.7.6)
		"": "514 0 1", "pir": "514 0 1", "ultrasonic": "516 1 2", "contact": "520 3 4", "radar": "544 0 1", "other": "513 0 1",
	} {
		r := newRig(t, Part{Type: "occupancy_sensor", Options: Options{Technology: technology}})
		got := fmt.Sprintf("%s %s %s", r.read(occupancy, 0xFFFC), r.read(occupancy, 1), r.read(occupancy, 2))
		if got != want {
			t.Errorf("technology %q: %s, want %s", technology, got, want)
		}
	}
	if _, err := New("test:1", &Part{Type: "occupancy_sensor", Options: Options{Technology: "sonar"}}, nil); err == nil {
		t.Error("an unknown technology was accepted")
	}
	r := newRig(t, Part{Type: "occupancy_sensor"})
	for _, is := range []bool{true, true, false} {
		r.report(Values{"occupied": Bool(is)})
		if got := r.e.State(r.Now)["occupied"]; got != Bool(is) {
			t.Errorf("occupied %v comes back as %s", is, got)
		}
	}
	// Section 2.7.7.1.
	if got, want := r.Events(clustertest.Admin(1), occupancy), []string{"0{0:1}", "0{0:0}"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestWaitingForTheFirstValue(t *testing.T) {
	for typ := range sensorKinds {
		r := newRig(t, Part{Type: typ})
		p := r.e.Properties()[0]
		if got := r.e.Waiting(); !slices.Equal(got, []string{p.Name}) {
			t.Errorf("%s waits for %v", typ, got)
		}
		if got := r.e.State(r.Now)[p.Name]; !got.IsNull() {
			t.Errorf("%s: %s is %s before the source has said so", typ, p.Name, got)
		}
		r.report(Values{p.Name: Null})
		if got := r.e.Waiting(); len(got) != 1 {
			t.Errorf("%s: null was taken for a value", typ)
		}
		v := Number(50)
		if p.Kind == KindBool {
			v = Bool(false)
		}
		r.report(Values{p.Name: v})
		r.report(Values{p.Name: Null})
		if got := r.e.Waiting(); len(got) != 0 {
			t.Errorf("%s waits for %v after its first value", typ, got)
		}
	}
}

// Slow values of all endpoints are reported together.
func TestSensorsReportTogether(t *testing.T) {
	r := newRig(t, Part{Type: "temperature_sensor"})
	cl := datamodel.TemperatureMeasurementID
	version := func() uint32 { return r.Version(2, cl, 0) }
	r.after(2 * time.Second)
	r.report(Values{"temperature_celsius": Number(20)})
	first := version()
	r.after(time.Second)
	r.report(Values{"temperature_celsius": Number(20.5)})
	if version() != first {
		t.Error("half a degree is reported at once")
	}
	if got := r.read(cl, 0); got != "+2050" {
		t.Errorf("a read returns %s, not what is true", got)
	}
	r.after(13 * time.Second)
	if version() == first {
		t.Errorf("at the tick nothing is reported")
	}
	second := version()
	r.after(10 * time.Second)
	r.report(Values{"temperature_celsius": Number(25)})
	if version() == second {
		t.Error("a big step waits")
	}
}

// Boolean State Configuration (section 1.8): a sensitivity that controllers set and that
// is kept, and faults of the sensor with their event.
func TestSensorConfiguration(t *testing.T) {
	const (
		id     = datamodel.BooleanStateConfigurationID
		level  = datamodel.BooleanStateConfigurationAttrCurrentSensitivityLevel
		levels = datamodel.BooleanStateConfigurationAttrSupportedSensitivityLevels
		fault  = datamodel.BooleanStateConfigurationAttrSensorFault
	)
	for _, typ := range []string{"contact_sensor", "water_leak_detector", "water_freeze_detector", "rain_sensor", "occupancy_sensor"} {
		p := Part{Type: typ, Options: Options{SensitivityLevels: 3}, State: Values{"sensor_fault": Bool(false)}}
		r := newRig(t, p)
		r.wantAll(typ, id, map[matter.AttributeID]string{matter.AttributeFeatureMap: "24", level: "0", levels: "3", fault: "0"})
		if got := r.Write(clustertest.Admin(1), 2, id, level, "3"); got != "CONSTRAINT_ERROR" {
			t.Errorf("%s: a level beyond the last: %s", typ, got)
		}
		r.wantSent("a level beyond the last")
		r.write(id, level, "2")
		r.wantSent("a level", Values{"sensitivity_level": Number(2)})
		r.report(Values{"sensor_fault": Bool(true)})
		r.report(Values{"sensor_fault": Bool(true)})
		r.report(Values{"sensor_fault": Bool(false)})
		r.wantEvents(typ, id, "1{0:1}", "1{0:0}")
		r.report(Values{"sensitivity_level": Number(1)})
		r.restart(p)
		r.wantRead("after a restart", id, level, "1")
		p.Options.SensitivityLevels = 0
		r = newRig(t, p)
		r.wantAll("faults alone", id, map[matter.AttributeID]string{matter.AttributeFeatureMap: "16", level: "UNSUPPORTED_ATTRIBUTE", fault: "0"})
		r = newRig(t, Part{Type: typ})
		r.wantRead("neither", id, fault, "UNSUPPORTED_CLUSTER")
	}
	for _, n := range []int{-1, 1, 11} {
		var option *OptionError
		if _, err := New("test:1", &Part{Type: "contact_sensor", Options: Options{SensitivityLevels: n}}, nil); !errors.As(err, &option) || option.Option != "sensitivity_levels" {
			t.Errorf("%d levels: %v", n, err)
		}
	}
}

// HoldTime (section 2.7.6.3) is set by controllers and by the sensor, within its limits,
// and is kept.
func TestHoldTime(t *testing.T) {
	const (
		id     = datamodel.OccupancySensingID
		hold   = datamodel.OccupancySensingAttrHoldTime
		limits = datamodel.OccupancySensingAttrHoldTimeLimits
	)
	p := Part{Type: "occupancy_sensor", Options: Options{MinHoldSeconds: 10, MaxHoldSeconds: 300}}
	r := newRig(t, p)
	r.wantAll("at first", id, map[matter.AttributeID]string{hold: "10", limits: "{0:10,1:300,2:10}"})
	for value, want := range map[string]string{"9": "CONSTRAINT_ERROR", "301": "CONSTRAINT_ERROR", "0": "CONSTRAINT_ERROR"} {
		if got := r.Write(clustertest.Admin(1), 2, id, hold, value); got != want {
			t.Errorf("HoldTime %s: %s, want %s", value, got, want)
		}
	}
	r.wantSent("what is refused")
	r.write(id, hold, "120")
	r.wantSent("two minutes", Values{"hold_seconds": Number(120)})
	r.restart(p)
	r.wantRead("after a restart", id, hold, "120")
	p.Options.MaxHoldSeconds = 60
	r.restart(p)
	r.wantRead("with another range", id, hold, "60")
	newRig(t, Part{Type: "occupancy_sensor"}).wantAll("a sensor of which it is not known", id, map[matter.AttributeID]string{
		hold: "UNSUPPORTED_ATTRIBUTE", limits: "UNSUPPORTED_ATTRIBUTE",
	})
	for _, o := range []Options{{MinHoldSeconds: 10}, {MinHoldSeconds: 10, MaxHoldSeconds: 10}, {MaxHoldSeconds: 65536}, {MaxHoldSeconds: -1}} {
		var option *OptionError
		if _, err := New("test:1", &Part{Type: "occupancy_sensor", Options: o}, nil); !errors.As(err, &option) || option.Option != "max_hold_seconds" {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
