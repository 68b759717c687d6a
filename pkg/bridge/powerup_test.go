package bridge

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// StartUpOnOff is for a device that lives in the program: the start of that is its
// power-up (section 1.5.6.5). A restart of the bridge is none of a lamp.
func TestPowerUpOfResidentDevices(t *testing.T) {
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
