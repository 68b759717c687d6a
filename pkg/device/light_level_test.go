package device

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const level = datamodel.LevelControlID

const (
	currentLevel = datamodel.LevelControlAttrCurrentLevel
	remaining    = datamodel.LevelControlAttrRemainingTime
	onOffAttr    = datamodel.OnOffAttrOnOff
)

// percent is the brightness that the device receives.
func percent(p float64) Values { return Values{"brightness_percent": Number(p)} }

func onAt(p float64) Values { return Values{"on": Bool(true), "brightness_percent": Number(p)} }

var (
	turnedOn  = Values{"on": Bool(true)}
	turnedOff = Values{"on": Bool(false)}
)

// dimmer returns a lamp that is on, or off, at a level.
func dimmer(t *testing.T, on bool, percent float64) *rig {
	r := newRig(t, Part{Type: "dimmable_light"})
	r.report(Values{"on": Bool(on), "brightness_percent": Number(percent)})
	return r
}

// Level Control, commands (section 1.6.7).
func TestLevelCommands(t *testing.T) {
	const (
		toLevel, move, step, stop = datamodel.LevelControlCmdMoveToLevel, datamodel.LevelControlCmdMove, datamodel.LevelControlCmdStep, datamodel.LevelControlCmdStop
	)
	for _, tt := range []struct {
		name    string
		command matter.CommandID
		fields  string
		want    request
		after   time.Duration
		level   string
	}{
		{"1.6.7.1 at once", toLevel, "{0:127,1:0,2:0,3:0}", request{percent(50), 0}, 0, "127"},
		{"1.6.7.1 below the range", toLevel, "{0:0,1:0,2:0,3:0}", request{percent(0.4), 0}, 0, "1"},
		{"1.6.7.1 in its time", toLevel, "{0:254,1:100,2:0,3:0}", request{percent(100), 100}, 5 * time.Second, "178"},
		{"1.6.7.1 when its time is over", toLevel, "{0:254,1:100,2:0,3:0}", request{percent(100), 100}, 10 * time.Second, "254"},
		{"1.6.7.1 no time given", toLevel, "{0:127,1:null,2:0,3:0}", request{percent(50), noTime}, 0, "127"},
		{"1.6.7.1 as Google sends it", toLevel, "{0:127}", request{percent(50), noTime}, 0, "127"},
		{"1.6.7.2 up", move, "{0:0,1:10,2:0,3:0}", request{percent(100), 152}, time.Second, "112"},
		{"1.6.7.2 up to the end", move, "{0:0,1:10,2:0,3:0}", request{percent(100), 152}, 20 * time.Second, "254"},
		{"1.6.7.2 down", move, "{0:1,1:50,2:0,3:0}", request{percent(0.4), 20}, time.Second, "52"},
		{"1.6.7.2 as fast as possible", move, "{0:1,1:null,2:0,3:0}", request{percent(0.4), noTime}, 0, "1"},
		{"1.6.7.3 up", step, "{0:0,1:25,2:0,3:0,4:0}", request{percent(50), 0}, 0, "127"},
		{"1.6.7.3 down in its time", step, "{0:1,1:51,2:10,3:0,4:0}", request{percent(20), 10}, 500 * time.Millisecond, "77"},
		{"1.6.7.3 clipped, the time in proportion", step, "{0:0,1:254,2:254,3:0,4:0}", request{percent(100), 152}, 20 * time.Second, "254"},
		{"1.6.7.3 no time given", step, "{0:0,1:25}", request{percent(50), noTime}, 0, "127"},
		{"1.6.7.4 nothing moves", stop, "{0:0,1:0}", request{}, 0, "102"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := dimmer(t, true, 40)
			r.do(level, tt.command, tt.fields)
			if tt.want.set == nil {
				r.wantRequests("the command")
			} else {
				r.wantRequests("the command", tt.want)
			}
			r.after(tt.after)
			r.wantRead("then", level, currentLevel, tt.level)
			r.wantRead("then", onOff, onOffAttr, "true")
			r.wantRequests("later")
		})
	}
}

func TestLevelStatuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command matter.CommandID
		fields  string
		want    string
	}{
		{"1.6.7.1 level", datamodel.LevelControlCmdMoveToLevel, "{0:255,1:0,2:0,3:0}", "CONSTRAINT_ERROR"},
		{"1.6.7.1 no level", datamodel.LevelControlCmdMoveToLevel, "{1:0,2:0,3:0}", "INVALID_COMMAND"},
		{"1.6.7.1 time of the null value", datamodel.LevelControlCmdMoveToLevel, "{0:1,1:65535,2:0,3:0}", "CONSTRAINT_ERROR"},
		{"1.6.7.2 rate 0", datamodel.LevelControlCmdMove, "{0:0,1:0,2:1,3:1}", "INVALID_COMMAND"},
		{"1.6.7.2 mode", datamodel.LevelControlCmdMoveWithOnOff, "{0:2,1:5,2:0,3:0}", "INVALID_COMMAND"},
		{"1.6.7.2 no rate", datamodel.LevelControlCmdMove, "{0:0,2:0,3:0}", "INVALID_COMMAND"},
		{"1.6.7.3 size 0", datamodel.LevelControlCmdStep, "{0:0,1:0,2:0,3:0,4:0}", "INVALID_COMMAND"},
		{"1.6.7.3 mode", datamodel.LevelControlCmdStepWithOnOff, "{0:2,1:1,2:0,3:0,4:0}", "INVALID_COMMAND"},
	} {
		r := dimmer(t, true, 40)
		if got := r.invoke(level, tt.command, tt.fields); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		r.wantRequests(tt.name)
	}
	for _, tt := range []struct {
		name  string
		id    matter.AttributeID
		value string
		want  string
	}{
		{"1.6.6.11 OnLevel 0", datamodel.LevelControlAttrOnLevel, "0", "CONSTRAINT_ERROR"},
		{"1.6.6.11 OnLevel 255", datamodel.LevelControlAttrOnLevel, "255", "CONSTRAINT_ERROR"},
		{"1.6.6.11 OnLevel 1", datamodel.LevelControlAttrOnLevel, "1", "SUCCESS"},
		{"1.6.6.11 OnLevel 254", datamodel.LevelControlAttrOnLevel, "254", "SUCCESS"},
		{"1.6.6.11 no OnLevel", datamodel.LevelControlAttrOnLevel, "null", "SUCCESS"},
		{"1.6.6.14 DefaultMoveRate 0", datamodel.LevelControlAttrDefaultMoveRate, "0", "CONSTRAINT_ERROR"},
		{"1.6.6.9 Options", datamodel.LevelControlAttrOptions, "3", "SUCCESS"},
		{"1.6.6.9 Options nobody knows", datamodel.LevelControlAttrOptions, "4", "CONSTRAINT_ERROR"},
		{"1.6.6.2 CurrentLevel", currentLevel, "5", "UNSUPPORTED_WRITE"},
	} {
		r := dimmer(t, true, 40)
		if got := r.Write(clustertest.Admin(1), 2, level, tt.id, tt.value); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestMoveThenStop(t *testing.T) {
	r := dimmer(t, true, 40)
	r.do(level, datamodel.LevelControlCmdMove, "{0:0,1:10,2:0,3:0}")
	r.sent = nil
	r.after(2500 * time.Millisecond)
	r.do(level, datamodel.LevelControlCmdStop, "{0:0,1:0}")
	r.wantRequests("1.6.7.4 Stop sends the level of that moment", request{percent(50), 0})
	r.after(10 * time.Second)
	r.wantRead("after Stop", level, currentLevel, "127")
	r.wantRead("after Stop", level, remaining, "0")
}

func TestMoveAtTheDefaultRate(t *testing.T) {
	r := dimmer(t, true, 40)
	r.write(level, datamodel.LevelControlAttrDefaultMoveRate, "51")
	r.do(level, datamodel.LevelControlCmdMove, "{0:0,1:null,2:0,3:0}")
	r.wantRequests("1.6.6.14", request{percent(100), 29})
}

// Options (section 1.6.6.9): what happens to a lamp that is off.
func TestLevelWhileOff(t *testing.T) {
	r := dimmer(t, false, 40)
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:200,1:0,2:0,3:0}")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:200,1:0,2:1,3:0}")
	r.do(level, datamodel.LevelControlCmdMove, "{0:0,1:null,2:0,3:0}")
	r.do(level, datamodel.LevelControlCmdStep, "{0:0,1:5,2:0,3:0,4:0}")
	r.wantRead("commands that are not executed", level, currentLevel, "102")
	r.wantRequests("commands that are not executed")

	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:200,1:0,2:1,3:1}")
	r.wantRead("ExecuteIfOff by the command", level, currentLevel, "200")
	r.wantRead("ExecuteIfOff by the command", onOff, onOffAttr, "false")
	r.wantRequests("a brightness would switch the lamp on")
	r.report(Values{"on": Bool(false), "brightness_percent": Number(40)})
	r.wantRead("what the lamp says meanwhile", level, currentLevel, "200")

	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	r.wantRequests("with the next On", request{onAt(78.7), noTime})
	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	r.wantRequests("and not again", request{turnedOff, noTime}, request{turnedOn, noTime})

	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.write(level, datamodel.LevelControlAttrOptions, "1")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:100,1:0,2:1,3:0}")
	r.wantRead("the command forbids what Options allow", level, currentLevel, "200")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:100,1:0,2:0,3:0}")
	r.wantRead("ExecuteIfOff by Options", level, currentLevel, "100")
}

