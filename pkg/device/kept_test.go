package device

import (
	"maps"
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"time"
)

// nonVolatile returns the values of the attributes of an endpoint that must survive a
// restart (section 7.7.4 of the core specification), by cluster and attribute.
func nonVolatile(t *testing.T, e *Endpoint) map[string]string {
	all := map[string]string{}
	for _, c := range e.Clusters() {
		facts := datamodel.ClusterByID(c.Spec().ID)
		for _, x := range c.Spec().Attributes {
			if f := facts.Attribute(x.ID); f == nil || !f.Quality.Has(datamodel.NonVolatile) || f.Quality.Has(datamodel.Fixed) {
				continue
			}
			var w tlv.Writer
			if err := c.Read(&im.Request{Now: clustertest.Start}, x.ID, &w, tlv.Anonymous); err != nil {
				t.Fatal(err)
			}
			all[facts.Name+"."+x.Name] = clustertest.Text(t, tlv.NewReader(w.Bytes()))
		}
	}
	return all
}

// writeAll writes each attribute of an endpoint that can be written, with the first of
// some values that is accepted and is not its value.
func writeAll(t *testing.T, e *Endpoint) {
	for _, c := range e.Clusters() {
		for _, x := range c.Spec().Attributes {
			if x.Write == 0 {
				continue
			}
			value := func() string {
				var w tlv.Writer
				if err := c.Read(&im.Request{Now: clustertest.Start}, x.ID, &w, tlv.Anonymous); err != nil {
					t.Fatal(err)
				}
				return clustertest.Text(t, tlv.NewReader(w.Bytes()))
			}
			before := value()
			for _, v := range []string{"4", "3", "2", "1", "0", "100", "200", "+2150", "+2000", "+2600", "+1", "true", "false"} {
				rd := tlv.NewReader(Encode(t, v))
				if c.Write(&im.Request{Now: clustertest.Start}, x.ID, rd.Element()) == nil && value() != before {
					break
				}
			}
		}
	}
}

// TestNonVolatileAttributesAreKept checks, for each type, that all attributes with
// quality N have their values again after a restart, whatever has set them.
func TestNonVolatileAttributesAreKept(t *testing.T) {
	changed := map[string]bool{}
	devices := compositions()
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		d := devices[name]
		if len(d.Parts) != 1 || d.Battery != nil {
			continue
		}
		p := d.Parts[0]
		for _, least := range []bool{true, false} {
			made := func() *Endpoint {
				e, err := New("test:1", &p, func(_ time.Time, _ Command) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				return e
			}
			e := made()
			fresh := nonVolatile(t, e)
			first := firstState(e, least)
			if _, dims := first["brightness_percent"]; dims && least {
				first["brightness_percent"] = Number(40)
			}
			if _, mutes := first["muted"]; mutes && least { // there is no alarm then
				first["muted"] = Bool(true)
			}
			if err := e.Report(clustertest.Start, first); err != nil {
				t.Fatal(err)
			}
			writeAll(t, e)
			for _, c := range e.Clusters() {
				if x := c.Spec(); x.ID == color && x.Features&datamodel.ColorControlFeatureColorLoop != 0 {
					rd := tlv.NewReader(Encode(t, "{0:7,1:2,2:1,3:77,4:0,5:1,6:1}"))
					if err := c.Invoke(&im.Request{Now: clustertest.Start}, datamodel.ColorControlCmdColorLoopSet, rd.Element(), nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			e.SetBattery(clustertest.Start, Battery{Low: Bool(true)})
			want := nonVolatile(t, e)
			again := made()
			if err := again.Load(e.Save()); err != nil {
				t.Fatal(err)
			}
			got := nonVolatile(t, again)
			for id, v := range want {
				changed[id] = changed[id] || v != fresh[id]
				if got[id] != v {
					t.Errorf("%s: %s is %s after a restart, and was %s", name, id, got[id], v)
				}
			}
		}
	}
	for id := range changed {
		if _, constant := constants[id]; changed[id] == constant {
			t.Errorf("%s: changed %v", id, changed[id])
		}
	}
	if len(changed) < 35 {
		t.Errorf("only %d attributes", len(changed))
	}
}

// constants are the attributes with quality N that have one value on a device.
var constants = map[string]struct{}{
	"Pump Configuration and Control.EffectiveControlMode": {},
	"Thermostat.ControlSequenceOfOperation":               {},
}
