package device

import (
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestConcentrations(t *testing.T) { // section 2.10
	r := newRig(t, Part{Type: "air_quality_sensor"})
	for _, tt := range []struct {
		property string
		cluster  matter.ClusterID
		unit     string
		trips    []trip
		over     float64
	}{
		{"co2_ppm", datamodel.CarbonDioxideConcentrationMeasurementID, "0", []trip{same(0, "0f"), same(412.5, "412.5f"), same(1e6, "1000000f")}, 1e6 + 1},
		{"co_ppm", datamodel.CarbonMonoxideConcentrationMeasurementID, "0", []trip{same(3.2, "3.2f")}, 1e6 + 1},
		{"no2_ppm", datamodel.NitrogenDioxideConcentrationMeasurementID, "0", []trip{same(0.021, "0.021f")}, 1e6 + 1},
		{"ozone_ppm", datamodel.OzoneConcentrationMeasurementID, "0", []trip{same(0.033, "0.033f")}, 1e6 + 1},
		{"pm1_ug_per_m3", datamodel.PM1ConcentrationMeasurementID, "4", []trip{same(7, "7f")}, 1e6 + 1},
		{"pm25_ug_per_m3", datamodel.PM25ConcentrationMeasurementID, "4", []trip{same(12.3, "12.3f")}, 1e6 + 1},
		{"pm10_ug_per_m3", datamodel.PM10ConcentrationMeasurementID, "4", []trip{same(40, "40f")}, 1e6 + 1},
		// Parts per million: what Home Assistant takes all of them for.
		{"tvoc_ppb", datamodel.TotalVolatileOrganicCompoundsConcentrationMeasurementID, "0", []trip{same(123, "0.123f"), same(0, "0f"), same(1, "0.001f")}, 1e9 + 1},
		{"formaldehyde_mg_per_m3", datamodel.FormaldehydeConcentrationMeasurementID, "3", []trip{same(0.03, "0.03f")}, 1e6 + 1},
		{"radon_bq_per_m3", datamodel.RadonConcentrationMeasurementID, "7", []trip{same(98, "98f")}, 1e6 + 1},
	} {
		p := Part{Type: "air_quality_sensor", Options: Options{Properties: []string{tt.property}}}
		r.checkTrips(p, tt.property, tt.cluster, 0, append(tt.trips, trip{Null, "null", Null}))
		r.renew(p)
		for id, want := range map[matter.AttributeID]string{1: "0f", 2: "1000000f", 8: tt.unit, 9: "0", 0xFFFC: "1"} {
			if got := r.read(tt.cluster, id); got != want {
				t.Errorf("%s: attribute 0x%04X is %s, want %s", tt.property, uint32(id), got, want)
			}
		}
		if got := r.e.Waiting(); !slices.Equal(got, []string{tt.property}) {
			t.Errorf("%s: waits for %v", tt.property, got)
		}
		for _, v := range []float64{-0.1, tt.over} {
			if err := r.e.Report(r.Now, Values{tt.property: Number(v)}); err == nil {
				t.Errorf("%s: %v was accepted", tt.property, v)
			}
		}
		// Never null once it is known.
		r.report(Values{tt.property: Number(1)})
		was := r.read(tt.cluster, 0)
		r.report(Values{tt.property: Null})
		if got := r.read(tt.cluster, 0); got != was {
			t.Errorf("%s: null after %s is shown as %s", tt.property, was, got)
		}
	}
}

func TestAirQuality(t *testing.T) { // section 2.9
	p := Part{Type: "air_quality_sensor"}
	var trips []trip
	for i, name := range []string{"unknown", "good", "fair", "moderate", "poor", "very_poor", "extremely_poor"} {
		trips = append(trips, trip{Text(name), string(rune('0' + i)), Text(name)})
	}
	checkTrips(t, p, "air_quality", datamodel.AirQualityID, 0, append(trips, trip{Null, "0", Text("unknown")}))
	r := newRig(t, p)
	if got := r.read(datamodel.AirQualityID, 0xFFFC); got != "15" {
		t.Errorf("FeatureMap %s", got)
	}
	if err := r.e.Report(r.Now, Values{"air_quality": Text("bad")}); err == nil {
		t.Error("an unknown word was accepted")
	}
}

func TestAirQualityProperties(t *testing.T) {
	for _, tt := range []struct {
		part Part
		want string
	}{
		{Part{}, "air_quality"},
		{Part{Options: Options{Properties: []string{"radon_bq_per_m3", "co2_ppm"}}}, "air_quality co2_ppm radon_bq_per_m3"},
		{Part{State: Values{"pm25_ug_per_m3": Number(3), "air_quality": Text("good"), "co2_ppm": Null}}, "air_quality pm25_ug_per_m3"},
		{Part{State: Values{"tvoc_ppb": Number(3)}, Meter: true}, "air_quality tvoc_ppb power_watts"},
	} {
		tt.part.Type = "air_quality_sensor"
		r := newRig(t, tt.part)
		var names []string
		for _, p := range r.e.Properties() {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("properties %s, want %s", got, tt.want)
		}
	}
	for _, name := range []string{"temperature_celsius", "power_watts", ""} {
		if _, err := New("test:1", &Part{Type: "air_quality_sensor", Options: Options{Properties: []string{name}}}, nil); err == nil {
			t.Errorf("the property %q was accepted", name)
		}
	}
}
