package commissioner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// tagRevision is the last tag of every Interaction Model message.
const tagRevision = 0xFF

// Path is the path of attributes, an event or a command; nil members are wildcards.
type Path struct {
	Endpoint *matter.EndpointID
	Cluster  *matter.ClusterID
	Element  *uint32 // attribute, event or command id
}

// Attr returns the concrete path of an attribute.
func Attr(ep matter.EndpointID, cl matter.ClusterID, at matter.AttributeID) Path {
	e := uint32(at)
	return Path{&ep, &cl, &e}
}

// AllOf returns the path of every attribute of a cluster.
func AllOf(ep matter.EndpointID, cl matter.ClusterID) Path { return Path{Endpoint: &ep, Cluster: &cl} }

// Endpoint returns the path of every attribute of an endpoint.
func Endpoint(ep matter.EndpointID) Path { return Path{Endpoint: &ep} }

// The tags of a path's members follow that of its endpoint.
const (
	attributeEndpoint = 2
	eventEndpoint     = 1
)

func (p Path) write(w *tlv.Writer, t tlv.Tag, endpoint uint8) {
	w.StartList(t)
	if p.Endpoint != nil {
		w.Uint(tlv.Context(endpoint), uint64(*p.Endpoint))
	}
	if p.Cluster != nil {
		w.Uint(tlv.Context(endpoint+1), uint64(*p.Cluster))
	}
	if p.Element != nil {
		w.Uint(tlv.Context(endpoint+2), uint64(*p.Element))
	}
	w.End()
}

// Attribute is one attribute of a report: a value or a status.
type Attribute struct {
	Endpoint matter.EndpointID
	Cluster  matter.ClusterID
	ID       matter.AttributeID
	Version  matter.DataVersion
	Status   matter.ClusterStatus // SUCCESS if there is a value
	value    []byte               // one anonymous element; lists are reassembled
}

// Value returns a Reader on the attribute's value.
func (a *Attribute) Value() tlv.Reader { return tlv.NewReader(a.value) }

// Event is one event of a report.
type Event struct {
	Endpoint matter.EndpointID
	Cluster  matter.ClusterID
	ID       matter.EventID
	Number   matter.EventNumber
	Status   matter.ClusterStatus
	data     []byte
}

// Data returns a Reader on the event's structure.
func (e *Event) Data() tlv.Reader { return tlv.NewReader(e.data) }

// Report contains everything from one read, or from one report of a subscription.
type Report struct {
	SubscriptionID uint32
	Attributes     []Attribute
	Events         []Event
	Chunks         int
	At             time.Time // when it was complete; only for later reports of a subscription
	Called         bool      // it arrived on a session that the node opened
}

// Find returns the report's attribute with this path, or nil.
func (r *Report) Find(ep matter.EndpointID, cl matter.ClusterID, at matter.AttributeID) *Attribute {
	for i := range r.Attributes {
		if a := &r.Attributes[i]; a.Endpoint == ep && a.Cluster == cl && a.ID == at {
			return a
		}
	}
	return nil
}

func finish(w *tlv.Writer) {
	w.Uint(tlv.Context(tagRevision), matter.InteractionModelRevision)
	w.End()
}

func statusResponse(s matter.Status) []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(0), uint64(s))
	finish(w)
	return w.Bytes()
}

// errStatus returns the status of a StatusResponse as an error. It returns an error
// for any other message than want.
func errStatus(m exchange.Message, want uint8) error {
	if m.Protocol != matter.ProtocolInteractionModel {
		return fmt.Errorf("answer of protocol %04x", m.Protocol)
	}
	if m.Opcode == want {
		return nil
	}
	if m.Opcode != im.OpcodeStatusResponse {
		return fmt.Errorf("answer with opcode %02x", m.Opcode)
	}
	r := tlv.NewReader(m.Payload)
	status := matter.StatusFailure
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 0 {
			status = matter.Status(r.Uint8())
		}
	}
	if err := r.End(); err != nil {
		return err
	}
	return status
}

// add adds one ReportData to r.
func (r *Report) add(m exchange.Message) (more, suppress bool, err error) {
	if err := errStatus(m, im.OpcodeReportData); err != nil {
		return false, false, err
	}
	r.Chunks++
	rd := tlv.NewReader(m.Payload)
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			r.SubscriptionID = rd.Uint32()
		case 1:
			for rd.EnterArray(); rd.Next(); {
				r.attribute(&rd)
			}
			rd.Exit()
		case 2:
			for rd.EnterArray(); rd.Next(); {
				r.event(&rd)
			}
			rd.Exit()
		case 3:
			more = rd.Bool()
		case 4:
			suppress = rd.Bool()
		}
	}
	return more, suppress, rd.End()
}

