package im

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// quietConn is a Conn that discards what is sent.
type quietConn struct {
	subject acl.Subject
	octets  int
	closed  bool
}

func (c *quietConn) Subject() acl.Subject               { return c.subject }
func (c *quietConn) Session() Session                   { return Session{Serial: 1} }
func (c *quietConn) Group() ([]matter.EndpointID, bool) { return nil, false }
func (c *quietConn) Send(_ time.Time, _ uint8, payload []byte) error {
	c.octets += len(payload)
	return nil
}
func (c *quietConn) AwaitResponse(time.Time) {}
func (c *quietConn) AwaitRequest(time.Time)  {}
func (c *quietConn) Close(time.Time)         { c.closed = true }

// plainCluster has numbers and one list. It is cheaper than fakeCluster.
type plainCluster struct {
	ReadOnly
	spec *Spec
}

func (c plainCluster) Spec() *Spec { return c.spec }

func (c plainCluster) Read(_ *Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	if id != 3 {
		w.Uint(t, uint64(id)*1000)
		return nil
	}
	w.StartArray(t)
	for k := range uint64(8) {
		w.StartStruct(tlv.Anonymous)
		w.Uint(tag0, k)
		w.Text(tag1, "0123456789012345678901234567890123456789")
		w.End()
	}
	w.End()
	return nil
}

func (c plainCluster) Invoke(_ *Request, _ matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	r := fields.Reader()
	for r.EnterStruct(); r.Next(); {
		w.Uint(tag0, r.Uint())
	}
	return r.Err()
}

func newBench(b *testing.B) *Engine {
	h := newHarness(b, func(o *Options) { o.Observe = nil })
	e := h.Engine
	for ep := range matter.EndpointID(1) {
		var clusters []Cluster
		for id := range matter.ClusterID(10) {
			s := *specSwitch
			s.ID = 0x28 + id
			clusters = append(clusters, plainCluster{spec: &s})
		}
		e.AddEndpoint(Endpoint{ID: ep, Clusters: clusters})
	}
	return e
}

func benchmark(b *testing.B, e *Engine, opcode uint8, request string) {
	payload := encode(b, request)
	confirm := encode(b, ok)
	now := start
	b.ReportAllocs()
	octets, n := 0, 0
	c := &quietConn{subject: pase(1)}
	for b.Loop() {
		c.closed = false
		i := e.Open(now, c)
		i.Receive(now, opcode, payload)
		for !c.closed {
			i.Receive(now, OpcodeStatusResponse, confirm)
		}
		e.Settle(now)
		n++
	}
	if octets = c.octets / n; octets < 20 {
		b.Fatalf("%d octets", octets)
	}
	b.ReportMetric(float64(octets), "octets/op")
}

func BenchmarkReadAttribute(b *testing.B) {
	benchmark(b, newBench(b), OpcodeReadRequest, "{0:[<2:0,3:40,4:0>],3:false,255:12}")
}

func BenchmarkReadNinePaths(b *testing.B) {
	benchmark(b, newBench(b), OpcodeReadRequest, "{0:[<2:0,3:40,4:0>,<2:0,3:40,4:1>,<2:0,3:41,4:0>,<2:0,3:41,4:1>,<2:0,3:42,4:0>,<2:0,3:43,4:1>,<2:0,3:44,4:0>,<2:0,3:45,4:1>,<2:0,3:46,4:1>],3:false,255:12}")
}

func BenchmarkReadWildcard(b *testing.B) { // 140 attributes
	benchmark(b, newBench(b), OpcodeReadRequest, "{0:[<>],3:false,255:12}")
}

func BenchmarkInvoke(b *testing.B) {
	benchmark(b, newBench(b), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:0,1:40,2:1>,1:{0:5}}],255:12}")
}

func BenchmarkReport(b *testing.B) {
	h := newHarness(b, nil)
	h.AddEndpoint(Endpoint{Clusters: []Cluster{plainCluster{spec: specSwitch}}})
	i, c := h.ask(pase(1), OpcodeSubscribeRequest, "{0:true,1:0,2:60,3:[<>],7:false}")
	for !c.closed {
		h.confirm(i)
	}
	i.Closed(h.now, nil)
	quiet := &quietSessions{}
	h.opt.Sessions = quiet
	confirm := encode(b, ok)
	b.ReportAllocs()
	for b.Loop() {
		h.Changed(0, 6, 0)
		h.Settle(h.now)
		quiet.open.Receive(h.now, OpcodeStatusResponse, confirm)
	}
	if len(h.subscriptions) != 1 || !quiet.conn.closed {
		b.Fatal("no report")
	}
}

type quietSessions struct {
	conn quietConn
	open *Interaction
}

func (s *quietSessions) Open(_ time.Time, _ uint64, i *Interaction) (Conn, error) {
	s.open = i
	return &s.conn, nil
}
