package casesession

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// ResponderConfig configures a node's side of a handshake. Rand, Fabrics, Resumptions and
// SessionID must be set.
type ResponderConfig struct {
	Rand        io.Reader
	Fabrics     Fabrics
	Resumptions Resumptions
	SessionID   uint16 // the node's id for the session, not 0
	Params      message.SessionParameters
	Validity    cert.VerifyOptions // for the peer's certificates
}

// Responder is the called side of one handshake. Call Wipe when it is over.
type Responder struct {
	cfg        ResponderConfig
	step       step
	id         identity
	transcript hash.Hash // of the accepted messages
	own, other []byte    // ephemeral public keys
	offered    []byte    // the resumption id of Sigma1, if the handshake resumes
	result     Result    // as far as it is known
}

// NewResponder returns the called side.
func NewResponder(cfg ResponderConfig) *Responder {
	if cfg.Rand == nil || cfg.Fabrics == nil || cfg.Resumptions == nil || cfg.SessionID == 0 {
		panic("BUG: casesession: incomplete ResponderConfig")
	}
	return &Responder{cfg: cfg}
}

// Wipe erases the secrets and ends the handshake.
func (r *Responder) Wipe() {
	clear(r.id.ipk[:])
	r.id = identity{}
	r.result.Wipe()
	r.step = stepOver
}

// end is deferred by each step. If there is an error, it ends the handshake and adds the
// name of the step.
func (r *Responder) end(name string, err *error) {
	if *err != nil {
		r.Wipe()
		*err = fmt.Errorf("%s: %w", name, *err)
	}
}

// Sigma1 takes the first message and returns the next one with its opcode,
// message.OpcodeSigma2 or OpcodeSigma2Resume. The initiator answers the latter with a
// StatusReport; see Resumed.
func (r *Responder) Sigma1(b []byte) (reply []byte, opcode uint8, err error) {
	defer r.end("Sigma1", &err)
	if err := r.step.enter(stepStart); err != nil {
		return nil, 0, err
	}
	m, err := parseSigma1(b)
	if err != nil {
		return nil, 0, err
	}
	r.result.PeerSessionID, r.result.PeerParams = m.sessionID, m.params
	if _, err := io.ReadFull(r.cfg.Rand, r.result.ResumptionID[:]); err != nil {
		return nil, 0, fmt.Errorf("drawing a resumption id: %w", err)
	}
	if rec, f, ok := r.findResumption(&m); ok {
		reply, err := r.resume(&m, rec, f)
		return reply, message.OpcodeSigma2Resume, err
	}
	f, ipk, ok := r.cfg.Fabrics.FindDestination(m.destinationID, m.random)
	if !ok {
		return nil, 0, ErrNoSharedRoot
	}
	r.id = identity{root: f.RootCert, icac: f.ICACCert, noc: f.NOCCert, key: f.OperationalKey, ipk: ipk}
	r.result.Fabric, r.result.LocalNode = f.Index, f.NodeID
	reply, err = r.sigma2(&m, b)
	return reply, message.OpcodeSigma2, err
}

// findResumption returns the record that Sigma1 offers to resume, and its fabric. ok is
// false if there is no offer, or if it is not genuine.
func (r *Responder) findResumption(m *sigma1) (Record, *fabric.Fabric, bool) {
	if m.resumptionID == nil {
		return Record{}, nil, false
	}
	rec, ok := r.cfg.Resumptions.Find(m.resumptionID)
	if !ok || checkResumeMIC(rec.SharedSecret[:], m.random, m.resumptionID, m.resumeMIC, infoSigma1Resume, nonceSigma1Resume) != nil {
		return Record{}, nil, false
	}
	f := r.cfg.Fabrics.Get(rec.Fabric)
	return rec, f, f != nil
}

// resume makes Sigma2_Resume.
func (r *Responder) resume(m *sigma1, rec Record, f *fabric.Fabric) ([]byte, error) {
	res := &r.result
	res.Fabric, res.LocalNode, res.PeerNode, res.CATs = f.Index, f.NodeID, rec.Peer, rec.CATs
	res.SharedSecret, res.Resumed = rec.SharedSecret, true
	mic, err := resumeMIC(res.SharedSecret[:], m.random, res.ResumptionID[:], infoSigma2Resume, nonceSigma2Resume)
	if err != nil {
		return nil, err
	}
	if err := res.deriveKeys(slices.Concat(m.random, m.resumptionID), infoSessionResumption); err != nil {
		return nil, err
	}
	r.offered = slices.Clone(m.resumptionID)
	r.step = stepResume
	reply := sigma2Resume{resumptionID: res.ResumptionID[:], mic: mic, sessionID: r.cfg.SessionID, params: r.cfg.Params}
	return reply.encode(), nil
}

