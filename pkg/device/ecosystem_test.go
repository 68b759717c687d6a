package device

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Home Assistant and SmartThings show a percentage of a fan only with the feature
// MultiSpeed, and a fan only with a value of PercentCurrent.
func TestFanForEcosystems(t *testing.T) {
	for _, typ := range []string{"fan", "air_purifier", "room_air_conditioner"} {
		for _, modes := range [][]string{nil, {"low", "high"}, {"auto", "high"}} {
			p := Part{Type: typ}
			if typ != "room_air_conditioner" {
				p.Options.Modes = modes
			}
			r := newRig(t, p)
			sequence := r.read(fanID, datamodel.FanControlAttrFanModeSequence)
			for _, v := range []string{"0", "3", "4", "6", "5", "0"} {
				r.Write(clustertest.Admin(1), 2, fanID, datamodel.FanControlAttrFanMode, v)
				if got := r.read(fanID, datamodel.FanControlAttrPercentCurrent); got == "null" {
					t.Errorf("%s with modes %v: in mode %s PercentCurrent is null", typ, modes, v)
				}
				r.wantRead(typ, fanID, datamodel.FanControlAttrSpeedMax, "100")
				r.wantRead(typ, fanID, datamodel.FanControlAttrFanModeSequence, sequence)
			}
		}
	}
}

// A thermostat has what Home Assistant and SmartThings use: limits that the device sets,
// one bit of ThermostatRunningState, and a sequence of operation that fits its features.
func TestThermostatForEcosystems(t *testing.T) {
	for _, tt := range []struct {
		modes              []string
		features, sequence string
		running            map[string]string
	}{
		{[]string{"heat"}, "1", "2", map[string]string{"heating": "1", "idle": "0"}},
		{[]string{"cool"}, "2", "0", map[string]string{"cooling": "2", "fan": "4"}},
		{[]string{"heat", "cool"}, "3", "4", map[string]string{"heating": "1", "cooling": "2", "fan": "4", "idle": "0"}},
		{[]string{"heat", "cool", "auto"}, "35", "4", map[string]string{"heating": "1"}},
	} {
		r := newRig(t, Part{Type: "thermostat", Options: Options{Modes: tt.modes}})
		r.wantRead("features", thermostatID, matter.AttributeFeatureMap, tt.features)
		r.wantRead("sequence", thermostatID, datamodel.ThermostatAttrControlSequenceOfOperation, tt.sequence)
		for name, bits := range tt.running {
			r.report(Values{"running": Text(name)})
			r.wantRead(name, thermostatID, datamodel.ThermostatAttrThermostatRunningState, bits)
		}
		for feature, limits := range map[string][]matter.AttributeID{
			"heat": {datamodel.ThermostatAttrAbsMinHeatSetpointLimit, datamodel.ThermostatAttrAbsMaxHeatSetpointLimit},
			"cool": {datamodel.ThermostatAttrAbsMinCoolSetpointLimit, datamodel.ThermostatAttrAbsMaxCoolSetpointLimit},
		} {
			for _, id := range limits {
				is := r.read(thermostatID, id)
				if has := is != "UNSUPPORTED_ATTRIBUTE"; has != slices.Contains(tt.modes, feature) || is == "+0" {
					t.Errorf("modes %v: limit 0x%04X is %s", tt.modes, uint32(id), is)
				}
			}
		}
		r.wantRead("only an air conditioner has a switch", onOff, onOffAttr, "UNSUPPORTED_CLUSTER")
	}
}

// RemainingDuration of a valve (section 4.6.7.4): beginning, end and another end are
// reported, the countdown is not.
func TestValveDurationReports(t *testing.T) {
	r := newRig(t, Part{Type: "water_valve"})
	r.Subscribe(clustertest.Admin(1), 2, valveID)
	remaining := func(d time.Duration) (values []string) {
		for _, x := range r.after(d) {
			if v, ok := strings.CutPrefix(x, "129/3="); ok {
				values = append(values, v)
			}
		}
		return values
	}
	r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:600}")
	r.report(Values{"open": Bool(true)})
	if got := remaining(5 * time.Minute); !slices.Equal(got, []string{"600"}) {
		t.Errorf("opened: reported %v", got)
	}
	r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:900}")
	if got := remaining(10 * time.Minute); !slices.Equal(got, []string{"900"}) {
		t.Errorf("opened for longer: reported %v", got)
	}
	r.do(valveID, datamodel.ValveConfigurationAndControlCmdClose, "{}")
	r.report(Values{"open": Bool(false)})
	if got := remaining(time.Hour); !slices.Equal(got, []string{"null"}) {
		t.Errorf("closed: reported %v", got)
	}
}

// TargetState is null when a valve rests (section 4.6.7.5), also after a command for the
// state that it is in, to which a source need not report anything.
func TestValveAtRestHasNoTarget(t *testing.T) {
	for _, leveled := range []bool{false, true} {
		r := newRig(t, Part{Type: "water_valve", Options: Options{Level: leveled}})
		target := func(what string) {
			t.Helper()
			r.wantRead(what, valveID, datamodel.ValveConfigurationAndControlAttrTargetState, "null")
			if leveled {
				r.wantRead(what, valveID, datamodel.ValveConfigurationAndControlAttrTargetLevel, "null")
			}
		}
		r.do(valveID, datamodel.ValveConfigurationAndControlCmdClose, "{}")
		target("closed, and asked to close")
		r.wantSent("the source is asked all the same", Values{"open": Bool(false)})
		r.report(Values{"open": Bool(true)})
		if leveled {
			r.report(Values{"level_percent": Number(100)})
		}
		r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:600}")
		target("open, and asked to open")
		r.wantRead("for a time", valveID, datamodel.ValveConfigurationAndControlAttrRemainingDuration, "600")
	}
}
