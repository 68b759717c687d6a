package device

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster/airquality"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// shownAs is the attribute of a property.
type shownAs struct {
	cluster   matter.ClusterID
	attribute matter.AttributeID
}

// limitRow are values of a property at its limits and between them, as their attributes
// show them. The same property may be another attribute in another type.
type limitRow struct {
	shown []shownAs
	trips []trip
}

func texts(raw ...string) (all []trip) {
	for i := 0; i < len(raw); i += 2 {
		all = append(all, trip{Text(raw[i]), raw[i+1], Text(raw[i])})
	}
	return all
}

func flags(yes, no string) []trip {
	return []trip{{Bool(true), yes, Bool(true)}, {Bool(false), no, Bool(false)}}
}

var truth = flags("true", "false")

// limitRows has a row for each property of the library.
var limitRows = map[string]limitRow{
	"on": {[]shownAs{{datamodel.OnOffID, datamodel.OnOffAttrOnOff}}, truth},
	"brightness_percent": {[]shownAs{{level, currentLevel}}, []trip{ // 1 to 254
		same(100, "254"), same(0.4, "1"), {Number(0.01), "1", Number(0.4)}, same(50, "127"), same(1, "3"), same(99.6, "253"),
	}},
	"color_temperature_kelvin": {[]shownAs{{datamodel.ColorControlID, datamodel.ColorControlAttrColorTemperatureMireds}}, []trip{
		same(2000, "500"), same(6535, "153"), same(2700, "370"), same(4000, "250"),
	}},
	"hue_degrees": {[]shownAs{{datamodel.ColorControlID, datamodel.ColorControlAttrCurrentHue}}, []trip{
		same(0, "0"), {Number(360), "0", Number(0)}, same(180, "127"), same(359.9, "254"),
	}},
	"saturation_percent": {[]shownAs{{datamodel.ColorControlID, datamodel.ColorControlAttrCurrentSaturation}}, []trip{same(0, "0"), same(100, "254"), same(50, "127")}},
	"color_x":            {[]shownAs{{datamodel.ColorControlID, datamodel.ColorControlAttrCurrentX}}, []trip{same(0.3127, "20493"), same(0.5, "32768")}},
	"color_y":            {[]shownAs{{datamodel.ColorControlID, datamodel.ColorControlAttrCurrentY}}, []trip{same(0.329, "21561"), same(0.25, "16384")}},
	"color_mode":         {[]shownAs{{datamodel.ColorControlID, datamodel.ColorControlAttrColorMode}}, texts("hs", "0", "xy", "1", "temperature", "2")},

	"position":          {[]shownAs{{datamodel.SwitchID, datamodel.SwitchAttrCurrentPosition}}, []trip{same(0, "0"), same(2, "2"), {Number(1.4), "1", Number(1)}}},
	"closed":            {[]shownAs{{datamodel.BooleanStateID, 0}}, truth},
	"detected":          {[]shownAs{{datamodel.BooleanStateID, 0}}, truth},
	"hold_seconds":      {[]shownAs{{datamodel.OccupancySensingID, datamodel.OccupancySensingAttrHoldTime}}, []trip{same(1, "1"), {Number(59.6), "60", Number(60)}, same(600, "600")}},
	"sensitivity_level": {[]shownAs{{datamodel.BooleanStateConfigurationID, datamodel.BooleanStateConfigurationAttrCurrentSensitivityLevel}}, []trip{same(0, "0"), same(3, "3")}},
	"sensor_fault":      {[]shownAs{{datamodel.BooleanStateConfigurationID, datamodel.BooleanStateConfigurationAttrSensorFault}}, flags("1", "0")},
	"occupied":          {[]shownAs{{datamodel.OccupancySensingID, 0}}, flags("1", "0")},
	"temperature_celsius": {[]shownAs{{datamodel.TemperatureMeasurementID, 0}, {thermostatID, datamodel.ThermostatAttrLocalTemperature}}, []trip{
		same(-40, "-4000"), same(0, "+0"), same(-273.15, "-27315"), same(327.67, "+32767"), same(21.5, "+2150"),
	}},
	"humidity_percent": {[]shownAs{{datamodel.RelativeHumidityMeasurementID, 0}}, []trip{same(0, "0"), same(0.5, "50"), same(100, "10000")}},
	"pressure_hpa":     {[]shownAs{{datamodel.PressureMeasurementID, 0}}, []trip{same(-32767, "-32767"), same(0, "+0"), same(32767, "+32767")}},
	"flow_m3_per_hour": {[]shownAs{{datamodel.FlowMeasurementID, 0}}, []trip{same(0, "0"), same(6553.4, "65534")}},
	"illuminance_lux":  {[]shownAs{{datamodel.IlluminanceMeasurementID, 0}}, []trip{same(0, "0"), same(1, "1"), same(3_575_000, "65534")}},
	"moisture_percent": {[]shownAs{{datamodel.SoilMeasurementID, datamodel.SoilMeasurementAttrSoilMoistureMeasuredValue}}, []trip{same(0, "0"), same(100, "100")}},

	"smoke":             {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrSmokeState}}, texts("critical", "2", "warning", "1", "normal", "0")},
	"gas":               {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrSmokeState}}, texts("critical", "2", "warning", "1", "normal", "0")},
	"carbon_monoxide":   {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrCOState}}, texts("critical", "2", "warning", "1", "normal", "0")},
	"test_in_progress":  {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrTestInProgress}}, truth},
	"hardware_fault":    {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrHardwareFaultAlert}}, truth},
	"end_of_service":    {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrEndOfServiceAlert}}, flags("1", "0")},
	"smoke_sensitivity": {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrSmokeSensitivityLevel}}, texts("high", "0", "low", "2", "standard", "1")},
	"muted":             {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrDeviceMuted}}, flags("1", "0")},
	"contamination":     {[]shownAs{{alarmID, datamodel.SmokeCOAlarmAttrContaminationState}}, texts("critical", "3", "warning", "2", "low", "1", "normal", "0")},

	"air_quality": {[]shownAs{{datamodel.AirQualityID, 0}}, texts("unknown", "0", "good", "1", "fair", "2", "moderate", "3", "poor", "4", "very_poor", "5", "extremely_poor", "6")},
	"co2_ppm":     concentrated(datamodel.CarbonDioxideConcentrationMeasurementID, 1), "co_ppm": concentrated(datamodel.CarbonMonoxideConcentrationMeasurementID, 1),
	"no2_ppm": concentrated(datamodel.NitrogenDioxideConcentrationMeasurementID, 1), "ozone_ppm": concentrated(datamodel.OzoneConcentrationMeasurementID, 1),
	"pm1_ug_per_m3": concentrated(datamodel.PM1ConcentrationMeasurementID, 1), "pm25_ug_per_m3": concentrated(datamodel.PM25ConcentrationMeasurementID, 1),
	"pm10_ug_per_m3": concentrated(datamodel.PM10ConcentrationMeasurementID, 1), "radon_bq_per_m3": concentrated(datamodel.RadonConcentrationMeasurementID, 1),
	"formaldehyde_mg_per_m3": concentrated(datamodel.FormaldehydeConcentrationMeasurementID, 1),
	"tvoc_ppb":               concentrated(datamodel.TotalVolatileOrganicCompoundsConcentrationMeasurementID, 1000),

	"position_percent": {[]shownAs{{covering, datamodel.WindowCoveringAttrCurrentPositionLiftPercent100ths}}, []trip{same(0, "10000"), same(0.5, "9950"), same(99.5, "50"), same(100, "0")}},
	"tilt_percent":     {[]shownAs{{covering, datamodel.WindowCoveringAttrCurrentPositionTiltPercent100ths}}, []trip{same(0, "10000"), same(0.5, "9950"), same(99.5, "50"), same(100, "0")}},
	"moving":           {[]shownAs{{covering, datamodel.WindowCoveringAttrOperationalStatus}}, texts("stopped", "0", "opening", "5", "closing", "10")},
	"lock":             {[]shownAs{{datamodel.DoorLockID, datamodel.DoorLockAttrLockState}}, texts("locked", "1", "unlocked", "2", "jammed", "0")},
	"door":             {[]shownAs{{datamodel.DoorLockID, datamodel.DoorLockAttrDoorState}}, texts("open", "0", "closed", "1")},
	"open":             {[]shownAs{{valveID, datamodel.ValveConfigurationAndControlAttrCurrentState}}, flags("1", "0")},
	"level_percent":    {[]shownAs{{valveID, datamodel.ValveConfigurationAndControlAttrCurrentLevel}}, []trip{same(0, "0"), same(1, "1"), same(100, "100")}},

	"mode":                     {[]shownAs{{thermostatID, datamodel.ThermostatAttrSystemMode}}, texts("off", "0", "heat", "4", "cool", "3")},
	"running":                  {[]shownAs{{thermostatID, datamodel.ThermostatAttrThermostatRunningState}}, texts("idle", "0", "heating", "1", "cooling", "2", "fan", "4")},
	"heating_setpoint_celsius": {[]shownAs{{thermostatID, heatTo}}, []trip{same(7, "+700"), same(21.5, "+2150"), same(30, "+3000")}},
	"cooling_setpoint_celsius": {[]shownAs{{thermostatID, coolTo}}, []trip{same(16, "+1600"), same(21.5, "+2150"), same(32, "+3200")}},
	"fan_mode":                 {[]shownAs{{fanID, datamodel.FanControlAttrFanMode}}, texts("off", "0", "low", "1", "medium", "2", "high", "3", "auto", "5")},
	"fan_percent":              {[]shownAs{{fanID, datamodel.FanControlAttrPercentCurrent}}, []trip{same(0, "0"), same(1, "1"), same(100, "100")}},
	"carbon_filter_percent":    {[]shownAs{{datamodel.ActivatedCarbonFilterMonitoringID, datamodel.HEPAFilterMonitoringAttrCondition}}, []trip{same(0, "0"), same(1, "1"), same(100, "100")}},
	"filter_percent":           {[]shownAs{{datamodel.HEPAFilterMonitoringID, datamodel.HEPAFilterMonitoringAttrCondition}}, []trip{same(0, "0"), {Number(4.6), "5", Number(5)}, same(100, "100")}},

	"run_mode":   {[]shownAs{{runModeID, datamodel.RVCRunModeAttrCurrentMode}}, texts("idle", "0", "cleaning", "1", "mapping", "2")},
	"clean_mode": {[]shownAs{{cleanModeID, datamodel.RVCCleanModeAttrCurrentMode}}, texts("Vacuum", "0", "Mop", "1")},
	"state": {[]shownAs{{operationID, datamodel.RVCOperationalStateAttrOperationalState}}, texts(
		"stopped", "0", "running", "1", "paused", "2", "error", "3", "seeking_charger", "64", "charging", "65", "docked", "66",
	)},
	"error": {[]shownAs{{operationID, datamodel.RVCOperationalStateAttrOperationalError}}, texts("stuck", "{0:65}", "navigation_sensor_obscured", "{0:78}", "none", "{0:0}")},
	"areas": {[]shownAs{{areaID, datamodel.ServiceAreaAttrSelectedAreas}}, texts("", "[]", "Attic", "[2]", "Hall, Attic", "[1,2]")},

	"power_watts":         {[]shownAs{{powerID, activePower}}, []trip{same(-1e6, "-1000000000"), same(0, "+0"), same(0.001, "+1"), same(1e6, "+1000000000")}},
	"voltage_volts":       {[]shownAs{{powerID, datamodel.ElectricalPowerMeasurementAttrVoltage}}, []trip{same(0, "+0"), same(1000, "+1000000")}},
	"current_amperes":     {[]shownAs{{powerID, datamodel.ElectricalPowerMeasurementAttrActiveCurrent}}, []trip{same(-10_000, "-10000000"), same(10_000, "+10000000")}},
	"energy_kwh":          {nil, []trip{same(0, ""), same(0.000001, ""), same(1e9, "")}}, // the attribute has a time, see TestMeterProperties
	"energy_exported_kwh": {nil, []trip{same(0, ""), same(0.000001, ""), same(1e9, "")}},
}

