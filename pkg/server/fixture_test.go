package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

var fixture = flag.String("fixture", "", "write the database of a node, and who administers it, to this name with .db.gz and .json")

// savedFabric is a fabric in the JSON file next to a database in
// pkg/store/testdata.
type savedFabric struct {
	Index     matter.FabricIndex          `json:"index"`
	Node      matter.NodeID               `json:"node"`
	Authority commissioner.SavedAuthority `json:"authority"`
}

// TestFixture creates a database with records of every kind: fabrics with and
// without an ICAC, access control entries, key sets and groups, subscriptions,
// resumption records, a label, and bridged devices, one with settings of a controller.
// With -fixture it is kept for the tests of later
// schemas; see pkg/store/testdata/README.md.
func TestFixture(t *testing.T) {
	dir := t.TempDir()
	var saved []savedFabric
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.net = simnet.New(1, clean)
		r.opt.Bridge = &server.Bridge{}
		r.start()
		saved = r.furnish()
		r.finish()
	})
	db, err := os.ReadFile(filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if *fixture != "" {
		writeFixture(t, *fixture, db, saved, []string{"api:cellar", "api:lamp"})
	}
}

// furnish adds the node to three fabrics and makes their administrators store data
// of every kind.
func (r *rig) furnish() (saved []savedFabric) {
	r.t.Helper()
	l := &lamps{rig: r, c: r.client()}
	lamp := r.bridgeDevices()
	for i, opt := range []commissioner.AuthorityOptions{{ICAC: true}, {}, {}} {
		l.a = r.authority(opt)
		if i == 0 {
			l.done = r.commission(l.c, l.a)
		} else {
			l.done = r.join(l.c, l.s, l.a)
		}
		l.s = l.done.CASE
		saved = append(saved, savedFabric{matter.FabricIndex(i + 1), l.done.Node, l.a.Save()})
		l.must(l.s.UpdateFabricLabel(l.ctx, string(rune('A'+i))+" house"))
		if i == 2 {
			break // a fabric without anything else
		}
		for set := range uint16(2) {
			l.must(l.s.KeySetWrite(l.ctx, 5+set, [16]byte{byte(i), 1}, [16]byte{byte(i), 2}))
			l.must(l.s.MapGroups(l.ctx, 5+set, matter.GroupID(7+set)))
			l.must(l.s.AddGroup(l.ctx, lamp, matter.GroupID(7+set), "lamps"))
		}
		l.setACL(groupEntry(7))
		r.subscribe(l.s, 1, 60)
	}
	st, err := l.s.Write(l.ctx, lamp, datamodel.LevelControlID, datamodel.LevelControlAttrOnLevel, func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 100) })
	r.must(err)
	if st.Status != matter.StatusSuccess {
		r.t.Fatal(st)
	}
	r.setLabel(l.s, "Gateway")
	r.wait(time.Minute) // until resumption records are written
	return saved
}

// bridgeDevices adds two devices and returns the endpoint of the first, a lamp.
func (r *rig) bridgeDevices() matter.EndpointID {
	r.t.Helper()
	for _, d := range []device.Device{
		{ID: "api:lamp", Name: "Lamp", Reachable: true, Parts: []device.Part{
			{ID: "main", Type: "dimmable_light", State: device.Values{"on": device.Bool(true), "brightness_percent": device.Number(50)}}}},
		{ID: "api:cellar", Name: "Cellar", Reachable: true, Battery: &device.Battery{Percent: device.Number(80)}, Parts: []device.Part{
			{ID: "temperature", Type: "temperature_sensor", State: device.Values{"temperature_celsius": device.Number(8.5)}},
			{ID: "damp", Type: "humidity_sensor", State: device.Values{"humidity_percent": device.Number(71)}}}},
	} {
		_, err := r.srv.Devices().Put(d)
		r.must(err)
	}
	r.wait(10 * time.Second) // until the list is reported
	v, err := r.srv.Devices().Device("api:lamp")
	r.must(err)
	return v.Endpoint
}

func writeFixture(t *testing.T, name string, db []byte, saved []savedFabric, devices []string) {
	t.Helper()
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(db)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(name+".db.gz", z.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(map[string]any{"fabrics": saved, "devices": devices}, "", "\t")
	if err == nil {
		err = os.WriteFile(name+".json", append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
