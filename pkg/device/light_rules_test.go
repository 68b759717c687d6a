package device

import (
	"fmt"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Google's commands have neither a transition time nor options, which are mandatory
// (sections 1.6.7 and 3.2.8). They are carried out at once, as if the fields were null
// (Level Control) or 0.
func TestCommandsWithoutOptionalFields(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cl      matter.ClusterID
		command matter.CommandID
		fields  string
		id      matter.AttributeID
		want    int
	}{
		{"MoveToLevel", level, datamodel.LevelControlCmdMoveToLevel, "{0:100}", currentLevel, 100},
		{"MoveToLevelWithOnOff", level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:100}", currentLevel, 100},
		{"Move", level, datamodel.LevelControlCmdMove, "{0:1,1:null}", currentLevel, 1},
		{"MoveWithOnOff", level, datamodel.LevelControlCmdMoveWithOnOff, "{0:1,1:null}", currentLevel, 1},
		{"Step", level, datamodel.LevelControlCmdStep, "{0:1,1:54}", currentLevel, 200},
		{"StepWithOnOff", level, datamodel.LevelControlCmdStepWithOnOff, "{0:1,1:54}", currentLevel, 200},
		{"Stop", level, datamodel.LevelControlCmdStop, "{}", currentLevel, 254},
		{"StopWithOnOff", level, datamodel.LevelControlCmdStopWithOnOff, "{}", currentLevel, 254},
		{"MoveToHue", color, datamodel.ColorControlCmdMoveToHue, "{0:100,1:0}", hue, 100},
		{"MoveHue", color, datamodel.ColorControlCmdMoveHue, "{0:0,1:0}", hue, 200},
		{"StepHue", color, datamodel.ColorControlCmdStepHue, "{0:3,1:100}", hue, 100},
		{"MoveToSaturation", color, datamodel.ColorControlCmdMoveToSaturation, "{0:77}", saturation, 77},
		{"MoveSaturation", color, datamodel.ColorControlCmdMoveSaturation, "{0:0,1:0}", saturation, 150},
		{"StepSaturation", color, datamodel.ColorControlCmdStepSaturation, "{0:3,1:50}", saturation, 100},
		{"MoveToHueAndSaturation", color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:7,1:8}", hue, 7},
		{"MoveToColor", color, datamodel.ColorControlCmdMoveToColor, "{0:20000,1:20001}", currentY, 20001},
		{"MoveColor", color, datamodel.ColorControlCmdMoveColor, "{0:+0,1:+0}", hue, 200},
		{"StepColor", color, datamodel.ColorControlCmdStepColor, "{0:+1000,1:+0}", colorMode, 1},
		{"MoveToColorTemperature", color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:250}", mireds, 250},
		{"EnhancedMoveToHue", color, datamodel.ColorControlCmdEnhancedMoveToHue, "{0:1000,1:0}", enhancedHue, 1000},
		{"EnhancedMoveHue", color, datamodel.ColorControlCmdEnhancedMoveHue, "{0:0,1:0}", hue, 200},
		{"EnhancedStepHue", color, datamodel.ColorControlCmdEnhancedStepHue, "{0:3,1:1000}", enhancedMode, 3},
		{"EnhancedMoveToHueAndSaturation", color, datamodel.ColorControlCmdEnhancedMoveToHueAndSaturation, "{0:1000,1:8}", saturation, 8},
		{"StopMoveStep", color, datamodel.ColorControlCmdStopMoveStep, "{}", hue, 200},
		{"MoveColorTemperature", color, datamodel.ColorControlCmdMoveColorTemperature, "{0:0,1:0,2:0,3:0}", hue, 200},
		{"StepColorTemperature", color, datamodel.ColorControlCmdStepColorTemperature, "{0:1,1:65535,3:0,4:300}", mireds, 300},
		{"ColorLoopSet", color, datamodel.ColorControlCmdColorLoopSet, "{0:4,1:0,2:0,3:9,4:0}", datamodel.ColorControlAttrColorLoopTime, 9},
	} {
		r := bulb(t, "hs", "xy", "loop")
		r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:200,1:150,2:0,3:0,4:0}")
		if got := r.invoke(tt.cl, tt.command, tt.fields); got != "SUCCESS" {
			t.Errorf("%s %s: %s", tt.name, tt.fields, got)
			continue
		}
		r.wantRead(tt.name, tt.cl, tt.id, fmt.Sprint(tt.want))
	}
}

