package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// probe is the state of a thermometer, in hundredths of a degree.
type probe struct {
	Value  Null[int16]
	Offset int64
}

var probeCluster = Define(Def[probe]{
	Facts: datamodel.TemperatureMeasurement,
	Attributes: []Attribute[probe]{
		NullInt(datamodel.TemperatureMeasurementAttrMeasuredValue, func(s *probe) *Null[int16] { return &s.Value }).
			Quiet(Slow(Step{Abs: 10}, Step{Abs: 100, Percent: 10})).
			WithEvent(7, func(s *probe, w *tlv.Writer) { w.Int(tlv.Context(0), int64(s.Value.V)) }),
		Computed(datamodel.TemperatureMeasurementAttrMinMeasuredValue, func(_ *probe, w *tlv.Writer, t tlv.Tag) { w.Null(t) }, nil),
		Computed(datamodel.TemperatureMeasurementAttrMaxMeasuredValue, func(_ *probe, w *tlv.Writer, t tlv.Tag) { w.Null(t) }, nil),
	},
	Kept: []Kept[probe]{Keep(1, func(s *probe) *int64 { return &s.Offset })},
})

// slowRig records the reports of a value, by the seconds after a tick.
type slowRig struct {
	*Unit[probe]
	endpoint Endpoint
	start    time.Time
	log      []string
}

func newSlowRig() *slowRig {
	r := &slowRig{start: time.Unix(1_800_000_000, 0)}
	r.Unit = NewUnit(&r.endpoint, probe{}, Rules[probe]{})
	r.Serve(probeCluster, Selection{})
	return r
}

func (r *slowRig) Attribute(matter.ClusterID, matter.AttributeID) {
	v := "null"
	if r.state.Value.Valid {
		v = fmt.Sprint(r.state.Value.V)
	}
	r.log = append(r.log, v)
}

func (r *slowRig) Event(_ matter.ClusterID, id matter.EventID, data func(w *tlv.Writer)) {
	r.log = append(r.log, fmt.Sprintf("event %d", id))
	data(tlv.NewWriter(nil))
}

// run advances the time to at. Like the loop, it does due work a little late. It returns
// the reports, each with its second.
func (r *slowRig) run(at float64) (reported []string) {
	end := r.start.Add(time.Duration(at * float64(time.Second)))
	for {
		due, ok := r.endpoint.Deadline()
		if !ok || due.After(end) {
			return reported
		}
		now := due.Add(3 * time.Millisecond)
		r.log = nil
		r.endpoint.Advance(now)
		r.endpoint.settle(now, r)
		for _, v := range r.log {
			if v[0] != 'e' {
				reported = append(reported, fmt.Sprintf("%v@%.0f", v, now.Sub(r.start).Seconds()))
			}
		}
	}
}

// set sets the sensor's value, and returns what is reported at once.
func (r *slowRig) set(at float64, v Null[int16]) (reported []string) {
	reported = r.run(at)
	now := r.start.Add(time.Duration(at * float64(time.Second)))
	r.Report(now, func(_ *Context, s *probe) error { s.Value = v; return nil })
	r.log = nil
	r.endpoint.settle(now, r)
	for _, v := range r.log {
		if v[0] != 'e' {
			reported = append(reported, fmt.Sprintf("%v@%.0f", v, at))
		}
	}
	return reported
}

