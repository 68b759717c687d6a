package device

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// BenchmarkRead reads the first attribute of an endpoint.
func BenchmarkRead(b *testing.B) {
	for _, typ := range []string{"contact_sensor", "temperature_sensor", "air_quality_sensor", "smoke_co_alarm", "electrical_sensor", "on_off_light"} {
		b.Run(typ, func(b *testing.B) {
			e, err := New("test:1", &Part{ID: "main", Type: typ}, nil)
			if err != nil {
				b.Fatal(err)
			}
			c := e.Clusters()[len(e.Clusters())-1]
			id := c.Spec().Attributes[0].ID
			w := tlv.NewWriter(make([]byte, 0, 4096))
			r := &im.Request{Now: clustertest.Start}
			b.ReportAllocs()
			for b.Loop() {
				w.Reset(w.Bytes()[:0])
				if err := c.Read(r, id, w, tlv.Context(1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReport measures one report of the source, including the reports for
// subscribers.
func BenchmarkReport(b *testing.B) {
	for _, tt := range []struct {
		part Part
		a, b Values
	}{
		{Part{Type: "contact_sensor"}, Values{"closed": Bool(true)}, Values{"closed": Bool(false)}},
		{Part{Type: "temperature_sensor"}, Values{"temperature_celsius": Number(20)}, Values{"temperature_celsius": Number(21)}},
		{metered("power_watts energy_kwh"), Values{"power_watts": Number(20)}, Values{"power_watts": Number(21)}},
	} {
		b.Run(tt.part.Type, func(b *testing.B) {
			r := newRig(b, tt.part)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				v := tt.a
				if i%2 == 0 {
					v = tt.b
				}
				if err := r.e.Report(r.Now, v); err != nil {
					b.Fatal(err)
				}
				r.Touch(2)
				r.Settle(r.Now)
			}
		})
	}
}

// BenchmarkPress measures a press and a release of a button, with their events.
func BenchmarkPress(b *testing.B) {
	r := newRig(b, Part{Type: "generic_switch"})
	b.ReportAllocs()
	for b.Loop() {
		if err := r.e.Event(r.Now, Single); err != nil {
			b.Fatal(err)
		}
		r.Touch(2)
		r.Settle(r.Now)
	}
}

// BenchmarkHeap measures the heap of an endpoint, without what the node adds.
func BenchmarkHeap(b *testing.B) {
	const n = 200
	for _, p := range []Part{{Type: "contact_sensor"}, {Type: "temperature_sensor"}, {Type: "generic_switch"}, {Type: "air_quality_sensor"}, metered("power_watts energy_kwh")} {
		b.Run(p.Type, func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				all := make([]*Assembly, n)
				for i := range all {
					part := p
					part.ID = "main"
					d := &Device{ID: fmt.Sprintf("test:%d", i), Battery: &Battery{Percent: Number(50)}, Parts: []Part{part}}
					a, err := Assemble(d, Profile{}, nil)
					if err != nil {
						b.Fatal(err)
					}
					a.Place(func(string) matter.EndpointID { return 2 })
					all[i] = a
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/endpoint")
				runtime.KeepAlive(all)
			}
		})
	}
}

// BenchmarkTick measures the tick at which the slow values of a thousand sensors
// are reported.
func BenchmarkTick(b *testing.B) {
	const n = 1000
	node := clustertest.New(b, 1)
	var all []*Endpoint
	for i := range n {
		e, err := New("test:1", &Part{ID: "main", Type: "temperature_sensor"}, nil)
		if err != nil {
			b.Fatal(err)
		}
		node.AddEndpoint(im.Endpoint{ID: matter.EndpointID(2 + i), Clusters: e.Clusters(), Model: e})
		all = append(all, e)
	}
	node.Settle(node.Now)
	value := 20.0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		node.Now = node.Now.Add(time.Second) // not a tick
		value = 40.5 - value
		for i, e := range all {
			if err := e.Report(node.Now, Values{"temperature_celsius": Number(value)}); err != nil {
				b.Fatal(err)
			}
			node.Touch(matter.EndpointID(2 + i))
		}
		node.Settle(node.Now)
		node.Now = node.Now.Add(14 * time.Second)
		b.StartTimer()
		node.Advance(node.Now)
		node.Settle(node.Now)
	}
}

// TestReadAllocatesNothing checks that reading an attribute does not allocate, on a
// device of any type.
func TestReadAllocatesNothing(t *testing.T) {
	for name, d := range compositions() {
		if len(d.Parts) != 1 {
			continue
		}
		p := d.Parts[0]
		e, err := New("test:1", &p, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := tlv.NewWriter(make([]byte, 0, 16384))
		req := &im.Request{Now: clustertest.Start}
		for _, c := range e.Clusters() {
			for _, x := range c.Spec().Attributes {
				allocs := testing.AllocsPerRun(10, func() {
					w.Reset(w.Bytes()[:0])
					if err := c.Read(req, x.ID, w, tlv.Anonymous); err != nil {
						t.Error(err)
					}
				})
				if allocs > 0 {
					t.Errorf("%s: %s.%s: %v allocations", name, c.Spec().Name, x.Name, allocs)
				}
			}
		}
	}
}
