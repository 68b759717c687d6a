package securechannel

import (
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/pase"
	"github.com/opcredsd/opcredsd/pkg/session"
)

var errWindow = errors.New("the commissioning window was closed")

// acceptPASE begins a PASE handshake if the commissioning window permits one.
// Otherwise the request is not even acknowledged, as if the node did not exist. The
// peer sends it again, and another handshake may have ended by then.
func (c *Channel) acceptPASE(now time.Time, x *exchange.Exchange) exchange.Handler {
	p, ok := c.opt.Window.Offer()
	if !ok {
		return exchange.Busy
	}
	h := c.begin(now, x, session.PASE, func(id uint16) responder {
		return &paseResponder{c: c, r: pase.NewResponder(pase.ResponderConfig{
			Rand: c.opt.Rand, Verifier: p.Verifier, Salt: p.Salt, Iterations: p.Iterations,
			SessionID: id, Params: c.opt.Parameters,
		})}
	})
	if h == nil {
		return nil
	}
	c.opt.Window.Begin()
	// An older handshake, whose window was closed, may still be in progress. It is
	// no longer c.pase.
	c.pase = h.responder
	return h
}

type paseResponder struct {
	c         *Channel
	r         *pase.Responder
	succeeded bool // the window was notified
}

func (p *paseResponder) take(m exchange.Message) (n next, err error) {
	switch m.Opcode {
	case message.OpcodePBKDFParamRequest:
		n.opcode = message.OpcodePBKDFParamResponse
		n.payload, err = p.r.PBKDFParamRequest(m.Payload)
	case message.OpcodePake1:
		n.opcode = message.OpcodePake2
		n.payload, err = p.r.Pake1(m.Payload)
	case message.OpcodePake3:
		var res pase.Result
		if res, err = p.r.Pake3(m.Payload); errors.Is(err, pase.ErrPasscode) {
			err = &resultError{WrongPasscode, err}
		} else if err == nil {
			n.confirm, n.session = true, &session.Config{
				PeerID: res.PeerSessionID, Params: res.PeerParams,
				Keys: session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
			}
			res.Wipe()
		}
	case message.OpcodeStatusReport:
		err = p.peerReport(m.Payload)
	default:
		err = errUnexpected
	}
	return n, err
}

// peerReport returns the error for a StatusReport. If the initiator rejects Pake2
// with InvalidParameter, the passcodes differ.
func (p *paseResponder) peerReport(payload []byte) error {
	err := peerReport(payload)
	r, malformed := message.ParseStatusReport(payload)
	if malformed == nil && p.r.Confirming() && r.General == message.GeneralFailure && r.Code == message.CodeInvalidParameter {
		return &resultError{WrongPasscode, err}
	}
	return err
}

func (p *paseResponder) params() message.SessionParameters { return p.r.PeerParams() }

func (p *paseResponder) established() error {
	if p.succeeded = p.c.pase == p && p.c.opt.Window.Succeeded(); !p.succeeded {
		return errWindow
	}
	return nil
}

func (p *paseResponder) ended(now time.Time, r Result) {
	p.r.Wipe()
	if p.c.pase != p {
		return
	}
	p.c.pase = nil
	switch {
	case r == Success:
	case p.succeeded: // but the peer could not be notified
		p.c.opt.Window.SessionEnded(now)
	default:
		p.c.opt.Window.Failed(now)
	}
}
