package device

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// assembled is a device on a node, its endpoints from 2 on.
type assembled struct {
	*clustertest.Node
	*Assembly
}

func assemble(t testing.TB, d Device, p Profile) *assembled {
	t.Helper()
	d.ID = "test:1"
	a, err := Assemble(&d, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := &assembled{clustertest.New(t, 1), a}
	numbers := map[string]matter.EndpointID{}
	for i, n := range a.Nodes {
		numbers[n.Key] = matter.EndpointID(2 + i)
	}
	a.Place(func(key string) matter.EndpointID { return numbers[key] })
	for i, n := range a.Nodes {
		x.AddEndpoint(im.Endpoint{ID: matter.EndpointID(2 + i), Clusters: n.Clusters(), Model: n})
	}
	x.Settle(x.Now)
	return x
}

// read reads an attribute of node i.
func (x *assembled) read(i int, cl matter.ClusterID, id matter.AttributeID) string {
	return x.Read(clustertest.Admin(1), matter.EndpointID(2+i), cl, id)
}

// battery reports a battery on all nodes and returns the number of nodes that show
// one.
func (x *assembled) battery(b Battery) (shown int) {
	for i, n := range x.Nodes {
		if n.SetBattery(x.Now, b) {
			shown++
			x.Touch(matter.EndpointID(2 + i))
		}
	}
	x.Settle(x.Now)
	return shown
}

// after lets time pass.
func (x *assembled) after(d time.Duration) {
	for end := x.Now.Add(d); ; {
		at, ok := x.Deadline()
		if !ok || at.After(end) {
			x.Now = end
			return
		}
		x.Now = at
		x.Advance(x.Now)
		x.Settle(x.Now)
	}
}

// types returns the device types of the nodes.
func (a *Assembly) types() string {
	var all []string
	for _, n := range a.Nodes {
		var ids []string
		for _, t := range n.Types {
			ids = append(ids, fmt.Sprintf("%04X", t.ID))
		}
		all = append(all, strings.Join(ids, "+"))
	}
	return strings.Join(all, " ")
}

const sourceID = datamodel.PowerSourceID

func TestBattery(t *testing.T) {
	contact := []Part{{ID: "main", Type: "contact_sensor"}}
	percent := func(v float64) Battery { return Battery{Percent: Number(v)} }
	x := assemble(t, Device{Battery: &Battery{Percent: Number(80)}, Parts: contact}, Profile{})
	if got, want := x.types(), "0015+0013+0011"; got != want {
		t.Errorf("device types %s, want %s", got, want)
	}
	read := func(id matter.AttributeID) string { return x.read(0, sourceID, id) }
	for id, want := range map[matter.AttributeID]string{
		0xFFFC: "2", 0: "1", 1: "0", 2: `"Battery"`, 0x0C: "160", 0x0E: "0", 0x0F: "false", 0x10: "0", 0x1F: "[2]",
		0xFFFB: "[0,1,2,12,14,15,16,31,65528,65529,65531,65532,65533]",
	} {
		if got := read(id); got != want {
			t.Errorf("attribute 0x%02X is %s, want %s", id, got, want)
		}
	}
	for _, tt := range []struct {
		battery               Battery
		percent, level, empty string // section 11.7.7.13: in halves
	}{
		{percent(100), "200", "0", "false"}, {percent(0.5), "1", "2", "true"}, {percent(0), "0", "2", "true"},
		{percent(6), "12", "2", "true"}, {percent(9.5), "19", "2", "true"}, // it has to recover
		{percent(10), "20", "1", "false"}, {percent(24), "48", "1", "false"}, {percent(25), "50", "0", "false"},
		{percent(20), "40", "0", "false"}, {percent(19), "38", "1", "false"}, {percent(4.5), "9", "2", "true"},
		// The device's own report has priority over the charge.
		{Battery{Percent: Number(50), Low: Bool(true)}, "100", "1", "true"},
		{Battery{Percent: Number(3), Low: Bool(false)}, "6", "0", "false"},
		{Battery{Percent: Number(3), Low: Bool(true)}, "6", "2", "true"},
		{Battery{Percent: Null, Low: Null}, "6", "2", "true"}, // nothing new
	} {
		x.battery(tt.battery)
		if p, l, e := read(0x0C), read(0x0E), read(0x0F); p != tt.percent || l != tt.level || e != tt.empty {
			t.Errorf("%+v: %s halves, level %s, replacement needed %s; want %s, %s, %s", tt.battery, p, l, e, tt.percent, tt.level, tt.empty)
		}
	}
}

// TestBatteryThatIsOnlyLow: attributes without a value do not exist.
func TestBatteryThatIsOnlyLow(t *testing.T) {
	x := assemble(t, Device{Battery: &Battery{Low: Bool(false)}, Parts: []Part{{ID: "main", Type: "contact_sensor"}}}, Profile{})
	if got := x.read(0, sourceID, datamodel.PowerSourceAttrBatPercentRemaining); got != "UNSUPPORTED_ATTRIBUTE" {
		t.Errorf("BatPercentRemaining is %s", got)
	}
	x.battery(Battery{Low: Bool(true)})
	if got := x.read(0, sourceID, datamodel.PowerSourceAttrBatChargeLevel); got != "1" {
		t.Errorf("BatChargeLevel of a low battery is %s", got)
	}
}

// Section 11.7.7.13: at most once in ten seconds, but charge levels at once.
func TestBatteryReports(t *testing.T) {
	x := assemble(t, Device{Battery: &Battery{Percent: Number(80)}, Parts: []Part{{ID: "main", Type: "contact_sensor"}}}, Profile{})
	version := func() uint32 { return x.Version(2, sourceID, 0x0C) }
	last, at := version(), time.Time{}
	for i := range 400 {
		x.after(500 * time.Millisecond)
		x.battery(Battery{Percent: Number(80 - float64(i%7)*5)})
		if v := version(); v != last {
			if !at.IsZero() && x.Now.Sub(at) < 10*time.Second {
				t.Fatalf("reported %v after the last report", x.Now.Sub(at))
			}
			last, at = v, x.Now
		}
	}
	x.battery(Battery{Percent: Number(80), Low: Bool(true)})
	if version() == last {
		t.Error("that the battery is low is not reported at once")
	}
}

// Section 11.7.7.32 and certification's PS-3.1: only the device's own endpoints,
// and only on its bridged node.
func TestPowerSourceOfAComposedDevice(t *testing.T) {
	parts := []Part{{ID: "t", Type: "temperature_sensor"}, {ID: "h", Type: "humidity_sensor"}}
	x := assemble(t, Device{Battery: &Battery{Percent: Number(80)}, Parts: parts}, Profile{})
	if got, want := x.types(), "0013+0011 0302 0307"; got != want {
		t.Errorf("device types %s, want %s", got, want)
	}
	if got := x.read(0, sourceID, datamodel.PowerSourceAttrEndpointList); got != "[2,3,4]" {
		t.Errorf("EndpointList %s", got)
	}
	if got := x.battery(Battery{Percent: Number(50)}); got != 1 {
		t.Errorf("%d endpoints show the battery", got)
	}
	x = assemble(t, Device{Battery: &Battery{Percent: Number(80)}, Layout: Flat, Parts: parts}, Profile{})
	if got, want := x.types(), "0302+0013+0011 0307+0013+0011"; got != want {
		t.Errorf("flat: device types %s, want %s", got, want)
	}
	for i, want := range []string{"[2]", "[3]"} {
		if got := x.read(i, sourceID, datamodel.PowerSourceAttrEndpointList); got != want {
			t.Errorf("flat: EndpointList %s, want %s", got, want)
		}
	}
}

func TestMains(t *testing.T) {
	x := assemble(t, Device{Mains: true, Parts: []Part{{ID: "main", Type: "on_off_light"}}}, Profile{})
	for id, want := range map[matter.AttributeID]string{0xFFFC: "1", 0: "1", 2: `"Mains"`, 5: "0", 0x1F: "[2]", 0x0E: "UNSUPPORTED_ATTRIBUTE"} {
		if got := x.read(0, sourceID, id); got != want {
			t.Errorf("attribute 0x%02X is %s, want %s", id, got, want)
		}
	}
	if x.battery(Battery{Percent: Number(1)}) != 0 {
		t.Error("a device on mains shows a battery")
	}
	if x := assemble(t, Device{Parts: []Part{{ID: "main", Type: "on_off_light"}}}, Profile{}); x.types() != "0100+0013" {
		t.Errorf("nothing known of power: %s", x.types())
	}
}

// The application's type is the first one, since SmartThings uses that. The
// topology depends on the profile.
func TestPowerTopology(t *testing.T) {
	d := Device{Battery: &Battery{}, Parts: []Part{metered("power_watts")}}
	d.Parts[0].ID = "main"
	x := assemble(t, d, Profile{})
	if got, want := x.types(), "010A+0510+0013+0011"; got != want {
		t.Errorf("device types %s, want %s", got, want)
	}
	if features, list := x.read(0, topologyID, 0xFFFC), x.read(0, topologyID, 0); features != "2" || list != "UNSUPPORTED_ATTRIBUTE" {
		t.Errorf("TREE: features %s, AvailableEndpoints %s", features, list)
	}
	set := Profile{SetTopology: true}
	x = assemble(t, d, set)
	if features, list := x.read(0, topologyID, 0xFFFC), x.read(0, topologyID, 0); features != "4" || list != "[2]" {
		t.Errorf("SET: features %s, AvailableEndpoints %s", features, list)
	}
	one, two, alone := metered("power_watts"), metered("power_watts"), Part{ID: "meter", Type: "electrical_sensor"}
	one.ID, two.ID = "1", "2"
	x = assemble(t, Device{Layout: Composed, Parts: []Part{one, two, alone}}, set)
	for i, want := range []string{"", "[3]", "[4]", "[3,4,5]"} {
		if i > 0 && x.read(i, topologyID, 0) != want {
			t.Errorf("node %d: AvailableEndpoints %s, want %s", i, x.read(i, topologyID, 0), want)
		}
	}
}

// A battery is rechargeable (section 11.7.4) if its source has reported whether it is
// charging. The report does not distinguish a full battery.
func TestRechargeableBattery(t *testing.T) {
	parts := []Part{{ID: "main", Type: "robotic_vacuum_cleaner"}}
	const (
		state      = datamodel.PowerSourceAttrBatChargeState
		functional = datamodel.PowerSourceAttrBatFunctionalWhileCharging
	)
	x := assemble(t, Device{Battery: &Battery{Percent: Number(80), Charging: Bool(true)}, Parts: parts}, Profile{})
	for id, want := range map[matter.AttributeID]string{0xFFFC: "6", state: "1", functional: "true", 0x10: "0"} {
		if got := x.read(0, sourceID, id); got != want {
			t.Errorf("attribute 0x%02X is %s, want %s", id, got, want)
		}
	}
	for _, tt := range []struct {
		battery Battery
		want    string
	}{
		{Battery{Charging: Bool(false)}, "3"}, {Battery{Percent: Number(90)}, "3"}, {Battery{Charging: Bool(true)}, "1"},
		{Battery{Percent: Number(100), Charging: Bool(true)}, "2"}, {Battery{Percent: Number(100), Charging: Bool(false)}, "2"},
		{Battery{Percent: Number(99), Charging: Bool(false)}, "3"},
	} {
		x.battery(tt.battery)
		if got := x.read(0, sourceID, state); got != tt.want {
			t.Errorf("%+v: BatChargeState %s, want %s", tt.battery, got, tt.want)
		}
	}
	x = assemble(t, Device{Battery: &Battery{Percent: Number(80)}, Parts: parts}, Profile{})
	if got := x.read(0, sourceID, state); got != "UNSUPPORTED_ATTRIBUTE" {
		t.Errorf("BatChargeState of a battery of unknown kind: %s", got)
	}
}

// A power source of a device that cannot be reached is unavailable (section 11.7.7.1),
// and its last values stay.
func TestPowerOfAnUnreachableDevice(t *testing.T) {
	for _, d := range []Device{{Battery: &Battery{Percent: Number(80)}}, {Mains: true}, {}} {
		d.Parts = []Part{{ID: "main", Type: "contact_sensor"}}
		x := assemble(t, d, Profile{})
		for _, is := range []bool{false, true} {
			x.Nodes[0].SetReachable(x.Now, is)
			x.Touch(2)
			x.Settle(x.Now)
			want := map[bool]string{false: "3", true: "1"}[is]
			if d.Battery == nil && !d.Mains {
				want = "UNSUPPORTED_CLUSTER"
			}
			if got := x.read(0, sourceID, datamodel.PowerSourceAttrStatus); got != want {
				t.Errorf("reachable %v: Status %s, want %s", is, got, want)
			}
			if got := x.read(0, sourceID, datamodel.PowerSourceAttrBatPercentRemaining); d.Battery != nil && got != "160" {
				t.Errorf("reachable %v: BatPercentRemaining %s", is, got)
			}
		}
	}
}