// Fields out of range (section 3.2.8) are refused with a CONSTRAINT_ERROR, before the
// options are looked at.
func TestColorConstraints(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command matter.CommandID
		fields  []string
	}{
		{"3.2.8.4", datamodel.ColorControlCmdMoveToHue, []string{"{0:255,1:0,2:0,3:0,4:0}", "{0:0,1:0,2:65535,3:0,4:0}"}},
		{"3.2.8.7", datamodel.ColorControlCmdMoveToSaturation, []string{"{0:255,1:0,2:0,3:0}", "{0:0,1:65535,2:0,3:0}"}},
		{"3.2.8.10", datamodel.ColorControlCmdMoveToHueAndSaturation, []string{"{0:255,1:0,2:0,3:0,4:0}", "{0:0,1:255,2:0,3:0,4:0}", "{0:0,1:0,2:65535,3:0,4:0}"}},
		{"3.2.8.11", datamodel.ColorControlCmdMoveToColor, []string{"{0:65280,1:0,2:0,3:0,4:0}", "{0:0,1:65280,2:0,3:0,4:0}", "{0:0,1:0,2:65535,3:0,4:0}"}},
		{"3.2.8.13", datamodel.ColorControlCmdStepColor, []string{"{0:+1,1:+1,2:65535,3:0,4:0}"}},
		{"3.2.8.15", datamodel.ColorControlCmdEnhancedMoveToHue, []string{"{0:0,1:0,2:65535,3:0,4:0}"}},
		{"3.2.8.17", datamodel.ColorControlCmdEnhancedStepHue, []string{"{0:1,1:1,2:65535,3:0,4:0}"}},
		{"3.2.8.18", datamodel.ColorControlCmdEnhancedMoveToHueAndSaturation, []string{"{0:0,1:255,2:0,3:0,4:0}", "{0:0,1:0,2:65535,3:0,4:0}"}},
		{"3.2.8.14", datamodel.ColorControlCmdMoveToColorTemperature, []string{"{0:65280,1:0,2:0,3:0}", "{0:1,1:65535,2:0,3:0}"}},
		{"3.2.8.21", datamodel.ColorControlCmdMoveColorTemperature, []string{"{0:1,1:1,2:65280,3:0,4:0,5:0}", "{0:1,1:1,2:0,3:65280,4:0,5:0}"}},
		{"3.2.8.22", datamodel.ColorControlCmdStepColorTemperature, []string{"{0:1,1:1,2:65535,3:0,4:0,5:0,6:0}", "{0:1,1:1,2:0,3:65280,4:0,5:0,6:0}", "{0:1,1:1,2:0,3:0,4:65280,5:0,6:0}"}},
	} {
		for _, on := range []bool{true, false} {
			r := bulb(t, "hs", "xy", "loop")
			r.report(Values{"on": Bool(on)})
			for _, fields := range tt.fields {
				if got := r.invoke(color, tt.command, fields); got != "CONSTRAINT_ERROR" {
					t.Errorf("%s, on %v: %s: %s", tt.name, on, fields, got)
				}
			}
			r.wantRequests(tt.name)
			r.wantRead("state unchanged", color, colorMode, "2")
		}
	}
}