// The commands WithOnOff (section 1.6.4.1.1).
func TestLevelWithOnOff(t *testing.T) {
	t.Run("above MinLevel switches on at once", func(t *testing.T) {
		r := dimmer(t, false, 40)
		r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:100,2:0,3:0}")
		r.wantRequests("one request", request{onAt(100), 100})
		r.wantRead("at the start", onOff, onOffAttr, "true")
		r.wantRead("a light that was dark starts at MinLevel", level, currentLevel, "1")
	})
	t.Run("to MinLevel switches off when it arrives", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:0,1:20,2:0,3:0}")
		r.wantRequests("at the start", request{percent(0.4), 20})
		r.after(1900 * time.Millisecond)
		r.wantRead("on the way", onOff, onOffAttr, "true")
		r.after(100 * time.Millisecond)
		r.wantRead("arrived", onOff, onOffAttr, "false")
		r.wantRead("arrived", level, currentLevel, "1")
		r.wantRequests("arrived", request{turnedOff, noTime})
	})
	t.Run("to MinLevel at once", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:1,1:0,2:0,3:0}")
		r.wantRequests("one request", request{turnedOff, 0})
		r.wantRead("then", onOff, onOffAttr, "false")
		r.wantRead("then", level, currentLevel, "1")
	})
	t.Run("to MinLevel while off", func(t *testing.T) {
		r := dimmer(t, false, 40)
		r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:1,1:20,2:0,3:0}")
		r.wantRequests("nothing")
		r.wantRead("then", onOff, onOffAttr, "false")
		r.wantRead("then", level, currentLevel, "1")
	})
	t.Run("move up, stop", func(t *testing.T) {
		r := dimmer(t, false, 40)
		r.do(level, datamodel.LevelControlCmdMoveWithOnOff, "{0:0,1:50,2:0,3:0}")
		r.wantRequests("from dark", request{onAt(100), 50})
		r.after(2 * time.Second)
		r.do(level, datamodel.LevelControlCmdStopWithOnOff, "{0:0,1:0}")
		r.wantRequests("stop", request{percent(39.8), 0})
		r.wantRead("then", level, currentLevel, "101")
		r.wantRead("then", onOff, onOffAttr, "true")
	})
	t.Run("move down, stop before it is dark", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.do(level, datamodel.LevelControlCmdMoveWithOnOff, "{0:1,1:50,2:0,3:0}")
		r.after(time.Second)
		r.sent = nil
		r.do(level, datamodel.LevelControlCmdStopWithOnOff, "{0:0,1:0}")
		r.wantRequests("it stays on", request{onAt(20.5), 0})
		r.after(10 * time.Second)
		r.wantRead("then", onOff, onOffAttr, "true")
	})
	t.Run("step up from off", func(t *testing.T) {
		r := dimmer(t, false, 40)
		r.do(level, datamodel.LevelControlCmdStepWithOnOff, "{0:0,1:25,2:0,3:0,4:0}")
		r.wantRequests("on", request{onAt(50), 0})
	})
	t.Run("down from off", func(t *testing.T) {
		r := dimmer(t, false, 40)
		r.do(level, datamodel.LevelControlCmdStepWithOnOff, "{0:1,1:25,2:0,3:0,4:0}")
		r.do(level, datamodel.LevelControlCmdMoveWithOnOff, "{0:1,1:25,2:0,3:0}")
		r.wantRequests("nothing")
		r.wantRead("a lamp that is off keeps its brightness", level, currentLevel, "102")
	})
}

