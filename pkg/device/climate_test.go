package device

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	thermostatID = datamodel.ThermostatID
	fanID        = datamodel.FanControlID
)

// wantAll compares attributes.
func (r *rig) wantAll(what string, cl matter.ClusterID, want map[matter.AttributeID]string) {
	r.t.Helper()
	for id, w := range want {
		r.wantRead(what, cl, id, w)
	}
}

const (
	heatTo = datamodel.ThermostatAttrOccupiedHeatingSetpoint
	coolTo = datamodel.ThermostatAttrOccupiedCoolingSetpoint
)

// TestSetpoints checks the limits of setpoints and their distance (sections
// 4.3.11.11 to 4.3.11.19).
func TestSetpoints(t *testing.T) {
	r := newRig(t, Part{Type: "thermostat", Options: Options{Modes: []string{"heat", "cool", "auto"}}})
	r.report(Values{"temperature_celsius": Number(19.5), "heating_setpoint_celsius": Number(20), "cooling_setpoint_celsius": Number(24), "mode": Text("auto")})
	for _, tt := range []struct {
		name   string
		id     matter.AttributeID
		value  string
		status string
		heat   string
		cool   string
	}{
		{"in range", heatTo, "+2150", "SUCCESS", "+2150", "+2400"},
		{"above the limit", heatTo, "+3001", "CONSTRAINT_ERROR", "+2150", "+2400"},
		{"below the limit", coolTo, "+1500", "CONSTRAINT_ERROR", "+2150", "+2400"},
		{"past the other", heatTo, "+2600", "SUCCESS", "+2600", "+2600"},
		{"past the other from above", coolTo, "+1800", "SUCCESS", "+1800", "+1800"},
		{"limit below the setpoint", datamodel.ThermostatAttrMaxHeatSetpointLimit, "+1700", "SUCCESS", "+1700", "+1800"},
		{"limit beyond what the device can", datamodel.ThermostatAttrMaxHeatSetpointLimit, "+3100", "CONSTRAINT_ERROR", "+1700", "+1800"},
		{"a dead band", datamodel.ThermostatAttrMinSetpointDeadBand, "+10", "UNSUPPORTED_WRITE", "+1700", "+1800"},
		{"the sequence is ignored", datamodel.ThermostatAttrControlSequenceOfOperation, "2", "SUCCESS", "+1700", "+1800"},
	} {
		if got := r.Write(clustertest.Admin(1), 2, thermostatID, tt.id, tt.value); got != tt.status {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.status)
		}
		r.wantAll(tt.name, thermostatID, map[matter.AttributeID]string{
			heatTo: tt.heat, coolTo: tt.cool, datamodel.ThermostatAttrControlSequenceOfOperation: "4",
		})
	}
	r.sent = nil
	r.write(thermostatID, coolTo, "+2500")
	r.wantSent("a setpoint", Values{"cooling_setpoint_celsius": Number(25)})
}

func TestThermostatModes(t *testing.T) {
	r := newRig(t, Part{Type: "thermostat", Options: Options{Modes: []string{"off", "heat"}}})
	for value, want := range map[string]string{"4": "SUCCESS", "3": "CONSTRAINT_ERROR", "1": "CONSTRAINT_ERROR", "77": "CONSTRAINT_ERROR", "0": "SUCCESS"} {
		if got := r.Write(clustertest.Admin(1), 2, thermostatID, datamodel.ThermostatAttrSystemMode, value); got != want {
			t.Errorf("SystemMode %s: %s, want %s", value, got, want)
		}
	}
	r.sent = nil
	r.write(thermostatID, datamodel.ThermostatAttrSystemMode, "4")
	r.wantSent("heat", Values{"mode": Text("heat")})
	r.report(Values{"running": Text("heating"), "temperature_celsius": Number(-3.5)})
	r.wantAll("heating", thermostatID, map[matter.AttributeID]string{
		datamodel.ThermostatAttrThermostatRunningState: "1", datamodel.ThermostatAttrLocalTemperature: "-350", matter.AttributeFeatureMap: "1",
	})
	r.report(Values{"temperature_celsius": Null})
	r.wantAll("what is unknown stays", thermostatID, map[matter.AttributeID]string{datamodel.ThermostatAttrLocalTemperature: "-350"})
	for _, modes := range [][]string{{"off"}, {"dry"}, {"boost"}} {
		if _, err := New("test:1", &Part{Type: "thermostat", Options: Options{Modes: modes}}, nil); err == nil || !strings.Contains(err.Error(), "options.modes") {
			t.Errorf("modes %v: %v", modes, err)
		}
	}
}

