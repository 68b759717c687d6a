package device

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/conformance"
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// fromNode is a cluster that the node adds to an endpoint, as its metadata alone.
type fromNode struct {
	im.ReadOnly
	spec *im.Spec
}

func (c fromNode) Spec() *im.Spec { return c.spec }
func (c fromNode) Read(*im.Request, matter.AttributeID, *tlv.Writer, tlv.Tag) error {
	return matter.StatusFailure
}

// whole returns the endpoint of a node of an assembly with what the node adds.
func whole(t *testing.T, e *Endpoint) im.Endpoint {
	t.Helper()
	ep := im.Endpoint{ID: 2}
	var types []descriptor.DeviceType
	for _, x := range e.Types {
		types = append(types, descriptor.DeviceType(x))
		ep.DeviceTypes = append(ep.DeviceTypes, x.ID)
	}
	d, err := descriptor.New(descriptor.Options{DeviceTypes: types, Servers: func() []matter.ClusterID { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ep.Clusters = append([]im.Cluster{d}, e.Clusters()...)
	ep.Clusters = append(ep.Clusters, e.Other...)
	if e.Identify {
		c, err := identify.New(identify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ep.Clusters = append(ep.Clusters, c)
	}
	if e.Groups {
		ep.Clusters = append(ep.Clusters, fromNode{spec: cluster.NewSpec(datamodel.Groups, cluster.Selection{Features: datamodel.GroupsFeatureGroupNames})})
	}
	if e.Scenes {
		ep.Clusters = append(ep.Clusters, fromNode{spec: cluster.NewSpec(datamodel.ScenesManagement, cluster.Selection{
			Features: datamodel.ScenesManagementFeatureSceneNames,
			Commands: []matter.CommandID{datamodel.ScenesManagementCmdCopyScene},
		})})
	}
	return ep
}

// TestConformance holds each type, with each of its options, to what the device library
// and the clusters want of it, and the first values of all attributes to their types and
// limits.
func TestConformance(t *testing.T) {
	var parts []Part
	for _, typ := range Types() {
		parts = append(parts, Part{Type: typ})
	}
	f, no := func(x float64) *float64 { return &x }, false
	parts = append(parts,
		Part{Type: "extended_color_light", Options: Options{ColorModes: []string{"hs"}}},
		Part{Type: "extended_color_light", Options: Options{ColorModes: []string{"xy"}}},
		Part{Type: "color_temperature_light", Options: Options{MinKelvin: 2200, MaxKelvin: 6500}},
		Part{Type: "on_off_plug", Meter: true},
		Part{Type: "dimmable_plug", Meter: true, Options: Options{Properties: []string{"energy_kwh"}}},
		Part{Type: "electrical_sensor", Options: Options{Properties: []string{"power_watts", "energy_kwh", "energy_exported_kwh"}}},
		Part{Type: "temperature_sensor", Options: Options{Min: f(-40), Max: f(85)}},
		Part{Type: "soil_sensor", Options: Options{Min: f(10), Max: f(90)}},
		Part{Type: "generic_switch", Options: Options{Gestures: []string{"single"}}},
		Part{Type: "generic_switch", Options: Options{Gestures: []string{"single", "double", "long"}}},
		Part{Type: "window_covering", Options: Options{Tilt: true}},
		Part{Type: "window_covering", Options: Options{Position: &no, Tilt: true, Kind: "blind"}},
		Part{Type: "thermostat", Options: Options{Modes: []string{"off", "heat"}}},
		Part{Type: "thermostat", Options: Options{Modes: []string{"off", "cool"}}},
		Part{Type: "thermostat", Options: Options{Modes: []string{"heat", "cool", "auto"}}},
		Part{Type: "room_air_conditioner", Options: Options{Modes: []string{"cool", "heat", "dry"}}},
		Part{Type: "fan", Options: Options{Modes: []string{"low", "medium", "high", "auto"}, Speeds: 10}},
		Part{Type: "water_valve", Options: Options{Level: true}},
		Part{Type: "door_lock", Options: Options{PIN: true}},
		Part{Type: "door_lock", State: Values{"door": Null}},
	)
	for _, technology := range []string{"pir", "ultrasonic", "radar", "contact", "other"} {
		parts = append(parts, Part{Type: "occupancy_sensor", Options: Options{Technology: technology}})
	}
	for _, p := range parts {
		p.ID = "main"
		e, err := New("test:1", &p, func(time.Time, Command) error { return nil })
		if err != nil {
			t.Errorf("%s %+v: %v", p.Type, p.Options, err)
			continue
		}
		ep := whole(t, e)
		// A bridge is always within reach.
		for _, err := range conformance.Endpoint(ep, "Active") {
			t.Errorf("%s %+v: %v", p.Type, p.Options, err)
		}
		values(t, &p, ep)
	}
}

// values checks the values of an endpoint's attributes.
func values(t *testing.T, p *Part, ep im.Endpoint) {
	t.Helper()
	for _, c := range ep.Clusters {
		if _, ok := c.(fromNode); ok {
			continue
		}
		s := c.Spec()
		for _, a := range s.Attributes {
			var w tlv.Writer
			err := c.Read(&im.Request{Now: time.Unix(1e9, 0)}, a.ID, &w, tlv.Anonymous)
			if err == nil {
				err = conformance.Attribute(s, a.ID, tlv.NewReader(w.Bytes()))
			}
			if err != nil {
				t.Errorf("%s %+v: %s.%s: %v", p.Type, p.Options, s.Name, a.Name, err)
			}
		}
	}
}
