package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// TestFactoryReset: devices stay, with their numbers, descriptions and the
// operator's settings. To controllers they are new.
func TestFactoryReset(t *testing.T) {
	for name, reset := range map[string]func(g *rig) error{
		"of a running node": func(g *rig) error {
			return g.Reset(g.node.now, func(also func(*store.Tx) error) error { return g.db.Update(also) })
		},
		"of a store": func(g *rig) error {
			err := errors.Join(g.Registry.Close(), g.db.Update(ResetRecords))
			g.kill()
			g.start()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newServedRig(t)
			for _, id := range []string{"api:a", "api:b", "api:gone"} {
				g.put(lamp(id))
			}
			g.listen("api")
			g.pass(time.Minute)
			gone := g.get("api:gone")
			g.write("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff, "1")
			err := errors.Join(
				g.Report("api:a", "main", device.Values{"on": device.Bool(true)}),
				g.nameIt("api:a", "From a controller"), g.Rename("api:b", "", "From the operator"), g.Remove("api:gone", true))
			// An unreadable record does not stop the reset.
			err = errors.Join(err, g.db.Update(func(tx *store.Tx) error { return tx.PutDevice("api:bad", []byte{1}) }))
			if err != nil {
				t.Fatal(err)
			}
			was := map[string]View{"api:a": g.get("api:a"), "api:b": g.get("api:b"), "api:gone": gone}
			if err := reset(g); err != nil {
				t.Fatal(err)
			}
			g.pass(time.Minute)
			g.put(lamp("api:gone"))
			g.pass(time.Minute)
			for id, before := range was {
				if v := g.get(id); (v.Endpoint != before.Endpoint) != (id == "api:gone") || v.UniqueID == before.UniqueID || v.UniqueID == "" || !v.Exposed {
					t.Errorf("%s: endpoint %d, was %d; UniqueID %s, was %s; exposed %v", id, v.Endpoint, before.Endpoint, v.UniqueID, before.UniqueID, v.Exposed)
				}
			}
			if v := g.get("api:a"); v.Name != "Lamp" || v.LabelBy != BySource || !on(v) {
				t.Errorf("the lamp is %q by %s, on %v", v.Name, v.LabelBy, on(v))
			}
			if v := g.get("api:b"); v.Name != "From the operator" {
				t.Errorf("the operator's name has become %q", v.Name)
			}
			if got := g.read("api:a", datamodel.OnOffID, datamodel.OnOffAttrStartUpOnOff); got != "null" {
				t.Errorf("StartUpOnOff is %s", got)
			}
			if got := len(g.node.list()); got != 3 {
				t.Errorf("%d endpoints", got)
			}
			ids := map[string]string{}
			for id := range was {
				ids[id] = g.get(id).UniqueID
			}
			g.kill()
			g.start()
			for id, unique := range ids {
				if got := g.get(id).UniqueID; got != unique {
					t.Errorf("after a restart %s is %s, not %s", id, got, unique)
				}
			}
		})
	}
}

// TestResetThatFails: a reset that the disk rejects has changed nothing.
func TestResetThatFails(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	g.pass(time.Minute)
	before := g.get("api:a")
	full := errors.New("the disk is full")
	if err := g.Reset(g.node.now, func(func(*store.Tx) error) error { return full }); !errors.Is(err, full) {
		t.Fatal(err)
	}
	if v := g.get("api:a"); v.UniqueID != before.UniqueID || !v.Exposed {
		t.Errorf("UniqueID %s, was %s", v.UniqueID, before.UniqueID)
	}
}
