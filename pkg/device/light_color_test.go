package device

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const color = datamodel.ColorControlID

const (
	hue            = datamodel.ColorControlAttrCurrentHue
	saturation     = datamodel.ColorControlAttrCurrentSaturation
	currentX       = datamodel.ColorControlAttrCurrentX
	currentY       = datamodel.ColorControlAttrCurrentY
	mireds         = datamodel.ColorControlAttrColorTemperatureMireds
	colorMode      = datamodel.ColorControlAttrColorMode
	enhancedMode   = datamodel.ColorControlAttrEnhancedColorMode
	enhancedHue    = datamodel.ColorControlAttrEnhancedCurrentHue
	colorRemaining = datamodel.ColorControlAttrRemainingTime
	loopActive     = datamodel.ColorControlAttrColorLoopActive
	storedHue      = datamodel.ColorControlAttrColorLoopStoredEnhancedHue
)

func kelvin(k float64) Values { return Values{"color_temperature_kelvin": Number(k)} }

func hs(h, s float64) Values {
	return Values{"hue_degrees": Number(h), "saturation_percent": Number(s)}
}

func xy(x, y float64) Values { return Values{"color_x": Number(x), "color_y": Number(y)} }

// bulb returns a lamp with all colors that is on.
func bulb(t *testing.T, modes ...string) *rig {
	r := newRig(t, Part{Type: "extended_color_light", Options: Options{ColorModes: modes}})
	r.report(Values{"on": Bool(true), "brightness_percent": Number(100)})
	return r
}

