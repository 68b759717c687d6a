package commissioner

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// CallBack is a handshake that a node began.
type CallBack struct {
	Node    matter.NodeID
	At      time.Time
	Resumed bool
	session *session.Session
}

// Serve makes the client act as the node of an administrator, so that nodes can
// connect to it as a subscriber. nil ends that. Without it the client ignores their
// handshakes.
func (c *Client) Serve(a *Authority) { _ = c.do(func(time.Time) { c.served = a }) }

// CallBacks returns the completed handshakes that nodes began.
func (c *Client) CallBacks() (list []CallBack) {
	_ = c.do(func(time.Time) { list = slices.Clone(c.callBacks) })
	return list
}

// ForgetAll drops all sessions, subscriptions and resumption records without
// notifying the nodes, as a controller that was switched off does.
func (c *Client) ForgetAll() {
	_ = c.do(func(now time.Time) {
		for s := range c.sessions.All() {
			(&Session{c, s}).forget(now)
		}
		clear(c.subscriptions)
		clear(c.records)
	})
}

// answer returns the handler of a handshake that a node begins.
func (c *Client) answer() exchange.Handler {
	if c.served == nil {
		return nil
	}
	id, err := c.sessions.ReserveID()
	if err != nil {
		return nil
	}
	r := casesession.NewResponder(casesession.ResponderConfig{
		Rand: c.rand, Fabrics: served{c}, Resumptions: served{c}, SessionID: id, Params: c.params,
	})
	return &answering{c: c, id: id, r: r}
}

type answering struct {
	c  *Client
	id uint16
	r  *casesession.Responder
}

func (h *answering) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	var reply []byte
	var opcode uint8
	var res casesession.Result
	var err error
	switch m.Opcode {
	case message.OpcodeSigma1:
		reply, opcode, err = h.r.Sigma1(m.Payload)
	case message.OpcodeSigma3:
		if res, err = h.r.Sigma3(m.Payload); err == nil {
			report := message.StatusReport{General: message.GeneralSuccess, Code: message.CodeSessionEstablished}
			reply, opcode = report.AppendTo(nil), message.OpcodeStatusReport
		}
	case message.OpcodeStatusReport:
		if err = status(m); err == nil {
			res, err = h.r.Resumed()
		}
		if err != nil {
			x.Close(now)
			return
		}
	}
	if err != nil {
		_ = refuse(now, x, err)
		x.Close(now)
		return
	}
	if res.PeerSessionID != 0 {
		if err = h.established(now, x, &res); err != nil {
			x.Close(now)
			return
		}
	}
	if opcode != 0 {
		// If this fails, the node's handshake times out.
		_ = x.Send(now, matter.ProtocolSecureChannel, opcode, reply)
	}
	if res.PeerSessionID != 0 {
		x.Close(now)
		return
	}
	x.AwaitResponse(now.Add(responseTimeout))
}

func (h *answering) Closed(time.Time, *exchange.Exchange, error) { h.c.sessions.ReleaseID(h.id) }

func (h *answering) established(now time.Time, x *exchange.Exchange, res *casesession.Result) error {
	s, err := h.c.sessions.Add(now, session.Config{
		Kind: session.CASE, LocalID: h.id, PeerID: res.PeerSessionID,
		Keys:      session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
		LocalNode: res.LocalNode, PeerNode: res.PeerNode, Fabric: res.Fabric,
		Params: res.PeerParams, Path: x.Session().Path,
	})
	if err != nil {
		return err
	}
	h.c.remember(res.Record())
	h.c.callBacks = append(h.c.callBacks, CallBack{res.PeerNode, now, res.Resumed, s})
	return nil
}

// remember stores a record, which replaces the peer's last one.
func (c *Client) remember(rec casesession.Record) {
	for id, old := range c.records {
		if old.Fabric == rec.Fabric && old.Peer == rec.Peer {
			delete(c.records, id)
		}
	}
	c.records[rec.ID] = rec
}

// served provides what the client needs as a responder.
type served struct{ c *Client }

// servedIndex is the index of every fabric on this side.
const servedIndex = 1

func (t served) FindDestination(id, random []byte) (*fabric.Fabric, [16]byte, bool) {
	f, a := t.Get(servedIndex), t.c.served
	if f == nil {
		return nil, [16]byte{}, false
	}
	h := hmac.New(sha256.New, a.ipk[:])
	h.Write(random)
	h.Write(f.RootPublicKey[:])
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(a.FabricID)))
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(a.NodeID)))
	return f, a.ipk, hmac.Equal(h.Sum(nil), id)
}

func (t served) Get(matter.FabricIndex) *fabric.Fabric {
	a := t.c.served
	if a == nil {
		return nil
	}
	return &fabric.Fabric{
		Fabric:        store.Fabric{Index: servedIndex, FabricID: a.FabricID, NodeID: a.NodeID},
		RootPublicKey: a.root.Certificate.PublicKey,
		RootCert:      a.root.Certificate, ICACCert: a.ICACert(), NOCCert: a.noc, OperationalKey: a.key,
	}
}

func (t served) Find(id []byte) (casesession.Record, bool) {
	if len(id) != casesession.ResumptionIDSize {
		return casesession.Record{}, false
	}
	rec, ok := t.c.records[[casesession.ResumptionIDSize]byte(id)]
	return rec, ok
}
