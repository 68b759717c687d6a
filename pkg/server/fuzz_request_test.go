package server_test

import (
	"net/netip"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// administer lets the second administrator do something. After that the node may be
// in any state, but it must keep running.
func (p *program) administer() {
	if p.other == nil {
		p.net.SetConditions(clean)
		p.orphans = true
		p.other = p.strangerAt(netip.MustParseAddrPort("[fe80::a]:40000")).caseSession(p.node.other, p.node.otherNode)
	}
	if p.byte()&1 == 0 {
		p.ask(p.other)
		return
	}
	p.other.ask(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, p.command())
}

// cluster returns a cluster that usually exists.
func (p *program) cluster() matter.ClusterID {
	b := p.byte()
	if b >= 0xE0 {
		return matter.ClusterID(p.byte())
	}
	return [...]matter.ClusterID{clOpCreds, clGeneral, clWindow, clGroupKeys, clBasic, clAccess}[b%6]
}

// command returns a command, usually with valid fields.
func (p *program) command() []byte {
	cl, id := p.cluster(), matter.CommandID(p.byte()%16)
	var pairs []any
	for i := range int(p.byte() % 6) {
		pairs = append(pairs, i, p.value())
	}
	return invokeRequest(cl, id, args(pairs...))
}

// value returns the value of a field or an attribute.
func (p *program) value() commissioner.Value {
	switch p.byte() % 9 {
	case 0:
		b := p.octets()
		return func(w *tlv.Writer, t tlv.Tag) { w.Octets(t, b) }
	case 1:
		n := uint64(p.byte()) << (p.byte() % 32)
		return func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, n) }
	case 2:
		return func(w *tlv.Writer, t tlv.Tag) { w.Octets(t, p.node.other.Root()) }
	case 3:
		return func(w *tlv.Writer, t tlv.Tag) { w.Null(t) }
	case 4:
		return func(w *tlv.Writer, t tlv.Tag) { w.Octets(t, make([]byte, 32)) }
	case 5:
		b := p.byte()&1 == 0
		return func(w *tlv.Writer, t tlv.Tag) { w.Bool(t, b) }
	case 6:
		text := string(p.octets())
		return func(w *tlv.Writer, t tlv.Tag) { w.Text(t, text) }
	case 7: // everything to the guest
		return entries(entry{privilege: matter.PrivilegeAdminister, mode: matter.AuthModeCASE, subjects: []uint64{uint64(p.node.guest.NodeID)}})
	}
	b := p.octets()
	return func(w *tlv.Writer, t tlv.Tag) {
		if tlv.Validate(b) != nil {
			w.StartArray(t)
			w.End()
			return
		}
		r := tlv.NewReader(b)
		w.Element(t, r.Element())
	}
}

// ask sends a valid request with some of its octets replaced.
func (p *program) ask(x *raw) {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	opcode := [...]uint8{
		im.OpcodeReadRequest, im.OpcodeSubscribeRequest, im.OpcodeWriteRequest,
		im.OpcodeInvokeRequest, im.OpcodeTimedRequest, im.OpcodeStatusResponse,
	}[p.byte()%6]
	switch opcode {
	case im.OpcodeReadRequest:
		p.paths(w, 0)
		w.Bool(tlv.Context(3), true)
	case im.OpcodeSubscribeRequest:
		w.Bool(tlv.Context(0), p.byte()&1 == 0)
		w.Uint(tlv.Context(1), uint64(p.byte()))
		w.Uint(tlv.Context(2), uint64(p.byte())<<4)
		p.paths(w, 3)
		w.Bool(tlv.Context(7), true)
	case im.OpcodeTimedRequest:
		w.Uint(tlv.Context(0), uint64(p.byte())<<6)
	case im.OpcodeStatusResponse:
		w.Uint(tlv.Context(0), uint64(p.byte()))
	case im.OpcodeWriteRequest:
		x.s.send(x.next(matter.ProtocolInteractionModel, opcode, writeRequest(p.byte()&1 != 0, p.item(), p.item())))
		return
	default:
		x.s.send(x.next(matter.ProtocolInteractionModel, opcode, p.command()))
		return
	}
	w.Uint(tlv.Context(0xFF), matter.InteractionModelRevision)
	w.End()
	x.s.send(x.next(matter.ProtocolInteractionModel, opcode, w.Bytes()))
}

func (p *program) paths(w *tlv.Writer, tag uint8) {
	w.StartArray(tlv.Context(tag))
	for range 1 + p.byte()%4 {
		w.StartList(tlv.Anonymous)
		given := p.byte()
		for i := range uint8(3) {
			if given&(1<<i) != 0 {
				w.Uint(tlv.Context(2+i), uint64(p.byte()))
			}
		}
		w.End()
	}
	w.End()
}

func (p *program) item() item {
	return item{cluster: p.cluster(), attribute: matter.AttributeID(p.byte() % 8), add: p.byte()&1 != 0, data: p.value()}
}
