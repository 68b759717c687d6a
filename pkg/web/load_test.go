package web

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// Sizes of the tests with many devices.
const (
	manyDevices = 500
	manyViewers = 20

	pageLimit   = 60 << 10  // octets of a page as it is sent, compressed
	viewerLimit = 128 << 10 // octets of memory for a viewer and the test's end of its connection
)

// many puts devices of several kinds in, with names of their own.
func (r *rig) many() {
	r.t.Helper()
	rooms := []string{"Kitchen", "Living room", "Bedroom", "Bathroom", "Hall", "Office", "Garage", "Garden"}
	kinds := []device.Part{
		{Type: "dimmable_light", State: device.Values{"on": device.Bool(true), "brightness_percent": device.Number(60)}},
		{Type: "temperature_sensor", State: device.Values{"temperature_celsius": device.Number(21.5)}},
		{Type: "contact_sensor", State: device.Values{"closed": device.Bool(true)}},
		{Type: "occupancy_sensor", State: device.Values{"occupied": device.Bool(false)}},
	}
	var all []device.Device
	for i := range manyDevices {
		p := kinds[i%len(kinds)]
		p.ID = "main"
		all = append(all, device.Device{
			ID: fmt.Sprintf("z2m:0x00124b00%08x", i*7919), Name: fmt.Sprintf("%s %s %d", rooms[i%len(rooms)], typeName(p.Type), i), Room: rooms[i%len(rooms)],
			Vendor: "IKEA", Product: "TRADFRI", Reachable: true, Parts: []device.Part{p},
		})
	}
	for _, err := range r.registry.PutAll(all) {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.list()
}

// sent returns how many octets of a page travel.
func (b *browser) sent(path string) (plain, compressed int) {
	b.r.t.Helper()
	for _, encoding := range []string{"identity", "gzip"} {
		req := b.request("GET", path, nil)
		req.Header.Set("Accept-Encoding", encoding)
		status, body := b.do(req)
		if status != http.StatusOK {
			b.r.t.Fatalf("GET %s: %d", path, status)
		}
		plain, compressed = compressed, len(body)
	}
	return plain, compressed
}

// A list of 500 devices is sent in few octets, script, styles and all.
func TestPageSize(t *testing.T) {
	r := newRig(t)
	r.many()
	b := r.inside()
	total := 0
	for _, path := range []string{"/devices", "/static/app.js", "/static/style.css", "/static/icon.svg"} {
		plain, compressed := b.sent(path)
		t.Logf("%s: %d octets, %d compressed", path, plain, compressed)
		total += compressed
	}
	if total > pageLimit {
		t.Errorf("%d octets for %d devices, more than %d", total, manyDevices, pageLimit)
	}
}

// Changes are sent in batches: a device that changes often is sent once per batch.
func TestUpdatesAreBatched(t *testing.T) {
	r := newRig(t)
	r.many()
	b := r.inside()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, mark, err := r.page.hub.devices(ctx)
	if err != nil {
		t.Fatal(err)
	}
	events := b.stream(ctx, "/live/devices?since="+mark)
	await(t, events, "hello")
	id := r.lampID()
	const changes = 100
	for i := range changes {
		if err := r.registry.Report(id, "main", device.Values{"brightness_percent": device.Number(float64(i%50 + 1))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.registry.Report(id, "main", device.Values{"brightness_percent": device.Number(99)}); err != nil {
		t.Fatal(err)
	}
	sent := 1
	for !strings.Contains(await(t, events, "event: rows"), "99 %") {
		sent++
	}
	if sent > changes/10 {
		t.Errorf("%d events for %d changes", sent, changes)
	}
}

// lampID returns the id of a lamp of many.
func (r *rig) lampID() string {
	r.t.Helper()
	all, err := r.registry.Devices()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, v := range all {
		if v.Parts[0].Type == "dimmable_light" {
			return v.ID
		}
	}
	r.t.Fatal("no lamp")
	return ""
}

// Viewers cost memory of their own that does not grow with the devices, nor with what
// they have not read.
func TestViewersAreBounded(t *testing.T) {
	r := newRig(t)
	r.many()
	b := r.inside()
	b.get("/devices")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, mark, err := r.page.hub.devices(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	var streams []<-chan string
	for range manyViewers {
		streams = append(streams, b.stream(ctx, "/live/devices?since="+mark))
	}
	for _, s := range streams {
		await(t, s, "hello")
	}
	each := (heap() - before) / manyViewers
	t.Logf("%d octets for each of %d viewers, their clients included", each, manyViewers)
	if each > viewerLimit {
		t.Errorf("%d octets for a viewer", each)
	}

	// One of each kind more than there may be is turned away.
	for range maxViewers - manyViewers {
		await(t, b.stream(ctx, "/live/devices?since="+mark), "hello")
	}
	if status, _ := b.get("/live/devices"); status != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", status)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// A browser that does not read holds up nobody, and gets the newest when it reads again.
func TestSlowViewer(t *testing.T) {
	r := newRig(t)
	r.many()
	_, mark, err := r.page.hub.devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.registry.Devices()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		for _, v := range all {
			if v.Parts[0].Type == "dimmable_light" {
				if err := r.registry.Report(v.ID, "main", device.Values{"brightness_percent": device.Number(float64(10 + n))}); err != nil {
					t.Fatal(err)
				}
			}
		}
		await := r.page.hub.next()
		select {
		case <-await:
		case <-time.After(10 * time.Second):
			t.Fatal("no change is noticed")
		}
	}
	d := r.page.hub.since(mark)
	if len(d.changed) != manyDevices/4 || d.whole {
		t.Errorf("%d changed, whole: %v", len(d.changed), d.whole)
	}
	for _, row := range d.changed {
		if !strings.Contains(string(row.html()), "12 %") {
			t.Fatalf("not the newest: %s", row.html())
		}
	}
}

func BenchmarkDevicesPage(b *testing.B) {
	r := newRig(b)
	r.many()
	in := r.inside()
	_, compressed := in.sent("/devices")
	for b.Loop() {
		req := in.request("GET", "/devices", nil)
		req.Header.Set("Accept-Encoding", "gzip")
		in.do(req)
	}
	b.ReportMetric(float64(compressed), "octets")
}

// BenchmarkViewers is what one changed device costs with 20 viewers, from its report
// until all have it.
func BenchmarkViewers(b *testing.B) {
	r := newRig(b)
	r.many()
	in := r.inside()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	_, mark, err := r.page.hub.devices(ctx)
	if err != nil {
		b.Fatal(err)
	}
	var streams []<-chan string
	for range manyViewers {
		s := in.stream(ctx, "/live/devices?since="+mark)
		await(b, s, "hello")
		streams = append(streams, s)
	}
	id := r.lampID()
	v, err := r.registry.Device(id)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		changed := v
		changed.Name = fmt.Sprintf("Lamp %d", n)
		r.page.hub.take(map[string]*bridge.View{id: &changed})
		for _, s := range streams {
			await(b, s, changed.Name+"<")
		}
	}
}