func TestSetpointRaiseLower(t *testing.T) {
	r := newRig(t, Part{Type: "thermostat", Options: Options{Modes: []string{"heat", "cool"}}})
	r.report(Values{"heating_setpoint_celsius": Number(29), "cooling_setpoint_celsius": Number(25)})
	for _, tt := range []struct{ fields, status, heat, cool string }{
		{"{0:0,1:-10}", "SUCCESS", "+2800", "+2500"},
		{"{0:1,1:+15}", "SUCCESS", "+2800", "+2650"},
		{"{0:2,1:+100}", "SUCCESS", "+3000", "+2850"},
		{"{0:3,1:+1}", "INVALID_COMMAND", "+3000", "+2850"},
		{"{0:0}", "INVALID_COMMAND", "+3000", "+2850"},
	} {
		if got := r.invoke(thermostatID, datamodel.ThermostatCmdSetpointRaiseLower, tt.fields); got != tt.status {
			t.Errorf("%s: %s, want %s", tt.fields, got, tt.status)
		}
		r.wantAll(tt.fields, thermostatID, map[matter.AttributeID]string{heatTo: tt.heat, coolTo: tt.cool})
	}
}

// TestFanRules checks mode, percentage and speed, which must always agree (section
// 4.4.6).
func TestFanRules(t *testing.T) {
	const (
		mode    = datamodel.FanControlAttrFanMode
		percent = datamodel.FanControlAttrPercentSetting
		speed   = datamodel.FanControlAttrSpeedSetting
	)
	r := newRig(t, Part{Type: "fan", Options: Options{Modes: []string{"low", "medium", "high", "auto"}, Speeds: 10}})
	for _, tt := range []struct {
		name                 string
		id                   matter.AttributeID
		value, status        string
		mode, percent, speed string
	}{
		{"a percentage", percent, "40", "SUCCESS", "2", "40", "4"},
		{"the mode that it is in keeps it", mode, "2", "SUCCESS", "2", "40", "4"},
		{"another mode", mode, "1", "SUCCESS", "1", "33", "4"},
		{"a speed", speed, "9", "SUCCESS", "3", "90", "9"},
		{"too fast", speed, "11", "CONSTRAINT_ERROR", "3", "90", "9"},
		{"more than all", percent, "101", "CONSTRAINT_ERROR", "3", "90", "9"},
		{"null changes nothing", percent, "null", "SUCCESS", "3", "90", "9"},
		{"auto", mode, "5", "SUCCESS", "5", "null", "null"},
		{"on is high", mode, "4", "SUCCESS", "3", "100", "10"},
		{"smart is auto", mode, "6", "SUCCESS", "5", "null", "null"},
		{"no mode", mode, "7", "CONSTRAINT_ERROR", "5", "null", "null"},
		{"nothing is off", percent, "0", "SUCCESS", "0", "0", "0"},
		{"off", mode, "0", "SUCCESS", "0", "0", "0"},
	} {
		if got := r.Write(clustertest.Admin(1), 2, fanID, tt.id, tt.value); got != tt.status {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.status)
		}
		r.wantAll(tt.name, fanID, map[matter.AttributeID]string{mode: tt.mode, percent: tt.percent, speed: tt.speed})
	}
	r.sent = nil
	r.write(fanID, percent, "55")
	r.wantSent("55 %", Values{"fan_mode": Text("medium"), "fan_percent": Number(55)})
	r.write(fanID, mode, "5")
	r.wantSent("auto", Values{"fan_mode": Text("auto")})
	r.report(Values{"fan_percent": Number(20)})
	r.wantAll("the speed that the fan chose", fanID, map[matter.AttributeID]string{mode: "5", percent: "null", datamodel.FanControlAttrPercentCurrent: "20"})
	r.report(Values{"fan_mode": Text("low"), "fan_percent": Number(20)})
	r.report(Values{"fan_mode": Text("auto")})
	r.report(Values{"fan_percent": Number(40)})
	r.report(Values{"fan_mode": Text("medium")})
	r.wantAll("no longer automatic, at the same speed", fanID, map[matter.AttributeID]string{mode: "2", percent: "40", datamodel.FanControlAttrPercentCurrent: "40"})
	r.report(Values{"fan_mode": Text("low"), "fan_percent": Number(20)})
	r.wantAll("set at the fan", fanID, map[matter.AttributeID]string{mode: "1", percent: "20", datamodel.FanControlAttrPercentCurrent: "20"})
	r.wantSent("what the fan reports")
}