// number reads an attribute as a number.
func (r *rig) number(id matter.AttributeID) int {
	r.t.Helper()
	n, err := strconv.Atoi(r.read(color, id))
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// wantNear compares an attribute with a number, with a tolerance.
func (r *rig) wantNear(what string, id matter.AttributeID, want, off int) {
	r.t.Helper()
	if got := r.number(id); got < want-off || got > want+off {
		r.t.Errorf("%s: attribute 0x%04X is %d, want %d", what, uint32(id), got, want)
	}
}

// Color Control, commands (section 3.2.8).
func TestColorCommands(t *testing.T) {
	const (
		toHueSat  = datamodel.ColorControlCmdMoveToHueAndSaturation
		toHue     = datamodel.ColorControlCmdMoveToHue
		moveHue   = datamodel.ColorControlCmdMoveHue
		stepHue   = datamodel.ColorControlCmdStepHue
		toSat     = datamodel.ColorControlCmdMoveToSaturation
		moveSat   = datamodel.ColorControlCmdMoveSaturation
		stepSat   = datamodel.ColorControlCmdStepSaturation
		toColor   = datamodel.ColorControlCmdMoveToColor
		moveColor = datamodel.ColorControlCmdMoveColor
		stepColor = datamodel.ColorControlCmdStepColor
		toTemp    = datamodel.ColorControlCmdMoveToColorTemperature
		moveTemp  = datamodel.ColorControlCmdMoveColorTemperature
		stepTemp  = datamodel.ColorControlCmdStepColorTemperature
	)
	type wants map[matter.AttributeID]int
	for _, tt := range []struct {
		name    string
		command matter.CommandID
		fields  string
		want    request // nil set: not compared
		after   time.Duration
		is      wants
	}{
		// From hue 200, saturation 150.
		{"3.2.8.4 shortest", toHue, "{0:60,1:0,2:100,3:0,4:0}", request{}, 5 * time.Second, wants{hue: 3, saturation: 150}},
		{"3.2.8.4 longest", toHue, "{0:60,1:1,2:100,3:0,4:0}", request{}, 5 * time.Second, wants{hue: 130}},
		{"3.2.8.4 up", toHue, "{0:10,1:2,2:100,3:0,4:0}", request{hs(14.2, 59), 100}, 5 * time.Second, wants{hue: 232}},
		{"3.2.8.4 down", toHue, "{0:100,1:3,2:100,3:0,4:0}", request{hs(141.7, 59), 100}, 10 * time.Second, wants{hue: 100}},
		{"3.2.8.4 at once", toHue, "{0:100,1:3,2:0,3:0,4:0}", request{hs(141.7, 59), 0}, 0, wants{hue: 100, colorMode: 0, enhancedMode: 0}},
		{"3.2.8.4 as Google sends it", toHue, "{0:100,1:0}", request{hs(141.7, 59), 0}, 0, wants{hue: 100}},
		{"3.2.8.5 up", moveHue, "{0:1,1:5,2:0,3:0}", request{}, 5 * time.Second, wants{hue: 225}},
		{"3.2.8.5 up over the end", moveHue, "{0:1,1:5,2:0,3:0}", request{}, 20 * time.Second, wants{hue: 46}},
		{"3.2.8.5 down", moveHue, "{0:3,1:5,2:0,3:0}", request{}, 10 * time.Second, wants{hue: 150}},
		{"3.2.8.6 up over the end", stepHue, "{0:1,1:80,2:200,3:0,4:0}", request{}, 20 * time.Second, wants{hue: 26}},
		{"3.2.8.6 down", stepHue, "{0:3,1:100,2:0,3:0,4:0}", request{hs(141.7, 59), 0}, 0, wants{hue: 100}},
		{"3.2.8.7", toSat, "{0:254,1:100,2:0,3:0}", request{hs(283.5, 100), 100}, 5 * time.Second, wants{saturation: 202, hue: 200}},
		{"3.2.8.8 up to the end", moveSat, "{0:1,1:10,2:0,3:0}", request{hs(283.5, 100), 104}, 20 * time.Second, wants{saturation: 254}},
		{"3.2.8.8 down", moveSat, "{0:3,1:10,2:0,3:0}", request{hs(283.5, 0), 150}, 5 * time.Second, wants{saturation: 100}},
		{"3.2.8.9 clipped", stepSat, "{0:1,1:200,2:10,3:0,4:0}", request{hs(283.5, 100), 10}, time.Second, wants{saturation: 254}},
		{"3.2.8.10", toHueSat, "{0:0,1:254,2:0,3:0,4:0}", request{hs(0, 100), 0}, 0, wants{hue: 0, saturation: 254, currentX: 41943, currentY: 21627}},
		{"3.2.8.10 in its time", toHueSat, "{0:160,1:80,2:200,3:0,4:0}", request{hs(226.8, 31.5), 200}, 10 * time.Second, wants{hue: 180, saturation: 115}},
		{"3.2.8.11", toColor, "{0:32768,1:19660,2:0,3:0,4:0}", request{xy(0.5, 0.3), 0}, 0, wants{currentX: 32768, currentY: 19660, colorMode: 1, enhancedMode: 1}},
		{"3.2.8.12", moveColor, "{0:+100,1:-100,2:0,3:0}", request{}, 10 * time.Second, wants{colorMode: 1}},
		{"3.2.8.13", stepColor, "{0:+1000,1:-1000,2:0,3:0,4:0}", request{}, 0, wants{colorMode: 1}},
		{"3.2.8.14", toTemp, "{0:250,1:0,2:0,3:0}", request{kelvin(4000), 0}, 0, wants{mireds: 250, colorMode: 2, enhancedMode: 2}},
		{"3.2.8.14 colder than can be", toTemp, "{0:1,1:0,2:0,3:0}", request{kelvin(6535), 0}, 0, wants{mireds: 153}},
		{"3.2.8.14 warmer than can be", toTemp, "{0:65279,1:0,2:0,3:0}", request{kelvin(2000), 0}, 0, wants{mireds: 500}},
		{"3.2.8.21 up to the end", moveTemp, "{0:1,1:65535,2:0,3:0,4:0,5:0}", request{}, time.Second, wants{mireds: 500}},
		{"3.2.8.21 down to a bound", moveTemp, "{0:3,1:65535,2:200,3:0,4:0,5:0}", request{kelvin(5000), anyTime}, time.Second, wants{mireds: 200}},
		{"3.2.8.22 up", stepTemp, "{0:1,1:65535,2:0,3:0,4:300,5:0,6:0}", request{kelvin(3330), 0}, 0, wants{mireds: 300}},
		{"3.2.8.22 down to the end", stepTemp, "{0:3,1:500,2:0,3:0,4:0,5:0,6:0}", request{kelvin(6535), 0}, 0, wants{mireds: 153}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := bulb(t)
			r.do(color, toHueSat, "{0:200,1:150,2:0,3:0,4:0}")
			r.sent = nil
			r.do(color, tt.command, tt.fields)
			if tt.want.set != nil {
				r.wantRequests("the command", tt.want)
			} else if len(r.sent) != 1 {
				t.Errorf("the device was asked for %s", r.asked())
			}
			r.after(tt.after)
			for id, want := range tt.is {
				off := 1
				if id == currentX || id == currentY {
					off = 60
				}
				r.wantNear("then", id, want, off)
			}
		})
	}
}

func TestColorStatuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command matter.CommandID
		fields  string
		want    string
	}{
		{"3.2.8.4 hue", datamodel.ColorControlCmdMoveToHue, "{0:255,1:0,2:0,3:0,4:0}", "CONSTRAINT_ERROR"},
		{"3.2.8.4 direction", datamodel.ColorControlCmdMoveToHue, "{0:1,1:4,2:0,3:0,4:0}", "INVALID_COMMAND"},
		{"3.2.8.4 time", datamodel.ColorControlCmdMoveToHue, "{0:1,1:0,2:65535,3:0,4:0}", "CONSTRAINT_ERROR"},
		{"3.2.8.5 rate", datamodel.ColorControlCmdMoveHue, "{0:1,1:0,2:0,3:0}", "INVALID_COMMAND"},
		{"3.2.8.5 rate of a stop", datamodel.ColorControlCmdMoveHue, "{0:0,1:0,2:0,3:0}", "SUCCESS"},
		{"3.2.8.5 mode", datamodel.ColorControlCmdMoveHue, "{0:2,1:5,2:0,3:0}", "INVALID_COMMAND"},
		{"3.2.8.6 size", datamodel.ColorControlCmdStepHue, "{0:1,1:0,2:0,3:0,4:0}", "INVALID_COMMAND"},
		{"3.2.8.6 mode", datamodel.ColorControlCmdStepHue, "{0:0,1:1,2:0,3:0,4:0}", "INVALID_COMMAND"},
		{"3.2.8.6 a time of 8 bits", datamodel.ColorControlCmdStepHue, "{0:1,1:1,2:256,3:0,4:0}", "CONSTRAINT_ERROR"},
		{"3.2.8.7 saturation", datamodel.ColorControlCmdMoveToSaturation, "{0:255,1:0,2:0,3:0}", "CONSTRAINT_ERROR"},
		{"3.2.8.8 rate", datamodel.ColorControlCmdMoveSaturation, "{0:3,1:0,2:0,3:0}", "INVALID_COMMAND"},
		{"3.2.8.9 size", datamodel.ColorControlCmdStepSaturation, "{0:3,1:0,2:0,3:0,4:0}", "INVALID_COMMAND"},
		{"3.2.8.11 x", datamodel.ColorControlCmdMoveToColor, "{0:65280,1:0,2:0,3:0,4:0}", "CONSTRAINT_ERROR"},
		{"3.2.8.12 both rates 0 is a stop", datamodel.ColorControlCmdMoveColor, "{0:+0,1:+0,2:0,3:0}", "SUCCESS"},
		{"3.2.8.13 both steps 0", datamodel.ColorControlCmdStepColor, "{0:+0,1:+0,2:0,3:0,4:0}", "INVALID_COMMAND"},
		{"3.2.8.14 temperature", datamodel.ColorControlCmdMoveToColorTemperature, "{0:65280,1:0,2:0,3:0}", "CONSTRAINT_ERROR"},
		{"3.2.8.21 rate", datamodel.ColorControlCmdMoveColorTemperature, "{0:1,1:0,2:0,3:0,4:0,5:0}", "INVALID_COMMAND"},
		{"3.2.8.22 size", datamodel.ColorControlCmdStepColorTemperature, "{0:1,1:0,2:0,3:0,4:0,5:0,6:0}", "INVALID_COMMAND"},
		{"a command of a feature that the lamp lacks", datamodel.ColorControlCmdColorLoopSet, "{0:0,1:0,2:0,3:0,4:0,5:0,6:0}", "UNSUPPORTED_COMMAND"},
	} {
		r := bulb(t)
		if got := r.invoke(color, tt.command, tt.fields); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		r.wantRequests(tt.name)
	}
}