// sigma2 makes Sigma2. b is Sigma1 as received.
func (r *Responder) sigma2(m *sigma1, b []byte) ([]byte, error) {
	random := make([]byte, randomSize)
	if _, err := io.ReadFull(r.cfg.Rand, random); err != nil {
		return nil, fmt.Errorf("drawing a random: %w", err)
	}
	ephemeral, err := mcrypto.GenerateKey(r.cfg.Rand)
	if err != nil {
		return nil, err
	}
	if r.result.SharedSecret, err = ephemeral.SharedSecret(m.ephemeral); err != nil {
		return nil, fmt.Errorf("ephemeral key: %w", err)
	}
	public := ephemeral.Public()
	r.own, r.other = public[:], slices.Clone(m.ephemeral)
	r.transcript = sha256.New()
	r.transcript.Write(b)

	plaintext, err := r.id.prove(r.cfg.Rand, r.own, r.other, r.result.ResumptionID[:])
	if err != nil {
		return nil, err
	}
	encrypted, err := seal(r.result.SharedSecret[:], sigma2Salt(r.id.ipk[:], random, r.own, r.transcript.Sum(nil)), infoSigma2, nonceSigma2, plaintext)
	if err != nil {
		return nil, err
	}
	reply := sigma2{random: random, sessionID: r.cfg.SessionID, ephemeral: r.own, encrypted: encrypted, params: r.cfg.Params}
	out := reply.encode()
	r.transcript.Write(out)
	r.step = stepSigma3
	return out, nil
}

// Sigma3 takes the last message. The caller makes the session from the result and reports
// success to the initiator.
func (r *Responder) Sigma3(b []byte) (res Result, err error) {
	defer r.end("Sigma3", &err)
	if err := r.step.enter(stepSigma3); err != nil {
		return Result{}, err
	}
	encrypted, err := parseSigma3(b)
	if err != nil {
		return Result{}, err
	}
	secret := r.result.SharedSecret[:]
	plaintext, err := open(secret, slices.Concat(r.id.ipk[:], r.transcript.Sum(nil)), infoSigma3, nonceSigma3, encrypted)
	if err != nil {
		return Result{}, err
	}
	p, err := r.id.verify(plaintext, r.other, r.own, false, r.cfg.Validity)
	if err != nil {
		return Result{}, err
	}
	r.transcript.Write(b)
	res = r.result
	res.PeerNode, res.CATs = p.node, p.cats
	if err := res.deriveKeys(slices.Concat(r.id.ipk[:], r.transcript.Sum(nil)), infoSession); err != nil {
		return Result{}, err
	}
	r.Wipe()
	return res, nil
}

// Resumed returns the result after the initiator has reported success for Sigma2_Resume.
//
// That report is not authenticated, and the session's keys do not depend on random values
// of this side. Two copies of a Sigma1 must not lead to two sessions with the same keys,
// so the offered record must still exist. The caller replaces it by the record of the
// result before it handles another message.
func (r *Responder) Resumed() (res Result, err error) {
	defer r.end("Sigma2_Resume", &err)
	if err := r.step.enter(stepResume); err != nil {
		return Result{}, err
	}
	rec, ok := r.cfg.Resumptions.Find(r.offered)
	if f := r.cfg.Fabrics.Get(r.result.Fabric); !ok || f == nil || rec.Fabric != r.result.Fabric || rec.Peer != r.result.PeerNode || f.NodeID != r.result.LocalNode {
		return Result{}, errRedeemed
	}
	res = r.result
	r.Wipe()
	return res, nil
}

func sigma2Salt(ipk, responderRandom, responderKey, sigma1Hash []byte) []byte {
	return slices.Concat(ipk, responderRandom, responderKey, sigma1Hash)
}

// PeerParams returns the initiator's session parameters, the zero value before Sigma1.
func (r *Responder) PeerParams() message.SessionParameters { return r.result.PeerParams }
