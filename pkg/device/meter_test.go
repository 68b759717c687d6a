package device

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	powerID    = datamodel.ElectricalPowerMeasurementID
	energyID   = datamodel.ElectricalEnergyMeasurementID
	topologyID = datamodel.PowerTopologyID

	activePower = datamodel.ElectricalPowerMeasurementAttrActivePower
	imported    = datamodel.ElectricalEnergyMeasurementAttrCumulativeEnergyImported
	exported    = datamodel.ElectricalEnergyMeasurementAttrCumulativeEnergyExported
)

// metered returns a plug with a meter for some properties, separated by spaces.
func metered(properties string) Part {
	return Part{Type: "on_off_plug", Meter: true, Options: Options{Properties: strings.Fields(properties)}}
}

func TestMeterProperties(t *testing.T) {
	p := metered("power_watts voltage_volts current_amperes")
	checkTrips(t, p, "power_watts", powerID, activePower, []trip{ // section 2.13.6.9: mW, exported is negative
		same(0, "+0"), same(2000.5, "+2000500"), same(-12.345, "-12345"), same(1e6, "+1000000000"), {Null, "+0", Number(0)},
	})
	checkTrips(t, p, "voltage_volts", powerID, datamodel.ElectricalPowerMeasurementAttrVoltage, []trip{same(230.1, "+230100"), same(0, "+0"), {Null, "null", Null}})
	checkTrips(t, p, "current_amperes", powerID, datamodel.ElectricalPowerMeasurementAttrActiveCurrent, []trip{same(0.123, "+123"), same(-16, "-16000"), {Null, "null", Null}})
	at := clustertest.Start.Unix() - matter.EpochOffset
	energy := func(kwh float64, mwh string) trip { return same(kwh, fmt.Sprintf("{0:%s,2:%d}", mwh, at)) }
	checkTrips(t, metered("energy_kwh"), "energy_kwh", energyID, imported, []trip{ // section 2.12.5.2: mWh, no beginning
		energy(0, "+0"), energy(1234.567, "+1234567000"), energy(0.000001, "+1"), energy(1e9, "+1000000000000000"), {Null, "null", Null},
	})
	checkTrips(t, metered("energy_exported_kwh"), "energy_exported_kwh", energyID, exported, []trip{energy(12.5, "+12500000")})
	for name, v := range map[string]float64{"power_watts": 1e6 + 1, "voltage_volts": -1, "current_amperes": 10_001} {
		var refused *ValueError
		if err := newRig(t, p).e.Report(clustertest.Start, Values{name: Number(v)}); !errors.As(err, &refused) {
			t.Errorf("%s %v: %v", name, v, err)
		}
	}
	var refused *ValueError
	if err := newRig(t, metered("energy_kwh")).e.Report(clustertest.Start, Values{"energy_kwh": Number(-1)}); !errors.As(err, &refused) {
		t.Errorf("energy below zero: %v", err)
	}
}

