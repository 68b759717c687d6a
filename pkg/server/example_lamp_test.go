package server_test

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// addLamp makes the program a dimmable lamp. set is called with what a controller wants.
func addLamp(srv *server.Server, set func(device.Values)) error {
	_, err := srv.Devices().Put(device.Device{ID: "my:lamp", Name: "Lamp", Reachable: true, Parts: []device.Part{
		{ID: "main", Type: "dimmable_light", State: device.Values{"on": device.Bool(false), "brightness_percent": device.Number(50)}},
	}})
	if err != nil {
		return err
	}
	return srv.Devices().Handle("my", func(c device.Command) {
		set(c.Set)                                       // the lamp is switched, and says so
		go srv.Devices().Report(c.Device, c.Part, c.Set) // as this function must not wait
	})
}

// A lamp in ten lines. The node has the endpoint, with all that a dimmable light needs:
// scenes, groups, transitions, start-up behavior.
func ExampleServer_Devices() {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	srv, err := server.New(server.Options{StateDir: dir, AnyPort: true, Interfaces: []string{"lo"}, Bridge: &server.Bridge{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Stop()
	srv.Start()
	if err := addLamp(srv, func(v device.Values) { fmt.Println("switch the lamp:", v) }); err != nil {
		fmt.Println(err)
		return
	}
	d, err := srv.Devices().Device("my:lamp")
	fmt.Println(d.Name, "on:", d.Parts[0].State["on"], err)
	// Output: Lamp on: false <nil>
}

// A controller dims the lamp of the example.
func TestExampleLamp(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.opt.Bridge = &server.Bridge{}
		r.start()
		wanted := make(chan device.Values, 10)
		r.must(addLamp(r.srv, func(v device.Values) { wanted <- v }))
		r.wait(5 * time.Second) // changes of the list go out together
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		d, err := r.srv.Devices().Device("my:lamp")
		r.must(err)
		_, err = s.Invoke(r.ctx, d.Parts[0].Endpoint, datamodel.LevelControlID, datamodel.LevelControlCmdMoveToLevelWithOnOff, func(w *tlv.Writer) {
			w.Uint(tlv.Context(0), 127) // half
			w.Uint(tlv.Context(1), 0)   // at once
			w.Uint(tlv.Context(2), 0)
			w.Uint(tlv.Context(3), 0)
		})
		r.must(err)
		v := <-wanted
		if v["on"] != device.Bool(true) || v["brightness_percent"] != device.Number(50) {
			t.Errorf("the lamp was asked for %v", v)
		}
		r.wait(time.Minute)
		r.want("the lamp agreed", r.value(s, d.Parts[0].Endpoint, datamodel.OnOffID, datamodel.OnOffAttrOnOff), "true")
		r.finish()
	})
}
