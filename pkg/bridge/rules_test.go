package bridge

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// thermometer describes a sensor; without a value if celsius is null.
func thermometer(id string, celsius device.Value) device.Device {
	d := device.Device{ID: id, Name: "Thermometer", Reachable: true, Parts: []device.Part{{ID: "main", Type: "temperature_sensor"}}}
	if !celsius.IsNull() {
		d.Parts[0].State = device.Values{"temperature_celsius": celsius}
	}
	return d
}

// TestRule7NoFlood: a value that a source reports continuously is reported to
// controllers less often, and the last value always is.
func TestRule7NoFlood(t *testing.T) {
	g := newServedRig(t)
	ep := g.put(thermometer("api:t", device.Number(20))).Endpoint
	g.pass(time.Minute)
	g.node.engine.Now = g.node.now
	g.node.engine.Subscribe(clustertest.Admin(1), ep, datamodel.TemperatureMeasurementID)
	values := func() (all []string) {
		for _, s := range g.node.engine.Reported() {
			if v, ok := strings.CutPrefix(s, fmt.Sprintf("%d/%d=", datamodel.TemperatureMeasurementID, datamodel.TemperatureMeasurementAttrMeasuredValue)); ok {
				all = append(all, v)
			}
		}
		return all
	}
	values()
	var reported []string
	const reports = 600
	last := 0.0
	for i := range reports { // ten a second for a minute, by some hundredths each
		last = 20 + float64(i%7)/100 + float64(i)/200
		if err := g.Report("api:t", "main", device.Values{"temperature_celsius": device.Number(last)}); err != nil {
			t.Fatal(err)
		}
		g.pass(100 * time.Millisecond)
		reported = append(reported, values()...)
	}
	if len(reported) == 0 || len(reported) > 13 {
		t.Errorf("%d reports of the source made %d", reports, len(reported))
	}
	for range 61 {
		g.pass(time.Second)
		reported = append(reported, values()...)
	}
	if want := fmt.Sprintf("+%.0f", last*100); len(reported) == 0 || reported[len(reported)-1] != want {
		t.Errorf("the last value, %s, was withheld: %v", want, reported)
	}
}

