package bridge

import (
	"maps"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// command sends a command with fields to a device of one part.
func (g *rig) command(id string, cl matter.ClusterID, cmd matter.CommandID, fields string) {
	g.t.Helper()
	rd := tlv.NewReader(clustertest.Encode(g.t, fields))
	for _, c := range g.endpoint(id).Clusters {
		if c.Spec().ID == cl {
			if err := c.Invoke(&im.Request{Now: g.node.now}, cmd, rd.Element(), tlv.NewWriter(nil)); err != nil {
				g.t.Fatal(err)
			}
		}
	}
}

// TestWishesMakeSense checks that the changes within a moment are combined to a
// consistent command.
func TestWishesMakeSense(t *testing.T) {
	const (
		toTemperature = datamodel.ColorControlCmdMoveToColorTemperature
		toHue         = datamodel.ColorControlCmdMoveToHueAndSaturation
		toLevel       = datamodel.LevelControlCmdMoveToLevel
	)
	g := newRig(t)
	d := lamp("api:a")
	d.Parts[0].Type = "extended_color_light"
	d.Parts[0].State = device.Values{"on": device.Bool(true), "color_temperature_kelvin": device.Number(4000)}
	g.put(d)
	s := g.listen("api")
	g.pass(time.Minute)
	want := func(what string, v device.Values) {
		t.Helper()
		g.pass(50 * time.Millisecond)
		if got := taken(t, s); len(got) != 1 || !maps.Equal(got[0].Set, v) {
			t.Errorf("%s: %+v, want %v", what, got, v)
		}
	}
	color := func(name string) device.Value { return g.get("api:a").Parts[0].State[name] }

	g.command("api:a", datamodel.ColorControlID, toHue, "{0:0,1:254,2:0,3:0,4:0}")
	g.command("api:a", datamodel.LevelControlID, toLevel, "{0:127,1:0,2:0,3:0}")
	g.command("api:a", datamodel.ColorControlID, toTemperature, "{0:200,1:0,2:0,3:0}")
	want("one color and not two", device.Values{"brightness_percent": device.Number(50), "color_temperature_kelvin": device.Number(5000)})

	g.command("api:a", datamodel.LevelControlID, toLevel, "{0:254,1:0,2:0,3:0}")
	g.command("api:a", datamodel.OnOffID, datamodel.OnOffCmdOff, "{}")
	want("a lamp that is to be off", device.Values{"on": device.Bool(false)})

	g.Report("api:a", "main", device.Values{"on": device.Bool(true), "brightness_percent": device.Number(50), "color_temperature_kelvin": device.Number(4000)})
	g.pass(time.Minute)
	g.command("api:a", datamodel.ColorControlID, toHue, "{0:0,1:254,2:0,3:0,4:0}")
	if got := color("color_mode"); got != device.Text("hs") {
		t.Errorf("what the controller wants: %v", got)
	}
	g.pass(time.Minute)
	if got := color("color_mode"); got != device.Text("temperature") {
		t.Errorf("what is taken back: mode %v", got)
	}
	if got := color("color_temperature_kelvin"); got != device.Number(4000) {
		t.Errorf("what is taken back: %v K", got)
	}

	// The source need not confirm a color that another one has replaced.
	taken(t, s)
	g.command("api:a", datamodel.ColorControlID, toHue, "{0:0,1:254,2:0,3:0,4:0}")
	g.pass(time.Second)
	g.command("api:a", datamodel.ColorControlID, toTemperature, "{0:200,1:0,2:0,3:0}")
	g.pass(time.Second)
	g.Report("api:a", "main", device.Values{"color_temperature_kelvin": device.Number(5000)})
	g.pass(time.Minute)
	if got := color("color_temperature_kelvin"); got != device.Number(5000) {
		t.Errorf("what the source agreed to was taken back: %v K", got)
	}
}

// A report that arrives while a newer command is on its way to the source is older
// than the command. It is not shown, since a slider would jump back.
func TestEchoOfAnOlderWish(t *testing.T) {
	const toLevel = datamodel.LevelControlCmdMoveToLevel
	g := newRig(t)
	d := lamp("api:a")
	d.Parts[0].Type = "dimmable_light"
	d.Parts[0].State = device.Values{"on": device.Bool(true), "brightness_percent": device.Number(10)}
	g.put(d)
	g.listen("api")
	g.pass(time.Minute)
	shown := func(what string, want float64) {
		t.Helper()
		if got := g.get("api:a").Parts[0].State["brightness_percent"]; got != device.Number(want) {
			t.Errorf("%s: %v is shown, want %v", what, got, want)
		}
	}
	says := func(percent float64, on bool) {
		t.Helper()
		if err := g.Report("api:a", "main", device.Values{"brightness_percent": device.Number(percent), "on": device.Bool(on)}); err != nil {
			t.Fatal(err)
		}
	}
	g.command("api:a", datamodel.LevelControlID, toLevel, "{0:127,1:0,2:0,3:0}")
	g.pass(50 * time.Millisecond)
	g.command("api:a", datamodel.LevelControlID, toLevel, "{0:254,1:0,2:0,3:0}")
	says(50, true)
	shown("the echo of the first wish", 100)
	g.pass(50 * time.Millisecond)
	says(50, true)
	shown("the echo of the first wish, which comes late", 100)
	says(100, true)
	g.pass(time.Minute)
	shown("the source has agreed", 100)
	says(50, true)
	shown("a value of the source when nothing is under way", 50)
	g.command("api:a", datamodel.LevelControlID, toLevel, "{0:254,1:0,2:0,3:0}")
	g.pass(50 * time.Millisecond)
	says(30, true)
	shown("the source does something else", 30)

	g.command("api:a", datamodel.LevelControlID, toLevel, "{0:127,1:0,2:0,3:0}")
	says(20, false)
	if on(g.get("api:a")) {
		t.Error("what nobody wished is not shown")
	}
	g.pass(50 * time.Millisecond)
	shown("a wish that is under way", 50)
	g.pass(time.Minute)
	shown("the source did not agree", 20)
}

// A valve that confirms only after its command was taken back closes at the end of its
// duration nevertheless.
func TestValveConfirmsLate(t *testing.T) {
	g := newServedRig(t)
	g.put(device.Device{ID: "api:valve", Name: "Garden", Reachable: true, Parts: []device.Part{
		{ID: "main", Type: "water_valve", State: device.Values{"open": device.Bool(false)}},
	}})
	s := g.listen("api")
	g.pass(time.Minute)
	g.command("api:valve", datamodel.ValveConfigurationAndControlID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:60}")
	g.pass(45 * time.Second)
	taken(t, s)
	if err := g.Report("api:valve", "main", device.Values{"open": device.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	g.pass(10 * time.Second)
	if got := taken(t, s); len(got) != 0 {
		t.Errorf("55 s after the command: %+v", got)
	}
	g.pass(6 * time.Second)
	g.pass(time.Second)
	if got := taken(t, s); len(got) != 1 || got[0].Set["open"] != device.Bool(false) {
		t.Errorf("61 s after the command: %+v", got)
	}
}