// On and Off of a light with a level (section 1.6.4.1).
func TestOnOffAndLevel(t *testing.T) {
	t.Run("a lamp that is off keeps its brightness", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.Subscribe(clustertest.Admin(1), 2, level)
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.wantRequests("Off", request{turnedOff, noTime})
		r.wantRead("off", level, currentLevel, "102")
		r.do(onOff, datamodel.OnOffCmdOn, "{}")
		r.wantRequests("On", request{turnedOn, noTime})
		r.wantRead("on", level, currentLevel, "102")
		if got := r.after(5 * time.Second); len(got) != 0 {
			t.Errorf("the level was reported: %v", got)
		}
	})
	t.Run("On to OnLevel", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.write(level, datamodel.LevelControlAttrOnLevel, "254")
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.wantRead("CurrentLevel stays at MinLevel if there is an OnLevel", level, currentLevel, "1")
		r.do(onOff, datamodel.OnOffCmdToggle, "{}")
		r.wantRequests("", request{turnedOff, noTime}, request{onAt(100), noTime})
		r.wantRead("on", level, currentLevel, "254")
	})
	t.Run("fades", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.write(level, datamodel.LevelControlAttrOnOffTransitionTime, "20")
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.wantRequests("Off", request{turnedOff, 20})
		r.after(time.Second)
		r.wantRead("half dark", level, currentLevel, "52")
		r.wantRead("half dark", onOff, onOffAttr, "true")
		r.after(time.Second)
		r.wantRead("dark", onOff, onOffAttr, "false")
		r.wantRead("dark, the level from before", level, currentLevel, "102")
		r.wantRequests("the device knows")
		r.do(onOff, datamodel.OnOffCmdOn, "{}")
		r.wantRequests("On", request{turnedOn, 20})
		r.wantRead("on at once", onOff, onOffAttr, "true")
		r.wantRead("from dark", level, currentLevel, "1")
		r.after(2 * time.Second)
		r.wantRead("on", level, currentLevel, "102")
	})
	t.Run("fades in times of their own", func(t *testing.T) {
		r := dimmer(t, false, 40)
		r.write(level, datamodel.LevelControlAttrOnOffTransitionTime, "20")
		r.write(level, datamodel.LevelControlAttrOnTransitionTime, "5")
		r.write(level, datamodel.LevelControlAttrOffTransitionTime, "0")
		r.do(onOff, datamodel.OnOffCmdOn, "{}")
		r.wantRequests("1.6.6.12", request{turnedOn, 5})
		r.after(time.Second)
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.wantRequests("1.6.6.13", request{turnedOff, noTime})
		r.wantRead("off", onOff, onOffAttr, "false")
	})
	t.Run("On while it fades out", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.write(level, datamodel.LevelControlAttrOnOffTransitionTime, "20")
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.after(time.Second)
		r.sent = nil
		r.do(onOff, datamodel.OnOffCmdToggle, "{}")
		r.wantRequests("on again", request{onAt(40), 20})
		r.after(10 * time.Second)
		r.wantRead("then", onOff, onOffAttr, "true")
		r.wantRead("then", level, currentLevel, "102")
	})
	t.Run("Off while it comes up", func(t *testing.T) {
		r := dimmer(t, true, 40)
		r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
		r.after(5 * time.Second)
		r.do(onOff, datamodel.OnOffCmdOff, "{}")
		r.wantRead("the level of the moment", level, currentLevel, "178")
		r.after(10 * time.Second)
		r.wantRead("later", level, currentLevel, "178")
		r.wantRead("later", onOff, onOffAttr, "false")
	})
}

// The bridge ignores reports of a device while it shows a fade, so that sliders do
// not jump.
func TestReportsDuringAFade(t *testing.T) {
	r := dimmer(t, true, 40)
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
	r.after(5 * time.Second)
	r.report(percent(40))
	r.wantRead("a late report", level, currentLevel, "178")
	r.report(Values{"on": Bool(true), "brightness_percent": Number(100)})
	r.wantRead("a report of the end", level, currentLevel, "178")
	r.after(5 * time.Second)
	r.report(percent(90))
	r.wantRead("a report from within the fade, after its end", level, currentLevel, "254")
	r.after(5 * time.Second)
	r.wantRead("the device is right in the end", level, currentLevel, "229")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
	r.after(10 * time.Second)
	r.report(percent(60))
	r.wantRead("a report that is not from within", level, currentLevel, "152")

	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
	r.after(time.Second)
	r.report(turnedOff)
	r.wantRead("somebody has switched it off", onOff, onOffAttr, "false")
	r.after(20 * time.Second)
	r.wantRead("and it stays off", onOff, onOffAttr, "false")

	r = dimmer(t, true, 40)
	r.write(level, datamodel.LevelControlAttrOnOffTransitionTime, "20")
	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.report(turnedOn)
	r.wantRead("still on", onOff, onOffAttr, "true")
	r.report(turnedOff)
	r.wantRead("sources say at once that it is off", onOff, onOffAttr, "false")
	r.wantRead("at the level from before", level, currentLevel, "102")
}