func TestColorWhileOff(t *testing.T) {
	r := bulb(t)
	r.report(turnedOff)
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:200,1:0,2:0,3:0}")
	if r.number(mireds) == 200 {
		t.Error("3.2.7.11: executed though the lamp is off")
	}
	// Home Assistant sets the color first and then switches the lamp on.
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:200,1:0,2:1,3:1}")
	r.wantRead("ExecuteIfOff", color, mireds, "200")
	r.wantRequests("a color would switch the lamp on")
	r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:127,1:0,2:0,3:0}")
	all := onAt(50)
	all["color_temperature_kelvin"] = Number(5000)
	r.wantRequests("all in one", request{all, 0})
	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	r.wantSent("and not again", turnedOff, turnedOn)
}

func TestStopMoveStep(t *testing.T) {
	r := bulb(t)
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:153,1:0,2:0,3:0}")
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:500,1:100,2:0,3:0}")
	r.after(5 * time.Second)
	r.sent = nil
	r.do(color, datamodel.ColorControlCmdStopMoveStep, "{0:0,1:0}")
	r.wantRequests("3.2.8.20", request{kelvin(3070), 0})
	r.after(10 * time.Second)
	r.wantRead("stopped", color, mireds, "326")
	r.wantRead("stopped", color, colorRemaining, "0")
	r.do(color, datamodel.ColorControlCmdStopMoveStep, "{0:0,1:0}")
	r.wantRequests("nothing moves")
}

// A hue that moves endlessly, or the long way round, is sent from point to point.
func TestHueInLegs(t *testing.T) {
	r := bulb(t)
	r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:0,1:254,2:0,3:0,4:0}")
	r.sent = nil
	r.do(color, datamodel.ColorControlCmdMoveHue, "{0:1,1:13,2:0,3:0}")
	r.wantRequests("MoveHue", request{hs(90, 100), 48})
	r.after(10 * time.Second)
	if len(r.sent) != 2 {
		t.Errorf("in ten seconds %s", r.asked())
	}
	r.sent = nil
	r.do(color, datamodel.ColorControlCmdMoveHue, "{0:0,1:0,2:0,3:0}")
	r.wantRequests("stop", request{hs(184.2, 100), 0})
	r.after(time.Minute)
	r.wantRequests("nothing more")
}

// The models agree (section 3.2.7): HS, XY and CT are one color.
func TestColorModelsAgree(t *testing.T) {
	r := bulb(t)
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:370,1:0,2:0,3:0}")
	r.wantNear("2700 K", currentX, 30130, 300)
	r.wantNear("2700 K", currentY, 26900, 300)
	r.wantNear("2700 K", hue, 20, 6)
	r.do(color, datamodel.ColorControlCmdMoveToColor, "{0:30130,1:26900,2:0,3:0,4:0}")
	r.wantNear("its coordinates", mireds, 370, 8)
	r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:169,1:254,2:0,3:0,4:0}")
	r.wantNear("blue", currentX, 9830, 200)
	r.wantNear("blue", currentY, 3932, 200)
	r.wantNear("blue is as cold as can be", mireds, 153, 0)
}