// TestRule8OthersGoOn: a failure of a device affects only that device.
func TestRule8OthersGoOn(t *testing.T) {
	stands := func(t *testing.T, g *rig, ids ...string) {
		t.Helper()
		for _, id := range ids {
			if v := g.get(id); !v.Exposed {
				t.Errorf("%s is not shown: %s", id, v.Reason)
				continue
			}
			g.endpoint(id)
		}
	}
	three := func(t *testing.T) *rig {
		g := newRig(t)
		for _, id := range []string{"api:a", "api:b", "api:c"} {
			g.put(lamp(id))
		}
		g.pass(time.Minute)
		return g
	}
	t.Run("a record that cannot be read", func(t *testing.T) {
		g := three(t)
		taken := g.get("api:c").Endpoint
		if err := g.db.Update(func(tx *store.Tx) error { return tx.PutDevice("api:b", []byte("{")) }); err != nil {
			t.Fatal(err)
		}
		g.kill()
		g.start()
		stands(t, g, "api:a", "api:c")
		if v := g.put(lamp("api:b")); v.Endpoint <= taken {
			t.Errorf("the device whose number is lost got %d, which may be another one's", v.Endpoint)
		}
	})
	t.Run("a record of a type that there is not", func(t *testing.T) {
		g := three(t)
		g.entries["api:b"].rec.Device.Parts[0].Type = "lava_lamp"
		if err := g.keep(g.entries["api:b"]); err != nil {
			t.Fatal(err)
		}
		number := g.get("api:b").Endpoint
		g.kill()
		g.start()
		stands(t, g, "api:a", "api:c")
		if v := g.get("api:b"); v.Exposed || !strings.Contains(v.Reason, "lava_lamp") {
			t.Errorf("exposed %v, %q", v.Exposed, v.Reason)
		}
		if err := g.Report("api:b", "main", device.Values{"on": device.Bool(true)}); err == nil {
			t.Error("a report of a device that cannot be made was taken")
		}
		if v := g.put(lamp("api:b")); v.Endpoint != number {
			t.Errorf("after a new description it is %d, not %d", v.Endpoint, number)
		}
	})
	t.Run("two records with one number", func(t *testing.T) {
		g := three(t)
		e := g.entries["api:b"]
		e.rec.Endpoints = map[string]identity{"main": {Number: g.get("api:a").Endpoint, Shape: e.rec.Endpoints["main"].Shape, UniqueID: "x"}}
		if err := g.keep(e); err != nil {
			t.Fatal(err)
		}
		number := g.get("api:a").Endpoint
		g.kill()
		g.start()
		stands(t, g, "api:a", "api:c")
		if v := g.put(lamp("api:b")); v.Endpoint == number {
			t.Error("it kept the other one's number")
		}
		g.pass(time.Minute)
		stands(t, g, "api:a", "api:b", "api:c")
	})
	t.Run("an endpoint that the node refuses", func(t *testing.T) {
		g := three(t)
		g.node.refuses = map[matter.EndpointID]bool{g.get("api:b").Endpoint: true}
		g.kill()
		g.start()
		stands(t, g, "api:a", "api:c")
		if v := g.get("api:b"); v.Exposed || !strings.Contains(v.Reason, "refused") {
			t.Errorf("exposed %v, %q", v.Exposed, v.Reason)
		}
		g.put(lamp("api:d"))
		g.pass(time.Minute)
		stands(t, g, "api:a", "api:c", "api:d")
	})
	t.Run("an endpoint that the node does not give up", func(t *testing.T) {
		g := three(t)
		if err := g.Remove("api:b", false); err != nil {
			t.Fatal(err)
		}
		g.node.keeps = true
		g.pass(GraceTime + gatherMost)
		g.put(lamp("api:d"))
		g.pass(10 * time.Second)
		stands(t, g, "api:a", "api:c")
		g.node.keeps = false
		g.pass(10 * time.Second)
		stands(t, g, "api:a", "api:c", "api:d")
		if got := len(g.node.list()); got != 3 {
			t.Errorf("%d endpoints", got)
		}
	})
	t.Run("values that the store does not take", func(t *testing.T) {
		g := three(t)
		e := g.entries["api:b"]
		e.rec.Device.Serial, e.dirty = strings.Repeat("x", store.MaxDevice), true
		if err := g.Report("api:a", "main", device.Values{"on": device.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		g.pass(time.Minute)
		g.kill()
		g.start()
		if !on(g.get("api:a")) {
			t.Error("the values of another device were not kept either")
		}
	})
	t.Run("a bad report", func(t *testing.T) {
		g := three(t)
		for _, v := range []device.Values{{"on": device.Number(3)}, {"no such": device.Bool(true)}, {"on": device.Text("yes")}} {
			var e *Error
			if err := g.Report("api:b", "main", v); !errors.As(err, &e) || e.Kind != Invalid {
				t.Errorf("%v: %v", v, err)
			}
		}
		if err := g.Report("api:a", "main", device.Values{"on": device.Bool(true)}); err != nil {
			t.Error(err)
		}
	})
}

// TestRule10Ecosystems: the registry does what ecosystems expect of a bridge:
// values come before the devices that have them.
func TestRule10Ecosystems(t *testing.T) {
	t.Run("no null where a controller does not look again", func(t *testing.T) {
		g := newServedRig(t)
		g.put(thermometer("api:t", device.Null))
		g.pass(24 * time.Hour) // however long it takes: what is not known is not made up
		if v := g.get("api:t"); v.Exposed || v.Reason != "waiting for the first value of temperature_celsius" {
			t.Fatalf("exposed %v, %q", v.Exposed, v.Reason)
		}
		if err := g.Report("api:t", "main", device.Values{"temperature_celsius": device.Number(12.5)}); err != nil {
			t.Fatal(err)
		}
		g.pass(gatherMost)
		if got := g.read("api:t", datamodel.TemperatureMeasurementID, datamodel.TemperatureMeasurementAttrMeasuredValue); got != "+1250" {
			t.Errorf("the first value is %s", got)
		}
	})
	t.Run("the value before the device is reachable", func(t *testing.T) {
		g := newServedRig(t)
		v := g.put(lamp("api:a"))
		g.pass(time.Minute)
		if err := g.Reachable("api:a", false); err != nil {
			t.Fatal(err)
		}
		g.pass(time.Minute)
		g.node.engine.Now = g.node.now
		g.node.engine.Subscribe(clustertest.Admin(1), v.Endpoint, 0)
		yes := true
		if err := g.Patch("api:a", Patch{Reachable: &yes, States: []PartState{{State: device.Values{"on": device.Bool(true)}}}}); err != nil {
			t.Fatal(err)
		}
		want := []string{
			fmt.Sprintf("%d/%d=true", datamodel.OnOffID, datamodel.OnOffAttrOnOff),
			fmt.Sprintf("%d/%d=true", datamodel.BridgedDeviceBasicInformationID, datamodel.BridgedDeviceBasicInformationAttrReachable),
		}
		got := g.node.engine.Reported()
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("one report of %v, without %s", got, w)
			}
		}
	})
	t.Run("reachability that flips", func(t *testing.T) {
		g := newRig(t)
		g.put(lamp("api:a"))
		g.pass(time.Hour)
		shown := func() bool { return g.information(g.endpoint("api:a")).Reachable() }
		flips := 0
		for i := range 60 { // once a second, ending with yes
			before := shown()
			if err := g.Reachable("api:a", i%2 == 1); err != nil {
				t.Fatal(err)
			}
			g.pass(time.Second)
			if shown() != before {
				flips++
			}
		}
		if flips > 2 || !shown() {
			t.Errorf("controllers see %d changes in a minute; reachable %v", flips, shown())
		}
	})
	t.Run("a gateway restarts", func(t *testing.T) {
		g := newRig(t)
		g.put(lamp("z2m:a"))
		if err := g.Handle("z2m", func(device.Command) {}); err != nil {
			t.Fatal(err)
		}
		g.pass(time.Minute)
		reach := func(is bool) {
			t.Helper()
			err := g.Away("z2m:a")
			if is {
				err = g.Reachable("z2m:a", true)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		shown := func() bool { return g.information(g.endpoint("z2m:a")).Reachable() }
		if err := g.switchOn("z2m:a"); err != nil {
			t.Fatal(err)
		}
		reach(false)
		if err := g.switchOn("z2m:a"); !errors.Is(err, matter.StatusFailure) || !shown() {
			t.Errorf("it has just gone: %v, reachable %v", err, shown())
		}
		g.pass(settleTime - time.Second)
		g.Report("z2m:a", "main", device.Values{"on": device.Bool(true)}) // a late report
		reach(true)
		g.pass(time.Minute)
		if err := g.switchOn("z2m:a"); err != nil || !shown() {
			t.Errorf("it is back: %v, reachable %v", err, shown())
		}
		reach(false)
		g.pass(settleTime)
		if shown() {
			t.Error("a loss that lasts is not shown")
		}
		reach(true)
		if !shown() {
			t.Error("that it is back is not shown at once")
		}
	})
	t.Run("a network says that a device is gone", func(t *testing.T) {
		g := newRig(t)
		g.put(lamp("z2m:a"))
		g.pass(time.Hour)
		if err := g.Reachable("z2m:a", false); err != nil || g.information(g.endpoint("z2m:a")).Reachable() {
			t.Errorf("%v; a single loss is not shown at once", err)
		}
	})
	t.Run("a source that says so itself", func(t *testing.T) {
		g := newRig(t)
		g.put(lamp("api:a"))
		g.pass(time.Hour)
		no := false
		if err := g.Patch("api:a", Patch{Reachable: &no}); err != nil || g.information(g.endpoint("api:a")).Reachable() {
			t.Errorf("%v; a single loss is not shown at once", err)
		}
	})
	t.Run("a device that comes and cannot be reached", func(t *testing.T) {
		g := newRig(t)
		g.put(lamp("z2m:a"))
		if err := g.Reachable("z2m:a", false); err != nil {
			t.Fatal(err)
		}
		g.pass(gatherMost)
		if g.information(g.endpoint("z2m:a")).Reachable() {
			t.Error("it is shown as reachable")
		}
	})
	t.Run("who it is", func(t *testing.T) {
		g := newRig(t)
		two := lamp("api:gangs")
		two.Parts = append(two.Parts, device.Part{ID: "2", Type: "on_off_light", State: device.Values{"on": device.Bool(true)}})
		for _, d := range []device.Device{lamp("api:a"), two} {
			g.put(d)
		}
		g.pass(time.Minute)
		if got := len(g.node.endpoints); got != 3 {
			t.Fatalf("a lamp and two gangs are %d endpoints: gangs are flat", got)
		}
		for id, ep := range g.node.endpoints {
			if ep.DeviceTypes[0].ID != datamodel.DeviceTypeOnOffLight || ep.Parent != 0 {
				t.Errorf("endpoint %d: types %v, below %d", id, ep.DeviceTypes, ep.Parent)
			}
			info := g.information(ep)
			for _, a := range []matter.AttributeID{datamodel.BridgedDeviceBasicInformationAttrVendorName, datamodel.BridgedDeviceBasicInformationAttrProductName} {
				if !slices.ContainsFunc(info.Spec().Attributes, describes(a)) {
					t.Errorf("endpoint %d has no attribute %d: the bridge's own name would be shown", id, a)
				}
			}
			if slices.ContainsFunc(info.Spec().Attributes, describes(datamodel.BridgedDeviceBasicInformationAttrSerialNumber)) {
				t.Errorf("endpoint %d has a serial number that nobody knows: devices would be merged", id)
			}
			if info.NodeLabel() == "" {
				t.Errorf("endpoint %d has no name", id)
			}
		}
	})
}

// TestRule11FlatCost: a report, a command and an unchanged description cost the
// same with one device and with a thousand, and touch one endpoint. (A description
// is stored in a tree, which is deeper with a thousand.)
func TestRule11FlatCost(t *testing.T) {
	g := newRig(t)
	allocations := func() (report, again float64) {
		on := false
		report = testing.AllocsPerRun(20, func() {
			on = !on
			g.Report("api:0", "main", device.Values{"on": device.Bool(on)})
		})
		again = testing.AllocsPerRun(20, func() { g.Put(lamp("api:0")) })
		return report, again
	}
	g.put(lamp("api:0"))
	g.pass(time.Minute)
	report, again := allocations()
	before := heap()
	all := make([]device.Device, 999)
	for i := range all {
		all[i] = lamp(fmt.Sprintf("api:%d", i+1))
		all[i].Parts[0].Type = []string{"extended_color_light", "on_off_plug", "dimmable_light"}[i%3]
	}
	for _, err := range g.PutAll(all) {
		if err != nil {
			t.Fatal(err)
		}
	}
	clear(all)
	g.pass(time.Minute)
	if got := len(g.node.list()); got != 1000 {
		t.Fatalf("%d endpoints", got)
	}
	if each := (heap() - before) / 999; each > 30<<10 {
		t.Errorf("an endpoint takes %d octets", each)
	}
	clear(g.node.touched)
	report2, again2 := allocations()
	if report2 > report+1 || again2 > again*1.2 {
		t.Errorf("allocations with one device: %v a report, %v a description; with a thousand %v, %v", report, again, report2, again2)
	}
	if len(g.node.touched) != 1 {
		t.Errorf("%d endpoints were touched", len(g.node.touched))
	}
}

// heap returns the octets of the heap in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func describes(id matter.AttributeID) func(im.Attribute) bool {
	return func(a im.Attribute) bool { return a.ID == id }
}
