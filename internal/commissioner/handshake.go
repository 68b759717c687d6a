package commissioner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/pase"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// StatusError is a StatusReport that was not a success.
type StatusError struct{ message.StatusReport }

func (e StatusError) Error() string {
	return fmt.Sprintf("status report: general %d, protocol %04x, code %d", e.General, e.Protocol, e.Code)
}

// status returns the StatusReport in m as an error, nil for success. It returns
// another error for any other message.
func status(m exchange.Message) error {
	if m.Opcode != message.OpcodeStatusReport {
		return fmt.Errorf("unexpected secure channel message %02x", m.Opcode)
	}
	r, err := message.ParseStatusReport(m.Payload)
	if err != nil {
		return err
	}
	if r.General != message.GeneralSuccess || r.Code != message.CodeSessionEstablished {
		return StatusError{r}
	}
	return nil
}

// refuse reports to the node that the handshake failed on this side because of
// cause.
func refuse(now time.Time, x *exchange.Exchange, cause error) error {
	report := message.StatusReport{General: message.GeneralFailure, Code: message.CodeInvalidParameter}
	return errors.Join(cause, x.Send(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil)))
}

// handshake runs a handshake from its first message on.
func (c *Client) handshake(ctx context.Context, addr netip.AddrPort, opcode uint8, first []byte, st step) error {
	var s *session.Session
	err := c.begin(ctx, func(now time.Time) *session.Session {
		s = c.sessions.Unsecured(now, to(addr))
		return s
	}, matter.ProtocolSecureChannel, opcode, first, st)
	return err
}

// PASE opens a PASE session with a node in commissioning mode.
func (c *Client) PASE(ctx context.Context, addr netip.AddrPort, passcode uint32) (*Session, error) {
	id, err := c.reserve()
	if err != nil {
		return nil, err
	}
	out, err := c.pase(ctx, addr, passcode, id)
	if err != nil {
		c.release(id)
		return nil, err
	}
	return out, nil
}

// reserve returns an id for a session. It must be released if there is no session.
func (c *Client) reserve() (id uint16, err error) {
	if closed := c.do(func(time.Time) { id, err = c.sessions.ReserveID() }); closed != nil {
		return 0, closed
	}
	return id, err
}

func (c *Client) release(id uint16) {
	_ = c.do(func(time.Time) { c.sessions.ReleaseID(id) })
}

func (c *Client) pase(ctx context.Context, addr netip.AddrPort, passcode uint32, id uint16) (out *Session, err error) {
	in := pase.NewInitiator(pase.InitiatorConfig{Rand: c.rand, Passcode: passcode, SessionID: id, Params: c.params})
	request, err := in.Start()
	if err != nil {
		return nil, err
	}
	var res pase.Result
	expect := message.OpcodePBKDFParamResponse
	err = c.handshake(ctx, addr, message.OpcodePBKDFParamRequest, request, func(now time.Time, x *exchange.Exchange, m exchange.Message) (bool, error) {
		switch {
		case m.Opcode != expect:
			return true, status(m)
		case expect == message.OpcodePBKDFParamResponse:
			pake1, err := in.PBKDFParamResponse(m.Payload)
			if err != nil {
				return true, refuse(now, x, err)
			}
			expect = message.OpcodePake2
			return false, x.Send(now, matter.ProtocolSecureChannel, message.OpcodePake1, pake1)
		case expect == message.OpcodePake2:
			var pake3 []byte
			var err error
			if pake3, res, err = in.Pake2(m.Payload); err != nil {
				return true, refuse(now, x, err)
			}
			expect = message.OpcodeStatusReport
			return false, x.Send(now, matter.ProtocolSecureChannel, message.OpcodePake3, pake3)
		}
		if err := status(m); err != nil {
			return true, err
		}
		s, err := c.sessions.Add(now, session.Config{
			Kind: session.PASE, Initiator: true, LocalID: id, PeerID: res.PeerSessionID,
			Keys:   session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
			Params: res.PeerParams, Path: x.Session().Path,
		})
		out = &Session{c, s}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// CASE opens a CASE session with node peer of the authority's fabric, as its
// administrator. If resume is not nil, it tries to resume that session first.
func (c *Client) CASE(ctx context.Context, addr netip.AddrPort, a *Authority, peer matter.NodeID, resume *casesession.Record) (*Session, *casesession.Result, error) {
	id, err := c.reserve()
	if err != nil {
		return nil, nil, err
	}
	out, res, err := c.caseSession(ctx, addr, a, peer, resume, id)
	if err != nil {
		c.release(id)
		return nil, nil, err
	}
	return out, &res, nil
}

func (c *Client) caseSession(ctx context.Context, addr netip.AddrPort, a *Authority, peer matter.NodeID, resume *casesession.Record, id uint16) (out *Session, res casesession.Result, err error) {
	in := casesession.NewInitiator(a.initiator(c, id, peer, resume))
	sigma1, err := in.Start()
	if err != nil {
		return nil, res, err
	}
	add := func(now time.Time, x *exchange.Exchange) (err error) {
		s, err := c.sessions.Add(now, session.Config{
			Kind: session.CASE, Initiator: true, LocalID: id, PeerID: res.PeerSessionID,
			Keys:      session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
			LocalNode: a.NodeID, PeerNode: peer, Fabric: 1,
			Params: res.PeerParams, Path: x.Session().Path,
		})
		out = &Session{c, s}
		c.remember(res.Record())
		return err
	}
	finished := false
	err = c.handshake(ctx, addr, message.OpcodeSigma1, sigma1, func(now time.Time, x *exchange.Exchange, m exchange.Message) (bool, error) {
		switch {
		case finished || m.Opcode == message.OpcodeStatusReport:
			if err := status(m); err != nil {
				return true, err
			}
			if !finished {
				return true, fmt.Errorf("success before the handshake was over")
			}
			return true, add(now, x)
		case m.Opcode == message.OpcodeSigma2Resume:
			var err error
			if res, err = in.Sigma2Resume(m.Payload); err != nil {
				return true, refuse(now, x, err)
			}
			report := message.StatusReport{General: message.GeneralSuccess, Code: message.CodeSessionEstablished}
			if err := x.Send(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil)); err != nil {
				return true, err
			}
			return true, add(now, x)
		case m.Opcode == message.OpcodeSigma2:
			var sigma3 []byte
			var err error
			if sigma3, res, err = in.Sigma2(m.Payload); err != nil {
				return true, refuse(now, x, err)
			}
			finished = true
			return false, x.Send(now, matter.ProtocolSecureChannel, message.OpcodeSigma3, sigma3)
		}
		return true, fmt.Errorf("unexpected secure channel message %02x", m.Opcode)
	})
	if err != nil {
		return nil, casesession.Result{}, err
	}
	return out, res, nil
}
