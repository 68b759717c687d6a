package device

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const alarmID = datamodel.SmokeCOAlarmID

// alarmEvents are the names of an alarm's events, without their level.
var alarmEvents = map[string]string{
	"0": "smoke", "1": "co", "2": "battery", "3": "fault", "4": "end", "5": "test-complete", "6": "muted", "7": "mute-ended", "10": "all-clear",
}

func alarmPart(kinds string) Part {
	return Part{Type: "smoke_co_alarm", Options: Options{
		Smoke: strings.Contains(kinds, "smoke"), CarbonMonoxide: strings.Contains(kinds, "co"), Gas: strings.Contains(kinds, "gas"),
	}}
}

// newEvents returns the events since the last call.
func newEvents(r *rig, seen *int) string {
	all := r.Events(clustertest.Admin(1), alarmID)
	var names []string
	for _, e := range all[*seen:] {
		id, data, _ := strings.Cut(e, "{")
		names = append(names, alarmEvents[id]+strings.TrimSuffix(strings.TrimPrefix(data, "0:"), "}"))
	}
	*seen = len(all)
	return strings.Join(names, " ")
}

func TestAlarm(t *testing.T) { // section 2.11.6.1 and 2.11.8
	r := newRig(t, alarmPart("smoke co"))
	seen := 0
	text := func(name, v string) Values { return Values{name: Text(v)} }
	flag := func(name string, is bool) Values { return Values{name: Bool(is)} }
	for _, tt := range []struct {
		report    Values
		expressed string
		events    string
	}{
		{text("smoke", "warning"), "1", "smoke1"},
		{text("smoke", "critical"), "1", "smoke2"},
		{text("smoke", "critical"), "1", ""},
		{text("carbon_monoxide", "warning"), "1", "co1"},
		{text("smoke", "normal"), "2", ""},
		{flag("hardware_fault", true), "2", "fault"},
		{text("carbon_monoxide", "normal"), "5", ""},
		{flag("test_in_progress", true), "5", ""},
		{flag("hardware_fault", false), "4", ""},
		{flag("end_of_service", true), "4", "end"},
		{flag("test_in_progress", false), "6", "test-complete"},
		{flag("end_of_service", false), "0", "all-clear"},
		{Values{"smoke": Text("critical"), "carbon_monoxide": Text("critical")}, "1", "smoke2 co2"},
		{Values{"smoke": Text("normal"), "carbon_monoxide": Text("normal")}, "0", "all-clear"},
		{Values{"smoke": Null, "hardware_fault": Null}, "0", ""},
	} {
		r.report(tt.report)
		if got := r.read(alarmID, datamodel.SmokeCOAlarmAttrExpressedState); got != tt.expressed {
			t.Errorf("%v: ExpressedState %s, want %s", tt.report, got, tt.expressed)
		}
		if got := newEvents(r, &seen); got != tt.events {
			t.Errorf("%v: events %q, want %q", tt.report, got, tt.events)
		}
		for name, v := range tt.report {
			if got := r.e.State(r.Now)[name]; !v.IsNull() && got != v {
				t.Errorf("%s %s comes back as %s", name, v, got)
			}
		}
	}
}

// The state of an alarm has priority over that of the device, and a normal one is
// not expressed.
func TestAlarmOrder(t *testing.T) {
	all := Values{
		"smoke": Text("warning"), "carbon_monoxide": Text("critical"), "hardware_fault": Bool(true), "test_in_progress": Bool(true), "end_of_service": Bool(true),
	}
	r := newRig(t, alarmPart("smoke co"))
	r.report(all)
	r.e.SetBattery(r.Now, Battery{Low: Bool(true)})
	var order []string
	for _, next := range []Values{
		{"smoke": Text("normal")}, {"carbon_monoxide": Text("normal")}, {"hardware_fault": Bool(false)}, {"test_in_progress": Bool(false)}, {"end_of_service": Bool(false)},
	} {
		order = append(order, r.read(alarmID, 0))
		r.report(next)
	}
	order = append(order, r.read(alarmID, 0))
	if got, want := strings.Join(order, " "), "1 2 5 4 6 3"; got != want {
		t.Errorf("ExpressedState goes through %s, want %s", got, want)
	}
}

func TestGasIsShownAsSmoke(t *testing.T) {
	r := newRig(t, alarmPart("gas"))
	if got := r.read(alarmID, 0xFFFC); got != "1" {
		t.Errorf("FeatureMap %s", got)
	}
	r.report(Values{"gas": Text("critical")})
	if smoke, expressed := r.read(alarmID, 1), r.read(alarmID, 0); smoke != "2" || expressed != "1" {
		t.Errorf("SmokeState %s, ExpressedState %s", smoke, expressed)
	}
	r = newRig(t, alarmPart("smoke gas co"))
	r.report(Values{"gas": Text("critical"), "smoke": Text("normal")})
	r.report(Values{"smoke": Text("warning")})
	if got := r.read(alarmID, 1); got != "2" {
		t.Errorf("gas with smoke: SmokeState %s", got)
	}
	r.report(Values{"gas": Text("normal")})
	if got := r.read(alarmID, 1); got != "1" {
		t.Errorf("after gas: SmokeState %s", got)
	}
}