func concentrated(cl matter.ClusterID, times float64) limitRow {
	return limitRow{[]shownAs{{cl, 0}}, []trip{same(0, "0f"), same(times, "1f"), same(airquality.Ceiling*times, "1000000f")}}
}

// TestLimits checks that each property of each type comes back from its attribute as it
// was reported, at both ends of its range; that null changes a value to null at most; and
// that the next number beyond its range is refused.
func TestLimits(t *testing.T) {
	for _, typ := range Types() {
		r := newRig(t, partWithAll(typ))
		for _, p := range r.e.Properties() {
			row, ok := limitRows[p.Name]
			if !ok {
				t.Errorf("%s: %s has no row", typ, p.Name)
				continue
			}
			t.Run(typ+"/"+p.Name, func(t *testing.T) {
				r.t = t
				r.renew(partWithAll(typ))
				r.checkLimits(p, row)
			})
		}
	}
}

func (r *rig) checkLimits(p *Property, row limitRow) {
	r.t.Helper()
	ends := map[Value]bool{}
	for _, x := range row.trips {
		if p.Kind == KindText && p.Check(x.value) != nil {
			continue // another type has it
		}
		r.report(Values{p.Name: x.value})
		ends[x.value] = true
		for _, at := range row.shown {
			if got := r.read(at.cluster, at.attribute); got != x.raw && got != "UNSUPPORTED_CLUSTER" {
				r.t.Errorf("%s is shown as %s, want %s", x.value, got, x.raw)
			}
		}
		if got := r.e.State(r.Now)[p.Name]; got != x.back {
			r.t.Errorf("%s comes back as %s, want %s", x.value, got, x.back)
		}
	}
	last := r.e.State(r.Now)[p.Name]
	r.report(Values{p.Name: Null})
	if got := r.e.State(r.Now)[p.Name]; got != last && !got.IsNull() && p.Name != "power_watts" && p.Name != "air_quality" {
		r.t.Errorf("null after %s comes back as %s", last, got)
	}
	switch {
	case p.Kind == KindNumber && p.Min < p.Max:
		for _, f := range []float64{math.Nextafter(p.Min, math.Inf(-1)), math.Nextafter(p.Max, math.Inf(1))} {
			if err := r.e.Report(r.Now, Values{p.Name: Number(f)}); err == nil {
				r.t.Errorf("%v was accepted, beyond %v to %v", f, p.Min, p.Max)
			}
		}
		for _, f := range []float64{p.Min, p.Max} {
			if err := r.e.Report(r.Now, Values{p.Name: Number(f)}); (err != nil) != (p.Above && f == p.Min) {
				r.t.Errorf("%v: %v", f, err)
			}
		}
		// Coordinates come in pairs, and their ends are no colors.
		if pair := p.Name == "color_x" || p.Name == "color_y"; !pair && (!ends[Number(p.Max)] || !p.Above && !ends[Number(p.Min)]) {
			r.t.Errorf("the row has not both of %v and %v", p.Min, p.Max)
		}
	case p.Kind == KindText && p.Values != nil && p.Name != "error":
		for _, v := range p.Values {
			if !ends[Text(v)] && v != "unknown" {
				r.t.Errorf("the row has no %s", v)
			}
		}
	}
	for what, v := range map[string]Value{"a text": Text("\x00"), "a flag": Bool(true), "a number": Number(1)} {
		fits := p.Kind == KindBool && what == "a flag" || p.Kind == KindNumber && what == "a number" || p.Kind == KindText && p.Values == nil && what == "a text"
		if err := r.e.Check(Values{p.Name: v}); fits != (err == nil) && !(fits && p.Kind == KindNumber) {
			r.t.Errorf("%s: %s", what, fmt.Sprint(err))
		}
	}
}

