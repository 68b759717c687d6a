package node

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// accept handles the first message of an exchange that a peer began.
func (n *Node) accept(now time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler {
	switch m.Protocol {
	case matter.ProtocolSecureChannel:
		return n.talk.channel.Accept(now, x, m)
	case matter.ProtocolInteractionModel:
		switch {
		case x.Session().Kind == session.Unsecured:
			return nil
		case n.talk.closing[x.Session()]:
			// The session only waits for the acknowledgement of its last answer.
			// The request must not be acknowledged.
			return exchange.Busy
		}
		c := &conn{n: n, x: x}
		c.i = n.model.engine.Open(now, c)
		return c
	}
	return nil
}

// conn is the im.Conn of an exchange.
type conn struct {
	n *Node
	x *exchange.Exchange
	i *im.Interaction
}

// Subject returns the peer as it is now. AddNOC changes it over PASE.
func (c *conn) Subject() acl.Subject { return subject(c.x.Session()) }

func (c *conn) Session() im.Session {
	x := c.x.Session()
	return im.Session{Serial: x.Serial, AttestationChallenge: x.AttestationChallenge}
}

func (c *conn) Group() ([]matter.EndpointID, bool) { return nil, false }

func (c *conn) Send(now time.Time, opcode uint8, payload []byte) error {
	return c.x.Send(now, matter.ProtocolInteractionModel, opcode, payload)
}

func (c *conn) AwaitResponse(deadline time.Time) { c.x.AwaitResponse(deadline) }
func (c *conn) AwaitRequest(deadline time.Time)  { c.x.AwaitRequest(deadline) }

func (c *conn) Close(now time.Time) { c.x.Close(now) }

// Receive passes the peer's message on. A message of another protocol does not belong to
// the exchange, and a message on a session that is being closed comes too late.
func (c *conn) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	switch {
	case c.n.talk.closing[x.Session()]:
		x.Close(now)
	case m.Protocol == matter.ProtocolInteractionModel:
		c.i.Receive(now, m.Opcode, m.Payload)
	}
}

func (c *conn) Closed(now time.Time, _ *exchange.Exchange, err error) { c.i.Closed(now, err) }

// reporter opens exchanges for subscription reports.
type reporter struct{ n *Node }

func (r reporter) Open(now time.Time, serial uint64, i *im.Interaction) (im.Conn, error) {
	for x := range r.n.talk.sessions.All() {
		if x.Serial != serial || r.n.talk.closing[x] {
			continue
		}
		c := &conn{n: r.n, i: i}
		var err error
		if c.x, err = r.n.talk.exchanges.Initiate(now, x, c); errors.Is(err, exchange.ErrTooMany) {
			return nil, im.ErrBusy
		}
		return c, err
	}
	return nil, errSessionGone
}

var errSessionGone = errors.New("session ended")
