package commissioner

import (
	"context"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// reportQueue is the maximum number of reports of a subscription in the queue;
// further ones are dropped.
const reportQueue = 64

// Subscription is a subscription that the node has confirmed.
type Subscription struct {
	ID     uint32
	Max    time.Duration // between reports
	Primed *Report       // the first report

	c       *Client
	node    matter.NodeID // the sender of the reports
	mute    bool          // do not answer reports
	reports chan *Report
}

// Subscribe subscribes. min and max are the requested intervals in seconds. The
// peer keeps its other subscriptions.
func (s *Session) Subscribe(ctx context.Context, req ReadRequest, min, max uint16) (*Subscription, error) {
	return s.subscribe(ctx, req, min, max, true)
}

// SubscribeAnew subscribes and ends all other subscriptions of the peer.
func (s *Session) SubscribeAnew(ctx context.Context, req ReadRequest, min, max uint16) (*Subscription, error) {
	return s.subscribe(ctx, req, min, max, false)
}

func (s *Session) subscribe(ctx context.Context, req ReadRequest, min, max uint16, keep bool) (*Subscription, error) {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), keep)
	w.Uint(tlv.Context(1), uint64(min))
	w.Uint(tlv.Context(2), uint64(max))
	writePaths(w, 3, req.Attributes, attributeEndpoint)
	writePaths(w, 4, req.Events, eventEndpoint)
	w.Bool(tlv.Context(7), req.FabricFiltered)
	finish(w)
	u := &Subscription{Primed: &Report{}, c: s.c, node: s.s.PeerNode, reports: make(chan *Report, reportQueue)}
	err := s.transact(ctx, im.OpcodeSubscribeRequest, w.Bytes(), func(now time.Time, x *exchange.Exchange, m exchange.Message) (bool, error) {
		if m.Protocol == matter.ProtocolInteractionModel && m.Opcode == im.OpcodeSubscribeResponse {
			if err := u.confirmed(m.Payload); err != nil {
				return true, err
			}
			s.c.subscriptions[u.ID] = u
			return true, nil
		}
		if _, _, err := u.Primed.add(m); err != nil {
			return true, err
		}
		return false, x.Send(now, matter.ProtocolInteractionModel, im.OpcodeStatusResponse, statusResponse(matter.StatusSuccess))
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (u *Subscription) confirmed(payload []byte) error {
	r := tlv.NewReader(payload)
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			u.ID = r.Uint32()
		case 2:
			u.Max = time.Duration(r.Uint16()) * time.Second
		}
	}
	return r.End()
}

// Next returns the next report. A report without attributes and events is a
// keep-alive.
func (u *Subscription) Next(ctx context.Context) (*Report, error) {
	select {
	case r := <-u.reports:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Drop makes the client reject the subscription's next report, which ends it on the
// node.
func (u *Subscription) Drop() { _ = u.c.do(func(time.Time) { delete(u.c.subscriptions, u.ID) }) }

// Mute makes the client stop answering reports, or answer again.
func (u *Subscription) Mute(on bool) { _ = u.c.do(func(time.Time) { u.mute = on }) }

// incoming is the handler of what a node begins: reports and the end of
// sessions.
func (c *Client) incoming(_ time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler {
	switch {
	case x.Session().Kind == session.Unsecured && m.Opcode == message.OpcodeSigma1:
		return c.answer()
	case x.Session().Kind == session.Unsecured:
	case m.Protocol == matter.ProtocolInteractionModel && m.Opcode == im.OpcodeReportData:
		return &reporting{c: c, rep: &Report{}}
	case m.Protocol == matter.ProtocolSecureChannel && m.Opcode == message.OpcodeStatusReport:
		return ending{c}
	}
	return nil
}

// reporting takes one report of a subscription.
type reporting struct {
	c   *Client
	rep *Report
}

func (h *reporting) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	more, suppress, err := h.rep.add(m)
	u := h.c.subscriptions[h.rep.SubscriptionID]
	status := matter.StatusSuccess
	if err != nil || u == nil || u.node != x.Session().PeerNode {
		status, more = matter.StatusInvalidSubscription, false
	}
	if u != nil && u.mute {
		return
	}
	h.rep.At, h.rep.Called = now, !x.Session().Initiator
	if !suppress || status != matter.StatusSuccess {
		// If this fails, the node misses the confirmation and ends the subscription.
		_ = x.Send(now, matter.ProtocolInteractionModel, im.OpcodeStatusResponse, statusResponse(status))
	}
	if more {
		x.AwaitResponse(now.Add(responseTimeout))
		return
	}
	if status == matter.StatusSuccess {
		select {
		case u.reports <- h.rep:
		default:
		}
	}
	x.Close(now)
}

func (*reporting) Closed(time.Time, *exchange.Exchange, error) {}

// ending takes CloseSession.
type ending struct{ c *Client }

func (h ending) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	if r, err := message.ParseStatusReport(m.Payload); err == nil && r.Code == message.CodeCloseSession {
		(&Session{h.c, x.Session()}).forget(now)
		return
	}
	x.Close(now)
}

func (ending) Closed(time.Time, *exchange.Exchange, error) {}
