package device

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// conformance returns what of an assembly does not conform to the data model. It
// includes the clusters that the node adds to each endpoint.
func conformance(d *Device, a *Assembly) (problems []string) {
	for i, n := range a.Nodes {
		c := clustertest.Composition{Others: []matter.ClusterID{datamodel.DescriptorID}, Conditions: []string{"Active", "Server"}}
		for _, t := range n.Types {
			c.Types = append(c.Types, t.ID)
			if d := datamodel.DeviceTypeByID(t.ID); d != nil && d.Revision != t.Revision {
				problems = append(problems, fmt.Sprintf("%s has revision %d, want %d", d.Name, t.Revision, d.Revision))
			}
		}
		for _, cl := range slices.Concat(n.Clusters(), n.Other) {
			c.Specs = append(c.Specs, cl.Spec())
		}
		for id, is := range map[matter.ClusterID]bool{
			datamodel.IdentifyID: n.Identify, datamodel.GroupsID: n.Groups, datamodel.ScenesManagementID: n.Scenes,
			datamodel.BridgedDeviceBasicInformationID: !n.Child,
		} {
			if is {
				c.Others = append(c.Others, id)
			}
		}
		if d.Battery != nil || d.Mains {
			c.Conditions = append(c.Conditions, "BridgedPowerSourceInfo")
		}
		for _, p := range c.Problems() {
			problems = append(problems, fmt.Sprintf("node %d (%s): %s", i, n.Key, p))
		}
	}
	return append(problems, tree(a)...)
}

// tree checks the nodes together.
func tree(a *Assembly) (problems []string) {
	var children []*Node
	for i, n := range a.Nodes {
		first := datamodel.DeviceTypeByID(n.Types[0].ID)
		bridged := slices.ContainsFunc(n.Types, func(t TypeID) bool { return t.ID == datamodel.DeviceTypeBridgedNode })
		switch {
		case bridged == n.Child:
			problems = append(problems, fmt.Sprintf("node %d: child %v, Bridged Node %v", i, n.Child, bridged))
		case n.Part != nil && first.Class != datamodel.ClassSimple && first.ID != datamodel.DeviceTypeElectricalSensor:
			problems = append(problems, fmt.Sprintf("node %d: its first type is %s", i, first.Name))
		case n.Child && slices.ContainsFunc(n.Types, func(t TypeID) bool { return t.ID == datamodel.DeviceTypePowerSource }):
			problems = append(problems, fmt.Sprintf("node %d: a part has a power source", i))
		}
		if n.Child {
			children = append(children, n)
		}
	}
	tags := map[string]bool{}
	for i, n := range children {
		twin := false
		for j, other := range children {
			twin = twin || i != j && sharesType(n, other)
		}
		if s := fmt.Sprint(n.Tags); twin != (len(n.Tags) > 0) || twin && tags[s] {
			problems = append(problems, fmt.Sprintf("part %s: tags %s", n.Key, s))
		} else {
			tags[s] = true
		}
	}
	return problems
}

