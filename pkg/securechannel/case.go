package securechannel

import (
	"bytes"
	"errors"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

var errFabric = errors.New("the fabric was removed or changed during the handshake")

// acceptCASE begins a CASE handshake.
func (c *Channel) acceptCASE(now time.Time, x *exchange.Exchange) exchange.Handler {
	p := &caseResponder{c: c}
	h := c.begin(now, x, session.CASE, func(id uint16) responder {
		p.r = casesession.NewResponder(casesession.ResponderConfig{
			Rand: c.opt.Rand, Fabrics: &p.fabrics, Resumptions: c.opt.Resumptions,
			SessionID: id, Params: c.opt.Parameters, Validity: c.opt.Validity(now),
		})
		return p
	})
	if h == nil {
		return nil
	}
	p.fabrics = handshakeFabrics{Fabrics: c.opt.Fabrics, place: func() bool { return c.place(now, h) }}
	return h
}

// handshakeFabrics is a fabric table that remembers the first fabric it returned,
// which is the one of the handshake. The fabric may be removed, or its certificate
// replaced, during a handshake.
//
// When a fabric is found, the initiator has proved that it, or somebody whose
// messages it has recorded, knows this node. The handshake must get a place at that
// point, before the fabric is returned.
type handshakeFabrics struct {
	casesession.Fabrics
	first *fabric.Fabric
	place func() bool
	busy  bool // there was no place
}

// note reports whether f may be returned.
func (m *handshakeFabrics) note(f *fabric.Fabric) bool {
	if m.first == nil && f != nil && !m.busy {
		if m.busy = !m.place(); !m.busy {
			m.first = f
		}
	}
	return f != nil && !m.busy
}

func (m *handshakeFabrics) FindDestination(destinationID, initiatorRandom []byte) (*fabric.Fabric, [mcrypto.KeySize]byte, bool) {
	f, ipk, ok := m.Fabrics.FindDestination(destinationID, initiatorRandom)
	if !ok || !m.note(f) {
		return nil, [mcrypto.KeySize]byte{}, false
	}
	return f, ipk, true
}

func (m *handshakeFabrics) Get(i matter.FabricIndex) *fabric.Fabric {
	if f := m.Fabrics.Get(i); m.note(f) {
		return f
	}
	return nil
}

// check returns an error if the fabric has changed.
func (m *handshakeFabrics) check() error {
	f := m.Fabrics.Get(m.first.Index)
	if f == nil || f.FabricID != m.first.FabricID || f.RootPublicKey != m.first.RootPublicKey || !bytes.Equal(f.NOC, m.first.NOC) {
		return &resultError{Aborted, errFabric}
	}
	return nil
}

type caseResponder struct {
	c        *Channel
	r        *casesession.Responder
	fabrics  handshakeFabrics
	resuming bool // waits for the initiator's StatusReport
	record   casesession.Record
}

func (p *caseResponder) take(m exchange.Message) (n next, err error) {
	switch m.Opcode {
	case message.OpcodeSigma1:
		n.payload, n.opcode, err = p.r.Sigma1(m.Payload)
		p.resuming = n.opcode == message.OpcodeSigma2Resume
		switch {
		case p.fabrics.busy:
			err = &resultError{Busy, errBusy}
		case errors.Is(err, casesession.ErrNoSharedRoot):
			err = &resultError{NoSharedRoot, err}
		}
	case message.OpcodeSigma3:
		var res casesession.Result
		if res, err = p.r.Sigma3(m.Payload); err == nil {
			n.confirm = true
			err = p.finish(&n, &res)
		}
	case message.OpcodeStatusReport:
		return p.report(m.Payload)
	default:
		err = errUnexpected
	}
	return n, err
}

// report handles a StatusReport of the initiator. It completes the handshake after
// Sigma2_Resume, and otherwise ends it with a failure.
func (p *caseResponder) report(payload []byte) (n next, err error) {
	if r, err := message.ParseStatusReport(payload); err != nil || !r.Success() || !p.resuming {
		return n, peerReport(payload)
	}
	res, err := p.r.Resumed()
	if err != nil {
		return n, &resultError{Aborted, err}
	}
	n.resumed = true
	return n, p.finish(&n, &res)
}

// finish prepares the session of a result and wipes the result.
func (p *caseResponder) finish(n *next, res *casesession.Result) error {
	defer res.Wipe()
	if err := p.fabrics.check(); err != nil {
		return err
	}
	p.record = res.Record()
	n.session = &session.Config{
		PeerID: res.PeerSessionID, Params: res.PeerParams,
		Fabric: res.Fabric, LocalNode: res.LocalNode, PeerNode: res.PeerNode, CATs: res.CATs,
		Keys: session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
	}
	return nil
}

func (p *caseResponder) params() message.SessionParameters { return p.r.PeerParams() }

func (p *caseResponder) established() error {
	p.c.opt.Resumptions.Put(p.record)
	return nil
}

func (p *caseResponder) ended(time.Time, Result) {
	p.r.Wipe()
	clear(p.record.SharedSecret[:])
}