func TestSlow(t *testing.T) {
	type report struct {
		at float64
		v  Null[int16]
	}
	is := func(at float64, v int16) report { return report{at, Some(v)} }
	null := func(at float64) report { return report{at, Null[int16]{}} }
	for _, tt := range []struct {
		name    string
		reports []report
		want    []string
	}{
		{"the first value at once", []report{is(2, 2000)}, []string{"2000@2"}},
		{"null and what comes after it at once", []report{is(2, 2000), null(3), is(4, 2001)}, []string{"2000@2", "null@3", "2001@4"}},
		{"a change of the band at the next tick", []report{is(2, 2000), is(20, 2010)}, []string{"2000@2", "2010@30"}},
		{"the last of several", []report{is(2, 2000), is(20, 2010), is(21, 2050), is(29, 2020)}, []string{"2000@2", "2020@30"}},
		{"at a tick at once", []report{is(2, 2000), is(30, 2010)}, []string{"2000@2", "2010@30"}},
		{"a big step at once", []report{is(2, 2000), is(20, 2300)}, []string{"2000@2", "2300@20"}},
		{"a big step soon after another after five seconds", []report{is(2, 2000), is(20, 2300), is(21, 2000)}, []string{"2000@2", "2300@20", "2000@25"}},
		{"a step that is big in one way only", []report{is(2, 2000), is(20, 2120)}, []string{"2000@2", "2120@30"}},
		{"a small change within a minute", []report{is(2, 2000), is(3, 2001)}, []string{"2000@2", "2001@60"}},
		{"a small change after long rest", []report{is(2, 2000), is(1000, 2001)}, []string{"2000@2", "2001@1005"}},
		{"small changes each minute", []report{is(2, 2000), is(20, 2001), is(40, 2002), is(60, 2003), is(80, 2004)}, []string{"2000@2", "2002@60", "2004@120"}},
		{"a change that comes to be greater", []report{is(2, 2000), is(3, 2001), is(4, 2010)}, []string{"2000@2", "2010@15"}},
		{"a change that comes to be smaller keeps its time", []report{is(2, 2000), is(3, 2010), is(4, 2001)}, []string{"2000@2", "2001@15"}},
		{"back before the report", []report{is(2, 2000), is(3, 2010), is(4, 2000)}, []string{"2000@2"}},
	} {
		r := newSlowRig()
		var got []string
		for _, v := range tt.reports {
			got = append(got, r.set(v.at, v.v)...)
		}
		got = append(got, r.run(5000)...)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: reported %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSlowReportsOfAllEndpointsAtTheSameInstants(t *testing.T) {
	quiet := Slow(Step{Abs: 10}, Step{})
	start := time.Unix(1_800_000_000, 0)
	for s := range 60 {
		now := start.Add(time.Duration(s)*time.Second + 123*time.Millisecond)
		for _, change := range []int64{1, 10, 1000} {
			for _, age := range []time.Duration{time.Second, 14 * time.Second, time.Minute, time.Hour} {
				due := now.Add(quiet(Number{V: 500}, Number{V: 500 + change}, Moment{Now: now, Age: age}))
				if !due.Truncate(SlowTick).Equal(due) {
					t.Fatalf("a change of %d after %v is reported at %v, which is no tick", change, age, due)
				}
				if wait := due.Sub(now); age+wait > slowMost && wait > SlowTick {
					t.Fatalf("a change of %d after %v waits for %v", change, age, wait)
				}
			}
		}
	}
}

func TestEventGoesWithTheReport(t *testing.T) {
	r := newSlowRig()
	r.set(1, Some(int16(1900)))
	if want := []string{"1900"}; !slices.Equal(r.log, want) {
		t.Fatalf("what the endpoint begins with is reported as %v, want %v", r.log, want)
	}
	r.set(10, Some(int16(2000)))
	r.run(16)
	if want := []string{"2000", "event 7"}; !slices.Equal(r.log, want) {
		t.Fatalf("at the tick %v, want %v", r.log, want)
	}
	r.set(17, Some(int16(2001)))
	if len(r.log) != 0 {
		t.Fatalf("an event without a report: %v", r.log)
	}
}

func TestKeptWithoutAnAttribute(t *testing.T) {
	r := newSlowRig()
	r.endpoint.Save()
	r.Report(r.start, func(_ *Context, s *probe) error { s.Offset = -5; return nil })
	r.endpoint.settle(r.start, r)
	if len(r.log) != 0 || !r.endpoint.Dirty() {
		t.Fatalf("reported %v, to be kept %v", r.log, r.endpoint.Dirty())
	}
	again := newSlowRig()
	if err := again.endpoint.Load(r.endpoint.Save()); err != nil {
		t.Fatal(err)
	}
	if got := again.state.Offset; got != -5 {
		t.Fatalf("restored %d", got)
	}
}

func BenchmarkSettlePending(b *testing.B) {
	r := newSlowRig()
	r.set(2, Some(int16(2000)))
	r.set(3, Some(int16(2001)))
	now := r.start.Add(4 * time.Second)
	b.ReportAllocs()
	for b.Loop() {
		r.endpoint.settle(now, r)
	}
}