// compositions returns devices in all forms of the library: each type alone, with a
// meter, a battery and a room, and devices with several parts.
func compositions() map[string]Device {
	all := map[string]Device{}
	battery := &Battery{Percent: Number(80), Low: Bool(false)}
	for _, typ := range Types() {
		p := Part{ID: "main", Type: typ}
		all[typ] = Device{Parts: []Part{p}}
		all[typ+" with a battery, in a room"] = Device{Battery: battery, Room: "Attic", Parts: []Part{p}}
		p.Meter = true
		p.State = Values{"power_watts": Number(1), "voltage_volts": Number(1), "current_amperes": Number(1), "energy_kwh": Number(1), "energy_exported_kwh": Number(1)}
		all[typ+" with a meter, on mains"] = Device{Mains: true, Parts: []Part{p}}
		twice := []Part{{ID: "1", Type: typ}, {ID: "2", Type: typ}}
		all["two of "+typ] = Device{Layout: Composed, Battery: battery, Parts: twice}
		all["flat: two of "+typ] = Device{Layout: Flat, Battery: battery, Parts: slices.Clone(twice)}
	}
	options := []Options{
		{Gestures: []string{"single"}}, {Gestures: []string{"long"}}, {Gestures: []string{"double"}}, {Gestures: []string{"triple", "long"}},
	}
	for i, o := range options {
		all[fmt.Sprintf("button %d", i)] = Device{Parts: []Part{{ID: "main", Type: "generic_switch", Options: o}}}
	}
	all["latching switch"] = Device{Parts: []Part{{ID: "main", Type: "generic_switch", Options: Options{Positions: 2}}}}
	all["selector"] = Device{Parts: []Part{{ID: "main", Type: "generic_switch", Options: Options{Positions: 32}}}}
	for _, modes := range [][]string{{"hs"}, {"xy"}, {"hs", "xy", "loop"}} {
		all["color "+strings.Join(modes, " ")] = Device{Parts: []Part{{ID: "main", Type: "extended_color_light", Options: Options{ColorModes: modes}}}}
	}
	for _, typ := range []string{"contact_sensor", "water_leak_detector", "water_freeze_detector", "rain_sensor", "occupancy_sensor"} {
		for name, o := range map[string]Options{
			"levels": {SensitivityLevels: 10}, "faults": {Properties: []string{"sensor_fault"}}, "both": {SensitivityLevels: 2, Properties: []string{"sensor_fault"}},
		} {
			all[typ+" with "+name] = Device{Parts: []Part{{ID: "main", Type: typ, Options: o}}}
		}
	}
	all["purifier with both filters"] = Device{Parts: []Part{{ID: "main", Type: "air_purifier", Options: Options{Properties: []string{"filter_percent", "carbon_filter_percent"}}}}}
	all["purifier with a filter"] = Device{Parts: []Part{{ID: "main", Type: "air_purifier", Options: Options{Properties: []string{"filter_percent"}}}}}
	for name, o := range map[string]Options{
		"vacuum with modes": {CleanModes: []string{"vacuum", "mop", "vacuum and mop", "quiet", "turbo"}},
		"vacuum with areas": {Areas: []string{"Kitchen", "Hall"}, CleanModes: []string{"only one"}},
		"vacuum, no maps":   {Modes: []string{"cleaning"}, CleanModes: []string{"a", "b", "c"}, Areas: []string{"Attic"}},
	} {
		all[name] = Device{Battery: battery, Parts: []Part{{ID: "main", Type: "robotic_vacuum_cleaner", Options: o}}}
	}
	for technology := range technologies {
		all["occupancy with a hold time "+technology] = Device{Parts: []Part{{ID: "main", Type: "occupancy_sensor", Options: Options{
			Technology: technology, MinHoldSeconds: 10, MaxHoldSeconds: 3600,
		}}}}
		all["occupancy "+technology] = Device{Parts: []Part{{ID: "main", Type: "occupancy_sensor", Options: Options{Technology: technology}}}}
	}
	for i := range 1 << 3 {
		o := Options{Smoke: i&1 != 0, CarbonMonoxide: i&2 != 0, Gas: i&4 != 0}
		all[fmt.Sprintf("alarm %+v", o)] = Device{Battery: battery, Parts: []Part{{ID: "main", Type: "smoke_co_alarm", Options: o}}}
	}
	all["alarm with a test"] = Device{Parts: []Part{{ID: "main", Type: "smoke_co_alarm", Options: Options{
		Smoke: true, CarbonMonoxide: true, SelfTest: true, Properties: []string{"contamination", "smoke_sensitivity", "muted"},
	}}}}
	var air []string
	for i := range airProperties {
		air = append(air, airProperties[i].Name)
		all["air for "+air[i]] = Device{Parts: []Part{{ID: "main", Type: "air_quality_sensor", Options: Options{Properties: []string{air[i]}}}}}
	}
	all["air for everything"] = Device{Parts: []Part{{ID: "main", Type: "air_quality_sensor", Options: Options{Properties: air}}}}
	all["battery that is charged"] = Device{Battery: &Battery{Percent: Number(50), Charging: Bool(true)}, Parts: parts("main:robotic_vacuum_cleaner")}
	all["battery that is only low"] = Device{Battery: &Battery{Low: Bool(true)}, Parts: parts("main:contact_sensor")}
	strip := []Part{metered("power_watts energy_kwh"), metered("power_watts"), metered("energy_kwh")}
	for i := range strip {
		strip[i].ID = fmt.Sprint(i + 1)
	}
	for name, p := range map[string][]Part{
		"three gangs":       parts("1:on_off_light 2:on_off_light 3:dimmable_light"),
		"remote":            parts("on:generic_switch off:generic_switch up:generic_switch down:generic_switch"),
		"climate":           parts("t:temperature_sensor h:humidity_sensor p:pressure_sensor"),
		"strip":             strip,
		"relay with meter":  parts("1:on_off_plug 2:on_off_plug m:electrical_sensor"),
		"lamp with a sense": parts("l:extended_color_light o:occupancy_sensor i:light_sensor t:temperature_sensor"),
		"everything":        everything(),
	} {
		all["composed: "+name] = Device{Layout: Composed, Battery: battery, Room: "Hall", Parts: p}
		all["flat: "+name] = Device{Layout: Flat, Battery: battery, Room: "Hall", Parts: slices.Clone(p)}
	}
	return all
}

