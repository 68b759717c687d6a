package device

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// BenchmarkRead reads an attribute of each kind of value.
func BenchmarkRead(b *testing.B) {
	meter := metered("power_watts energy_kwh")
	for _, x := range []struct {
		kind  string
		part  Part
		state Values
		cl    matter.ClusterID
		id    matter.AttributeID
	}{
		{"bool", Part{Type: "contact_sensor"}, Values{"closed": Bool(true)}, datamodel.BooleanStateID, 0},
		{"enum", Part{Type: "smoke_co_alarm"}, Values{"smoke": Text("warning")}, alarmID, 0},
		{"bitmap", Part{Type: "occupancy_sensor"}, Values{"occupied": Bool(true)}, datamodel.OccupancySensingID, 0},
		{"unsigned", Part{Type: "extended_color_light"}, xy(0.3, 0.3), color, currentX},
		{"signed", Part{Type: "temperature_sensor"}, Values{"temperature_celsius": Number(-3.5)}, datamodel.TemperatureMeasurementID, 0},
		{"nullable", Part{Type: "dimmable_light"}, Values{"brightness_percent": Number(40)}, level, currentLevel},
		{"null", Part{Type: "dimmable_light"}, nil, level, datamodel.LevelControlAttrOnLevel},
		{"float", Part{Type: "air_quality_sensor", Options: Options{Properties: []string{"co2_ppm"}}}, Values{"co2_ppm": Number(412.5)}, datamodel.CarbonDioxideConcentrationMeasurementID, 0},
		{"64 bits", meter, Values{"power_watts": Number(1234.5)}, powerID, activePower},
		{"constant", Part{Type: "dimmable_light"}, nil, level, datamodel.LevelControlAttrMaxLevel},
		{"structure", meter, Values{"energy_kwh": Number(12.5)}, energyID, imported},
		{"list of structures", meter, nil, powerID, datamodel.ElectricalPowerMeasurementAttrAccuracy},
	} {
		b.Run(x.kind, func(b *testing.B) {
			r := newRig(b, x.part)
			if x.state != nil {
				r.report(x.state)
			}
			benchmarkRead(b, r, x.cl, x.id, 0)
		})
	}
	b.Run("level of a fade, each time later", func(b *testing.B) {
		r := newRig(b, Part{Type: "extended_color_light"})
		r.report(Values{"on": Bool(true), "brightness_percent": Number(1)})
		r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:65534,2:0,3:0}")
		r.do(color, datamodel.ColorControlCmdMoveToColor, "{0:20000,1:20000,2:65534,3:0,4:0}")
		benchmarkRead(b, r, level, currentLevel, time.Microsecond)
	})
}

// benchmarkRead reads an attribute again and again, each time later by step.
func benchmarkRead(b *testing.B, r *rig, cl matter.ClusterID, id matter.AttributeID, step time.Duration) {
	c := r.cluster(cl)
	w := tlv.NewWriter(make([]byte, 0, 4096))
	req := &im.Request{Now: r.Now}
	b.ReportAllocs()
	for b.Loop() {
		req.Now = req.Now.Add(step)
		w.Reset(w.Bytes()[:0])
		if err := c.Read(req, id, w, tlv.Context(1)); err != nil {
			b.Fatal(err)
		}
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

// TestReadOfAFadeAllocatesNothing checks that a read that first advances a fade does not
// allocate either.
func TestReadOfAFadeAllocatesNothing(t *testing.T) {
	r := newRig(t, Part{Type: "extended_color_light"})
	r.report(Values{"on": Bool(true), "brightness_percent": Number(1)})
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:254,1:6000,2:0,3:0}")
	r.do(color, datamodel.ColorControlCmdMoveToColor, "{0:20000,1:20000,2:6000,3:0,4:0}")
	w := tlv.NewWriter(make([]byte, 0, 64))
	req := &im.Request{Now: r.Now}
	for cl, ids := range map[matter.ClusterID][]matter.AttributeID{
		level: {currentLevel, remaining}, color: {currentX, currentY, mireds, hue, colorRemaining}, onOff: {onOffAttr},
	} {
		c := r.cluster(cl)
		for _, id := range ids {
			allocs := testing.AllocsPerRun(10, func() {
				req.Now = req.Now.Add(100 * time.Millisecond)
				w.Reset(w.Bytes()[:0])
				if err := c.Read(req, id, w, tlv.Anonymous); err != nil {
					t.Error(err)
				}
			})
			if allocs > 0 {
				t.Errorf("cluster 0x%04X, attribute 0x%04X: %v allocations", uint32(cl), uint32(id), allocs)
			}
		}
	}
}