// TestMeterParts checks which clusters, features, attributes and entries of
// Accuracy a meter has.
func TestMeterParts(t *testing.T) {
	power, voltage, current := "{0:5,1:true,2:-1000000000,3:+1000000000,4:[{0:-1000000000,1:+1000000000,2:500}]}",
		"{0:1,1:true,2:+0,3:+1000000,4:[{0:+0,1:+1000000,2:500}]}", "{0:2,1:true,2:-10000000,3:+10000000,4:[{0:-10000000,1:+10000000,2:500}]}"
	for _, tt := range []struct {
		properties string
		types      string // numbers of clusters
		accuracy   string
		features   string
	}{
		{"power_watts", "90 9C", power, ""},
		{"power_watts voltage_volts", "90 9C", power + "," + voltage, ""},
		{"current_amperes power_watts", "90 9C", power + "," + current, ""},
		{"energy_kwh", "91 9C", "", "5"},
		{"energy_exported_kwh", "91 9C", "", "6"},
		{"power_watts energy_kwh energy_exported_kwh", "90 91 9C", power, "7"},
	} {
		r := newRig(t, metered(tt.properties))
		var have []string
		for _, c := range r.e.Clusters() {
			if id := c.Spec().ID; id == powerID || id == energyID || id == topologyID {
				have = append(have, fmt.Sprintf("%X", id))
			}
		}
		slices.Sort(have)
		if got := strings.Join(have, " "); got != tt.types {
			t.Errorf("%s: clusters %s, want %s", tt.properties, got, tt.types)
		}
		if tt.accuracy != "" {
			n := fmt.Sprint(strings.Count(tt.accuracy, "true"))
			if got := r.read(powerID, datamodel.ElectricalPowerMeasurementAttrNumberOfMeasurementTypes); got != n {
				t.Errorf("%s: NumberOfMeasurementTypes %s, want %s", tt.properties, got, n)
			}
			if got, want := r.read(powerID, datamodel.ElectricalPowerMeasurementAttrAccuracy), "["+tt.accuracy+"]"; got != want {
				t.Errorf("%s: Accuracy %s, want %s", tt.properties, got, want)
			}
			if features, mode := r.read(powerID, 0xFFFC), r.read(powerID, 0); features != "2" || mode != "2" {
				t.Errorf("%s: FeatureMap %s, PowerMode %s", tt.properties, features, mode)
			}
		}
		if tt.features != "" {
			if got := r.read(energyID, 0xFFFC); got != tt.features {
				t.Errorf("%s: FeatureMap %s, want %s", tt.properties, got, tt.features)
			}
		}
	}
	// Without options the first state determines the quantities, at least power.
	for _, tt := range []struct {
		state Values
		want  []string
	}{
		{nil, []string{"power_watts"}},
		{Values{"on": Bool(true)}, []string{"power_watts"}},
		{Values{"energy_kwh": Number(5), "power_watts": Null}, []string{"energy_kwh"}},
		{Values{"energy_kwh": Number(5), "power_watts": Number(1), "voltage_volts": Number(0)}, []string{"power_watts", "voltage_volts", "energy_kwh"}},
	} {
		p := Part{ID: "main", Type: "on_off_plug", Meter: true, State: tt.state}
		if _, err := New("test:1", &p, nil); err != nil {
			t.Errorf("%v: %v", tt.state, err)
		}
		if !slices.Equal(p.Options.Properties, tt.want) {
			t.Errorf("%v: properties %v, want %v", tt.state, p.Options.Properties, tt.want)
		}
	}
	for _, properties := range [][]string{{"voltage_volts"}, {"power_watts", "co2_ppm"}, {"on"}} {
		p := Part{Type: "electrical_sensor", Options: Options{Properties: properties}}
		var option *OptionError
		if _, err := New("test:1", &p, nil); !errors.As(err, &option) || option.Option != "properties" {
			t.Errorf("%v: %v", properties, err)
		}
	}
}

func TestEnergyNeverDecreases(t *testing.T) {
	r := newRig(t, metered("energy_kwh"))
	total := func() string {
		s, _, _ := strings.Cut(strings.TrimPrefix(r.read(energyID, imported), "{0:+"), ",")
		return s
	}
	for _, tt := range []struct {
		reading float64
		want    string // mWh
	}{
		{100, "100000000"},
		{100.5, "100500000"},
		{100.2, "100500000"}, // a correction: the total waits
		{100.6, "100600000"},
		{0.1, "100700000"}, // the counter restarted
		{0.3, "100900000"},
		{0, "100900000"}, // and again
		{50, "150900000"},
	} {
		r.report(Values{"energy_kwh": Number(tt.reading)})
		if got := total(); got != tt.want {
			t.Errorf("at %v kWh the total is %s mWh, want %s", tt.reading, got, tt.want)
		}
	}
	kept := r.e.Save()
	r = newBareRig(t, metered("energy_kwh"))
	if err := r.e.Load(kept); err != nil {
		t.Fatal(err)
	}
	r.add()
	if got := r.read(energyID, imported); got != "null" {
		t.Errorf("after a restart the energy is %s before the source has said anything", got)
	}
	r.report(Values{"energy_kwh": Number(50)})
	if got := total(); got != "150900000" {
		t.Errorf("after a restart the total is %s mWh", got)
	}
	if got := r.e.State(r.Now)["energy_kwh"]; got != Number(50) {
		t.Errorf("the source's counter comes back as %s", got)
	}
}