// everything is one part of each type.
func everything() (all []Part) {
	for _, typ := range Types() {
		all = append(all, Part{ID: typ, Type: typ})
	}
	return all
}

// TestConformance checks that every assembly has what its device types require, and
// nothing else, and that every element conforms to its cluster.
func TestConformance(t *testing.T) {
	for name, d := range compositions() {
		for _, profile := range Profiles() {
			p, _ := ProfileNamed(profile)
			d.ID = "test:1"
			a, err := Assemble(&d, p, nil)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, problem := range conformance(&d, a) {
				t.Errorf("%s in profile %s: %s", name, profile, problem)
			}
		}
	}
}

// firstState returns a value for each property of an endpoint: the minimum, or the
// maximum.
func firstState(e *Endpoint, least bool) Values {
	v := Values{}
	for _, p := range e.Properties() {
		switch p.Kind {
		case KindBool:
			v[p.Name] = Bool(!least)
		case KindNumber:
			f := p.Max
			if least && !p.Above {
				f = p.Min
			}
			v[p.Name] = Number(f)
		case KindText:
			values := p.Values
			if values == nil {
				values = []string{"", "Kitchen, Attic"}
			}
			v[p.Name] = Text(values[0])
			if !least {
				v[p.Name] = Text(values[len(values)-1])
			}
		}
	}
	return v
}

