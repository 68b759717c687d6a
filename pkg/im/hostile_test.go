package im

import (
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// requests holds valid messages by opcode. They seed the tests of hostile ones.
var requests = map[uint8][]string{
	OpcodeStatusResponse: {ok, "{0:1,255:12}"},
	OpcodeReadRequest: {
		"{0:[<2:0,3:6,4:0>],3:false,255:12}",
		"{0:[<>,<0:false,1:5,2:2,3:6,4:65531,6:511>],1:[<>,<0:5,1:0,2:6,3:0,4:true>],2:[{0:5,1:1001}],3:true,4:[{0:<0:5,1:0,2:6>,1:5}],255:12}",
		"{0:[<2:0,3:6,4:3,5:1>,<2:9,3:9,4:9>],1:[<1:9,2:9,3:9>],3:true,255:12}",
	},
	OpcodeSubscribeRequest: {
		"{0:true,1:1,2:60,3:[<2:0,3:6,4:0>],7:false,255:12}",
		"{0:false,1:0,2:60,3:[<>],4:[<4:true>],5:[{0:5,1:1001}],7:true,8:[{0:<1:0,2:6>,1:5}],255:12}",
	},
	OpcodeReportData: {"{0:5,1:[],255:12}"},
	OpcodeWriteRequest: {
		"{0:false,1:false,2:[{0:5,1:<2:0,3:6,4:0>,2:8}],3:false,255:12}",
		`{1:false,2:[{1:<2:0,3:6,4:4>,2:[]},{1:<2:0,3:6,4:4,5:null>,2:{1:"x",254:0}},{1:<2:2,3:6,4:3,5:null>,2:"y"}],3:true,255:12}`,
	},
	OpcodeInvokeRequest: {
		"{0:false,1:false,2:[{0:<0:0,1:6,2:0>}],255:12}",
		`{0:false,1:false,2:[{0:<0:0,1:6,2:1>,1:{0:"x",1:[1,{0:2}]},2:1},{0:<0:2,1:6,2:1>,1:{},2:2}],255:12}`,
	},
	OpcodeTimedRequest: {"{0:500,255:12}"},
}

// hostile is a node that receives one message after another.
type hostile struct{ *node }

func newHostile(t testing.TB) hostile {
	n := newNode(t, func(o *Options) { o.MaxPathsPerInvoke, o.MaxPayload = 3, 300 })
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.Emit(n.now, 0, 6, 2, 1, nil)
	return hostile{n}
}

// receive passes a message to an exchange in the state that before sets up, and
// checks the invariants.
func (h hostile) receive(t testing.TB, before func(c *fakeConn) *Interaction, opcode uint8, payload []byte) {
	h.t = t
	c := h.newConn(pase(1))
	c.t = t
	i := before(c)
	h.sw0.writes, h.sw0.invokes, h.sw2.writes, h.sw2.invokes = nil, nil, nil, nil
	sent := len(c.sent)
	i.Receive(h.now, opcode, payload)
	answers := c.sent[sent:]
	switch {
	case opcode == OpcodeStatusResponse && len(answers) > 0 && answers[0].opcode == OpcodeStatusResponse:
		t.Errorf("%x: a status is answered with a status", payload)
	case len(answers) > 1:
		t.Errorf("%x: %d answers", payload, len(answers))
	case len(answers) == 1 && answers[0].opcode == OpcodeStatusResponse && answers[0].text != ok:
		if calls := len(h.sw0.writes) + len(h.sw0.invokes) + len(h.sw2.writes) + len(h.sw2.invokes); calls > 0 {
			t.Errorf("%x: refused after %d calls", payload, calls)
		}
		if !c.closed {
			t.Errorf("%x: refused but not closed", payload)
		}
	}
	for k := 0; !c.closed && k < 200; k++ {
		if c.last().opcode != OpcodeReportData && c.last().opcode != OpcodeInvokeResponse {
			break
		}
		h.confirm(i)
	}
	if !c.closed {
		i.Closed(h.now, errTest)
	}
	if h.Stats().Waiting != 0 {
		t.Fatalf("%x: an interaction waits for ever", payload)
	}
	h.fabricRemoved(9)
	h.SessionGone(7)
	h.endWhere(h.now, "the test is over", func(*subscription) bool { return true })
	if len(h.subscriptions) != 0 {
		t.Fatalf("%x: %d subscriptions", payload, len(h.subscriptions))
	}
}

// openings are the states of an exchange in which a message may arrive.
func (h hostile) openings() map[string]func(c *fakeConn) *Interaction {
	after := func(opcode uint8, text string) func(*fakeConn) *Interaction {
		return func(c *fakeConn) *Interaction {
			i := h.Open(h.now, c)
			i.Receive(h.now, opcode, encode(h.t, text))
			return i
		}
	}
	return map[string]func(c *fakeConn) *Interaction{
		"first":  func(c *fakeConn) *Interaction { return h.Open(h.now, c) },
		"timed":  after(OpcodeTimedRequest, "{0:500}"),
		"read":   after(OpcodeReadRequest, "{0:[<>],3:false}"),
		"write":  after(OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:4>,2:[]}],3:true}`),
		"invoke": after(OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<0:0,1:6,2:1>,1:{0:"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"},2:1},{0:<0:2,1:6,2:1>,1:{0:"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"},2:2}]}`),
		"prime":  after(OpcodeSubscribeRequest, "{0:false,1:0,2:60,3:[<>],7:true}"),
	}
}