// A color in a mode that the source does not support is converted to one that it supports.
func TestColorModesOfTheSource(t *testing.T) {
	toHueSat, toColor := datamodel.ColorControlCmdMoveToHueAndSaturation, datamodel.ColorControlCmdMoveToColor
	r := bulb(t, "xy")
	r.do(color, toHueSat, "{0:0,1:254,2:0,3:0,4:0}")
	r.wantSent("red for a source of coordinates", xy(0.6401, 0.33))
	r.wantRead("the mode is what the controller used", color, colorMode, "0")
	if _, ok := r.e.State(r.Now)["hue_degrees"]; ok {
		t.Error("a source of coordinates is shown a hue")
	}
	r = bulb(t, "hs")
	r.do(color, toColor, "{0:41950,1:21624,2:0,3:0,4:0}")
	r.wantSent("red for a source of hues", hs(0, 100))
	_, err := New("test:1", &Part{Type: "extended_color_light", Options: Options{ColorModes: []string{"rgb"}}}, nil)
	var oe *OptionError
	if !errors.As(err, &oe) || oe.Option != "color_modes" {
		t.Errorf("color mode rgb: %v", err)
	}
}

func TestReportedColors(t *testing.T) {
	merge := func(v ...Values) Values {
		all := Values{}
		for _, m := range v {
			for k, x := range m {
				all[k] = x
			}
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		report Values
		mode   string
		state  Values
	}{
		{"a temperature", kelvin(2700), "2", kelvin(2700)},
		{"hue and saturation", hs(120, 100), "0", hs(120, 100)},
		{"coordinates", xy(0.3, 0.6), "1", xy(0.3, 0.6)},
		{"all, and which of them counts", merge(kelvin(4000), hs(10, 20), xy(0.3, 0.6), Values{"color_mode": Text("hs")}), "0", hs(10, 20)},
		{"all, and another counts", merge(kelvin(4000), hs(10, 20), xy(0.3, 0.6), Values{"color_mode": Text("temperature")}), "2", kelvin(4000)},
		{"all, and nothing said", merge(kelvin(4000), hs(10, 20), xy(0.3, 0.6)), "2", kelvin(4000)},
		{"only one of two", Values{"color_mode": Text("xy"), "color_x": Number(0.3)}, "1", Values{"color_x": Number(0.3)}},
		{"unknown", Values{"color_mode": Null, "hue_degrees": Null}, "2", Values{"color_mode": Text("temperature")}},
		{"hue 360", hs(360, 100), "0", hs(0, 100)},
	} {
		r := bulb(t)
		r.report(tt.report)
		r.wantRead(tt.name, color, colorMode, tt.mode)
		s := r.e.State(r.Now)
		for k, v := range tt.state {
			if s[k] != v {
				t.Errorf("%s: %s is %s, want %s", tt.name, k, s[k], v)
			}
		}
		r.wantRequests("a report makes no command")
	}
}

// Reports of a device during a fade of its color.
func TestReportsDuringAFadeOfColor(t *testing.T) {
	r := bulb(t)
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:153,1:0,2:0,3:0}")
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:500,1:100,2:0,3:0}")
	r.after(5 * time.Second)
	r.report(kelvin(6000))
	r.wantRead("a late report", color, mireds, "326")
	r.after(9 * time.Second)
	r.wantRead("the end", color, mireds, "500")
	r.after(2 * time.Second)
	r.wantRead("nothing else came", color, mireds, "167")
}

// If a source reports values of all models without a mode, the model of its last
// report with only one model is used.
func TestModeOfTheReportBefore(t *testing.T) {
	r := bulb(t)
	r.report(kelvin(4000))
	r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:0,1:254,2:0,3:0,4:0}")
	r.wantRead("what the controller wants", color, colorMode, "0")
	r.report(Values{"hue_degrees": Number(40), "saturation_percent": Number(50), "color_temperature_kelvin": Number(4000)})
	r.wantRead("what the lamp is", color, colorMode, "2")
	r.wantRead("what the lamp is", color, mireds, "250")
}