// A command sets the mode at its start (section 3.2.7.13), and meanwhile all models have
// valid values.
func TestColorModeIsSetAtTheStart(t *testing.T) {
	for _, tt := range []struct {
		name       string
		command    matter.CommandID
		fields     string
		mode, more string
	}{
		{"hue", datamodel.ColorControlCmdMoveToHue, "{0:100,1:0,2:100,3:0,4:0}", "0", "0"},
		{"saturation", datamodel.ColorControlCmdMoveToSaturation, "{0:100,1:100,2:0,3:0}", "0", "0"},
		{"enhanced hue", datamodel.ColorControlCmdEnhancedMoveToHue, "{0:100,1:0,2:100,3:0,4:0}", "0", "3"},
		{"coordinates", datamodel.ColorControlCmdMoveToColor, "{0:20000,1:20000,2:100,3:0,4:0}", "1", "1"},
	} {
		r := bulb(t, "hs", "xy", "loop")
		r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:400,1:0,2:0,3:0}")
		r.do(color, tt.command, tt.fields)
		for range 12 {
			r.wantRead(tt.name, color, colorMode, tt.mode)
			r.wantRead(tt.name, color, enhancedMode, tt.more)
			if m := r.number(mireds); m < 153 || m > 500 {
				t.Errorf("%s: %d mireds", tt.name, m)
			}
			if x, y := r.number(currentX), r.number(currentY); x > 0xFEFF || y > 0xFEFF || x == 0 || y == 0 {
				t.Errorf("%s: x %d, y %d", tt.name, x, y)
			}
			r.after(time.Second)
		}
	}
}

// Level and color change independently; a command ends only the transition of its own
// cluster.
func TestLevelAndColorFadeTogether(t *testing.T) {
	r := bulb(t)
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:54,1:100,2:0,3:0}")
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:153,1:0,2:0,3:0}")
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:353,1:200,2:0,3:0}")
	r.after(5 * time.Second)
	r.wantRead("half way", level, currentLevel, "154")
	r.wantRead("a quarter", color, mireds, "203")
	r.do(color, datamodel.ColorControlCmdStopMoveStep, "{0:0,1:0}")
	r.after(5 * time.Second)
	r.wantRead("the level goes on", level, currentLevel, "54")
	r.wantRead("the color has stopped", color, mireds, "203")
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:353,1:100,2:0,3:0}")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
	r.after(5 * time.Second)
	r.do(level, datamodel.LevelControlCmdStop, "{0:0,1:0}")
	r.after(5 * time.Second)
	r.wantRead("the level has stopped", level, currentLevel, "154")
	r.wantRead("the color goes on", color, mireds, "353")
}

// RemainingTime (sections 1.6.6.3 and 3.2.7.4) is rounded up, so that 0 means that the
// change is over.
func TestRemainingTime(t *testing.T) {
	r := bulb(t)
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:54,1:100,2:0,3:0}")
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:153,1:100,2:0,3:0}")
	start := r.Now
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{
		{0, "100"}, {time.Millisecond, "100"}, {100 * time.Millisecond, "99"}, {9901 * time.Millisecond, "1"}, {9999 * time.Millisecond, "1"}, {10 * time.Second, "0"},
	} {
		r.after(start.Add(tt.after).Sub(r.Now))
		r.wantRead(tt.after.String(), level, remaining, tt.want)
		r.wantRead(tt.after.String(), color, colorRemaining, tt.want)
	}
}

// The order of the limits of the color temperature (sections 3.2.7.20 to 3.2.7.22).
func TestColorTemperatureLimits(t *testing.T) {
	for _, o := range []Options{{}, {MinKelvin: 2200, MaxKelvin: 4000}, {MinKelvin: 1000, MaxKelvin: 14925}} {
		r := newRig(t, Part{Type: "color_temperature_light", Options: o})
		least, most := r.number(datamodel.ColorControlAttrColorTempPhysicalMinMireds), r.number(datamodel.ColorControlAttrColorTempPhysicalMaxMireds)
		couple, is := r.number(datamodel.ColorControlAttrCoupleColorTempToLevelMinMireds), r.number(mireds)
		if least < 1 || couple < least || is < couple || most < is || most > 65279 {
			t.Errorf("%+v: physical from %d to %d, coupled from %d, now %d", o, least, most, couple, is)
		}
	}
}

