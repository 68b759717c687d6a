package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// invoke sends a command without fields to an endpoint, as the engine does.
func (g *rig) invoke(ep node.Endpoint, cl matter.ClusterID, id matter.CommandID) error {
	g.t.Helper()
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.End()
	r := tlv.NewReader(w.Bytes())
	for _, c := range ep.Clusters {
		if c.Spec().ID == cl {
			return c.Invoke(&im.Request{Now: g.node.now}, id, r.Element(), tlv.NewWriter(nil))
		}
	}
	g.t.Fatalf("endpoint %d has no cluster 0x%04X", ep.ID, uint32(cl))
	return nil
}

func (g *rig) switchOn(id string) error {
	return g.invoke(g.endpoint(id), datamodel.OnOffID, datamodel.OnOffCmdOn)
}

func on(v View) bool {
	b, _ := v.Parts[0].State["on"].Bool()
	return b
}

// TestRule1Identity: a device's number comes from a stored table, not from its name,
// address or order, and is never given to another.
func TestRule1Identity(t *testing.T) {
	g := newRig(t)
	a, b := g.put(lamp("api:a")), g.put(lamp("api:b"))
	if a.Endpoint == b.Endpoint || a.UniqueID == b.UniqueID || a.UniqueID == "" {
		t.Fatalf("two devices are one: %+v, %+v", a, b)
	}
	for what, change := range map[string]func(){
		"a kill":        func() { g.kill(); g.start() },
		"a restart":     func() { g.stop(); g.start() },
		"another order": func() { g.stop(); g.start(); g.put(lamp("api:b")); g.put(lamp("api:a")) },
		"another name":  func() { d := lamp("api:a"); d.Name = "Other"; g.put(d) },
		"an unchanged list": func() {
			if err := g.Sync("api", []device.Device{lamp("api:b"), lamp("api:a")}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		if a2, b2 := g.get("api:a"), g.get("api:b"); a2.Endpoint != a.Endpoint || b2.Endpoint != b.Endpoint || a2.UniqueID != a.UniqueID {
			t.Fatalf("after %s: %d, %d; before %d, %d", what, a2.Endpoint, b2.Endpoint, a.Endpoint, b.Endpoint)
		}
	}
	if err := g.Registry.Remove("api:a", true); err != nil {
		t.Fatal(err)
	}
	if c := g.put(lamp("api:c")); c.Endpoint <= b.Endpoint {
		t.Fatalf("a new device got %d, after %d", c.Endpoint, b.Endpoint)
	}
	again := g.put(lamp("api:a"))
	if again.Endpoint <= b.Endpoint || again.UniqueID != a.UniqueID {
		t.Fatalf("after its removal the device came back as %d, which controllers do not take for a new one", again.Endpoint)
	}
	plug := lamp("api:a")
	plug.Parts[0].Type = "on_off_plug"
	if other := g.put(plug); other.Endpoint <= again.Endpoint {
		t.Fatalf("another shape kept the number %d", other.Endpoint)
	}
}

// TestRule2Complete: the first list after a start has all known devices, with their last
// values, unreachable, before any source is there.
func TestRule2Complete(t *testing.T) {
	g := newRig(t)
	for _, id := range []string{"api:a", "x:b", "y:c"} {
		g.put(lamp(id))
		if err := g.Report(id, "main", device.Values{"on": device.Bool(true)}); err != nil {
			t.Fatal(err)
		}
	}
	g.pass(time.Minute)
	want := g.node.list()
	g.kill()
	g.start()
	if got := g.node.list(); !slices.Equal(got, want) || len(got) != 3 {
		t.Fatalf("the first list is %v, not %v", got, want)
	}
	if len(g.node.lists) != 1 {
		t.Fatalf("the list came in %d steps", len(g.node.lists))
	}
	for _, id := range []string{"api:a", "x:b", "y:c"} {
		if v := g.get(id); v.Reachable || !on(v) {
			t.Fatalf("%s: reachable %v, on %v", id, v.Reachable, on(v))
		}
		if g.information(g.endpoint(id)).Reachable() {
			t.Fatalf("%s is shown as reachable", id)
		}
	}
}

// TestRule3Silence: only a removal by name removes a device, after a grace time in which
// it comes back as the same.
func TestRule3Silence(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	s := g.listen("api")
	g.pass(10 * time.Second)
	s.Close()
	g.pass(24 * time.Hour)
	if v := g.get("api:a"); v.Reachable || !v.Exposed {
		t.Fatalf("a day without its source: reachable %v, exposed %v", v.Reachable, v.Exposed)
	}
	g.endpoint("api:a")

	before := g.get("api:a")
	if err := g.Registry.Remove("api:a", false); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Device("api:a"); err == nil {
		t.Fatal("the removed device can still be had")
	}
	if ep := g.node.endpoints[before.Endpoint]; g.information(ep).Reachable() {
		t.Fatal("the removed device is not unreachable in the lists")
	}
	g.pass(GraceTime - time.Second)
	if len(g.node.list()) != 1 {
		t.Fatal("the device was gone before its grace time was over")
	}
	g.put(lamp("api:a"))
	g.pass(time.Hour)
	if v := g.get("api:a"); v.Endpoint != before.Endpoint || len(g.node.list()) != 1 {
		t.Fatalf("back in the grace time as %d, not %d", v.Endpoint, before.Endpoint)
	}
	g.Registry.Remove("api:a", false)
	g.pass(GraceTime + gatherMost)
	if got := g.node.list(); len(got) != 0 {
		t.Fatalf("after the grace time: %v", got)
	}
}

// TestRule4Batches: changes of the list are reported together.
func TestRule4Batches(t *testing.T) {
	g := newRig(t)
	for _, id := range []string{"api:a", "api:b", "api:c"} {
		g.put(lamp(id))
		g.pass(100 * time.Millisecond)
	}
	if len(g.node.list()) != 0 {
		t.Fatal("the first device did not wait for the others")
	}
	g.pass(time.Minute)
	if len(g.node.list()) != 3 || len(g.node.lists) != 1 {
		t.Fatalf("the lists were %v", g.node.lists)
	}
	// A source that does not stop cannot delay the others for ever.
	for i := range 100 {
		g.put(lamp("api:x" + string(rune('A'+i%26)) + string(rune('a'+i/26))))
		g.pass(500 * time.Millisecond)
		if i == 20 && len(g.node.lists) < 2 {
			t.Fatal("ten seconds of new devices, and none is shown")
		}
	}
}

// TestRule5OneCommand: changes by a controller within a moment become one command
// for the source, and a report becomes none.
func TestRule5OneCommand(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	s := g.listen("api")
	g.pass(time.Minute)
	ep := g.endpoint("api:a")
	for _, id := range []matter.CommandID{datamodel.OnOffCmdOn, datamodel.OnOffCmdOff, datamodel.OnOffCmdOn} {
		if err := g.invoke(ep, datamodel.OnOffID, id); err != nil {
			t.Fatal(err)
		}
	}
	if got := taken(t, s); len(got) != 0 {
		t.Fatalf("a command left before it was gathered: %v", got)
	}
	g.pass(50 * time.Millisecond)
	got := taken(t, s)
	if len(got) != 1 || got[0].Set["on"] != device.Bool(true) || got[0].Device != "api:a" || got[0].Part != "main" {
		t.Fatalf("commands: %+v", got)
	}
	if err := g.Report("api:a", "main", device.Values{"on": device.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Second)
	if got := taken(t, s); len(got) != 0 {
		t.Fatalf("a report made a command: %v", got)
	}
}

// TestRule6SourceIsRight: a controller's change is shown at once and reverted after
// 5 s, unless the source confirms it.
func TestRule6SourceIsRight(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	g.listen("api")
	g.pass(time.Minute)
	if err := g.switchOn("api:a"); err != nil {
		t.Fatal(err)
	}
	if !on(g.get("api:a")) {
		t.Fatal("what the controller wants is not shown at once")
	}
	g.pass(confirmTime)
	if !on(g.get("api:a")) {
		t.Fatal("it was taken back too early")
	}
	g.pass(time.Second)
	if on(g.get("api:a")) {
		t.Fatal("it was not taken back")
	}
	g.switchOn("api:a")
	g.pass(time.Second)
	g.Report("api:a", "main", device.Values{"on": device.Bool(true)})
	g.pass(time.Hour)
	if !on(g.get("api:a")) {
		t.Fatal("what the source agreed to was taken back")
	}
	if c := g.counts.commands; c[CommandKey{"api", "reverted"}] != 1 || c[CommandKey{"api", "confirmed"}] != 1 {
		t.Fatalf("counted %v", c)
	}
}

// TestNobodyThere: a command for a device whose source is not connected fails at
// once.
func TestNobodyThere(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	g.pass(time.Minute)
	if err := g.switchOn("api:a"); !errors.Is(err, matter.StatusFailure) {
		t.Fatalf("a source that never listened: %v", err)
	}
	if on(g.get("api:a")) {
		t.Fatal("what nobody does is shown")
	}
	s := g.listen("api")
	if err := g.switchOn("api:a"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	g.pass(DefaultLinger + time.Second)
	if v := g.get("api:a"); v.Reachable {
		t.Fatal("reachable without its source")
	}
	if err := g.switchOn("api:a"); !errors.Is(err, matter.StatusFailure) {
		t.Fatalf("a source that has gone: %v", err)
	}
	g.listen("api")
	if v := g.get("api:a"); !v.Reachable {
		t.Fatal("unreachable with its source")
	}
}

// TestFrontWithoutItsSource: the same for a front that is part of the daemon. Its devices
// become unreachable when it says so, and are there again with it.
func TestFrontWithoutItsSource(t *testing.T) {
	g := newRig(t)
	g.put(lamp("z2m:a"))
	took := 0
	take := func(device.Command) { took++ }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fails := func(when string) {
		t.Helper()
		if err := g.switchOn("z2m:a"); !errors.Is(err, matter.StatusFailure) {
			t.Fatalf("%s: %v", when, err)
		}
		g.pass(time.Second)
		if on(g.get("z2m:a")) || took != 0 {
			t.Fatalf("%s: what nobody does is shown, or %d commands wait", when, took)
		}
	}
	g.pass(time.Minute)
	fails("before the front is there")
	must(g.Handle("z2m", take))
	must(g.Handle("z2m", nil))
	fails("the source is away for a moment")
	if v := g.get("z2m:a"); !v.Reachable {
		t.Fatal("unreachable at once")
	}
	must(g.Lost("z2m"))
	if v := g.get("z2m:a"); v.Reachable {
		t.Fatal("reachable without its source")
	}
	fails("the source is lost")
	must(g.Handle("z2m", take))
	fails("there is a front, but its source is still lost")
	must(g.Found("z2m"))
	if v := g.get("z2m:a"); !v.Reachable {
		t.Fatal("unreachable with its source")
	}
	must(g.switchOn("z2m:a"))
	g.pass(time.Second)
	if took != 1 {
		t.Fatalf("%d commands", took)
	}
	// A front that takes commands may have lost its source as well.
	g.pass(time.Minute)
	must(g.Lost("z2m"))
	if v := g.get("z2m:a"); v.Reachable {
		t.Fatal("reachable though the front says that its source is lost")
	}
}

// TestDescribedWithMore: values that the first description did not have are shown as well,
// though it is another shape, and stay when a later one does not have them.
func TestDescribedWithMore(t *testing.T) {
	g := newRig(t)
	lock := func(state device.Values) device.Device {
		return device.Device{ID: "api:lock", Name: "Lock", Reachable: true, Parts: []device.Part{{ID: "main", Type: "door_lock", State: state}}}
	}
	number := g.put(lock(device.Values{"lock": device.Text("locked")})).Endpoint
	g.pass(time.Minute)
	first := number
	for _, state := range []device.Values{
		{"lock": device.Text("unlocked"), "door": device.Text("open")},
		{"lock": device.Text("locked"), "door": device.Text("closed")},
		{"lock": device.Text("jammed")},
	} {
		g.put(lock(state))
		v := g.get("api:lock")
		for name, want := range state {
			if is := v.Parts[0].State[name]; is != want {
				t.Errorf("%s is %v, want %v", name, is, want)
			}
		}
		if number == first {
			number = v.Endpoint
		}
		if v.Endpoint != number || number == first {
			t.Errorf("endpoint %d, was %d, and %d without a door", v.Endpoint, number, first)
		}
		g.pass(time.Minute)
	}
	if v := g.get("api:lock"); v.Parts[0].State["door"] != device.Text("closed") {
		t.Errorf("the door is %v, which nobody said", v.Parts[0].State["door"])
	}
	g.kill()
	g.start()
	if v := g.get("api:lock"); v.Endpoint != number || v.Parts[0].State["door"] != device.Text("closed") {
		t.Errorf("after a restart endpoint %d with %v", v.Endpoint, v.Parts[0].State)
	}
}

// TestMoreValues: a value that a part could have, and that its first state did not, is shown
// from its first report on. The part is another shape then. What a part cannot have is refused.
func TestMoreValues(t *testing.T) {
	n := func(f float64) device.Value { return device.Number(f) }
	for _, tt := range []struct {
		part device.Part
		more device.Values
	}{
		{device.Part{Type: "on_off_plug", Meter: true, State: device.Values{"on": device.Bool(true)}}, device.Values{"power_watts": n(5), "voltage_volts": n(230), "energy_kwh": n(1)}},
		{device.Part{Type: "electrical_sensor", State: device.Values{"power_watts": n(1)}}, device.Values{"power_watts": n(2), "energy_exported_kwh": n(7)}},
		{device.Part{Type: "air_quality_sensor", State: device.Values{"air_quality": device.Text("good"), "pm25_ug_per_m3": n(3)}}, device.Values{"co2_ppm": n(500)}},
		{device.Part{Type: "door_lock", State: device.Values{"lock": device.Text("locked")}}, device.Values{"door": device.Text("open")}},
		{device.Part{Type: "air_purifier", State: device.Values{"fan_percent": n(50)}}, device.Values{"filter_percent": n(80)}},
	} {
		for _, how := range []string{"patched", "put"} {
			g := newRig(t)
			tt.part.ID = "main"
			d := device.Device{ID: "api:x", Name: "X", Reachable: true, Parts: []device.Part{tt.part}}
			g.put(d)
			g.pass(time.Minute)
			if how == "put" {
				d.Parts = []device.Part{tt.part}
				d.Parts[0].State = tt.more
				g.put(d)
			} else if err := g.Patch("api:x", Patch{States: []PartState{{State: tt.more, Pointer: "/state"}}}); err != nil {
				t.Errorf("%s: %v", tt.part.Type, err)
				continue
			}
			g.pass(time.Minute)
			v := g.get("api:x")
			for _, all := range []device.Values{tt.part.State, tt.more} { // what was known stays
				for name, want := range all {
					if _, newer := tt.more[name]; newer {
						want = tt.more[name]
					}
					if is := v.Parts[0].State[name]; is != want || !v.Exposed {
						t.Errorf("%s, %s: %s is %v, want %v; exposed %v", tt.part.Type, how, name, is, want, v.Exposed)
					}
				}
			}
			number := v.Endpoint
			if err := g.Patch("api:x", Patch{States: []PartState{{State: tt.more, Pointer: "/state"}}}); err != nil || g.get("api:x").Endpoint != number {
				t.Errorf("%s, %s: again: %v, endpoint %d, was %d", tt.part.Type, how, err, g.get("api:x").Endpoint, number)
			}
			err := g.Patch("api:x", Patch{States: []PartState{{State: device.Values{"occupied": device.Bool(true)}, Pointer: "/state"}}})
			if e := new(Error); !errors.As(err, &e) || e.Kind != Invalid || e.Pointer != "/state/occupied" {
				t.Errorf("%s, %s: what it cannot have: %v", tt.part.Type, how, err)
			}
		}
	}
}

func TestAllOrNothing(t *testing.T) {
	g := newRig(t)
	bad := lamp("api:b")
	bad.Parts[0].Type = "lava_lamp"
	err := g.Sync("api", []device.Device{lamp("api:a"), bad})
	var e *Error
	if !errors.As(err, &e) || e.Pointer != "/1/parts/0/type" {
		t.Fatalf("error %v", err)
	}
	if all, _ := g.Devices(); len(all) != 0 {
		t.Fatalf("half of it was done: %v", all)
	}
	if err := g.Sync("api", []device.Device{lamp("other:a")}); !errors.As(err, &e) || e.Pointer != "/0/id" {
		t.Fatalf("a device of another source: %v", err)
	}
	g.put(lamp("api:a"))
	g.put(lamp("other:a"))
	if err := g.Sync("api", nil); err != nil {
		t.Fatal(err)
	}
	if all, _ := g.Devices(); len(all) != 1 || all[0].ID != "other:a" {
		t.Fatalf("an empty list of one source left %v", all)
	}
}

// nameIt writes the NodeLabel, as a controller does.
func (g *rig) nameIt(id, name string) error {
	w := tlv.NewWriter(nil)
	w.Text(tlv.Anonymous, name)
	r := tlv.NewReader(w.Bytes())
	return g.information(g.endpoint(id)).Write(&im.Request{Now: g.node.now}, datamodel.BridgedDeviceBasicInformationAttrNodeLabel, r.Element())
}

func TestNames(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	g.pass(time.Minute)
	label := func() string { return g.information(g.endpoint("api:a")).NodeLabel() }
	rename := func(name string) { d := lamp("api:a"); d.Name = name; g.put(d) }
	rename("From the source")
	if label() != "From the source" {
		t.Fatalf("label %q", label())
	}
	if err := g.nameIt("api:a", "From a controller"); err != nil {
		t.Fatal(err)
	}
	rename("From the source")
	if v := g.get("api:a"); label() != "From a controller" || v.LabelBy != ByController {
		t.Fatalf("label %q by %s: the source only repeated its name", label(), v.LabelBy)
	}
	rename("New")
	if label() != "New" {
		t.Fatalf("label %q: the source has renamed it", label())
	}
	if err := g.Rename("api:a", "", "From the operator"); err != nil {
		t.Fatal(err)
	}
	rename("Newer")
	if err := g.nameIt("api:a", "No"); !errors.Is(err, matter.StatusInvalidInState) {
		t.Fatalf("a controller overwrote the operator: %v", err)
	}
	g.kill()
	g.start()
	if v := g.get("api:a"); label() != "From the operator" || v.LabelBy != ByOperator {
		t.Fatalf("after a restart: %q by %s", label(), v.LabelBy)
	}
	if err := g.Rename("api:a", "", ""); err != nil {
		t.Fatal(err)
	}
	if label() != "Newer" {
		t.Fatalf("label %q", label())
	}
}

// TestPutAll checks that the valid ones of many devices are added, and that a
// source's devices can be listed.
func TestPutAll(t *testing.T) {
	g := newRig(t)
	bad := lamp("api:bad")
	bad.Parts[0].Type = "no such type"
	errs := g.PutAll([]device.Device{lamp("api:a"), bad, lamp("api:b"), lamp("z2m:c")})
	for i, failed := range []bool{false, true, false, false} {
		if (errs[i] != nil) != failed {
			t.Errorf("device %d: %v", i, errs[i])
		}
	}
	if ids, err := g.IDs("api"); err != nil || !slices.Equal(ids, []string{"api:a", "api:b"}) {
		t.Errorf("%v, %v", ids, err)
	}
	many := make([]device.Device, MaxDevices)
	for i := range many {
		many[i] = lamp(fmt.Sprint("api:n", i))
	}
	refused := 0
	for _, err := range g.PutAll(many) {
		if err != nil {
			refused++
		}
	}
	if ids, _ := g.IDs("api"); len(ids) != MaxDevices-1 || refused != 3 {
		t.Errorf("%d devices, %d refused", len(ids), refused)
	}
}

// TestPartByPart checks that only a part without a first value is held back, until
// it has one.
func TestPartByPart(t *testing.T) {
	g := newRig(t)
	d := device.Device{ID: "api:climate", Name: "Climate", Reachable: true, Parts: []device.Part{
		{ID: "temperature", Type: "temperature_sensor"},
		{ID: "humidity", Type: "humidity_sensor"},
		{ID: "pressure", Type: "pressure_sensor"},
	}}
	g.put(d)
	g.pass(gatherMost)
	if v := g.get(d.ID); v.Exposed || len(g.node.list()) != 0 || v.Reason != "waiting for the first value of temperature_celsius, humidity_percent, pressure_hpa" {
		t.Fatalf("nothing known: %v, %q", g.node.list(), v.Reason)
	}
	report := func(part, property string, value float64) {
		t.Helper()
		if err := g.Report(d.ID, part, device.Values{property: device.Number(value)}); err != nil {
			t.Fatal(err)
		}
	}
	report("humidity", "humidity_percent", 40)
	g.pass(gatherMost)
	v := g.get(d.ID)
	numbers := map[string]matter.EndpointID{}
	for _, p := range v.Parts {
		numbers[p.ID] = p.Endpoint
	}
	if want := []matter.EndpointID{v.Endpoint, numbers["humidity"]}; !slices.Equal(g.node.list(), want) {
		t.Fatalf("endpoints %v, not %v", g.node.list(), want)
	}
	if !v.Exposed || v.Reason != "waiting for the first value of temperature_celsius, pressure_hpa" {
		t.Fatalf("%v, %q", v.Exposed, v.Reason)
	}
	if s := g.Stats(); s.Parts["humidity_sensor"] != 1 || s.Parts["pressure_sensor"] != 0 {
		t.Errorf("counted: %v", s.Parts)
	}

	// Shown parts stay, and a new one is added with its previous number.
	report("temperature", "temperature_celsius", 20)
	g.pass(gatherMost)
	if want := []matter.EndpointID{v.Endpoint, numbers["temperature"], numbers["humidity"]}; !slices.Equal(g.node.list(), want) {
		t.Fatalf("endpoints %v, not %v", g.node.list(), want)
	}
	g.stop()
	g.start()
	if want := []matter.EndpointID{v.Endpoint, numbers["temperature"], numbers["humidity"]}; !slices.Equal(g.node.list(), want) {
		t.Fatalf("after a restart: endpoints %v, not %v", g.node.list(), want)
	}

	// Another description replaces only the parts that it changes.
	d.Parts[1].Type = "soil_sensor"
	g.put(d)
	g.pass(gatherMost)
	if is := g.get(d.ID); !slices.Equal(g.node.list(), []matter.EndpointID{v.Endpoint, numbers["temperature"]}) {
		t.Fatalf("endpoints %v of %+v", g.node.list(), is.Parts)
	}
	if err := g.Remove(d.ID, true); err != nil {
		t.Fatal(err)
	}
	if len(g.node.list()) != 0 {
		t.Errorf("endpoints %v", g.node.list())
	}
}

// TestNoNumbersLeft: a device that comes back after all numbers were used gets its
// own number again.
func TestNoNumbersLeft(t *testing.T) {
	g := newRig(t)
	before := g.put(lamp("api:a"))
	g.pass(time.Minute)
	if err := errors.Join(g.Remove("api:a", true), g.db.Update(func(tx *store.Tx) error { return tx.RaiseNextEndpoint(store.MaxEndpoint + 1) })); err != nil {
		t.Fatal(err)
	}
	g.kill()
	g.start()
	var full *Error
	if _, err := g.Put(lamp("api:b")); !errors.As(err, &full) || full.Kind != Full {
		t.Errorf("a new device, where there is no number: %v", err)
	}
	if again := g.put(lamp("api:a")); again.Endpoint != before.Endpoint {
		t.Errorf("it came back as %d, not %d", again.Endpoint, before.Endpoint)
	}
}

// TestLargeDescription: a description that the store could not hold is refused, and costs
// no other device anything.
func TestLargeDescription(t *testing.T) {
	g := newRig(t)
	large := lamp("api:large")
	for range 60 {
		large.Parts[0].Options.Areas = append(large.Parts[0].Options.Areas, strings.Repeat("x", 1000))
	}
	var e *Error
	if _, err := g.Put(large); !errors.As(err, &e) || e.Kind != Invalid {
		t.Errorf("%v", err)
	}
	if err := g.Sync("api", []device.Device{lamp("api:a"), large}); !errors.As(err, &e) || e.Pointer != "/1" {
		t.Errorf("%v at %q", err, e.Pointer)
	}
	g.put(lamp("api:a"))
}

// TestRemoveWithinTheGraceTime checks that a removed device can be taken out of the lists
// before its grace time has ended, once.
func TestRemoveWithinTheGraceTime(t *testing.T) {
	g := newRig(t)
	number := g.put(lamp("api:a")).Endpoint
	g.pass(time.Minute)
	var e *Error
	for i, step := range []struct {
		now  bool
		gone bool // out of the lists
		want error
	}{{false, false, nil}, {false, false, &Error{Kind: NotFound}}, {true, true, nil}, {true, true, &Error{Kind: NotFound}}} {
		err := g.Remove("api:a", step.now)
		if step.want == nil && err != nil || step.want != nil && (!errors.As(err, &e) || e.Kind != NotFound) {
			t.Fatalf("step %d: %v", i, err)
		}
		if _, listed := g.node.endpoints[number]; listed == step.gone {
			t.Fatalf("step %d: listed %v", i, listed)
		}
	}
}
