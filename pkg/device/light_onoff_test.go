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

const (
	onTime      = datamodel.OnOffAttrOnTime
	offWaitTime = datamodel.OnOffAttrOffWaitTime
	globalScene = datamodel.OnOffAttrGlobalSceneControl

	timedOff = datamodel.OnOffCmdOnWithTimedOff
)

// wantTimes compares OnOff, OnTime and OffWaitTime.
func (r *rig) wantTimes(what, on, onFor, waits string) {
	r.t.Helper()
	r.wantRead(what, onOff, onOffAttr, on)
	r.wantRead(what, onOff, onTime, onFor)
	r.wantRead(what, onOff, offWaitTime, waits)
}

// OnWithTimedOff (section 1.5.7.6), as TC-OO-2.3 tests it.
func TestTimedOff(t *testing.T) {
	lamp := func(t *testing.T, on bool) *rig {
		r := newRig(t, Part{Type: "on_off_light"})
		r.report(Values{"on": Bool(on)})
		return r
	}
	t.Run("accepted only when on", func(t *testing.T) {
		r := lamp(t, false)
		r.do(onOff, timedOff, "{0:1,1:300,2:300}")
		r.wantTimes("off", "false", "0", "0")
		r.wantRequests("off")
		r = lamp(t, true)
		r.do(onOff, timedOff, "{0:1,1:300,2:200}")
		r.wantTimes("on", "true", "300", "200")
	})
	t.Run("timed on", func(t *testing.T) {
		r := lamp(t, false)
		r.do(onOff, timedOff, "{0:0,1:300,2:300}")
		r.wantTimes("at once", "true", "300", "300")
		r.after(10 * time.Second)
		r.wantTimes("after 10 s", "true", "200", "300")
		r.do(onOff, timedOff, "{0:0,1:100,2:50}")
		r.wantTimes("a shorter time does not shorten", "true", "200", "50")
		r.do(onOff, timedOff, "{0:0,1:250,2:50}")
		r.wantTimes("a longer one lengthens", "true", "250", "50")
		r.do(onOff, datamodel.OnOffCmdOn, "{}")
		r.wantTimes("On when on changes nothing", "true", "250", "50")
		r.after(25 * time.Second)
		r.wantTimes("over", "false", "0", "0")
	})
	t.Run("delayed off", func(t *testing.T) {
		r := lamp(t, false)
		r.do(onOff, timedOff, "{0:0,1:300,2:300}")
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.wantTimes("Off", "false", "0", "300")
		r.after(10 * time.Second)
		r.sent = nil
		r.do(onOff, timedOff, "{0:0,1:300,2:300}")
		r.wantTimes("it does not go on again", "false", "0", "200")
		r.wantRequests("it does not go on again")
		r.do(onOff, timedOff, "{0:0,1:300,2:100}")
		r.wantTimes("the shorter wait", "false", "0", "100")
		r.after(10 * time.Second)
		r.wantTimes("over", "false", "0", "0")
		r.do(onOff, timedOff, "{0:0,1:300,2:0}")
		r.wantTimes("then it does", "true", "300", "0")
	})
	t.Run("On ends the wait", func(t *testing.T) {
		r := lamp(t, false)
		r.do(onOff, timedOff, "{0:0,1:300,2:300}")
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.do(onOff, datamodel.OnOffCmdOn, "{}")
		r.wantTimes("on", "true", "0", "0")
		r.after(time.Minute)
		r.wantTimes("it stays on", "true", "0", "0")
	})
	t.Run("switched at the device", func(t *testing.T) {
		r := lamp(t, false)
		r.do(onOff, timedOff, "{0:0,1:300,2:300}")
		r.report(turnedOff)
		r.wantTimes("as by Off", "false", "0", "300")
	})
	t.Run("written times", func(t *testing.T) {
		r := lamp(t, true)
		r.write(onOff, onTime, "50")
		r.after(10 * time.Second)
		r.wantTimes("nothing runs", "true", "50", "0")
		r.do(onOff, timedOff, "{0:0,1:10,2:0}")
		r.wantTimes("it counts for the next", "true", "50", "0")
		r.write(onOff, onTime, "20")
		r.after(2 * time.Second)
		r.wantTimes("and while it runs", "false", "0", "0")
		r.do(onOff, timedOff, "{0:0,1:10,2:0}")
		r.write(onOff, onTime, "65535")
		r.after(time.Hour)
		r.wantTimes("for ever", "true", "65535", "0")
	})
	t.Run("a whole light", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.write(level, datamodel.LevelControlAttrOnOffTransitionTime, "20")
		r.do(onOff, timedOff, "{0:0,1:10,2:50}")
		r.after(time.Second)
		r.wantRead("it fades out", onOff, onOffAttr, "true")
		r.after(2 * time.Second)
		r.wantTimes("off", "false", "0", "0")
		r.wantRead("it keeps its brightness", level, currentLevel, "102")
	})
	t.Run("statuses", func(t *testing.T) {
		r := lamp(t, true)
		for _, tt := range []struct{ fields, want string }{
			{"{0:2,1:0,2:0}", "CONSTRAINT_ERROR"},
			{"{0:0,1:65535,2:0}", "CONSTRAINT_ERROR"},
			{"{0:0,1:0,2:65535}", "CONSTRAINT_ERROR"},
			{"{0:0,1:0}", "INVALID_COMMAND"},
		} {
			if got := r.invoke(onOff, timedOff, tt.fields); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.fields, got, tt.want)
			}
		}
		for _, tt := range []struct {
			id          matter.AttributeID
			value, want string
		}{
			{datamodel.OnOffAttrStartUpOnOff, "3", "CONSTRAINT_ERROR"},
			{datamodel.OnOffAttrStartUpOnOff, "2", "SUCCESS"},
			{datamodel.OnOffAttrStartUpOnOff, "null", "SUCCESS"},
			{globalScene, "true", "UNSUPPORTED_WRITE"},
			{onTime, "65536", "CONSTRAINT_ERROR"},
		} {
			if got := r.Write(clustertest.Admin(1), 2, onOff, tt.id, tt.value); got != tt.want {
				t.Errorf("0x%04X = %s: %s, want %s", uint32(tt.id), tt.value, got, tt.want)
			}
		}
	})
}