// TestOutOfRange checks that a number out of range is refused for each property that is a
// number, with its range, and that the error has the nearest limit.
func TestOutOfRange(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, typ := range Types() {
		p := partWithAll(typ)
		p.Meter = true
		e, err := New("test:1", &p, nil)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		for _, prop := range e.Properties() {
			if prop.Kind != KindNumber {
				continue
			}
			if prop.Min >= prop.Max {
				t.Errorf("%s: %s has no range", typ, prop.Name)
			}
			before := e.State(now)[prop.Name]
			high, low := Number(prop.Max), Number(prop.Min)
			if prop.Total {
				high, low = Null, Null
			}
			if prop.Above {
				low = Null
			}
			margin := math.Max(1, math.Abs(prop.Max)*1e-3)
			for value, nearest := range map[Value]Value{Number(prop.Max + margin): high, Number(prop.Min - margin): low} {
				err := e.Report(now, Values{prop.Name: value})
				var wrong *ValueError
				if !errors.As(err, &wrong) || wrong.Property != prop.Name || wrong.Nearest != nearest || !strings.HasSuffix(err.Error(), Number(prop.Max).String()) {
					t.Errorf("%s: %s %s: %v, nearest %s, want %s", typ, prop.Name, value, err, wrong.Nearest, nearest)
				}
			}
			if is := e.State(now)[prop.Name]; is != before {
				t.Errorf("%s: %s became %s", typ, prop.Name, is)
			}
		}
	}
}
