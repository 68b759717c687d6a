package im

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// bridge is an Engine with many endpoints of five clusters each, and one subscriber
// to all of them.
type bridge struct {
	e        *Engine
	sessions *quietSessions
	confirm  []byte
	now      time.Time
}

// lampSpecs stand for On/Off, Identify, Groups, Descriptor and Bridged Device Basic
// Information: 44 attributes with the global ones.
var lampSpecs = func() (specs []*Spec) {
	for i, n := range []int{1, 2, 1, 4, 11} {
		s := &Spec{ID: matter.ClusterID(6 + i), Name: "Lamp"}
		for id := range n {
			s.Attributes = append(s.Attributes, Attribute{ID: matter.AttributeID(4 + id), Name: "Value", Read: matter.PrivilegeView})
		}
		s.Commands = []Command{{ID: 1, Name: "Echo", Response: 2, Privilege: matter.PrivilegeOperate}}
		specs = append(specs, s)
	}
	return specs
}()

// lampCluster is one of a lamp's clusters, a Watcher and a Timer without a deadline.
type lampCluster struct{ plainCluster }

func (lampCluster) Changes(func(matter.AttributeID)) {}
func (lampCluster) Deadline() (time.Time, bool)      { return time.Time{}, false }
func (lampCluster) Advance(time.Time)                {}

func lamp(id matter.EndpointID) Endpoint {
	ep := Endpoint{ID: id, DeviceTypes: []matter.DeviceTypeID{0x100}, Polled: id == 0}
	for _, s := range lampSpecs {
		ep.Clusters = append(ep.Clusters, lampCluster{plainCluster{spec: s}})
	}
	return ep
}

// newBridge returns an engine with the root and n more endpoints.
func newBridge(tb testing.TB, n int) *bridge {
	h := newHarness(tb, func(o *Options) { o.Observe = nil })
	for id := range n + 1 {
		h.AddEndpoint(lamp(matter.EndpointID(id)))
	}
	i, c := h.ask(pase(1), OpcodeSubscribeRequest, "{0:true,1:0,2:3600,3:[<>],7:false}")
	for !c.closed {
		h.confirm(i)
	}
	i.Closed(h.now, nil)
	b := &bridge{e: h.Engine, sessions: new(quietSessions), confirm: encode(tb, ok), now: h.now}
	b.e.opt.Sessions = b.sessions
	b.step()
	return b
}

// step does the work of the engine's owner after an event.
func (b *bridge) step() {
	b.e.Advance(b.now)
	b.e.Settle(b.now)
	b.e.Deadline()
}

// request handles a request and each of its later messages as an event.
func (b *bridge) request(opcode uint8, payload []byte) {
	c := &quietConn{subject: pase(1)}
	i := b.e.Open(b.now, c)
	i.Receive(b.now, opcode, payload)
	for b.step(); !c.closed; b.step() {
		i.Receive(b.now, OpcodeStatusResponse, b.confirm)
	}
}