func TestAirConditioner(t *testing.T) {
	r := newRig(t, Part{Type: "room_air_conditioner", Options: Options{Modes: []string{"cool", "heat", "dry"}}})
	r.report(Values{"on": Bool(true), "mode": Text("cool"), "temperature_celsius": Number(27), "fan_mode": Text("auto")})
	r.invoke(onOff, datamodel.OnOffCmdOff, "{}")
	r.wantSent("Off", Values{"on": Bool(false)})
	if got := r.read(onOff, matter.AttributeFeatureMap); got != "2" {
		t.Errorf("On/Off has features %s", got)
	}
	r.wantAll("cooling", thermostatID, map[matter.AttributeID]string{datamodel.ThermostatAttrSystemMode: "3"})
	r.wantAll("cooling", fanID, map[matter.AttributeID]string{datamodel.FanControlAttrFanMode: "5"})
}

// A purifier is a fan with an optional filter, which is new after ResetCondition
// (section 2.8.7.1).
func TestAirPurifier(t *testing.T) {
	const hepa = datamodel.HEPAFilterMonitoringID
	p := Part{Type: "air_purifier", Options: Options{Modes: []string{"low", "high"}}, State: Values{"filter_percent": Number(40), "fan_mode": Text("low")}}
	r := newRig(t, p)
	if got := r.e.Waiting(); len(got) != 1 || got[0] != "filter_percent" {
		t.Errorf("waits for %v", got)
	}
	r.report(p.State)
	r.wantAll("at first", hepa, map[matter.AttributeID]string{datamodel.HEPAFilterMonitoringAttrCondition: "40", datamodel.HEPAFilterMonitoringAttrChangeIndication: "0"})
	r.wantAll("at first", fanID, map[matter.AttributeID]string{datamodel.FanControlAttrFanMode: "1", datamodel.FanControlAttrPercentSetting: "50"})
	r.report(Values{"filter_percent": Number(4.6)})
	r.wantAll("worn", hepa, map[matter.AttributeID]string{datamodel.HEPAFilterMonitoringAttrCondition: "5", datamodel.HEPAFilterMonitoringAttrChangeIndication: "1"})
	r.sent = nil
	r.do(hepa, datamodel.HEPAFilterMonitoringCmdResetCondition, "{}")
	r.wantSent("a new filter", Values{"filter_percent": Number(100)})
	r.wantAll("a new filter", hepa, map[matter.AttributeID]string{datamodel.HEPAFilterMonitoringAttrCondition: "100", datamodel.HEPAFilterMonitoringAttrChangeIndication: "0"})
	r.write(fanID, datamodel.FanControlAttrPercentSetting, "90")
	r.wantSent("faster", Values{"fan_mode": Text("high"), "fan_percent": Number(90)})
	both := newRig(t, Part{Type: "air_purifier", State: Values{"carbon_filter_percent": Number(50), "filter_percent": Number(100)}})
	both.report(Values{"carbon_filter_percent": Number(0), "filter_percent": Number(100)})
	both.wantRead("carbon", datamodel.ActivatedCarbonFilterMonitoringID, datamodel.ActivatedCarbonFilterMonitoringAttrChangeIndication, "2")
	both.wantRead("particles", hepa, datamodel.HEPAFilterMonitoringAttrChangeIndication, "0")
	both.do(datamodel.ActivatedCarbonFilterMonitoringID, datamodel.HEPAFilterMonitoringCmdResetCondition, "{}")
	both.wantSent("a new carbon filter", Values{"carbon_filter_percent": Number(100)})
	plain := newRig(t, Part{Type: "air_purifier"})
	if got := plain.read(hepa, datamodel.HEPAFilterMonitoringAttrCondition); got != "UNSUPPORTED_CLUSTER" {
		t.Errorf("a filter that nobody spoke of: %s", got)
	}
}

