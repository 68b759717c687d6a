package securechannel

import (
	"errors"
	"fmt"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// answerTime is how long the called node may take to answer, including its
// computation and retransmissions.
const answerTime = 30 * time.Second

// Call describes a CASE handshake that this node begins.
type Call struct {
	Fabric *fabric.Fabric
	Peer   matter.NodeID
	Path   transport.Path
	// Full disables resumption.
	Full bool
	// Done is called once, at the end of the handshake, with the session or an
	// error. The error may be a [PeerBusy] or exchange.ErrNoAck.
	Done func(now time.Time, s *session.Session, err error)
}

// PeerBusy is the error if the called node has asked to wait.
type PeerBusy struct{ Wait time.Duration } // minimum time until the next call

func (e *PeerBusy) Error() string { return fmt.Sprintf("the peer is busy for %v", e.Wait) }

// Call begins a CASE handshake with another node of a fabric (section 4.14.2). It
// offers to resume an earlier session with that node if there is a record of one.
// If Call returns an error, nothing was begun and Done is not called. The caller
// limits the number of concurrent calls.
func (c *Channel) Call(now time.Time, call Call) error {
	if call.Done == nil {
		panic("BUG: securechannel: call without Done")
	}
	id, err := c.opt.Sessions.ReserveID()
	if err != nil {
		return err
	}
	h := &caller{c: c, call: call, id: id, fabric: handshakeFabrics{Fabrics: c.opt.Fabrics, first: call.Fabric}}
	if err := h.begin(now); err != nil {
		h.wipe()
		c.opt.Sessions.ReleaseID(id)
		return err
	}
	return nil
}

// caller is the handler of a call.
type caller struct {
	c      *Channel
	call   Call
	id     uint16 // reserved for the session
	in     *casesession.Initiator
	fabric handshakeFabrics
	result *casesession.Result // of Sigma2; final when the responder reports success
	made   *session.Session    // of Sigma2_Resume; the report to the responder is in progress
	over   bool
}

func (h *caller) begin(now time.Time) error {
	f := h.call.Fabric
	cfg := casesession.InitiatorConfig{
		Rand: h.c.opt.Rand, Fabric: f.Index, Root: f.RootCert, NOC: f.NOCCert, ICAC: f.ICACCert,
		Key: f.OperationalKey, IPK: f.IPKs[0], PeerNode: h.call.Peer,
		SessionID: h.id, Params: h.c.opt.Parameters, Validity: h.c.opt.Validity(now),
	}
	if rec, ok := h.c.opt.Resumptions.Of(f.Index, h.call.Peer); ok && !h.call.Full {
		cfg.Resume = &rec
		defer clear(rec.SharedSecret[:])
	}
	h.in = casesession.NewInitiator(cfg)
	sigma1, err := h.in.Start()
	if err != nil {
		return err
	}
	unsecured := h.c.opt.Sessions.Unsecured(now, h.call.Path)
	x, err := h.c.opt.Exchanges.Initiate(now, unsecured, h)
	if err == nil {
		err = x.Send(now, matter.ProtocolSecureChannel, message.OpcodeSigma1, sigma1)
	}
	if err != nil {
		h.over = true // Closed must not call Done
		h.c.remove(now, unsecured)
		return err
	}
	x.AwaitResponse(now.Add(answerTime))
	return nil
}

// Receive handles the next message of the responder.
func (h *caller) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	if h.over || h.made != nil {
		return
	}
	var err error
	switch {
	case m.Opcode == message.OpcodeStatusReport:
		if err = h.report(now, x, m.Payload); err != nil {
			h.finish(now, nil, err)
			x.Close(now) // a StatusReport is never answered
		}
		return
	case h.result != nil:
		err = errUnexpected
	case m.Opcode == message.OpcodeSigma2:
		err = h.sigma2(now, x, m.Payload)
	case m.Opcode == message.OpcodeSigma2Resume:
		err = h.sigma2Resume(now, x, m.Payload)
	default:
		err = errUnexpected
	}
	if err != nil {
		report := message.StatusReport{General: message.GeneralFailure, Code: message.CodeInvalidParameter}
		_ = x.Send(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil))
		h.finish(now, nil, err)
		x.Close(now)
	}
}