func TestAlarmKinds(t *testing.T) {
	for _, tt := range []struct {
		part     Part
		features string
		names    string
	}{
		{Part{}, "1", "smoke"},
		{Part{State: Values{"carbon_monoxide": Null}}, "2", "carbon_monoxide"},
		{Part{State: Values{"gas": Text("normal"), "smoke": Text("normal")}}, "1", "smoke gas"},
		{alarmPart("smoke co"), "3", "smoke carbon_monoxide"},
		{alarmPart("gas co"), "3", "gas carbon_monoxide"},
	} {
		tt.part.Type = "smoke_co_alarm"
		r := newRig(t, tt.part)
		if got := r.read(alarmID, 0xFFFC); got != tt.features {
			t.Errorf("%s: FeatureMap %s, want %s", tt.names, got, tt.features)
		}
		var names []string
		for _, p := range r.e.Properties() {
			if p.Kind == KindText {
				names = append(names, p.Name)
			}
		}
		if got := strings.Join(names, " "); got != tt.names {
			t.Errorf("properties %s, want %s", got, tt.names)
		}
		if got := r.e.Waiting(); !slices.Equal(got, names[:1]) {
			t.Errorf("%s: waits for %v", tt.names, got)
		}
	}
}

// The alarm's battery is never in a worse state than that of the power source,
// which SmartThings would treat as a fault. This is also true for the power source
// of another endpoint.
func TestAlarmOfTheBattery(t *testing.T) {
	parts := []Part{alarmPart("smoke"), {ID: "t", Type: "temperature_sensor"}}
	parts[0].ID = "alarm"
	x := assemble(t, Device{Battery: &Battery{Percent: Number(90)}, Parts: parts}, Profile{})
	for _, percent := range []float64{90, 19, 24, 26, 3, 9, 12, 40, 0, 100} {
		x.battery(Battery{Percent: Number(percent)})
		level, alert := x.read(0, sourceID, datamodel.PowerSourceAttrBatChargeLevel), x.read(1, alarmID, datamodel.SmokeCOAlarmAttrBatteryAlert)
		if level != alert {
			t.Errorf("at %v %%: BatChargeLevel %s, BatteryAlert %s", percent, level, alert)
		}
	}
	if got, want := x.Events(clustertest.Admin(1), alarmID), "[2{0:1} 10{} 2{0:2} 2{0:1} 10{} 2{0:2} 10{}]"; fmt.Sprint(got) != want {
		t.Errorf("events %v, want %s", got, want)
	}
}

// The stored state is shown until the source reports another one.
func TestAlarmAfterARestart(t *testing.T) {
	r := newRig(t, alarmPart("smoke co"))
	r.report(Values{"smoke": Text("critical"), "hardware_fault": Bool(true)})
	kept := r.e.Save()
	r = newBareRig(t, alarmPart("smoke co"))
	if err := r.e.Load(kept); err != nil {
		t.Fatal(err)
	}
	r.add()
	r.report(Values{"carbon_monoxide": Text("normal")})
	if smoke, expressed, fault := r.read(alarmID, 1), r.read(alarmID, 0), r.read(alarmID, 6); smoke != "2" || expressed != "1" || fault != "true" {
		t.Errorf("SmokeState %s, ExpressedState %s, HardwareFaultAlert %s", smoke, expressed, fault)
	}
	seen := 0
	r.report(Values{"smoke": Text("normal"), "hardware_fault": Bool(false)})
	if got := newEvents(r, &seen); got != "all-clear" {
		t.Errorf("events %q", got)
	}
}

// SelfTestRequest (section 2.11.7.1): the alarm reports when its test begins and ends. It
// is busy during an alarm and another test.
func TestSelfTest(t *testing.T) {
	p := alarmPart("smoke co")
	p.Options.SelfTest = true
	r := newRig(t, p)
	test := func() string { return r.invoke(alarmID, datamodel.SmokeCOAlarmCmdSelfTestRequest, "{}") }
	seen := 0
	if got := test(); got != "SUCCESS" {
		t.Fatal(got)
	}
	r.wantSent("SelfTestRequest", Values{"test_in_progress": Bool(true)})
	r.wantRead("before it begins", alarmID, datamodel.SmokeCOAlarmAttrTestInProgress, "false")
	for _, tt := range []struct {
		report            Values
		status, expressed string
		events            string
	}{
		{Values{"test_in_progress": Bool(true)}, "BUSY", "4", ""},
		{Values{"test_in_progress": Bool(false)}, "SUCCESS", "0", "test-complete all-clear"},
		{Values{"smoke": Text("warning")}, "BUSY", "1", "smoke1"},
		{Values{"smoke": Text("normal"), "carbon_monoxide": Text("critical")}, "BUSY", "2", "co2"},
		{Values{"carbon_monoxide": Text("normal"), "hardware_fault": Bool(true)}, "SUCCESS", "5", "fault"},
	} {
		r.report(tt.report)
		r.sent = nil
		if got := test(); got != tt.status || (len(r.sent) == 1) != (got == "SUCCESS") {
			t.Errorf("%v: SelfTestRequest %s, want %s; sent %+v", tt.report, got, tt.status, r.sent)
		}
		r.wantRead(fmt.Sprint(tt.report), alarmID, datamodel.SmokeCOAlarmAttrExpressedState, tt.expressed)
		if got := newEvents(r, &seen); got != tt.events {
			t.Errorf("%v: events %q, want %q", tt.report, got, tt.events)
		}
	}
	r.fail = true
	if got := test(); got != "FAILURE" {
		t.Errorf("an alarm that cannot be reached: %s", got)
	}
	if got := newRig(t, alarmPart("smoke")).invoke(alarmID, datamodel.SmokeCOAlarmCmdSelfTestRequest, "{}"); got != "UNSUPPORTED_COMMAND" {
		t.Errorf("an alarm that cannot test itself: %s", got)
	}
}