func (r *Report) attribute(rd *tlv.Reader) {
	var a Attribute
	appended := false
	for rd.EnterStruct(); rd.Next(); {
		kind := rd.ContextTag()
		for rd.EnterStruct(); rd.Next(); {
			switch tag := rd.ContextTag(); {
			case kind == 0 && tag == 0, kind == 1 && tag == 1:
				appended = a.path(rd)
			case kind == 0 && tag == 1:
				a.Status = readStatus(rd)
			case kind == 1 && tag == 0:
				a.Version = matter.DataVersion(rd.Uint32())
			case kind == 1 && tag == 2:
				a.value = rd.Element().AppendTo(nil)
			}
		}
		rd.Exit()
	}
	rd.Exit()
	if rd.Err() != nil {
		return
	}
	if !appended {
		r.Attributes = append(r.Attributes, a)
		return
	}
	// This is one more item of the previous list: insert it before that list's end.
	if len(r.Attributes) == 0 {
		rd.Fail(errors.New("list item without its list"))
		return
	}
	last := &r.Attributes[len(r.Attributes)-1]
	if last.Endpoint != a.Endpoint || last.Cluster != a.Cluster || last.ID != a.ID || len(last.value) < 2 {
		rd.Fail(errors.New("list item without its list"))
		return
	}
	last.value = slices.Insert(last.value, len(last.value)-1, a.value...)
}

func (a *Attribute) path(rd *tlv.Reader) (appended bool) {
	for rd.EnterList(); rd.Next(); {
		switch rd.ContextTag() {
		case 2:
			a.Endpoint = matter.EndpointID(rd.Uint16())
		case 3:
			a.Cluster = matter.ClusterID(rd.Uint32())
		case 4:
			a.ID = matter.AttributeID(rd.Uint32())
		case 5:
			appended = rd.Null()
		}
	}
	rd.Exit()
	return appended
}

func (r *Report) event(rd *tlv.Reader) {
	var e Event
	for rd.EnterStruct(); rd.Next(); {
		kind := rd.ContextTag()
		for rd.EnterStruct(); rd.Next(); {
			switch tag := rd.ContextTag(); {
			case tag == 0:
				for rd.EnterList(); rd.Next(); {
					switch rd.ContextTag() {
					case 1:
						e.Endpoint = matter.EndpointID(rd.Uint16())
					case 2:
						e.Cluster = matter.ClusterID(rd.Uint32())
					case 3:
						e.ID = matter.EventID(rd.Uint32())
					}
				}
				rd.Exit()
			case kind == 0 && tag == 1:
				e.Status = readStatus(rd)
			case kind == 1 && tag == 1:
				e.Number = matter.EventNumber(rd.Uint())
			case kind == 1 && tag == 7:
				e.data = rd.Element().AppendTo(nil)
			}
		}
		rd.Exit()
	}
	rd.Exit()
	r.Events = append(r.Events, e)
}

func readStatus(rd *tlv.Reader) (s matter.ClusterStatus) {
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			s.Status = matter.Status(rd.Uint8())
		case 1:
			s.Code = rd.Uint8()
		}
	}
	rd.Exit()
	return s
}

// Fields writes the members of a command's structure.
type Fields func(w *tlv.Writer)

// Response is the answer to one command: a response command with fields, or a
// status.
type Response struct {
	Command matter.CommandID
	Status  matter.ClusterStatus
	fields  []byte
}

// Fields returns a Reader on the response's structure.
func (r *Response) Fields() tlv.Reader { return tlv.NewReader(r.fields) }

// Invoke executes one command. It returns a status other than SUCCESS as an error,
// also one for the whole message.
func (s *Session) Invoke(ctx context.Context, ep matter.EndpointID, cl matter.ClusterID, cmd matter.CommandID, f Fields) (*Response, error) {
	return s.invoke(ctx, ep, cl, cmd, f, 0)
}

// InvokeTimed is Invoke as a timed interaction.
func (s *Session) InvokeTimed(ctx context.Context, ep matter.EndpointID, cl matter.ClusterID, cmd matter.CommandID, f Fields, timeout time.Duration) (*Response, error) {
	return s.invoke(ctx, ep, cl, cmd, f, timeout)
}