func TestEnergyWithoutAClock(t *testing.T) {
	r := newRig(t, metered("energy_kwh"))
	r.Now = time.Unix(1000, 0)
	r.report(Values{"energy_kwh": Number(1)})
	r.Now = r.Now.Add(90 * time.Second)
	r.report(Values{"energy_kwh": Number(2)})
	if got, want := r.read(energyID, imported), "{0:+2000000,4:90000}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Section 2.12.7.1: an event goes with each report, with both directions.
func TestEnergyEvents(t *testing.T) {
	r := newRig(t, metered("energy_kwh energy_exported_kwh"))
	r.report(Values{"energy_kwh": Number(1), "energy_exported_kwh": Number(2)})
	events := r.Events(clustertest.Admin(1), energyID)
	if len(events) != 1 || strings.Count(events[0], "{0:+") != 2 {
		t.Fatalf("events %v", events)
	}
	r.report(Values{"energy_kwh": Number(1.1)})
	r.report(Values{"energy_kwh": Number(1.2)})
	if got := len(r.Events(clustertest.Admin(1), energyID)); got != 1 {
		t.Errorf("%d events within one tick", got)
	}
	r.after(time.Minute)
	events = r.Events(clustertest.Admin(1), energyID)
	if len(events) != 2 || !strings.Contains(events[1], "{0:+1200000,") {
		t.Errorf("events %v", events)
	}
}

// Sections 2.12.6 and 2.13.6: at most once per second, and within a minute after a
// change.
func TestMeterReportsInTime(t *testing.T) {
	for _, tt := range []struct {
		property string
		cluster  matter.ClusterID
		walk     func() float64
	}{
		{"power_watts", powerID, func() float64 { return float64(rand.IntN(5)) / 10 }},
		{"power_watts", powerID, func() float64 { return float64(rand.IntN(20)) * 100 }},
		{"power_watts", powerID, func() float64 { return 2000 + float64(rand.IntN(100)) }},
	} {
		r := newRig(t, metered(tt.property))
		r.report(Values{tt.property: Number(1)})
		version := r.Version(2, tt.cluster, activePower)
		reported, late := r.Now, time.Time{}
		shown := r.read(tt.cluster, activePower)
		for range 700 {
			r.after(300 * time.Millisecond)
			if rand.IntN(3) == 0 {
				r.report(Values{tt.property: Number(tt.walk())})
			}
			is := r.read(tt.cluster, activePower)
			if v := r.Version(2, tt.cluster, activePower); v != version {
				if gap := r.Now.Sub(reported); gap < time.Second {
					t.Fatalf("reported %v after the last report", gap)
				}
				version, reported, shown = v, r.Now, is
			}
			if is == shown {
				late = time.Time{}
			} else if late.IsZero() {
				late = r.Now
			}
			if !late.IsZero() && r.Now.Sub(late) > time.Minute+300*time.Millisecond {
				t.Fatalf("a change is not reported for %v", r.Now.Sub(late))
			}
		}
	}
}

func TestMeterAloneWaits(t *testing.T) {
	r := newRig(t, Part{Type: "electrical_sensor", Options: Options{Properties: []string{"power_watts", "energy_kwh"}}})
	if got := r.e.Waiting(); !slices.Equal(got, []string{"power_watts"}) {
		t.Errorf("a meter waits for %v", got)
	}
	r = newRig(t, metered("power_watts energy_kwh"))
	if slices.Contains(r.e.Waiting(), "power_watts") {
		t.Error("a plug waits for its meter")
	}
	if got := r.read(powerID, activePower); got != "+0" {
		t.Errorf("ActivePower before the first value: %s", got)
	}
}