// ColorLoopSet (section 3.2.8.19): defaults, and the settings of a loop that runs.
func TestColorLoopSettings(t *testing.T) {
	set := datamodel.ColorControlCmdColorLoopSet
	r := bulb(t, "hs", "loop")
	for id, want := range map[matter.AttributeID]string{
		loopActive: "0", storedHue: "0",
		datamodel.ColorControlAttrColorLoopDirection: "0", datamodel.ColorControlAttrColorLoopTime: "25",
		datamodel.ColorControlAttrColorLoopStartEnhancedHue: fmt.Sprint(0x2300),
	} {
		r.wantRead("at first", color, id, want)
	}
	r.do(color, datamodel.ColorControlCmdEnhancedMoveToHueAndSaturation, "{0:16384,1:254,2:0,3:0,4:0}")
	r.do(color, set, "{0:1,1:2,2:0,3:0,4:0,5:0,6:0}")
	r.after(time.Second)
	before := r.number(enhancedHue)
	r.do(color, set, "{0:8,1:0,2:0,3:0,4:1000,5:0,6:0}")
	r.wantRead("another start", color, datamodel.ColorControlAttrColorLoopStartEnhancedHue, "1000")
	r.wantNear("counts for the next loop", enhancedHue, before, 1)
	r.do(color, set, "{0:1,1:0,2:0,3:0,4:0,5:0,6:0}")
	r.do(color, set, "{0:1,1:1,2:0,3:0,4:0,5:0,6:0}")
	r.wantRead("the next loop", color, enhancedHue, "1000")
	r.wantRead("the hue before it", color, storedHue, "16384")
	r.do(color, set, "{0:9,1:1,2:0,3:0,4:2000,5:0,6:0}")
	r.wantRead("start and action in one command", color, enhancedHue, "2000")
	r.do(color, set, "{0:0,1:0,2:1,3:1,4:1,5:0,6:0}")
	r.wantRead("without a flag a field does not count", color, datamodel.ColorControlAttrColorLoopTime, "25")
	r.wantRead("without a flag a field does not count", color, loopActive, "1")
}

// StoreScene (section 1.4.9.10) with the number of a scene keeps its name and its time,
// which RecallScene uses unless it has one of its own (section 1.4.9.12).
func TestSceneKeepsItsNameAndTime(t *testing.T) {
	r := scenic(t)
	r.wantScene("add", 1, addScene, `{0:1,1:1,2:2000,3:"Dusk",4:[]}`, "0{0:0,1:1,2:1}")
	r.wantScene("store", 1, storeScene, "{0:1,1:1}", "4{0:0,1:1,2:1}")
	r.wantScene("kept", 1, viewScene, "{0:1,1:1}", `1{0:0,1:1,2:1,3:2000,4:"Dusk",5:[{0:6,1:[{0:0,1:1}]},{0:8,1:[{0:0,1:102}]}]}`)
	r.wantScene("store another", 1, storeScene, "{0:1,1:2}", "4{0:0,1:1,2:2}")
	r.wantScene("new", 1, viewScene, "{0:1,1:2}", `1{0:0,1:1,2:2,3:0,4:"",5:[{0:6,1:[{0:0,1:1}]},{0:8,1:[{0:0,1:102}]}]}`)
	for _, tt := range []struct {
		fields string
		tenths int
	}{
		{"{0:1,1:1}", 20}, {"{0:1,1:1,2:null}", 20}, {"{0:1,1:1,2:500}", 5}, {"{0:1,1:1,2:0}", 0}, {"{0:1,1:2}", 0},
	} {
		r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:0,2:0,3:0}")
		r.sent = nil
		r.wantScene("recall", 1, recallScene, tt.fields, "SUCCESS")
		r.wantRequests(tt.fields, request{onAt(40), tt.tenths})
		r.after(10 * time.Second)
		r.wantRead("recalled", level, currentLevel, "102")
	}
	r.report(percent(90))
	if got := r.Read(clustertest.Admin(1), 2, scene, sceneSet); got != "[{0:2,1:2,2:1,3:false,4:13,254:1}]" {
		t.Errorf("afterwards %s", got)
	}
}

