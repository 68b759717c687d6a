package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// TestFirstListIsComplete: a controller that has waited for the start gets all devices in the
// first report, after each kind of start and before any source is there.
func TestFirstListIsComplete(t *testing.T) {
	const devices = 150
	var backup strings.Builder
	for _, kind := range []struct {
		name string
		end  func(r *rig)
	}{
		{"a stop in order", (*rig).restart},
		{"a kill", (*rig).kill},
		{"a restore", func(r *rig) {
			r.stop()
			name := filepath.Join(r.dir, store.FileName)
			r.must(store.Restore(name, strings.NewReader(backup.String()), store.Options{}))
			r.start()
		}},
		{"a move to another machine", func(r *rig) {
			r.stop()
			name := filepath.Join(r.dir, store.FileName)
			r.must(os.Remove(name))
			r.must(store.Restore(name, strings.NewReader(backup.String()), store.Options{}))
			r.start()
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, dir)
				r.opt.Bridge = &server.Bridge{}
				r.start()
				c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
				done := r.commission(c, a)
				all := make([]device.Device, devices)
				for i := range all {
					all[i] = device.Device{ID: fmt.Sprintf("api:%d", i), Name: "Lamp", Reachable: true, Parts: []device.Part{
						{ID: "main", Type: "on_off_light", State: device.Values{"on": device.Bool(true)}},
					}}
				}
				for _, err := range r.srv.Devices().PutAll(all) {
					r.must(err)
				}
				time.Sleep(time.Minute)
				want := r.value(done.CASE, 1, datamodel.DescriptorID, datamodel.DescriptorAttrPartsList)
				if got := strings.Count(want, ",") + 1; got != devices {
					t.Fatalf("%d devices before the end: %s", got, want)
				}
				backup.Reset()
				r.must(r.srv.Operator().Backup(r.ctx, &backup))

				var first *commissioner.Report
				came := make(chan error, 1)
				r.prepare = func() { // the node has its sockets, and answers nobody yet
					go func() {
						s, _, err := r.client().CASE(r.ctx, deviceAddr, a, done.Node, nil)
						if err == nil {
							var u *commissioner.Subscription
							u, err = s.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.AllOf(1, datamodel.DescriptorID), commissioner.AllOf(0, datamodel.DescriptorID)}}, 0, 60)
							if err == nil {
								first = u.Primed
							}
						}
						came <- err
					}()
					synctest.Wait()
				}
				kind.end(r)
				r.must(<-came)
				if got := r.textOf(first, 1, datamodel.DescriptorID, datamodel.DescriptorAttrPartsList); got != want {
					t.Errorf("the first report lists %s, not %s", got, want)
				}
				if got := r.textOf(first, 0, datamodel.DescriptorID, datamodel.DescriptorAttrPartsList); strings.Count(got, ",") != devices {
					t.Errorf("the first report lists of the root %s", got)
				}
				r.finish()
			})
		})
	}
}