// ContaminationState (section 2.11.6.11): a critical one is a fault of the hardware,
// beside that which the device reports.
func TestContamination(t *testing.T) {
	p := alarmPart("smoke")
	p.Options.Properties = []string{"contamination"}
	r := newRig(t, p)
	seen := 0
	for _, tt := range []struct {
		report       Values
		state, fault string
		events       string
	}{
		{Values{"contamination": Text("low")}, "1", "false", ""},
		{Values{"contamination": Text("warning")}, "2", "false", ""},
		{Values{"contamination": Text("critical")}, "3", "true", "fault"},
		{Values{"hardware_fault": Bool(true)}, "3", "true", ""},
		{Values{"contamination": Text("normal")}, "0", "true", ""},
		{Values{"hardware_fault": Bool(false)}, "0", "false", "all-clear"},
		{Values{"contamination": Null}, "0", "false", ""},
	} {
		r.report(tt.report)
		r.wantAll(fmt.Sprint(tt.report), alarmID, map[matter.AttributeID]string{
			datamodel.SmokeCOAlarmAttrContaminationState: tt.state, datamodel.SmokeCOAlarmAttrHardwareFaultAlert: tt.fault,
		})
		if got := newEvents(r, &seen); got != tt.events {
			t.Errorf("%v: events %q, want %q", tt.report, got, tt.events)
		}
		for name, v := range tt.report {
			if got := r.e.State(r.Now)[name]; !v.IsNull() && got != v {
				t.Errorf("%s %s comes back as %s", name, v, got)
			}
		}
	}
	// The first state of an alarm may say that it measures it.
	first := Part{Type: "smoke_co_alarm", State: Values{"smoke": Text("normal"), "contamination": Text("low")}}
	if r := newRig(t, first); r.read(alarmID, datamodel.SmokeCOAlarmAttrContaminationState) != "0" {
		t.Error("no ContaminationState")
	}
	p = alarmPart("co")
	p.Options.Properties = []string{"contamination"}
	if _, err := New("test:1", &p, nil); err == nil {
		t.Error("a detector of carbon monoxide alone has a contamination of smoke detectors")
	}
}

// SmokeSensitivityLevel (section 2.11.6.12) is what a controller or the device has set,
// and is kept. DeviceMuted (section 2.11.6.5) ends with a critical alarm.
func TestAlarmSettings(t *testing.T) {
	p := alarmPart("smoke co")
	p.Options.Properties = []string{"smoke_sensitivity", "muted"}
	r := newRig(t, p)
	const sensitivity, muted = datamodel.SmokeCOAlarmAttrSmokeSensitivityLevel, datamodel.SmokeCOAlarmAttrDeviceMuted
	r.wantAll("at first", alarmID, map[matter.AttributeID]string{sensitivity: "1", muted: "0"})
	if got := r.Write(clustertest.Admin(1), 2, alarmID, sensitivity, "3"); got != "CONSTRAINT_ERROR" {
		t.Errorf("a sensitivity that does not exist: %s", got)
	}
	r.write(alarmID, sensitivity, "0")
	r.wantSent("high", Values{"smoke_sensitivity": Text("high")})
	seen := 0
	for _, tt := range []struct {
		report Values
		muted  string
		events string
	}{
		{Values{"smoke": Text("warning")}, "0", "smoke1"},
		{Values{"muted": Bool(true)}, "1", "muted"},
		{Values{"carbon_monoxide": Text("warning")}, "1", "co1"},
		{Values{"smoke": Text("critical")}, "0", "smoke2 mute-ended"},
		{Values{"muted": Bool(true)}, "0", ""},
		{Values{"smoke": Text("warning")}, "0", "smoke1"},
		{Values{"muted": Bool(true)}, "1", "muted"},
	} {
		r.report(tt.report)
		r.wantRead(fmt.Sprint(tt.report), alarmID, muted, tt.muted)
		if got := newEvents(r, &seen); got != tt.events {
			t.Errorf("%v: events %q, want %q", tt.report, got, tt.events)
		}
	}
	r.restart(p)
	r.wantAll("after a restart", alarmID, map[matter.AttributeID]string{sensitivity: "0", muted: "1"})
}