func (h *caller) sigma2(now time.Time, x *exchange.Exchange, payload []byte) error {
	sigma3, res, err := h.in.Sigma2(payload)
	if err != nil {
		return err
	}
	h.result = &res
	x.Session().Params = clamp(res.PeerParams)
	if err := x.Send(now, matter.ProtocolSecureChannel, message.OpcodeSigma3, sigma3); err != nil {
		return err
	}
	x.AwaitResponse(now.Add(answerTime))
	return nil
}

// sigma2Resume creates the session at once, as the responder may use it as soon as
// it has the report. The call ends when the report is acknowledged.
func (h *caller) sigma2Resume(now time.Time, x *exchange.Exchange, payload []byte) error {
	res, err := h.in.Sigma2Resume(payload)
	if err != nil {
		return err
	}
	defer res.Wipe()
	x.Session().Params = clamp(res.PeerParams)
	s, err := h.establish(now, x, &res)
	if err != nil {
		return err
	}
	report := successReport()
	if err := x.Send(now, matter.ProtocolSecureChannel, message.OpcodeStatusReport, report.AppendTo(nil)); err != nil {
		h.c.remove(now, s)
		return err
	}
	h.made = s
	x.Close(now)
	return nil
}

// report handles the responder's StatusReport.
func (h *caller) report(now time.Time, x *exchange.Exchange, payload []byte) error {
	r, err := message.ParseStatusReport(payload)
	if ms, busy := r.BusyWait(); err == nil && busy {
		return &PeerBusy{time.Duration(ms) * time.Millisecond}
	}
	if err != nil || !r.Success() || h.result == nil {
		return peerReport(payload)
	}
	s, err := h.establish(now, x, h.result)
	if err != nil {
		return err
	}
	h.finish(now, s, nil)
	x.Close(now)
	return nil
}

// establish creates the session of a result.
func (h *caller) establish(now time.Time, x *exchange.Exchange, res *casesession.Result) (*session.Session, error) {
	if err := h.fabric.check(); err != nil {
		return nil, err
	}
	s, err := h.c.opt.Sessions.Add(now, session.Config{
		Kind: session.CASE, Initiator: true, LocalID: h.id, PeerID: res.PeerSessionID, Params: res.PeerParams,
		Fabric: res.Fabric, LocalNode: res.LocalNode, PeerNode: res.PeerNode, CATs: res.CATs,
		Keys: session.Keys{I2R: res.I2R, R2I: res.R2I, AttestationChallenge: res.AttestationChallenge},
		Path: x.Session().Path,
	})
	if err != nil {
		return nil, err
	}
	rec := res.Record()
	h.c.opt.Resumptions.Put(rec)
	clear(rec.SharedSecret[:])
	return s, nil
}

// Closed ends the call and removes its unsecured session.
func (h *caller) Closed(now time.Time, x *exchange.Exchange, err error) {
	h.c.opt.Sessions.Remove(x.Session())
	switch {
	case h.made == nil && err == nil:
		err = errClosed
	case h.made != nil && err != nil:
		h.c.remove(now, h.made)
		h.made = nil
	}
	h.finish(now, h.made, err)
}

var errClosed = errors.New("the exchange ended before the handshake")

// finish calls Done, once.
func (h *caller) finish(now time.Time, s *session.Session, err error) {
	if h.over {
		return
	}
	h.over = true
	h.wipe()
	h.c.opt.Sessions.ReleaseID(h.id) // no effect if a session owns it
	h.call.Done(now, s, err)
}

func (h *caller) wipe() {
	if h.in != nil {
		h.in.Wipe()
	}
	if h.result != nil {
		h.result.Wipe()
	}
}
