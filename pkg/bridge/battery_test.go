package bridge

import (
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// readUint returns a number that an endpoint shows, and whether it has the attribute.
func (g *rig) readUint(ep node.Endpoint, cl matter.ClusterID, id matter.AttributeID) (v uint64, ok bool) {
	g.t.Helper()
	for _, c := range ep.Clusters {
		if c.Spec().ID != cl || !slices.ContainsFunc(c.Spec().Attributes, func(a im.Attribute) bool { return a.ID == id }) {
			continue
		}
		var w tlv.Writer
		if err := c.Read(&im.Request{Now: g.node.now}, id, &w, tlv.Anonymous); err != nil {
			g.t.Fatal(err)
		}
		r := tlv.NewReader(w.Bytes())
		return r.Uint(), r.Err() == nil
	}
	return 0, false
}

func contact(b *device.Battery) device.Device {
	return device.Device{ID: "api:door", Name: "Door", Reachable: true, Battery: b, Parts: []device.Part{
		{ID: "main", Type: "contact_sensor", State: device.Values{"closed": device.Bool(true)}},
	}}
}

func percent(v float64) *device.Battery { return &device.Battery{Percent: device.Number(v)} }

func TestBatteryReachesTheEndpoint(t *testing.T) {
	const halves, level = datamodel.PowerSourceAttrBatPercentRemaining, datamodel.PowerSourceAttrBatChargeLevel
	g := newRig(t)
	charge := func() (v uint64, ok bool) { return g.readUint(g.endpoint("api:door"), datamodel.PowerSourceID, halves) }
	g.put(contact(percent(80)))
	g.pass(gatherMost)
	if v, ok := charge(); v != 160 || !ok {
		t.Errorf("80 %%: %d, %v", v, ok)
	}
	number := g.get("api:door").Endpoint

	g.put(contact(percent(50))) // described again
	if v, _ := charge(); v != 100 {
		t.Errorf("50 %%: %d", v)
	}
	if err := g.Battery("api:door", *percent(40)); err != nil {
		t.Fatal(err)
	}
	if v, _ := charge(); v != 80 {
		t.Errorf("40 %%: %d", v)
	}
	g.put(contact(&device.Battery{Low: device.Bool(true)})) // nothing new of the charge
	if v, _ := charge(); v != 80 {
		t.Errorf("still 40 %%: %d", v)
	}
	if v, _ := g.readUint(g.endpoint("api:door"), datamodel.PowerSourceID, level); v != uint64(datamodel.PowerSourceBatChargeLevelWarning) {
		t.Errorf("low: BatChargeLevel %d", v)
	}
	g.stop()
	g.start()
	if v, ok := charge(); v != 80 || !ok {
		t.Errorf("after a restart: %d, %v", v, ok)
	}
	if got := g.get("api:door").Endpoint; got != number {
		t.Errorf("endpoint %d became %d", number, got)
	}
}

// A charge that becomes known later is shown on an endpoint with the same number.
func TestChargeBecomesKnown(t *testing.T) {
	for name, know := range map[string]func(g *rig) error{
		"a report":      func(g *rig) error { return g.Battery("api:door", *percent(70)) },
		"a description": func(g *rig) error { _, err := g.Put(contact(percent(70))); return err },
	} {
		g := newRig(t)
		g.put(contact(&device.Battery{Low: device.Bool(false)}))
		g.pass(gatherMost)
		was := g.endpoint("api:door")
		if _, ok := g.readUint(was, datamodel.PowerSourceID, datamodel.PowerSourceAttrBatPercentRemaining); ok {
			t.Errorf("%s: there is a charge that nobody knows", name)
		}
		if err := know(g); err != nil {
			t.Fatal(err)
		}
		g.pass(gatherMost)
		is := g.endpoint("api:door")
		if v, ok := g.readUint(is, datamodel.PowerSourceID, datamodel.PowerSourceAttrBatPercentRemaining); v != 140 || !ok {
			t.Errorf("%s: %d, %v", name, v, ok)
		}
		if is.ID != was.ID {
			t.Errorf("%s: endpoint %d became %d", name, was.ID, is.ID)
		}
	}
}

// That a battery can be charged becomes known in the same way, and is stored.
func TestChargingBecomesKnown(t *testing.T) {
	const state = datamodel.PowerSourceAttrBatChargeState
	g := newRig(t)
	g.put(contact(percent(70)))
	g.pass(gatherMost)
	was := g.endpoint("api:door")
	if err := g.Battery("api:door", device.Battery{Charging: device.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	g.put(contact(percent(71))) // nothing new of charging
	g.stop()
	g.start()
	is := g.endpoint("api:door")
	if v, ok := g.readUint(is, datamodel.PowerSourceID, state); v != uint64(datamodel.PowerSourceBatChargeStateIsCharging) || !ok || is.ID != was.ID {
		t.Errorf("BatChargeState %d, %v; endpoint %d became %d", v, ok, was.ID, is.ID)
	}
	if err := g.Battery("api:door", device.Battery{Charging: device.Number(1)}); err == nil {
		t.Error("a number was accepted")
	}
}

// The power source of a device that cannot be reached is unavailable, from the start.
func TestPowerWithoutTheDevice(t *testing.T) {
	g := newRig(t)
	status := func(what string, want datamodel.PowerSourcePowerSourceStatus) {
		t.Helper()
		if v, ok := g.readUint(g.endpoint("api:door"), datamodel.PowerSourceID, datamodel.PowerSourceAttrStatus); v != uint64(want) || !ok {
			t.Errorf("%s: Status %d, want %d", what, v, want)
		}
	}
	d := contact(percent(70))
	d.Reachable = false
	g.put(d)
	g.pass(time.Minute)
	status("at first", datamodel.PowerSourcePowerSourceStatusUnavailable)
	if err := g.Reachable("api:door", true); err != nil {
		t.Fatal(err)
	}
	status("reachable", datamodel.PowerSourcePowerSourceStatusActive)
	g.pass(time.Minute)
	if err := g.Reachable("api:door", false); err != nil {
		t.Fatal(err)
	}
	status("lost", datamodel.PowerSourcePowerSourceStatusUnavailable)
	g.stop()
	g.start()
	status("after a restart", datamodel.PowerSourcePowerSourceStatusUnavailable)
}

// The first state of a meter determines its quantities. A later description with
// fewer keeps them, and the endpoint.
func TestFirstStateSaysWhatIsMeasured(t *testing.T) {
	g := newRig(t)
	plug := func(state device.Values) device.Device {
		return device.Device{ID: "api:plug", Name: "Plug", Reachable: true, Parts: []device.Part{{ID: "main", Type: "on_off_plug", Meter: true, State: state}}}
	}
	g.put(plug(device.Values{"on": device.Bool(true), "power_watts": device.Number(5), "energy_kwh": device.Number(1)}))
	g.pass(gatherMost)
	number := g.get("api:plug").Endpoint
	g.put(plug(device.Values{"on": device.Bool(true), "power_watts": device.Number(6)}))
	g.pass(gatherMost)
	if got := g.get("api:plug").Endpoint; got != number {
		t.Errorf("endpoint %d became %d", number, got)
	}
	if err := g.Report("api:plug", "main", device.Values{"energy_kwh": device.Number(2)}); err != nil {
		t.Errorf("energy is not taken any more: %v", err)
	}
	g.stop()
	g.start()
	if err := g.Report("api:plug", "main", device.Values{"energy_kwh": device.Number(3)}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestPowerSourceNamesTheDevice(t *testing.T) {
	g := newRig(t)
	d := contact(percent(80))
	d.Parts = append(d.Parts, device.Part{ID: "t", Type: "temperature_sensor", State: device.Values{"temperature_celsius": device.Number(20)}})
	g.put(d)
	g.pass(gatherMost)
	v := g.get("api:door")
	var w tlv.Writer
	for _, c := range g.node.endpoints[matter.EndpointID(v.Endpoint)].Clusters {
		if c.Spec().ID == datamodel.PowerSourceID {
			if err := c.Read(&im.Request{Now: g.node.now}, datamodel.PowerSourceAttrEndpointList, &w, tlv.Anonymous); err != nil {
				t.Fatal(err)
			}
		}
	}
	var list []matter.EndpointID
	r := tlv.NewReader(w.Bytes())
	for r.EnterArray(); r.Next(); {
		list = append(list, matter.EndpointID(r.Uint16()))
	}
	if want := g.node.list(); !slices.Equal(list, want) || len(want) != 3 {
		t.Errorf("EndpointList %v, want %v", list, want)
	}
}
