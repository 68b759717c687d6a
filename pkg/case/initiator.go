package casesession

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// InitiatorConfig configures the calling side of a handshake. All but ICAC, Resume, Params
// and Validity must be set.
type InitiatorConfig struct {
	Rand      io.Reader
	Fabric    matter.FabricIndex // of the result, not 0
	Root, NOC *cert.Certificate
	ICAC      *cert.Certificate // nil if the root issued the NOC
	Key       *mcrypto.PrivateKey
	IPK       [mcrypto.KeySize]byte // the operational one
	PeerNode  matter.NodeID
	Resume    *Record // of a session with the peer, or nil
	SessionID uint16  // the caller's id for the session, not 0
	Params    message.SessionParameters
	Validity  cert.VerifyOptions // as in ResponderConfig
}

// Initiator is the calling side of one handshake. Call Wipe when it is over.
type Initiator struct {
	cfg        InitiatorConfig
	step       step
	id         identity
	random     [randomSize]byte
	ephemeral  *mcrypto.PrivateKey
	transcript hash.Hash
}

// NewInitiator returns the calling side.
func NewInitiator(cfg InitiatorConfig) *Initiator {
	if cfg.Rand == nil || cfg.Fabric == 0 || cfg.Root == nil || cfg.NOC == nil || cfg.Key == nil || cfg.PeerNode == 0 || cfg.SessionID == 0 {
		panic("BUG: casesession: incomplete InitiatorConfig")
	}
	if cfg.Resume != nil {
		rec := *cfg.Resume
		cfg.Resume = &rec
	}
	return &Initiator{cfg: cfg, id: identity{root: cfg.Root, icac: cfg.ICAC, noc: cfg.NOC, key: cfg.Key, ipk: cfg.IPK}}
}

// Wipe erases the secrets and ends the handshake.
func (i *Initiator) Wipe() {
	clear(i.cfg.IPK[:])
	clear(i.id.ipk[:])
	if i.cfg.Resume != nil {
		clear(i.cfg.Resume.SharedSecret[:])
	}
	i.id, i.ephemeral = identity{}, nil
	i.step = stepOver
}

func (i *Initiator) end(name string, err *error) {
	if *err != nil {
		i.Wipe()
		*err = fmt.Errorf("%s: %w", name, *err)
	}
}

// Start returns Sigma1.
func (i *Initiator) Start() (sigma []byte, err error) {
	defer i.end("Sigma1", &err)
	if err := i.step.enter(stepStart); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(i.cfg.Rand, i.random[:]); err != nil {
		return nil, fmt.Errorf("drawing a random: %w", err)
	}
	if i.ephemeral, err = mcrypto.GenerateKey(i.cfg.Rand); err != nil {
		return nil, err
	}
	public := i.ephemeral.Public()
	destination := destinationID(i.id.ipk[:], i.random[:], i.id.root.PublicKey[:], i.id.noc.FabricID(), i.cfg.PeerNode)
	m := sigma1{random: i.random[:], sessionID: i.cfg.SessionID, destinationID: destination[:], ephemeral: public[:], params: i.cfg.Params}
	if rec := i.cfg.Resume; rec != nil {
		m.resumptionID = rec.ID[:]
		if m.resumeMIC, err = resumeMIC(rec.SharedSecret[:], i.random[:], rec.ID[:], infoSigma1Resume, nonceSigma1Resume); err != nil {
			return nil, err
		}
	}
	out := m.encode()
	i.transcript = sha256.New()
	i.transcript.Write(out)
	i.step = stepSigma2
	return out, nil
}

// Sigma2 takes the answer of a full handshake and returns Sigma3. The caller must not use
// the result before the responder has reported success.
func (i *Initiator) Sigma2(b []byte) (sigma3 []byte, res Result, err error) {
	defer i.end("Sigma2", &err)
	if err := i.step.enter(stepSigma2); err != nil {
		return nil, Result{}, err
	}
	m, err := parseSigma2(b)
	if err != nil {
		return nil, Result{}, err
	}
	secret, err := i.ephemeral.SharedSecret(m.ephemeral)
	if err != nil {
		return nil, Result{}, fmt.Errorf("ephemeral key: %w", err)
	}
	defer clear(secret[:])
	own := i.ephemeral.Public()
	p, err := i.openSigma2(&m, secret[:], own[:])
	if err != nil {
		return nil, Result{}, err
	}
	i.transcript.Write(b)
	if sigma3, err = i.sigma3(&m, secret[:], own[:]); err != nil {
		return nil, Result{}, err
	}
	i.transcript.Write(sigma3)
	res = i.result(m.sessionID, m.params)
	res.CATs, res.SharedSecret, res.ResumptionID = p.cats, secret, p.resumptionID
	if err := res.deriveKeys(slices.Concat(i.id.ipk[:], i.transcript.Sum(nil)), infoSession); err != nil {
		return nil, Result{}, err
	}
	i.Wipe()
	return sigma3, res, nil
}

// openSigma2 decrypts Sigma2 and verifies that it comes from the node that was called.
func (i *Initiator) openSigma2(m *sigma2, secret, own []byte) (peer, error) {
	plaintext, err := open(secret, sigma2Salt(i.id.ipk[:], m.random, m.ephemeral, i.transcript.Sum(nil)), infoSigma2, nonceSigma2, m.encrypted)
	if err != nil {
		return peer{}, err
	}
	p, err := i.id.verify(plaintext, m.ephemeral, own, true, i.cfg.Validity)
	if err == nil && p.node != i.cfg.PeerNode {
		err = errPeer
	}
	return p, err
}

func (i *Initiator) sigma3(m *sigma2, secret, own []byte) ([]byte, error) {
	plaintext, err := i.id.prove(i.cfg.Rand, own, m.ephemeral, nil)
	if err != nil {
		return nil, err
	}
	encrypted, err := seal(secret, slices.Concat(i.id.ipk[:], i.transcript.Sum(nil)), infoSigma3, nonceSigma3, plaintext)
	if err != nil {
		return nil, err
	}
	return encodeSigma3(encrypted), nil
}

// Sigma2Resume takes the answer of a responder that resumes the session. The caller then
// reports success to it.
func (i *Initiator) Sigma2Resume(b []byte) (res Result, err error) {
	defer i.end("Sigma2_Resume", &err)
	if err := i.step.enter(stepSigma2); err != nil {
		return Result{}, err
	}
	rec := i.cfg.Resume
	if rec == nil {
		return Result{}, errUnoffered
	}
	m, err := parseSigma2Resume(b)
	if err != nil {
		return Result{}, err
	}
	if err := checkResumeMIC(rec.SharedSecret[:], i.random[:], m.resumptionID, m.mic, infoSigma2Resume, nonceSigma2Resume); err != nil {
		return Result{}, err
	}
	res = i.result(m.sessionID, m.params)
	res.CATs, res.SharedSecret, res.Resumed = rec.CATs, rec.SharedSecret, true
	copy(res.ResumptionID[:], m.resumptionID)
	if err := res.deriveKeys(slices.Concat(i.random[:], rec.ID[:]), infoSessionResumption); err != nil {
		return Result{}, err
	}
	i.Wipe()
	return res, nil
}

func (i *Initiator) result(sessionID uint16, params message.SessionParameters) Result {
	return Result{
		Fabric: i.cfg.Fabric, LocalNode: i.id.noc.NodeID(), PeerNode: i.cfg.PeerNode,
		PeerSessionID: sessionID, PeerParams: params,
	}
}