// Values from controllers survive a restart (section 4.3.11). Off keeps the setpoints.
func TestThermostatIsKept(t *testing.T) {
	p := Part{Type: "thermostat", Options: Options{Modes: []string{"heat", "cool", "auto"}}}
	r := newRig(t, p)
	r.write(thermostatID, datamodel.ThermostatAttrSystemMode, "1")
	r.write(thermostatID, heatTo, "+2150")
	r.write(thermostatID, datamodel.ThermostatAttrMaxCoolSetpointLimit, "+3000")
	r.write(thermostatID, datamodel.ThermostatAttrSystemMode, "0")
	r.restart(p)
	r.wantAll("after a restart", thermostatID, map[matter.AttributeID]string{
		heatTo: "+2150", coolTo: "+2600", datamodel.ThermostatAttrSystemMode: "0",
		datamodel.ThermostatAttrMaxCoolSetpointLimit: "+3000", datamodel.ThermostatAttrAbsMaxCoolSetpointLimit: "+3200",
	})
}

// wantOrder checks the order of limits and setpoints (section 4.3.11): from the
// device's minimum to its maximum, and heating never above cooling.
func (r *rig) wantOrder(what string) {
	r.t.Helper()
	var v []int
	for _, id := range []matter.AttributeID{
		datamodel.ThermostatAttrAbsMinHeatSetpointLimit, datamodel.ThermostatAttrMinHeatSetpointLimit, heatTo,
		datamodel.ThermostatAttrMaxHeatSetpointLimit, datamodel.ThermostatAttrAbsMaxHeatSetpointLimit,
		datamodel.ThermostatAttrAbsMinCoolSetpointLimit, datamodel.ThermostatAttrMinCoolSetpointLimit, coolTo,
		datamodel.ThermostatAttrMaxCoolSetpointLimit, datamodel.ThermostatAttrAbsMaxCoolSetpointLimit,
	} {
		n, err := strconv.Atoi(r.read(thermostatID, id))
		if err != nil {
			r.t.Fatal(err)
		}
		v = append(v, n)
	}
	heat, cool := v[:5], v[5:]
	if !slices.IsSorted(heat) || !slices.IsSorted(cool) {
		r.t.Errorf("%s: heating %v, cooling %v", what, heat, cool)
	}
	for i := range heat {
		if i != 2 && heat[i] > cool[i] || i == 2 && heat[2] > cool[2] {
			r.t.Errorf("%s: heating %v above cooling %v", what, heat, cool)
		}
	}
}

// Another description may have another range: stored limits and setpoints are moved
// into it, and the order remains.
func TestThermostatWithAnotherRange(t *testing.T) {
	f := func(v float64) *float64 { return &v }
	p := Part{Type: "thermostat", Options: Options{Modes: []string{"heat", "cool", "auto"}}}
	r := newRig(t, p)
	r.wantOrder("at first")
	r.write(thermostatID, coolTo, "+3100")
	r.write(thermostatID, heatTo, "+2900")
	r.write(thermostatID, datamodel.ThermostatAttrMinHeatSetpointLimit, "+1000")
	for _, x := range [][2]float64{{18, 24}, {5, 12}, {30, 40}, {-10, 90}} {
		p.Options.MinCelsius, p.Options.MaxCelsius = f(x[0]), f(x[1])
		r.restart(p)
		r.wantOrder(fmt.Sprintf("from %v to %v", x[0], x[1]))
	}
}

