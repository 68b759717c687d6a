package device

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func inProfile(t *testing.T, profile string, d *Device) *Assembly {
	t.Helper()
	p, ok := ProfileNamed(profile)
	if !ok {
		t.Fatalf("there is no profile %q", profile)
	}
	a, err := Assemble(d, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func one(typ string) *Device {
	return &Device{ID: "x:1", Name: "It", Parts: []Part{{ID: "main", Type: typ}}}
}

// TestPlainerTypes: a type that an ecosystem does not support is shown as one that
// it supports, or not at all, with a reason.
func TestPlainerTypes(t *testing.T) {
	for _, tt := range []struct {
		profile, typ string
		want         []matter.DeviceTypeID // without Bridged Node
		note         string
	}{
		{"full", "rain_sensor", []matter.DeviceTypeID{datamodel.DeviceTypeRainSensor}, ""},
		{"google", "rain_sensor", []matter.DeviceTypeID{datamodel.DeviceTypeContactSensor}, "shown as a contact sensor, as google knows no rain_sensor"},
		{"apple", "water_leak_detector", []matter.DeviceTypeID{datamodel.DeviceTypeWaterLeakDetector}, ""},
		{"alexa", "water_leak_detector", []matter.DeviceTypeID{datamodel.DeviceTypeContactSensor}, "alexa knows no water_leak_detector"},
		{"apple", "water_valve", []matter.DeviceTypeID{datamodel.DeviceTypeOnOffPlugInUnit}, "shown as a plug"},
		{"alexa", "pressure_sensor", nil, "alexa knows no pressure_sensor"},
		{"google", "generic_switch", nil, "google knows no generic_switch"},
	} {
		a := inProfile(t, tt.profile, one(tt.typ))
		var got []matter.DeviceTypeID
		for _, n := range a.Nodes {
			for _, typ := range n.Types {
				if typ.ID != datamodel.DeviceTypeBridgedNode {
					got = append(got, typ.ID)
				}
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s in profile %s is %v, want %v", tt.typ, tt.profile, got, tt.want)
		}
		if notes := strings.Join(a.Notes, "; "); (tt.note == "") != (notes == "") || !strings.Contains(notes, tt.note) {
			t.Errorf("%s in profile %s: %q, want %q", tt.typ, tt.profile, notes, tt.note)
		}
	}
	plain, full := inProfile(t, "alexa", one("water_valve")), inProfile(t, "full", one("water_valve"))
	if plain.Nodes[0].Shape == full.Nodes[0].Shape {
		t.Error("a valve and a plug have one shape, and so one number")
	}
}

// TestPlainerKeepsItsProperties: the source still uses the original properties.
func TestPlainerKeepsItsProperties(t *testing.T) {
	now := newRig(t, Part{Type: "on_off_plug"}).Now
	leak := inProfile(t, "google", one("water_leak_detector")).Nodes[0]
	if got := leak.State(now)["detected"]; !got.IsNull() {
		t.Errorf("before the source has said anything detected is %v", got)
	}
	if err := leak.Report(now, Values{"detected": Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if got := leak.State(now)["detected"]; got != Bool(true) {
		t.Errorf("detected came back as %v", got)
	}
	d := one("water_valve")
	d.Parts[0].Options.Level = true
	valve := inProfile(t, "alexa", d).Nodes[0]
	if err := valve.Report(now, Values{"open": Bool(true), "level_percent": Number(40)}); err != nil {
		t.Fatal(err)
	}
	if got := valve.State(now)["open"]; got != Bool(true) {
		t.Errorf("open came back as %v", got)
	}
}

// TestHiddenParts: a device loses the parts that the ecosystem does not support,
// and is hidden if none is left.
func TestHiddenParts(t *testing.T) {
	d := &Device{ID: "x:1", Layout: Composed, Parts: []Part{{ID: "t", Type: "temperature_sensor"}, {ID: "p", Type: "pressure_sensor"}}}
	if a := inProfile(t, "apple", d); len(a.Nodes) != 2 || a.Nodes[1].Key != "t" || len(a.Notes) != 1 {
		t.Errorf("nodes %v, notes %v", a.Nodes, a.Notes)
	}
	d.Parts = d.Parts[1:]
	if a := inProfile(t, "apple", d); len(a.Nodes) != 0 {
		t.Errorf("nodes %v", a.Nodes)
	}
}

// TestButtonsOfSmartThings: it has profiles for up to nine buttons.
func TestButtonsOfSmartThings(t *testing.T) {
	for n, flat := range map[int]bool{9: false, 10: true} {
		for _, sensor := range []bool{false, true} {
			d := &Device{ID: "x:1"}
			for i := range n {
				d.Parts = append(d.Parts, Part{ID: fmt.Sprint(i + 1), Type: "generic_switch"})
			}
			if sensor {
				d.Parts = append(d.Parts, Part{ID: "t", Type: "temperature_sensor"})
			}
			if got := inProfile(t, "smartthings", d).Nodes[0].Part != nil; got != flat {
				t.Errorf("%d buttons: flat %v", n, got)
			}
			if inProfile(t, "homeassistant", d).Nodes[0].Part != nil {
				t.Errorf("%d buttons are flat for others, too", n)
			}
		}
	}
}

// TestShutterOfHomeAssistant: it shows coverings of type Shutter as awnings.
func TestShutterOfHomeAssistant(t *testing.T) {
	for _, tt := range []struct {
		profile string
		tilt    bool
		want    string
	}{
		{"full", false, "6"}, {"apple", false, "6"}, {"homeassistant", false, "0"}, {"homeassistant", true, "8"}, {"full", true, "6"},
	} {
		p, _ := ProfileNamed(tt.profile)
		d := one("window_covering")
		d.Parts[0].Options = Options{Kind: "shutter", Tilt: tt.tilt}
		x := assemble(t, *d, p)
		if got := x.read(0, covering, datamodel.WindowCoveringAttrType); got != tt.want {
			t.Errorf("profile %s, tilt %v: Type %s, want %s", tt.profile, tt.tilt, got, tt.want)
		}
		if got := x.read(0, covering, datamodel.WindowCoveringAttrEndProductType); got != "17" {
			t.Errorf("profile %s: EndProductType %s", tt.profile, got)
		}
	}
}
