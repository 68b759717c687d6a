package bridge

import (
	"fmt"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// TestRule9NoPowerUp: a restart of the bridge is no power-up of a lamp. StartUpOnOff is for
// a device that lives in the program: the start of that is its power-up (section 1.5.6.6).
func TestRule9NoPowerUp(t *testing.T) {
	g := newRig(t)
	for _, id := range []string{"demo:lamp", "api:lamp"} {
		v := g.put(lamp(id))
		g.pass(time.Minute)
		for _, c := range g.node.endpoints[v.Endpoint].Clusters {
			if c.Spec().ID != datamodel.OnOffID {
				continue
			}
			var w tlv.Writer
			w.Uint(tlv.Anonymous, uint64(datamodel.OnOffStartUpOnOffOn))
			rd := tlv.NewReader(w.Bytes())
			if err := c.Write(&im.Request{Now: g.node.now}, datamodel.OnOffAttrStartUpOnOff, rd.Element()); err != nil {
				t.Fatal(err)
			}
		}
	}
	g.stop()
	g.start(func(o *Options) { o.Resident = []string{"demo"} })
	for id, want := range map[string]bool{"demo:lamp": true, "api:lamp": false} {
		v, err := g.Device(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Parts[0].State["on"]; got != device.Bool(want) {
			t.Errorf("after a restart %s is on: %v, want %v", id, got, want)
		}
	}
}

// What a power-up of a device of the program has led to is its state, also for the next
// power-up: StartUpOnOff Toggle alternates.
func TestPowerUpIsKept(t *testing.T) {
	for name, end := range map[string]func(g *rig){"a stop": (*rig).stop, "SIGKILL": func(g *rig) { g.pass(time.Minute); g.kill() }} {
		t.Run(name, func(t *testing.T) {
			g := newServedRig(t)
			g.put(lamp("demo:lamp"))
			g.pass(time.Minute)
			g.write("demo:lamp", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff, fmt.Sprint(datamodel.OnOffStartUpOnOffToggle))
			for _, want := range []string{"true", "false", "true"} {
				end(g)
				g.start(func(o *Options) { o.Resident = []string{"demo"} })
				if got := g.read("demo:lamp", datamodel.OnOffID, datamodel.OnOffAttrOnOff); got != want {
					t.Fatalf("OnOff is %s, want %s", got, want)
				}
			}
		})
	}
}

// A command right before the end, which has not come to its source, counts for a device of
// the program.
func TestLastCommandIsKept(t *testing.T) {
	g := newServedRig(t)
	resident := func(o *Options) { o.Resident = []string{"demo"} }
	g.stop()
	g.start(resident)
	if err := g.Handle("demo", func(device.Command) {}); err != nil {
		t.Fatal(err)
	}
	g.put(lamp("demo:lamp"))
	g.pass(time.Minute)
	if got := g.node.engine.Invoke(clustertest.Admin(1), g.get("demo:lamp").Endpoint, datamodel.OnOffID, datamodel.OnOffCmdOn, "{}"); got != "SUCCESS" {
		t.Fatal(got)
	}
	g.stop()
	g.start(resident)
	if got := g.read("demo:lamp", datamodel.OnOffID, datamodel.OnOffAttrOnOff); got != "true" {
		t.Errorf("OnOff is %s", got)
	}
}

// TestRule9LastWord: after a restart a device shows the last report of its source,
// whether that was before or after a controller's command, and no older report.
func TestRule9LastWord(t *testing.T) {
	level := func(g *rig, percent float64) {
		t.Helper()
		if err := g.Report("api:a", "main", device.Values{"brightness_percent": device.Number(percent)}); err != nil {
			t.Fatal(err)
		}
	}
	toLevel := func(g *rig) {
		g.command("api:a", datamodel.LevelControlID, datamodel.LevelControlCmdMoveToLevel, "{0:127,1:0,2:0,3:0}")
	}
	for _, tt := range []struct {
		name string
		do   func(g *rig)
		want float64
	}{
		{"nobody has agreed to what a controller wants", func(g *rig) { toLevel(g); g.pass(4 * time.Second) }, 100},
		{"the source has agreed", func(g *rig) { toLevel(g); g.pass(time.Second); level(g, 50); g.pass(6 * time.Second) }, 50},
		{"the source has said something else since", func(g *rig) { toLevel(g); g.pass(time.Second); level(g, 80); g.pass(6 * time.Second) }, 80},
		{"a write keeps what the source has said a moment ago", func(g *rig) {
			level(g, 70)
			g.write("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff, "1")
		}, 70},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newServedRig(t)
			d := lamp("api:a")
			d.Parts[0].Type = "dimmable_light"
			d.Parts[0].State = device.Values{"on": device.Bool(true), "brightness_percent": device.Number(100)}
			g.put(d)
			g.listen("api")
			g.pass(time.Minute)
			tt.do(g)
			g.settle()
			g.kill()
			g.start()
			v := g.get("api:a")
			if got := v.Parts[0].State["brightness_percent"]; got != device.Number(tt.want) || v.Reachable {
				t.Errorf("%v %% is shown, want %v; reachable %v", got, tt.want, v.Reachable)
			}
		})
	}
}

// TestSettingsOutliveANewDescription: what a controller writes while endpoints are about
// to be replaced is kept.
func TestSettingsOutliveANewDescription(t *testing.T) {
	g := newServedRig(t)
	g.put(lamp("api:a"))
	g.pass(time.Minute)
	d := lamp("api:a")
	d.Battery = &device.Battery{Percent: device.Number(50)}
	g.put(d) // the endpoint is created again, and shown shortly after
	g.write("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff, "1")
	g.pass(time.Minute)
	g.put(lamp("api:a"))
	g.pass(time.Minute)
	if got := g.read("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff); got != "1" {
		t.Errorf("StartUpOnOff is %s", got)
	}
	g.kill()
	g.start()
	if got := g.read("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff); got != "1" {
		t.Errorf("after a restart StartUpOnOff is %s", got)
	}
}

// TestKeptOfFormerNumbers: what an endpoint has kept goes when the device gets another
// number.
func TestKeptOfFormerNumbers(t *testing.T) {
	g := newServedRig(t)
	before := g.put(lamp("api:a"))
	g.pass(time.Minute)
	g.write("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff, "1")
	d := lamp("api:a")
	d.Parts[0].Type = "on_off_plug"
	g.put(d)
	g.pass(time.Minute)
	g.stop()
	g.start()
	if got := g.read("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff); got != "null" {
		t.Errorf("another kind of device has StartUpOnOff %s", got)
	}
	err := g.db.View(func(tx *store.Tx) error {
		if _, ok, err := tx.Endpoint(before.Endpoint); ok || err != nil {
			t.Errorf("the former number still keeps something: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