// The last report during a fade is used in the end, since somebody may have stopped
// the device. A lamp that fades out keeps its brightness.
func TestReportsAfterAFade(t *testing.T) {
	r := dimmer(t, true, 40)
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
	r.after(3 * time.Second)
	r.report(percent(60))
	r.after(11 * time.Second)
	r.wantRead("the end of the fade", level, currentLevel, "254")
	r.after(time.Second)
	r.wantRead("nothing else came", level, currentLevel, "152")

	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:100,2:0,3:0}")
	r.report(percent(60))
	r.after(11 * time.Second)
	r.report(percent(100))
	r.after(time.Minute)
	r.wantRead("the end came", level, currentLevel, "254")

	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.report(percent(30))
	r.report(Values{"on": Bool(false), "brightness_percent": Number(0.4)})
	r.wantRead("what a lamp says that fades out by itself", level, currentLevel, "254")
	r.after(10 * time.Second)
	r.report(percent(30))
	r.wantRead("later it means what it says", level, currentLevel, "76")
}

// Quieter reporting (sections 1.6.6.2 and 1.6.6.3), as TC-LVL-2.3 tests it.
func TestLevelReports(t *testing.T) {
	r := dimmer(t, true, 100)
	r.Subscribe(clustertest.Admin(1), 2, level)
	count := func(list []string, id matter.AttributeID) (values []string) {
		for _, x := range list {
			if v, ok := strings.CutPrefix(x, fmt.Sprintf("%d/%d=", level, id)); ok {
				values = append(values, v)
			}
		}
		return values
	}
	r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:54,1:100,2:0,3:0}")
	got := r.after(30 * time.Second)
	want := []string{"234", "214", "194", "174", "154", "134", "114", "94", "74", "54"}
	if levels := count(got, currentLevel); !slices.Equal(levels, want) {
		t.Errorf("levels %v, want %v", levels, want)
	}
	if times := count(got, remaining); !slices.Equal(times, []string{"100", "0"}) {
		t.Errorf("remaining times %v", times)
	}

	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:200,1:100,2:0,3:0}")
	got = r.after(5 * time.Second)
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:200,1:150,2:0,3:0}")
	got = append(got, r.after(20*time.Second)...)
	if times := count(got, remaining); !slices.Equal(times, []string{"100", "150", "0"}) {
		t.Errorf("remaining times of two moves %v", times)
	}

	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:100,1:9,2:0,3:0}")
	if times := count(r.after(20*time.Second), remaining); len(times) != 0 {
		t.Errorf("remaining times of a short move %v", times)
	}
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:200,1:6000,2:0,3:0}")
	if n := len(count(r.after(20*time.Minute), currentLevel)); n > 45 {
		t.Errorf("%d reports of a slow move", n)
	}
}

// Round trips of the conversion between brightness and level.
func TestBrightness(t *testing.T) {
	for l := 1; l <= 254; l++ {
		if got := brightnessLevel(brightnessOf(uint8(l))); int(got) != l {
			t.Errorf("level %d is %v %%, which is level %d", l, brightnessOf(uint8(l)), got)
		}
	}
	for p := 1; p <= 100; p++ {
		if got := brightnessOf(brightnessLevel(float64(p))); got != float64(p) {
			t.Errorf("%d %% comes back as %v %%", p, got)
		}
	}
	r := newRig(t, Part{Type: "dimmable_light"})
	for _, tt := range []struct {
		report Value
		level  string
		back   Value
	}{
		{Number(0.001), "1", Number(0.4)},
		{Number(0.4), "1", Number(0.4)},
		{Number(1), "3", Number(1)},
		{Null, "3", Number(1)},
		{Number(50), "127", Number(50)},
		{Number(99.9), "254", Number(100)},
		{Number(100), "254", Number(100)},
	} {
		r.report(Values{"brightness_percent": tt.report})
		r.wantRead(tt.report.String(), level, currentLevel, tt.level)
		if got := r.e.State(r.Now)["brightness_percent"]; got != tt.back {
			t.Errorf("%s comes back as %s, want %s", tt.report, got, tt.back)
		}
	}
	for _, v := range []Value{Number(0), Number(100.1), Number(-1), Bool(true), Text("1")} {
		if r.e.Report(r.Now, Values{"brightness_percent": v}) == nil {
			t.Errorf("%s was accepted", v)
		}
	}
}