// ThermostatRunningState has one bit, and ThermostatRunningMode follows it.
func TestThermostatRunning(t *testing.T) {
	r := newRig(t, Part{Type: "thermostat", Options: Options{Modes: []string{"heat", "cool", "auto", "fan_only"}}})
	for _, tt := range []struct{ running, state, mode string }{{"heating", "1", "4"}, {"cooling", "2", "3"}, {"fan", "4", "0"}, {"idle", "0", "0"}} {
		r.report(Values{"running": Text(tt.running)})
		r.wantAll(tt.running, thermostatID, map[matter.AttributeID]string{
			datamodel.ThermostatAttrThermostatRunningState: tt.state, datamodel.ThermostatAttrThermostatRunningMode: tt.mode,
		})
		if got := r.e.State(r.Now)["running"]; got != Text(tt.running) {
			t.Errorf("%s comes back as %s", tt.running, got)
		}
	}
}

// Features, ControlSequenceOfOperation and SystemMode fit each other (sections 4.3.11.21
// and 4.3.11.22), and every mode reaches the device.
func TestThermostatSequence(t *testing.T) {
	for _, tt := range []struct {
		modes, features, sequence string
		accepted                  string // of SystemMode 0 to 9
	}{
		{"heat", "1", "2", "0 4"}, {"cool dry", "2", "0", "0 3 8"}, {"heat cool", "3", "4", "0 3 4"},
		{"auto", "35", "4", "0 1"}, {"heat cool auto fan_only dry", "35", "4", "0 1 3 4 7 8"},
	} {
		r := newRig(t, Part{Type: "thermostat", Options: Options{Modes: strings.Fields(tt.modes)}})
		r.wantAll(tt.modes, thermostatID, map[matter.AttributeID]string{
			matter.AttributeFeatureMap: tt.features, datamodel.ThermostatAttrControlSequenceOfOperation: tt.sequence,
		})
		var accepted []string
		for m := range 10 {
			switch got := r.Write(clustertest.Admin(1), 2, thermostatID, datamodel.ThermostatAttrSystemMode, fmt.Sprint(m)); got {
			case "SUCCESS":
				accepted = append(accepted, fmt.Sprint(m))
			case "CONSTRAINT_ERROR":
			default:
				t.Errorf("%s: SystemMode %d: %s", tt.modes, m, got)
			}
		}
		if got := strings.Join(accepted, " "); got != tt.accepted {
			t.Errorf("%s: SystemMode takes %s, want %s", tt.modes, got, tt.accepted)
		}
	}
}

// With Auto a setpoint that is raised or lowered moves the other one too (section
// 4.3.12.1), and a limit that moves a setpoint is the device's new setpoint.
func TestSetpointsOfAuto(t *testing.T) {
	r := newRig(t, Part{Type: "thermostat", Options: Options{Modes: []string{"auto"}}})
	r.report(Values{"heating_setpoint_celsius": Number(20), "cooling_setpoint_celsius": Number(24)})
	for _, tt := range []struct{ fields, heat, cool string }{
		{"{0:0,1:+50}", "+2500", "+2500"}, {"{0:1,1:-100}", "+1600", "+1600"}, {"{0:2,1:+20}", "+1800", "+1800"}, {"{0:0,1:+127}", "+3000", "+3000"},
	} {
		r.do(thermostatID, datamodel.ThermostatCmdSetpointRaiseLower, tt.fields)
		r.wantAll(tt.fields, thermostatID, map[matter.AttributeID]string{heatTo: tt.heat, coolTo: tt.cool})
		r.wantOrder(tt.fields)
	}
	r.sent = nil
	r.write(thermostatID, datamodel.ThermostatAttrMaxHeatSetpointLimit, "+2800")
	r.wantSent("a limit", Values{"heating_setpoint_celsius": Number(28)})
	r.report(Values{"cooling_setpoint_celsius": Number(22)})
	r.wantAll("the device lowers one", thermostatID, map[matter.AttributeID]string{heatTo: "+2200", coolTo: "+2200"})
	r.report(Values{"heating_setpoint_celsius": Number(26)})
	r.wantAll("the device raises one", thermostatID, map[matter.AttributeID]string{heatTo: "+2600", coolTo: "+2600"})
}