// A source that reports the commanded value with its own rounding changes nothing.
func TestEchoOfAColor(t *testing.T) {
	r := bulb(t)
	for _, command := range []struct {
		id     matter.CommandID
		fields string
	}{
		{datamodel.ColorControlCmdMoveToColor, "{0:23131,1:20007,2:0,3:0,4:0}"},
		{datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:141,1:77,2:0,3:0,4:0}"},
		{datamodel.ColorControlCmdMoveToColorTemperature, "{0:371,1:0,2:0,3:0}"},
	} {
		r.do(color, command.id, command.fields)
		r.Subscribe(clustertest.Admin(1), 2, color)
		r.after(10 * time.Second)
		r.report(r.sent[len(r.sent)-1].Set)
		if got := r.after(10 * time.Second); len(got) != 0 {
			t.Errorf("the echo of %s was reported: %v", command.fields, got)
		}
	}
}

func TestKelvin(t *testing.T) {
	for m := uint16(153); m <= 500; m++ {
		if got := miredsOf(kelvinOf(m, 2000, 6535)); got != m {
			t.Errorf("%d mireds are %v K, which are %d", m, kelvinOf(m, 2000, 6535), got)
		}
	}
	for _, k := range []float64{2000, 2200, 2700, 3000, 3500, 4000, 4500, 5000, 5500, 6000, 6500, 6535} {
		if got := kelvinOf(miredsOf(k), 2000, 6535); got != k {
			t.Errorf("%v K come back as %v", k, got)
		}
	}
	for _, tt := range []struct {
		o    Options
		want string
		low  string
		high string
	}{
		{Options{}, "", "153", "500"},
		{Options{MinKelvin: 2200, MaxKelvin: 6500}, "", "154", "455"},
		{Options{MinKelvin: 1000, MaxKelvin: 14925}, "", "67", "1000"},
		{Options{MinKelvin: 999}, "min_kelvin", "", ""},
		{Options{MaxKelvin: 14926}, "max_kelvin", "", ""},
		{Options{MinKelvin: 4000, MaxKelvin: 4000}, "max_kelvin", "", ""},
		{Options{MinKelvin: -1}, "min_kelvin", "", ""},
	} {
		_, err := New("test:1", &Part{Type: "color_temperature_light", Options: tt.o}, nil)
		var oe *OptionError
		if errors.As(err, &oe) != (tt.want != "") || oe != nil && oe.Option != tt.want {
			t.Errorf("%+v: %v", tt.o, err)
		}
		if tt.want != "" {
			continue
		}
		r := newRig(t, Part{Type: "color_temperature_light", Options: tt.o})
		r.wantRead("3.2.7.20", color, datamodel.ColorControlAttrColorTempPhysicalMinMireds, tt.low)
		r.wantRead("3.2.7.21", color, datamodel.ColorControlAttrColorTempPhysicalMaxMireds, tt.high)
		r.wantRead("its mode", color, colorMode, "2")
	}
}

// Ecosystems check first that capabilities and features agree, that the mode is one of
// them, and that no value is null or zero.
func TestColorIsValidFromTheStart(t *testing.T) {
	for _, tt := range []struct {
		kind     string
		modes    []string
		features string
	}{
		{"color_temperature_light", nil, "16"},
		{"extended_color_light", nil, "25"},
		{"extended_color_light", []string{"hs"}, "25"},
		{"extended_color_light", []string{"hs", "xy", "loop"}, "31"},
	} {
		r := newRig(t, Part{Type: tt.kind, Options: Options{ColorModes: tt.modes}})
		r.wantRead("features", color, matter.AttributeFeatureMap, tt.features)
		r.wantRead("capabilities", color, datamodel.ColorControlAttrColorCapabilities, tt.features)
		r.wantRead("mode", color, colorMode, "2")
		r.wantRead("mode", color, enhancedMode, "2")
		r.wantNear("temperature", mireds, 326, 1)
		r.wantRead("level", level, currentLevel, "254")
		if tt.kind == "extended_color_light" {
			r.wantNear("x", currentX, 28200, 500)
			r.wantNear("y", currentY, 26379, 500)
		}
	}
}