func (s *Session) invoke(ctx context.Context, ep matter.EndpointID, cl matter.ClusterID, cmd matter.CommandID, f Fields, timeout time.Duration) (*Response, error) {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), false)
	w.Bool(tlv.Context(1), timeout > 0)
	w.StartArray(tlv.Context(2))
	w.StartStruct(tlv.Anonymous)
	w.StartList(tlv.Context(0))
	w.Uint(tlv.Context(0), uint64(ep))
	w.Uint(tlv.Context(1), uint64(cl))
	w.Uint(tlv.Context(2), uint64(cmd))
	w.End()
	if f != nil {
		w.StartStruct(tlv.Context(1))
		f(w)
		w.End()
	}
	w.End()
	w.End()
	finish(w)
	var rsp *Response
	final := func(_ time.Time, _ *exchange.Exchange, m exchange.Message) (bool, error) {
		var err error
		rsp, err = readResponse(m)
		return true, err
	}
	if err := s.perhapsTimed(ctx, timeout, im.OpcodeInvokeRequest, w.Bytes(), final); err != nil {
		return nil, err
	}
	if rsp.Status.Status != matter.StatusSuccess {
		return rsp, rsp.Status
	}
	return rsp, nil
}

// Announce announces a timed interaction and then sends nothing, until ctx ends or
// the node stops waiting.
func (s *Session) Announce(ctx context.Context, timeout time.Duration) error {
	return s.perhapsTimed(ctx, timeout, 0, nil, nil)
}

// perhapsTimed sends a request, after a TimedRequest if timeout is not zero.
func (s *Session) perhapsTimed(ctx context.Context, timeout time.Duration, opcode uint8, payload []byte, final step) error {
	if timeout == 0 {
		return s.transact(ctx, opcode, payload, final)
	}
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(0), uint64(timeout/time.Millisecond))
	finish(w)
	opened := false
	return s.transact(ctx, im.OpcodeTimedRequest, w.Bytes(), func(now time.Time, x *exchange.Exchange, m exchange.Message) (bool, error) {
		if opened {
			return final(now, x, m)
		}
		opened = true
		if err := errStatus(m, im.OpcodeStatusResponse); err != nil || final == nil {
			return err != nil, err
		}
		return false, x.Send(now, matter.ProtocolInteractionModel, opcode, payload)
	})
}

func readResponse(m exchange.Message) (*Response, error) {
	if err := errStatus(m, im.OpcodeInvokeResponse); err != nil {
		return nil, err
	}
	rsp := &Response{fields: []byte{0x15, 0x18}}
	n := 0
	rd := tlv.NewReader(m.Payload)
	for rd.EnterStruct(); rd.Next(); {
		if rd.ContextTag() != 1 {
			continue
		}
		for rd.EnterArray(); rd.Next(); n++ {
			for rd.EnterStruct(); rd.Next(); {
				kind := rd.ContextTag()
				rsp.read(&rd, kind)
			}
			rd.Exit()
		}
		rd.Exit()
	}
	if err := rd.End(); err != nil {
		return nil, err
	}
	if n != 1 {
		return nil, fmt.Errorf("%d responses to one command", n)
	}
	return rsp, nil
}

func (r *Response) read(rd *tlv.Reader, kind int) {
	for rd.EnterStruct(); rd.Next(); {
		switch tag := rd.ContextTag(); {
		case tag == 0:
			for rd.EnterList(); rd.Next(); {
				if rd.ContextTag() == 2 {
					r.Command = matter.CommandID(rd.Uint32())
				}
			}
			rd.Exit()
		case kind == 0 && tag == 1:
			r.fields = rd.Element().AppendTo(nil)
		case kind == 1 && tag == 1:
			r.Status = readStatus(rd)
		}
	}
	rd.Exit()
}

// Value writes an attribute's value under the tag it is given.
type Value func(w *tlv.Writer, t tlv.Tag)

// Write writes a whole attribute and returns its status.
func (s *Session) Write(ctx context.Context, ep matter.EndpointID, cl matter.ClusterID, at matter.AttributeID, v Value) (matter.ClusterStatus, error) {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), false)
	w.Bool(tlv.Context(1), false)
	w.StartArray(tlv.Context(2))
	w.StartStruct(tlv.Anonymous)
	Attr(ep, cl, at).write(w, tlv.Context(1), attributeEndpoint)
	v(w, tlv.Context(2))
	w.End()
	w.End()
	finish(w)
	var status matter.ClusterStatus
	err := s.transact(ctx, im.OpcodeWriteRequest, w.Bytes(), func(_ time.Time, _ *exchange.Exchange, m exchange.Message) (bool, error) {
		if err := errStatus(m, im.OpcodeWriteResponse); err != nil {
			return true, err
		}
		rd := tlv.NewReader(m.Payload)
		for rd.EnterStruct(); rd.Next(); {
			if rd.ContextTag() != 0 {
				continue
			}
			for rd.EnterArray(); rd.Next(); {
				for rd.EnterStruct(); rd.Next(); {
					if rd.ContextTag() == 1 {
						status = readStatus(&rd)
					}
				}
				rd.Exit()
			}
			rd.Exit()
		}
		return true, rd.End()
	})
	return status, err
}