// Running times are reported when they begin and when they are over, but not in
// between.
func TestTimedOffReports(t *testing.T) {
	r := newRig(t, Part{Type: "on_off_light"})
	r.Subscribe(clustertest.Admin(1), 2, onOff)
	r.do(onOff, timedOff, "{0:0,1:300,2:300}")
	got := r.after(time.Second)
	if want := []string{"6/0=true", "6/16385=300", "6/16386=300"}; !slices.Equal(got, want) {
		t.Errorf("at the beginning %v, want %v", got, want)
	}
	if got := r.after(28 * time.Second); len(got) != 0 {
		t.Errorf("meanwhile %v", got)
	}
	got = r.after(2 * time.Second)
	if want := []string{"6/0=false", "6/16385=0", "6/16386=0"}; !slices.Equal(got, want) {
		t.Errorf("at the end %v, want %v", got, want)
	}
}

func TestToggle(t *testing.T) {
	r := newRig(t, Part{Type: "on_off_plug"})
	r.do(onOff, datamodel.OnOffCmdToggle, "{}")
	r.wantRead("toggled", onOff, onOffAttr, "true")
	r.do(onOff, datamodel.OnOffCmdToggle, "{}")
	r.wantRead("and back", onOff, onOffAttr, "false")
	r.wantSent("the device", turnedOn, turnedOff)
}

// Attributes with quality N survive a restart of the program (section 7.7 of the core
// specification). A restart is not a power-up of the lamp.
func TestLightIsKept(t *testing.T) {
	p := Part{Type: "extended_color_light"}
	r := bulb(t)
	r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:100,1:200,2:0,3:0,4:0}")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:77,1:0,2:0,3:0}")
	writes := []struct {
		cl    matter.ClusterID
		id    matter.AttributeID
		value string
	}{
		{onOff, datamodel.OnOffAttrStartUpOnOff, "0"},
		{level, datamodel.LevelControlAttrOptions, "3"},
		{level, datamodel.LevelControlAttrOnLevel, "99"},
		{level, datamodel.LevelControlAttrOnOffTransitionTime, "5"},
		{level, datamodel.LevelControlAttrOnTransitionTime, "6"},
		{level, datamodel.LevelControlAttrOffTransitionTime, "7"},
		{level, datamodel.LevelControlAttrDefaultMoveRate, "8"},
		{level, datamodel.LevelControlAttrStartUpCurrentLevel, "9"},
		{color, datamodel.ColorControlAttrOptions, "1"},
		{color, datamodel.ColorControlAttrStartUpColorTemperatureMireds, "300"},
	}
	for _, w := range writes {
		r.write(w.cl, w.id, w.value)
	}
	x, y, ct := r.read(color, currentX), r.read(color, currentY), r.read(color, mireds)
	r.sent = nil
	r.restart(p)
	for _, w := range writes {
		r.wantRead("kept", w.cl, w.id, w.value)
	}
	r.wantRead("kept", onOff, onOffAttr, "true")
	r.wantRead("kept", level, currentLevel, "77")
	r.wantRead("kept", color, hue, "100")
	r.wantRead("kept", color, saturation, "200")
	r.wantRead("kept", color, currentX, x)
	r.wantRead("kept", color, currentY, y)
	r.wantRead("kept", color, mireds, ct)
	r.wantRead("kept", color, colorMode, "0")
	r.after(time.Minute)
	r.wantRequests("a restart asks the lamp for nothing")

	// Now as a lamp with fewer functions.
	r.restart(Part{Type: "color_temperature_light", Options: Options{MinKelvin: 5000, MaxKelvin: 6500}})
	r.wantRead("a mode that it has", color, colorMode, "2")
	if n := r.number(mireds); n < 154 || n > 200 {
		t.Errorf("color temperature %d mireds", n)
	}
}