// X comes with Y, at most each second, and the last value is reported (section 3.2.7).
func TestColorReports(t *testing.T) {
	r := bulb(t)
	r.do(color, datamodel.ColorControlCmdMoveToColor, "{0:32768,1:19660,2:0,3:0,4:0}")
	r.Subscribe(clustertest.Admin(1), 2, color)
	r.do(color, datamodel.ColorControlCmdMoveToColor, "{0:13107,1:13107,2:100,3:0,4:0}")
	got := r.after(20 * time.Second)
	count := map[string]int{}
	last := map[string]string{}
	for i, x := range got {
		path, value, _ := strings.Cut(x, "=")
		count[path]++
		last[path] = value
		if strings.HasPrefix(x, "768/3=") && (i+1 == len(got) || !strings.HasPrefix(got[i+1], "768/4=")) {
			t.Errorf("x without y: %v", got)
		}
	}
	for path, want := range map[string]string{"768/3": "13107", "768/4": "13107", "768/2": "0"} {
		if count[path] > 12 || last[path] != want {
			t.Errorf("%s was reported %d times, the last is %s, want %s", path, count[path], last[path], want)
		}
	}
	if count["768/2"] != 2 {
		t.Errorf("RemainingTime was reported %d times", count["768/2"])
	}
}

// The color loop (sections 3.2.7.14 to 3.2.7.18 and 3.2.8.19), as TC-CC-9.1 tests
// it.
func TestColorLoop(t *testing.T) {
	set := datamodel.ColorControlCmdColorLoopSet
	r := bulb(t, "hs", "loop")
	r.do(color, datamodel.ColorControlCmdEnhancedMoveToHueAndSaturation, "{0:16384,1:254,2:0,3:0,4:0}")
	r.wantRead("enhanced", color, enhancedMode, "3")
	r.wantRead("enhanced", color, colorMode, "0")
	r.do(color, set, "{0:14,1:0,2:1,3:40,4:8192,5:0,6:0}")
	r.wantRead("settings alone start nothing", color, loopActive, "0")
	r.wantRead("time", color, datamodel.ColorControlAttrColorLoopTime, "40")
	r.wantRead("direction", color, datamodel.ColorControlAttrColorLoopDirection, "1")
	r.wantRead("start", color, datamodel.ColorControlAttrColorLoopStartEnhancedHue, "8192")
	r.sent = nil
	r.do(color, set, "{0:1,1:1,2:0,3:0,4:0,5:0,6:0}")
	r.wantRequests("a quarter of a turn", request{hs(135, 100), 100})
	r.wantRead("started", color, loopActive, "1")
	r.wantRead("started", color, storedHue, "16384")
	r.wantRead("started", color, enhancedHue, "8192")
	r.wantRead("started", color, enhancedMode, "3")
	r.after(20 * time.Second)
	r.wantRead("half a turn", color, enhancedHue, "40960")
	r.after(35 * time.Second)
	r.wantNear("beyond a whole turn", enhancedHue, 8192+24576, 2)
	r.do(color, datamodel.ColorControlCmdStopMoveStep, "{0:0,1:0}")
	r.wantRead("StopMoveStep does not stop it", color, loopActive, "1")
	r.do(color, set, "{0:2,1:0,2:0,3:0,4:0,5:0,6:0}")
	r.after(10 * time.Second)
	r.wantNear("the other way", enhancedHue, 8192+8192, 2)
	r.do(color, set, "{0:4,1:0,2:0,3:80,4:0,5:0,6:0}")
	r.after(10 * time.Second)
	r.wantNear("half as fast", enhancedHue, 8192, 2)
	r.report(hs(1, 1))
	r.wantNear("what the device says meanwhile", enhancedHue, 8192, 2)
	r.do(color, set, "{0:1,1:0,2:0,3:0,4:0,5:0,6:0}")
	r.wantRead("stopped", color, loopActive, "0")
	r.wantRead("the hue from before", color, enhancedHue, "16384")
	r.do(color, set, "{0:1,1:2,2:0,3:0,4:0,5:0,6:0}")
	r.after(10 * time.Second)
	r.wantNear("from the hue that it has", enhancedHue, 8192, 2)
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:250,1:0,2:0,3:0}")
	r.wantRead("another color ends it", color, loopActive, "0")
	for _, bad := range []string{"{0:1,1:3,2:0,3:0,4:0,5:0,6:0}", "{0:2,1:0,2:2,3:0,4:0,5:0,6:0}"} {
		if got := r.invoke(color, set, bad); got != "INVALID_COMMAND" {
			t.Errorf("ColorLoopSet %s: %s", bad, got)
		}
	}
}