// The cost of an operation is the same with a thousand endpoints as with one. The
// two are measured alternately, so that the ratio is meaningful on a busy machine.
func BenchmarkFlat(b *testing.B) {
	read := encode(b, "{0:[<2:1,3:6,4:4>],3:false,255:12}")
	command := encode(b, "{0:false,1:false,2:[{0:<0:1,1:6,2:1>,1:{0:5}}],255:12}")
	wildcard := encode(b, "{0:[<>],3:false,255:12}")
	for _, tt := range []struct {
		name string
		do   func(x *bridge)
		each bool // the cost is per endpoint
	}{
		{"Read", func(x *bridge) { x.request(OpcodeReadRequest, read) }, false},
		{"Invoke", func(x *bridge) { x.request(OpcodeInvokeRequest, command) }, false},
		{"Report", func(x *bridge) {
			x.e.Changed(1, 6, 4)
			x.step()
			x.sessions.open.Receive(x.now, OpcodeStatusResponse, x.confirm)
			x.step()
		}, false},
		{"Touch", func(x *bridge) { x.e.Touch(1); x.step() }, false},
		{"ReadWildcard", func(x *bridge) { x.request(OpcodeReadRequest, wildcard) }, true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			const many = 1000
			one, thousand := newBridge(b, 1), newBridge(b, many)
			var costs [2]time.Duration
			n := 0
			for b.Loop() {
				rounds := 1
				if tt.each {
					rounds = (many + 1) / 2 // both write the same number of attributes
				}
				t0 := time.Now()
				for range rounds {
					tt.do(one)
				}
				t1 := time.Now()
				tt.do(thousand)
				costs[0] += t1.Sub(t0)
				costs[1] += time.Since(t1)
				n++
			}
			b.ReportMetric(float64(costs[0])/float64(n), "ns/1")
			b.ReportMetric(float64(costs[1])/float64(n), "ns/1000")
			b.ReportMetric(float64(costs[1])/float64(costs[0]), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// One attribute of a wildcard read costs the same with 5,500 attributes as with
// 36,000.
func BenchmarkWildcard(b *testing.B) {
	wildcard := encode(b, "{0:[<>],3:false,255:12}")
	for _, n := range []int{1, 125, 820} {
		x := newBridge(b, n)
		attributes := 0
		for _, ep := range x.e.ordered {
			for _, in := range ep.instances {
				attributes += len(in.meta.attributes)
			}
		}
		b.Run(fmt.Sprintf("attributes=%d", attributes), func(b *testing.B) {
			for b.Loop() {
				x.request(OpcodeReadRequest, wildcard)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*attributes), "ns/attribute")
		})
	}
}

func BenchmarkAddEndpoint(b *testing.B) {
	const many = 1000
	x := newBridge(b, many)
	for b.Loop() {
		x.e.AddEndpoint(lamp(500 + many))
		x.step()
		b.StopTimer()
		x.sessions.open.Receive(x.now, OpcodeStatusResponse, x.confirm)
		x.e.RemoveEndpoint(500 + many)
		x.step()
		b.StartTimer()
	}
}

// heapInUse returns the size of the heap in octets.
func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// An endpoint with five clusters takes less than 12 KB, including the clusters.
func TestMemoryOfAnEndpoint(t *testing.T) {
	const many = 1000
	before := heapInUse()
	x := newBridge(t, many)
	each := int(heapInUse()-before) / many
	t.Logf("%d octets an endpoint", each)
	if each > 12<<10 {
		t.Errorf("an endpoint takes %d octets", each)
	}
	runtime.KeepAlive(x)
}

// The clusters of an endpoint are asked for changes and deadlines only if it was
// touched. The flat cost of an event depends on that.
func TestAnEventAsksOneEndpoint(t *testing.T) {
	n := newNode(t, nil)
	asked := make(map[matter.EndpointID]int)
	for id := range matter.EndpointID(100) {
		n.AddEndpoint(Endpoint{ID: 10 + id, Clusters: []Cluster{newSwitch()}, Model: countingModel{asked, 10 + id}})
	}
	n.subscribe(pase(1), "{0:true,1:0,2:600,3:[<>],7:true}")
	n.pass(sec)
	clear(asked)
	n.writeOne("{1:<2:20,3:6,4:0>,2:8}")
	n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:30,1:6,2:1>}]}")
	n.pass(2 * sec)
	if len(asked) != 2 || asked[20] != 1 || asked[30] != 1 {
		t.Errorf("asked %v", asked)
	}
}

// countingModel counts the calls of its Settle.
type countingModel struct {
	asked map[matter.EndpointID]int
	id    matter.EndpointID
}

func (m countingModel) Settle(time.Time, *Changes)  { m.asked[m.id]++ }
func (m countingModel) Deadline() (time.Time, bool) { return time.Time{}, false }
func (m countingModel) Advance(time.Time)           {}
