package commissioner

import (
	"context"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ReadRequest is what to read.
type ReadRequest struct {
	Attributes     []Path
	Events         []Path
	EventMin       matter.EventNumber // 0: all
	FabricFiltered bool
}

// encode returns the payload of the message.
func (req *ReadRequest) encode() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	writePaths(w, 0, req.Attributes, attributeEndpoint)
	writePaths(w, 1, req.Events, eventEndpoint)
	if req.EventMin > 0 {
		w.StartArray(tlv.Context(2))
		w.StartStruct(tlv.Anonymous)
		w.Uint(tlv.Context(1), uint64(req.EventMin))
		w.End()
		w.End()
	}
	w.Bool(tlv.Context(3), req.FabricFiltered)
	finish(w)
	return w.Bytes()
}

// Read executes a read. It returns a StatusResponse instead of a report as a
// matter.Status.
func (s *Session) Read(ctx context.Context, req ReadRequest) (*Report, error) {
	rep := &Report{}
	err := s.transact(ctx, im.OpcodeReadRequest, req.encode(), func(now time.Time, x *exchange.Exchange, m exchange.Message) (bool, error) {
		more, suppress, err := rep.add(m)
		if err != nil {
			return true, err
		}
		if !suppress {
			return !more, x.Send(now, matter.ProtocolInteractionModel, im.OpcodeStatusResponse, statusResponse(matter.StatusSuccess))
		}
		return !more, nil
	})
	return rep, err
}

func writePaths(w *tlv.Writer, tag uint8, paths []Path, endpoint uint8) {
	if len(paths) == 0 {
		return
	}
	w.StartArray(tlv.Context(tag))
	for _, p := range paths {
		p.write(w, tlv.Anonymous, endpoint)
	}
	w.End()
}