// The StartUp attributes (sections 1.5.6.6, 1.6.6.15, 3.2.7.23), of a device that
// is part of the program: its start is the power-up.
func TestPowerUp(t *testing.T) {
	for _, tt := range []struct {
		name              string
		on                bool
		onOff, level, ct  string
		wantOn, wantLevel string
		wantCT, wantMode  string
		sent              Values
	}{
		{"nothing set", true, "null", "null", "null", "true", "102", "326", "2", Values{"on": Bool(true), "brightness_percent": Number(40), "color_temperature_kelvin": Number(3070)}},
		{"off", true, "0", "null", "null", "false", "102", "326", "2", turnedOff},
		{"on", false, "1", "254", "153", "true", "254", "153", "2", Values{"on": Bool(true), "brightness_percent": Number(100), "color_temperature_kelvin": Number(6535)}},
		{"toggle, off", true, "2", "null", "null", "false", "102", "326", "2", turnedOff},
		{"toggle, on", false, "2", "0", "500", "true", "1", "500", "2", Values{"on": Bool(true), "brightness_percent": Number(0.4), "color_temperature_kelvin": Number(2000)}},
		{"a temperature that it cannot", false, "null", "null", "100", "false", "102", "326", "2", turnedOff},
	} {
		p := Part{Type: "extended_color_light"}
		r := bulb(t)
		r.report(Values{"on": Bool(tt.on), "brightness_percent": Number(40)})
		r.write(onOff, datamodel.OnOffAttrStartUpOnOff, tt.onOff)
		r.write(level, datamodel.LevelControlAttrStartUpCurrentLevel, tt.level)
		r.write(color, datamodel.ColorControlAttrStartUpColorTemperatureMireds, tt.ct)
		r.restart(p)
		r.e.PowerUp(r.Now)
		r.wantRead(tt.name, onOff, onOffAttr, tt.wantOn)
		r.wantRead(tt.name, level, currentLevel, tt.wantLevel)
		r.wantRead(tt.name, color, mireds, tt.wantCT)
		r.wantRead(tt.name, color, colorMode, tt.wantMode)
		r.wantSent(tt.name, tt.sent)
	}
}

// Properties of lights, by the names of the bridge's contract.
func TestPropertiesOfLights(t *testing.T) {
	for kind, want := range map[string]string{
		"on_off_light":                  "on",
		"on_off_plug":                   "on",
		"mounted_on_off_control":        "on",
		"dimmable_light":                "brightness_percent on",
		"dimmable_plug":                 "brightness_percent on",
		"mounted_dimmable_load_control": "brightness_percent on",
		"color_temperature_light":       "brightness_percent color_temperature_kelvin on",
		"extended_color_light":          "brightness_percent color_mode color_temperature_kelvin color_x color_y hue_degrees on saturation_percent",
	} {
		e := newRig(t, Part{Type: kind}).e
		if got := strings.Join(e.names(), " "); got != want {
			t.Errorf("%s has %s, want %s", kind, got, want)
		}
		if !e.Groups || !e.Scenes || !e.Identify {
			t.Errorf("%s lacks groups, scenes or identify", kind)
		}
		shows := uint8(2) // visible indicator, since it is not known what it switches (section 1.2.5.2)
		if strings.HasSuffix(kind, "_light") {
			shows = 1
		}
		if e.IdentifyType != shows {
			t.Errorf("%s has IdentifyType %d, want %d", kind, e.IdentifyType, shows)
		}
	}
}