func TestHostileMessages(t *testing.T) {
	h := newHostile(t)
	openings := h.openings()
	for opcode, texts := range requests {
		for _, text := range texts {
			good := encode(t, text)
			for name, before := range openings {
				t.Run(name, func(t *testing.T) {
					h.receive(t, before, opcode, good)
					for cut := range good {
						h.receive(t, before, opcode, good[:cut])
					}
				})
			}
			for bit := range len(good) * 8 {
				b := append([]byte(nil), good...)
				b[bit/8] ^= 1 << (bit % 8)
				h.receive(t, openings["first"], opcode, b)
			}
			for k := range good {
				b := append([]byte(nil), good...)
				for _, v := range []byte{0x00, 0x15, 0x16, 0x17, 0x18, 0x34, 0x36, 0xFF} {
					b[k] = v
					h.receive(t, openings["first"], opcode, b)
				}
			}
			h.receive(t, openings["first"], opcode, append(good, 0x18))
		}
	}
}

func TestTruncatedRequestsAreRefused(t *testing.T) {
	n := newNode(t, nil)
	for opcode, texts := range requests {
		if opcode == OpcodeStatusResponse {
			continue
		}
		for _, text := range texts {
			good := encode(t, text)
			for cut := range good {
				c := n.newConn(pase(1))
				n.Open(n.now, c).Receive(n.now, opcode, good[:cut])
				wantStatus(t, c, matter.StatusInvalidAction)
			}
		}
	}
}

// fuzz passes messages with one opcode to an engine, in every state of an exchange.
func fuzz(f *testing.F, opcode uint8) {
	for _, text := range requests[opcode] {
		f.Add(encode(f, text))
	}
	h := newHostile(f)
	openings := h.openings()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, before := range openings {
			h.receive(t, before, opcode, b)
		}
	})
}

func FuzzStatusResponse(f *testing.F)   { fuzz(f, OpcodeStatusResponse) }
func FuzzReadRequest(f *testing.F)      { fuzz(f, OpcodeReadRequest) }
func FuzzSubscribeRequest(f *testing.F) { fuzz(f, OpcodeSubscribeRequest) }
func FuzzReportData(f *testing.F)       { fuzz(f, OpcodeReportData) }
func FuzzWriteRequest(f *testing.F)     { fuzz(f, OpcodeWriteRequest) }
func FuzzInvokeRequest(f *testing.F)    { fuzz(f, OpcodeInvokeRequest) }
func FuzzTimedRequest(f *testing.F)     { fuzz(f, OpcodeTimedRequest) }