// TestValuesConform checks that every attribute has a value of its type and within
// its limits, before the first report and at both ends of each property, and that
// every reported value is valid.
func TestValuesConform(t *testing.T) {
	for name, d := range compositions() {
		d.ID = "test:1"
		a, err := Assemble(&d, Profile{SetTopology: true}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a.Place(func(string) matter.EndpointID { return 7 })
		for _, n := range a.Nodes {
			checkValues(t, clustertest.Start, name+" at first", n.Endpoint)
			for _, least := range []bool{true, false} {
				if err := n.Report(clustertest.Start, firstState(n.Endpoint, least)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				checkValues(t, clustertest.Start, fmt.Sprintf("%s at the least (%v)", name, least), n.Endpoint)
			}
			if got := n.Waiting(); got != nil {
				t.Errorf("%s: waits for %v after a value of each property", name, got)
			}
		}
	}
}

func checkValues(t *testing.T, now time.Time, name string, e *Endpoint) {
	t.Helper()
	for _, c := range e.Clusters() {
		facts := datamodel.ClusterByID(c.Spec().ID)
		for _, x := range c.Spec().Attributes {
			var w tlv.Writer
			if err := c.Read(&im.Request{Now: now}, x.ID, &w, tlv.Anonymous); err != nil {
				t.Errorf("%s: %s.%s: %v", name, facts.Name, x.Name, err)
				continue
			}
			if facts.ID == datamodel.DoorLockID && x.ID == datamodel.DoorLockAttrSupportedOperatingModes {
				continue // its bits are inverted, and those without a meaning set
			}
			i := slices.IndexFunc(facts.Attributes, func(f datamodel.Attribute) bool { return f.ID == x.ID })
			r := tlv.NewReader(w.Bytes())
			if err := clustertest.CheckValue(&facts.Attributes[i], r.Element()); err != nil {
				t.Errorf("%s: %s.%s: %v", name, facts.Name, x.Name, err)
			}
		}
	}
}

// TestConformanceFindsFaults checks that the check finds faults.
func TestConformanceFindsFaults(t *testing.T) {
	spec := func(f *datamodel.Cluster) *im.Spec { return &im.Spec{ID: f.ID, Name: f.Name, Revision: f.Revision} }
	value := im.Attribute{ID: 0, Name: "StateValue", Read: matter.PrivilegeView}
	boolean := func(change func(*im.Spec)) clustertest.Composition {
		s := spec(datamodel.BooleanState)
		s.Features, s.Attributes = 1, []im.Attribute{value}
		s.Events = []im.Event{{ID: 0, Name: "StateChange"}}
		change(s)
		return clustertest.Composition{
			Types: []matter.DeviceTypeID{datamodel.DeviceTypeWaterLeakDetector}, Specs: []*im.Spec{s},
			Others: []matter.ClusterID{datamodel.DescriptorID, datamodel.IdentifyID},
		}
	}
	for _, tt := range []struct {
		name string
		c    clustertest.Composition
		want string
	}{
		{"nothing", boolean(func(*im.Spec) {}), ""},
		{"a mandatory attribute", boolean(func(s *im.Spec) { s.Attributes = nil }), "attribute StateValue is missing"},
		{"a feature that the type wants", boolean(func(s *im.Spec) { s.Features = 0 }), "feature CHGEVENT is missing"},
		{"an event that the type wants", boolean(func(s *im.Spec) { s.Events = nil }), "event StateChange is missing"},
		{"an unknown feature", boolean(func(s *im.Spec) { s.Features |= 2 }), "unknown features 0x2"},
		{"an unknown attribute", boolean(func(s *im.Spec) { s.Attributes = append(s.Attributes, im.Attribute{ID: 9}) }), "no attribute 0x0009"},
		{"another revision", boolean(func(s *im.Spec) { s.Revision = 1 }), "has revision 1, want 3"},
		{"a cluster that the type wants", clustertest.Composition{Types: []matter.DeviceTypeID{datamodel.DeviceTypeContactSensor},
			Others: []matter.ClusterID{datamodel.DescriptorID, datamodel.IdentifyID}}, "cluster Boolean State is missing"},
		{"a cluster that no type names", clustertest.Composition{Types: []matter.DeviceTypeID{datamodel.DeviceTypeBridgedNode},
			Others: []matter.ClusterID{datamodel.DescriptorID, datamodel.BridgedDeviceBasicInformationID, datamodel.GroupsID}}, "cluster 0x0004 is named by none"},
		{"two application types", clustertest.Composition{Types: []matter.DeviceTypeID{datamodel.DeviceTypeTemperatureSensor, datamodel.DeviceTypeHumiditySensor},
			Others: []matter.ClusterID{datamodel.DescriptorID, datamodel.IdentifyID, 0x0402, 0x0405}}, "are on one endpoint"},
		{"none of a choice", clustertest.Composition{Types: []matter.DeviceTypeID{datamodel.DeviceTypeElectricalSensor},
			Others: []matter.ClusterID{datamodel.DescriptorID, datamodel.PowerTopologyID}}, `of the choice "a" there are 0`},
	} {
		got := strings.Join(tt.c.Problems(), "; ")
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