// TestFanGrows checks each sequence of modes (section 4.4.6.2) with each percentage: the
// modes adjoin and grow, and so do the speeds (sections 4.4.6.3 and 4.4.6.6).
func TestFanGrows(t *testing.T) {
	const (
		mode    = datamodel.FanControlAttrFanMode
		percent = datamodel.FanControlAttrPercentSetting
	)
	for _, tt := range []struct{ modes, sequence, features, order string }{
		{"low medium high", "0", "1", "0 1 2 3"}, {"low high", "1", "1", "0 1 3"}, {"low medium high auto", "2", "3", "0 1 2 3"},
		{"low high auto", "3", "3", "0 1 3"}, {"high auto", "4", "3", "0 3"}, {"high", "5", "1", "0 3"},
	} {
		for _, speeds := range []int{1, 3, 10, 100} {
			r := newRig(t, Part{Type: "fan", Options: Options{Modes: strings.Fields(tt.modes), Speeds: speeds}})
			r.wantAll(tt.modes, fanID, map[matter.AttributeID]string{
				datamodel.FanControlAttrFanModeSequence: tt.sequence, matter.AttributeFeatureMap: tt.features,
				datamodel.FanControlAttrSpeedMax: fmt.Sprint(speeds),
			})
			var order []string
			for p := range 101 {
				r.write(fanID, percent, fmt.Sprint(p))
				if m := r.read(fanID, mode); len(order) == 0 || order[len(order)-1] != m {
					order = append(order, m)
				}
				speed := fmt.Sprint((p*speeds + 99) / 100)
				r.wantAll(fmt.Sprintf("%d %% of %d speeds", p, speeds), fanID, map[matter.AttributeID]string{
					percent: fmt.Sprint(p), datamodel.FanControlAttrPercentCurrent: fmt.Sprint(p),
					datamodel.FanControlAttrSpeedSetting: speed, datamodel.FanControlAttrSpeedCurrent: speed,
				})
			}
			if got := strings.Join(order, " "); got != tt.order {
				t.Errorf("%s with %d speeds: modes %s, want %s", tt.modes, speeds, got, tt.order)
			}
		}
	}
}

// Off stops the fan (section 4.4.6.1), also from Auto, and FanMode survives a restart.
func TestFanOff(t *testing.T) {
	p := Part{Type: "fan", Options: Options{Modes: []string{"low", "medium", "high", "auto"}, Speeds: 3}}
	r := newRig(t, p)
	still := map[matter.AttributeID]string{
		datamodel.FanControlAttrFanMode: "0", datamodel.FanControlAttrPercentSetting: "0", datamodel.FanControlAttrPercentCurrent: "0",
		datamodel.FanControlAttrSpeedSetting: "0", datamodel.FanControlAttrSpeedCurrent: "0",
	}
	r.wantAll("at first", fanID, still)
	r.report(Values{"fan_mode": Text("auto"), "fan_percent": Number(60)})
	r.write(fanID, datamodel.FanControlAttrFanMode, "0")
	r.wantAll("from Auto", fanID, still)
	r.write(fanID, datamodel.FanControlAttrSpeedSetting, "2")
	r.wantAll("a speed", fanID, map[matter.AttributeID]string{
		datamodel.FanControlAttrFanMode: "2", datamodel.FanControlAttrPercentSetting: "66", datamodel.FanControlAttrSpeedCurrent: "2",
	})
	r.restart(p)
	r.wantAll("after a restart", fanID, map[matter.AttributeID]string{
		datamodel.FanControlAttrFanMode: "2", datamodel.FanControlAttrPercentSetting: "66", datamodel.FanControlAttrPercentCurrent: "66",
		datamodel.FanControlAttrSpeedSetting: "2",
	})
	r.write(fanID, datamodel.FanControlAttrFanMode, "5")
	r.restart(p)
	r.wantAll("auto after a restart", fanID, map[matter.AttributeID]string{
		datamodel.FanControlAttrFanMode: "5", datamodel.FanControlAttrPercentSetting: "null", datamodel.FanControlAttrSpeedSetting: "null",
	})
	r.restart(Part{Type: "fan", Options: Options{Modes: []string{"low", "high"}, Speeds: 3}})
	r.wantAll("with other modes", fanID, map[matter.AttributeID]string{datamodel.FanControlAttrFanMode: "3", datamodel.FanControlAttrPercentSetting: "100"})
}
