package commissioner

import (
	"crypto/rand"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// Initiator returns the administrator's side of a CASE handshake with node, for
// tests that transport its messages themselves. resume may be nil.
func (a *Authority) Initiator(id uint16, node matter.NodeID, resume *casesession.Record) casesession.InitiatorConfig {
	return a.initiator(&Client{rand: rand.Reader, params: message.DefaultParameters()}, id, node, resume)
}

// Prepare returns the datagrams of n reads, for benchmarks that send them themselves: of
// each read the request, a status after each answer but the last, and the acknowledgement
// of the last one. answers is the number of answers to a read, and counter the message
// counter of the node's last message: its answers have the counters after it.
func (s *Session) Prepare(req ReadRequest, n, answers int, counter uint32) (reads [][][]byte, err error) {
	request, status := req.encode(), statusResponse(matter.StatusSuccess)
	if done := s.c.do(func(now time.Time) {
		for i := range n {
			h := message.ProtocolHeader{Initiator: true, Reliable: true, Exchange: uint16(i), Protocol: matter.ProtocolInteractionModel}
			var all [][]byte
			add := func(opcode uint8, payload []byte) {
				if err == nil {
					var b []byte
					h.Opcode = opcode
					b, _, err = s.s.Seal(nil, &h, payload)
					all = append(all, b)
				}
			}
			add(im.OpcodeReadRequest, request)
			for a := range answers {
				counter++
				h.HasAck, h.Ack = true, counter
				if a < answers-1 {
					add(im.OpcodeStatusResponse, status)
				}
			}
			h.Reliable, h.Protocol = false, matter.ProtocolSecureChannel
			add(message.OpcodeMRPStandaloneAck, nil)
			reads = append(reads, all)
		}
	}); done != nil {
		return nil, done
	}
	return reads, err
}