// The range of a light's level (device types Dimmable Light and Dimmable Plug-In Unit),
// which ecosystems do not ask for.
func TestLevelRange(t *testing.T) {
	for _, typ := range []string{"dimmable_light", "color_temperature_light", "extended_color_light", "dimmable_plug", "mounted_dimmable_load_control"} {
		r := newRig(t, Part{Type: typ})
		r.wantRead(typ, level, datamodel.LevelControlAttrMinLevel, "1")
		r.wantRead(typ, level, datamodel.LevelControlAttrMaxLevel, "254")
		r.wantRead(typ, level, matter.AttributeFeatureMap, "3")
	}
}

// A command with a bad field is refused whether or not the light is on: its fields are
// checked before its options (section 1.6.7).
func TestLevelStatusesWhileOff(t *testing.T) {
	for fields, command := range map[string]matter.CommandID{
		"{0:255,1:0,2:0,3:0}":   datamodel.LevelControlCmdMoveToLevel,
		"{0:0,1:0,2:0,3:0}":     datamodel.LevelControlCmdMove,
		"{0:2,1:5,2:0,3:0}":     datamodel.LevelControlCmdMove,
		"{0:0,1:0,2:0,3:0,4:0}": datamodel.LevelControlCmdStep,
		"{0:2,1:1,2:0,3:0,4:0}": datamodel.LevelControlCmdStep,
	} {
		r := dimmer(t, false, 40)
		if got := r.invoke(level, command, fields); got != "INVALID_COMMAND" && got != "CONSTRAINT_ERROR" {
			t.Errorf("command %d %s: %s", command, fields, got)
		}
	}
}

// Every change of OnOff affects the other attributes in the way of the commands On and Off
// (section 1.5.4.1): GlobalSceneControl is true and OffWaitTime 0 when it is on, and
// OnTime is 0 when it is off.
func TestWhateverSwitches(t *testing.T) {
	const timed = datamodel.OnOffCmdOnWithTimedOff
	invoke := func(cl matter.ClusterID, id matter.CommandID, fields string) func(r *rig) {
		return func(r *rig) { r.invoke(cl, id, fields) }
	}
	recall := func(n int) func(r *rig) {
		return func(r *rig) { r.Invoke(clustertest.Admin(1), 2, scene, recallScene, fmt.Sprintf("{0:1,1:%d}", n)) }
	}
	for name, on := range map[string]func(r *rig){
		"On":                   invoke(onOff, datamodel.OnOffCmdOn, "{}"),
		"Toggle":               invoke(onOff, datamodel.OnOffCmdToggle, "{}"),
		"MoveToLevelWithOnOff": invoke(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:100,1:0,2:0,3:0}"),
		"MoveWithOnOff":        invoke(level, datamodel.LevelControlCmdMoveWithOnOff, "{0:0,1:null,2:0,3:0}"),
		"StepWithOnOff":        invoke(level, datamodel.LevelControlCmdStepWithOnOff, "{0:0,1:5,2:0,3:0,4:0}"),
		"a scene":              recall(1),
		"the device":           func(r *rig) { r.report(turnedOn) },
	} {
		r := scenic(t)
		r.wantScene("store", 1, storeScene, "{0:1,1:1}", "4{0:0,1:1,2:1}")
		r.do(onOff, timed, "{0:0,1:300,2:300}")
		r.do(onOff, datamodel.OnOffCmdOffWithEffect, "{0:0,1:0}")
		r.wantRead(name, onOff, globalScene, "false")
		r.wantTimes(name+", before", "false", "0", "300")
		on(r)
		r.wantRead(name, onOff, globalScene, "true")
		r.wantTimes(name, "true", "0", "0")
	}
	for name, off := range map[string]func(r *rig){
		"Off":                  invoke(onOff, datamodel.OnOffCmdOff, "{}"),
		"Toggle":               invoke(onOff, datamodel.OnOffCmdToggle, "{}"),
		"OffWithEffect":        invoke(onOff, datamodel.OnOffCmdOffWithEffect, "{0:0,1:0}"),
		"MoveToLevelWithOnOff": invoke(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:1,1:0,2:0,3:0}"),
		"MoveWithOnOff":        invoke(level, datamodel.LevelControlCmdMoveWithOnOff, "{0:1,1:null,2:0,3:0}"),
		"StepWithOnOff":        invoke(level, datamodel.LevelControlCmdStepWithOnOff, "{0:1,1:254,2:0,3:0,4:0}"),
		"a scene":              recall(2),
		"the device":           func(r *rig) { r.report(turnedOff) },
	} {
		r := scenic(t)
		r.wantScene("add", 1, addScene, `{0:1,1:2,2:0,3:"",4:[{0:6,1:[{0:0,1:0}]}]}`, "0{0:0,1:1,2:2}")
		r.do(onOff, timed, "{0:0,1:300,2:300}")
		off(r)
		r.wantTimes(name, "false", "0", "300")
		r.after(time.Minute)
		r.wantTimes(name+", and the wait is over", "false", "0", "0")
	}
}

