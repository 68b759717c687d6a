package im

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// start is when the tests' clock starts.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeCluster serves values given as text.
type fakeCluster struct {
	spec   *Spec
	values map[matter.AttributeID]string
	fails  map[matter.AttributeID]error // errors of Read and Write
	lists  map[matter.AttributeID][]entry

	// invoke handles commands; if nil, the response is the fields.
	invoke func(r *Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error

	onWrite func() // called after a Write

	writes   []string
	appended []int // Request.Appended of each Write
	invokes  []string
	changes  []matter.AttributeID // what Changes reports
}

// entry is a member of a fabric-scoped list.
type entry struct {
	fabric matter.FabricIndex
	text   string
}

func (c *fakeCluster) Spec() *Spec { return c.spec }

func (c *fakeCluster) Read(r *Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	if err := c.fails[id]; err != nil {
		w.StartStruct(t) // a failed Read must leave nothing in the message
		return err
	}
	if list, ok := c.lists[id]; ok {
		w.StartArray(t)
		for _, x := range list {
			if r.FabricFiltered && x.fabric != r.Subject.Fabric {
				continue
			}
			w.StartStruct(tlv.Anonymous)
			w.Text(tag1, x.text)
			w.Uint(tlv.Context(254), uint64(x.fabric))
			w.End()
		}
		w.End()
		return nil
	}
	var p textParser
	p.s, p.w = c.values[id], *w
	p.value(t)
	if p.bad {
		panic("bad text " + c.values[id])
	}
	*w = p.w
	return nil
}

func (c *fakeCluster) Write(r *Request, id matter.AttributeID, v tlv.Element) error {
	if err := c.fails[id]; err != nil {
		return err
	}
	c.writes = append(c.writes, fmt.Sprintf("%d/%d/%d=%s", r.Endpoint, r.Cluster, id, elementText(v)))
	c.appended = append(c.appended, r.Appended)
	c.values[id] = elementText(v)
	if c.onWrite != nil {
		c.onWrite()
	}
	return nil
}

func (c *fakeCluster) Invoke(r *Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	c.invokes = append(c.invokes, fmt.Sprintf("%d/%d/%d%s", r.Endpoint, r.Cluster, id, elementText(fields)))
	if c.invoke != nil {
		return c.invoke(r, id, fields, w)
	}
	f := fields.Reader()
	for f.EnterStruct(); f.Next(); {
		w.Element(f.Tag(), f.Element())
	}
	return f.Err()
}

// watched is a fakeCluster that is also a Watcher.
type watched struct{ *fakeCluster }

func (c watched) Changes(changed func(matter.AttributeID)) {
	for _, id := range c.changes {
		changed(id)
	}
	c.changes = nil
}

type message struct {
	opcode uint8
	text   string
	raw    []byte
}

// fakeConn records what is sent on it.
type fakeConn struct {
	t        testing.TB
	subject  acl.Subject
	session  Session
	group    []matter.EndpointID // members of the addressed group; nil: not to a group
	sent     []message
	deadline time.Time
	closed   bool
	sendErr  error
	limit    int
	opened   *Interaction // set if the engine has opened it
}

func (c *fakeConn) Subject() acl.Subject { return c.subject }
func (c *fakeConn) Session() Session     { return c.session }

func (c *fakeConn) Group() ([]matter.EndpointID, bool) { return c.group, c.group != nil }

func (c *fakeConn) Send(_ time.Time, opcode uint8, payload []byte) error {
	if c.closed {
		c.t.Errorf("message %d sent after Close", opcode)
	}
	if c.sendErr != nil {
		return c.sendErr
	}
	if len(payload) > c.limit {
		c.t.Errorf("message %d of %d octets is over %d", opcode, len(payload), c.limit)
	}
	c.sent = append(c.sent, message{opcode, decode(c.t, payload), bytes.Clone(payload)})
	return nil
}

func (c *fakeConn) AwaitResponse(d time.Time) { c.deadline = d }
func (c *fakeConn) AwaitRequest(d time.Time)  { c.deadline = d }

func (c *fakeConn) Close(time.Time) {
	if c.closed {
		c.t.Error("closed twice")
	}
	c.closed = true
}

// last returns the last message sent.
func (c *fakeConn) last() message {
	if len(c.sent) == 0 {
		return message{}
	}
	return c.sent[len(c.sent)-1]
}

// fakeSessions opens fakeConns.
type fakeSessions struct {
	h     *harness
	gone  map[uint64]bool
	busy  map[uint64]bool
	conns []*fakeConn
}

func (s *fakeSessions) Open(_ time.Time, serial uint64, i *Interaction) (Conn, error) {
	switch {
	case s.gone[serial]:
		return nil, errTest
	case s.busy[serial]:
		return nil, ErrBusy
	}
	c := s.h.newConn(acl.Subject{})
	c.session.Serial, c.opened = serial, i
	s.conns = append(s.conns, c)
	return c, nil
}

// harness is an Engine with fakes around it.
type harness struct {
	*Engine
	t        testing.TB
	now      time.Time
	sessions *fakeSessions
	log      bytes.Buffer
	block    uint64 // next block of event numbers
	noEvents error
	outcomes []string
}

func newHarness(t testing.TB, change func(*Options)) *harness {
	h := &harness{t: t, now: start, block: 1000}
	h.sessions = &fakeSessions{h: h, gone: make(map[uint64]bool), busy: make(map[uint64]bool)}
	opt := Options{
		ACL:      acl.New(new(fabric.Table), func(matter.EndpointID) []matter.DeviceTypeID { return nil }),
		Rand:     rand.NewChaCha8([32]byte{1}),
		Sessions: h.sessions,
		Boot:     start.Add(-time.Hour),
		Log:      slog.New(slog.NewTextHandler(&h.log, nil)),
		NodeID: func(f matter.FabricIndex) matter.NodeID {
			if f == 0 {
				return 0
			}
			return 7
		},
		Events: func() (uint64, uint64, error) {
			first := h.block
			h.block += 100
			return first, 100, h.noEvents
		},
		Observe: func(a Action, st matter.Status, came time.Time) {
			h.outcomes = append(h.outcomes, fmt.Sprintf("%v %v %v", a, st, h.now.Sub(came)))
		},
	}
	if change != nil {
		change(&opt)
	}
	h.Engine = New(opt)
	return h
}

// instances returns the clusters of all endpoints.
func (h *harness) instances() (all []*instance) {
	for _, ep := range h.ordered {
		all = append(all, ep.instances...)
	}
	return all
}

func (h *harness) newConn(s acl.Subject) *fakeConn {
	return &fakeConn{t: h.t, subject: s, session: Session{Serial: 7}, limit: h.opt.MaxPayload}
}

// pase returns a subject with every privilege, of the given fabric.
func pase(f matter.FabricIndex) acl.Subject {
	return acl.Subject{Fabric: f, AuthMode: matter.AuthModePASE, Node: matter.NodeID(f) * 100}
}

// ask opens an interaction and passes it a message.
func (h *harness) ask(s acl.Subject, opcode uint8, text string) (*Interaction, *fakeConn) {
	h.t.Helper()
	c := h.newConn(s)
	i := h.Open(h.now, c)
	i.Receive(h.now, opcode, encode(h.t, text))
	return i, c
}

// send passes another message to an interaction.
func (h *harness) send(i *Interaction, opcode uint8, text string) {
	h.t.Helper()
	i.Receive(h.now, opcode, encode(h.t, text))
}

const ok = `{0:0,255:12}`

// confirm sends SUCCESS for a chunk.
func (h *harness) confirm(i *Interaction) { i.Receive(h.now, OpcodeStatusResponse, encode(h.t, ok)) }

// wantStatus checks that the conversation ended with a StatusResponse.
func wantStatus(t testing.TB, c *fakeConn, st matter.Status) {
	t.Helper()
	want := message{opcode: OpcodeStatusResponse, text: fmt.Sprintf("{0:%d,255:12}", st)}
	if got := c.last(); got.opcode != want.opcode || got.text != want.text || !c.closed {
		t.Errorf("got opcode %d %s, closed %v; want status %v", got.opcode, got.text, c.closed, st)
	}
}

// wantLast checks the last message.
func wantLast(t testing.TB, c *fakeConn, opcode uint8, text string) {
	t.Helper()
	if got := c.last(); got.opcode != opcode || got.text != text {
		t.Errorf("got  opcode %d %s\nwant opcode %d %s", got.opcode, got.text, opcode, text)
	}
}

var errTest = errors.New("it broke")
