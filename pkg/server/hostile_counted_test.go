package server_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// A request beyond a limit of the Interaction Model gets a status and is counted.
func TestBoundsOfRequestsAreCounted(t *testing.T) {
	rawWorld(t, func(r *rig, x *raw, good *commissioner.Session, a *commissioner.Authority, node matter.NodeID) {
		list := func(w *tlv.Writer, t tlv.Tag) { w.StartArray(t); w.End() }
		element := func(w *tlv.Writer, t tlv.Tag) { w.Octets(t, make([]byte, 900)) }
		write := func(more bool, items ...item) { x.goOn(1, im.OpcodeWriteRequest, writeRequest(more, items...)) }
		for _, tt := range []struct {
			counted string
			do      func()
		}{
			{"read PATHS_EXHAUSTED", func() {
				_, _ = good.Read(r.ctx, commissioner.ReadRequest{Attributes: make([]commissioner.Path, 65)}) // the status is only in the counts
			}},
			{"write PATHS_EXHAUSTED", func() {
				x.exchange++
				write(false, slices.Repeat([]item{{clAccess, 0, true, list}}, 60)...)
			}},
			{"write RESOURCE_EXHAUSTED", func() {
				x.exchange++
				write(true, item{clAccess, 0, false, list})
				for range 20 {
					write(true, item{clAccess, 0, true, element})
				}
				write(false, item{clAccess, 0, true, element})
			}},
			{"write BUSY", func() {
				for n := range 3 {
					y := r.stranger(20+n).caseSession(a, node)
					for range 200 {
						y.s.send(y.next(1, im.OpcodeWriteRequest, writeRequest(true, item{clAccess, 0, false, list})))
					}
					time.Sleep(time.Second)
				}
			}},
		} {
			before := r.inspect().Requests[tt.counted]
			tt.do()
			time.Sleep(time.Second)
			if i := r.inspect(); i.Requests[tt.counted] == before {
				t.Errorf("%s: %d, as before; there are %v", tt.counted, before, i.Requests)
			}
		}
		time.Sleep(time.Minute)
		if n := r.inspect().Waiting; n != 0 {
			t.Errorf("%d interactions wait", n)
		}
	})
}

// While the node is blocked, the queue holds as many datagrams as it may. The rest
// are counted.
func TestQueueIsCounted(t *testing.T) {
	rawWorld(t, func(r *rig, _ *raw, good *commissioner.Session, _ *commissioner.Authority, _ matter.NodeID) {
		const n = server.QueueLen + 500
		before := r.inspect()
		r.announced.stall(time.Minute)
		r.must(good.OpenBasicWindow(r.ctx, 180)) // this calls Announce
		ack := message.ProtocolHeader{Initiator: true, HasAck: true, Opcode: message.OpcodeMRPStandaloneAck}
		for i := range n {
			h := message.Header{HasSource: true, Source: matter.NodeID(i + 1), Counter: 1}
			r.net.Inject(netip.AddrPortFrom(strangerAddr(i), 1), deviceAddr, bytes.Clone(ack.AppendTo(h.AppendTo(nil))))
			time.Sleep(time.Microsecond)
		}
		time.Sleep(2 * time.Minute)
		after := r.inspect()
		// An acknowledgement of the controller is in the queue as well.
		if got := after.Dropped["queue_full"] - before.Dropped["queue_full"]; got < n-server.QueueLen || got > n-server.QueueLen+1 {
			t.Errorf("%d of %d were dropped, want %d", got, n, n-server.QueueLen)
		}
		if !r.alive(good) {
			t.Error("the session does not answer")
		}
	})
}