// A coupled color temperature follows the level that On leads to (section 1.6.5.1.2), and
// Off, after which the level is as before, does not change it.
func TestTemperatureFollowsOn(t *testing.T) {
	r := newRig(t, Part{Type: "color_temperature_light"})
	r.report(Values{"on": Bool(true), "brightness_percent": Number(0.4), "color_temperature_kelvin": Number(2000)})
	r.write(level, datamodel.LevelControlAttrOptions, "2")
	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.wantRead("off", color, mireds, "500")
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	r.wantRead("on again", color, mireds, "500")
	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.write(level, datamodel.LevelControlAttrOnLevel, "254")
	r.write(level, datamodel.LevelControlAttrOnOffTransitionTime, "20")
	r.sent = nil
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	all := onAt(100)
	all["color_temperature_kelvin"] = Number(6535)
	r.wantRequests("to OnLevel", request{all, 20})
	r.after(2 * time.Second)
	r.wantRead("at OnLevel", level, currentLevel, "254")
	r.wantRead("at OnLevel", color, mireds, "153")
}

// Stop stops a coupled color temperature with the level.
func TestTemperatureStopsWithLevel(t *testing.T) {
	r := newRig(t, Part{Type: "color_temperature_light"})
	r.report(Values{"on": Bool(true), "brightness_percent": Number(0.4), "color_temperature_kelvin": Number(2000)})
	r.write(level, datamodel.LevelControlAttrOptions, "2")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
	r.after(5 * time.Second)
	r.do(level, datamodel.LevelControlCmdStop, "{0:0,1:0}")
	r.wantNear("half way", mireds, 327, 2)
	r.after(10 * time.Second)
	r.wantRead("stopped", level, currentLevel, "127")
	r.wantNear("stopped", mireds, 327, 2)
	r.wantRead("stopped", color, colorRemaining, "0")
}

// A lamp that is switched off while its level fades may remember any level of the fade. It
// gets the one that controllers see with the next On.
func TestOffDuringAFade(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *rig)
		back float64
	}{
		{"Off", func(r *rig) {
			r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:27,1:100,2:0,3:0}")
			r.do(onOff, datamodel.OnOffCmdOff, "{}")
		}, 40},
		{"Off while it fades to off", func(r *rig) {
			r.do(level, datamodel.LevelControlCmdMoveWithOnOff, "{0:1,1:10,2:0,3:0}")
			r.do(onOff, datamodel.OnOffCmdToggle, "{}")
		}, 40},
		{"a scene", func(r *rig) {
			r.wantScene("add", 1, addScene, `{0:1,1:2,2:0,3:"",4:[{0:6,1:[{0:0,1:0}]},{0:8,1:[{0:0,1:102}]}]}`, "0{0:0,1:1,2:2}")
			r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:27,1:100,2:0,3:0}")
			r.wantScene("recall", 1, recallScene, "{0:1,1:2}", "SUCCESS")
		}, 40},
	} {
		r := scenic(t)
		tt.do(r)
		r.after(time.Minute)
		r.wantRead(tt.name, onOff, onOffAttr, "false")
		r.sent = nil
		r.do(onOff, datamodel.OnOffCmdOn, "{}")
		r.wantSent(tt.name, onAt(tt.back))
	}
}
