package server_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// TestGroupsAndScenesOfDevices: what a group or a scene wants reaches each device as one
// command.
func TestGroupsAndScenesOfDevices(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.opt.Bridge = &server.Bridge{}
		r.start()
		l := &lamps{rig: r, a: r.authority(commissioner.AuthorityOptions{}), c: r.client()}
		l.done = r.commission(l.c, l.a)
		l.s = l.done.CASE
		registry := r.srv.Devices()
		ids := []string{"api:hall", "api:kitchen"}
		for _, id := range ids {
			_, err := registry.Put(device.Device{ID: id, Reachable: true, Parts: []device.Part{
				{ID: "main", Type: "dimmable_light", State: device.Values{"on": device.Bool(true), "brightness_percent": device.Number(50)}},
			}})
			l.must(err)
		}
		stream, err := registry.Open("api", 0, bridge.DefaultLinger)
		l.must(err)
		time.Sleep(10 * time.Second)

		g := &commissioner.Group{From: l.a, ID: 7, EpochKey: [16]byte{1: 0xAB}, Counter: 1000}
		l.must(l.s.KeySetWrite(l.ctx, 5, g.EpochKey, [16]byte{2: 0xCD}))
		l.must(l.s.MapGroups(l.ctx, 5, 7))
		for _, id := range ids {
			v, err := registry.Device(id)
			l.must(err)
			l.must(l.s.AddGroup(l.ctx, v.Endpoint, 7, "lamps"))
		}
		l.setACL(groupEntry(7))
		pause()
		scene := func(w *tlv.Writer) {
			w.Uint(tlv.Context(0), 7)
			w.Uint(tlv.Context(1), 1)
		}
		// took returns what the devices were asked for, and has them do it.
		took := func() (all []string) {
			time.Sleep(time.Second)
			commands, _ := stream.Take()
			for _, d := range commands {
				c := d.Command
				var set []string
				for _, name := range slices.Sorted(maps.Keys(c.Set)) {
					set = append(set, fmt.Sprintf("%s=%v", name, c.Set[name]))
				}
				all = append(all, c.Device+" "+strings.Join(set, " "))
				l.must(registry.Report(c.Device, c.Part, c.Set))
			}
			slices.Sort(all)
			return all
		}
		invoke := func(cl matter.ClusterID, cmd matter.CommandID, f commissioner.Fields) {
			t.Helper()
			l.must(l.c.InvokeGroup(g, cl, cmd, f))
		}
		want := func(what string, each string) {
			t.Helper()
			if got := took(); !slices.Equal(got, []string{"api:hall " + each, "api:kitchen " + each}) {
				t.Errorf("%s: %q, want %s", what, got, each)
			}
		}
		for _, id := range ids {
			v, err := registry.Device(id)
			l.must(err)
			_, err = l.s.Invoke(l.ctx, v.Endpoint, datamodel.ScenesManagementID, datamodel.ScenesManagementCmdStoreScene, scene)
			l.must(err)
		}
		if got := took(); len(got) != 0 {
			t.Errorf("storing a scene: %q", got)
		}
		invoke(datamodel.OnOffID, datamodel.OnOffCmdOff, nil)
		want("Off", "on=false")
		invoke(datamodel.ScenesManagementID, datamodel.ScenesManagementCmdRecallScene, scene)
		want("the scene", "brightness_percent=50 on=true")
		r.finish()
	})
}