// A loop is reported four times per turn, without a remaining time.
func TestColorLoopReports(t *testing.T) {
	r := bulb(t, "hs", "loop")
	r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:0,1:254,2:0,3:0,4:0}")
	r.do(color, datamodel.ColorControlCmdColorLoopSet, "{0:5,1:2,2:0,3:20,4:0,5:0,6:0}")
	r.Subscribe(clustertest.Admin(1), 2, color)
	n := 0
	for _, x := range r.after(time.Minute) {
		switch path, _, _ := strings.Cut(x, "="); path {
		case fmt.Sprintf("768/%d", enhancedHue):
			n++
		case fmt.Sprintf("768/%d", colorRemaining):
			t.Errorf("reported %s", x)
		}
	}
	if n < 11 || n > 13 {
		t.Errorf("three turns were reported %d times", n)
	}
}

// CoupleColorTempToLevel (section 1.6.5.1.2).
func TestTemperatureFollowsLevel(t *testing.T) {
	r := newRig(t, Part{Type: "color_temperature_light"})
	r.report(Values{"on": Bool(true), "brightness_percent": Number(50), "color_temperature_kelvin": Number(4000)})
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:0,2:0,3:0}")
	r.wantRead("not coupled", color, mireds, "250")
	r.write(level, datamodel.LevelControlAttrOptions, "2")
	r.sent = nil
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:1,1:20,2:0,3:0}")
	r.wantRequests("one request", request{Values{"brightness_percent": Number(0.4), "color_temperature_kelvin": Number(2000)}, 20})
	r.after(2 * time.Second)
	r.wantRead("the least level is the warmest", color, mireds, "500")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:0,2:0,3:0}")
	r.wantRead("the greatest level is the coldest", color, mireds, "153")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:127,1:0,2:2,3:0}")
	r.wantRead("not by this command", color, mireds, "153")

	r = bulb(t)
	r.write(level, datamodel.LevelControlAttrOptions, "2")
	r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:0,1:254,2:0,3:0,4:0}")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:1,1:0,2:0,3:0}")
	r.wantRead("a color does not follow", color, colorMode, "0")
}

// A source that repeats during a fade where it was sent to, in its own units, changes
// nothing: the fade ends at the controller's value.
func TestEchoDuringFade(t *testing.T) {
	r := newRig(t, Part{Type: "extended_color_light", Options: Options{ColorModes: []string{"hs", "xy", "loop"}}})
	r.report(Values{"on": Bool(true), "brightness_percent": Number(50), "hue_degrees": Number(200), "saturation_percent": Number(50)})
	r.sent = nil
	r.do(color, datamodel.ColorControlCmdEnhancedMoveToHueAndSaturation, "{0:16000,1:90,2:100,3:0,4:0}")
	echo := r.sent[len(r.sent)-1].Set
	r.after(time.Second)
	r.report(echo)
	r.after(time.Minute)
	r.wantRead("after the fade", color, datamodel.ColorControlAttrEnhancedCurrentHue, "16000")
	r.wantRead("after the fade", color, datamodel.ColorControlAttrCurrentSaturation, "90")
}
