package device

import (
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// IdentifyType (section 1.2.5.2) is not None only if something of the device can be
// seen: Home Assistant makes a button of it.
func TestIdentifyTypes(t *testing.T) {
	for _, typ := range Types() {
		e := newRig(t, Part{Type: typ}).e
		_, light := lightKinds[typ]
		if !e.Identify && e.Types[0].ID != datamodel.DeviceTypeElectricalSensor {
			t.Errorf("%s has no Identify", typ)
		}
		if shows := e.IdentifyType != uint8(datamodel.IdentifyIdentifyTypeNone); shows != light {
			t.Errorf("%s has IdentifyType %d", typ, e.IdentifyType)
		}
	}
}

// A read never asks the device, and answers although it is unreachable.
func TestReadsAskNothing(t *testing.T) {
	for _, typ := range Types() {
		r := newRig(t, Part{Type: typ})
		if err := r.e.Report(r.Now, firstState(r.e, false)); err != nil {
			t.Fatal(err)
		}
		r.fail = true
		for _, c := range r.e.Clusters() {
			for _, a := range c.Spec().Attributes {
				if got := r.read(c.Spec().ID, a.ID); slices.Contains([]string{"FAILURE", "BUSY", "TIMEOUT"}, got) {
					t.Errorf("%s: %s.%s is %s", typ, c.Spec().Name, a.Name, got)
				}
			}
		}
		r.wantRequests(typ)
	}
}
