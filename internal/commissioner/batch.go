package commissioner

import (
	"context"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Command is one command of a batch, without fields.
type Command struct {
	Endpoint matter.EndpointID
	Cluster  matter.ClusterID
	ID       matter.CommandID
}

// Batch contains the results of the commands of a batch.
type Batch struct {
	Statuses map[int]matter.ClusterStatus // by index of the command
}

// InvokeBatch executes several commands in one request. It returns a status for the
// whole message as an error.
func (s *Session) InvokeBatch(ctx context.Context, commands []Command) (*Batch, error) {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), false)
	w.Bool(tlv.Context(1), false)
	w.StartArray(tlv.Context(2))
	for i, c := range commands {
		w.StartStruct(tlv.Anonymous)
		w.StartList(tlv.Context(0))
		w.Uint(tlv.Context(0), uint64(c.Endpoint))
		w.Uint(tlv.Context(1), uint64(c.Cluster))
		w.Uint(tlv.Context(2), uint64(c.ID))
		w.End()
		w.Uint(tlv.Context(2), uint64(i))
		w.End()
	}
	w.End()
	finish(w)
	b := &Batch{Statuses: map[int]matter.ClusterStatus{}}
	err := s.transact(ctx, im.OpcodeInvokeRequest, w.Bytes(), func(now time.Time, x *exchange.Exchange, m exchange.Message) (bool, error) {
		more, err := b.add(m)
		if err != nil || !more {
			return true, err
		}
		return false, x.Send(now, matter.ProtocolInteractionModel, im.OpcodeStatusResponse, statusResponse(matter.StatusSuccess))
	})
	return b, err
}

// add adds one message of the answer.
func (b *Batch) add(m exchange.Message) (more bool, err error) {
	if err := errStatus(m, im.OpcodeInvokeResponse); err != nil {
		return false, err
	}
	rd := tlv.NewReader(m.Payload)
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 1:
			for rd.EnterArray(); rd.Next(); {
				b.response(&rd)
			}
			rd.Exit()
		case 2:
			more = rd.Bool()
		}
	}
	return more, rd.End()
}

// response adds one InvokeResponseIB: a response or a status, each with the
// reference.
func (b *Batch) response(rd *tlv.Reader) {
	for rd.EnterStruct(); rd.Next(); {
		ref, status := -1, matter.ClusterStatus{}
		kind := rd.ContextTag()
		for rd.EnterStruct(); rd.Next(); {
			switch tag := rd.ContextTag(); {
			case tag == 2:
				ref = int(rd.Uint16())
			case kind == 1 && tag == 1:
				status = readStatus(rd)
			}
		}
		rd.Exit()
		if _, twice := b.Statuses[ref]; ref < 0 || twice {
			rd.Fail(fmt.Errorf("the reference of a response is %d", ref))
		}
		b.Statuses[ref] = status
	}
	rd.Exit()
}
