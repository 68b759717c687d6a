package casesession

import (
	"errors"
	"fmt"
	"io"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// Sizes in octets.
const (
	ResumptionIDSize = 16
	randomSize       = 32
)

// ErrNoSharedRoot is returned by Responder.Sigma1 if the destination is not this node on
// any of its fabrics. The peer gets NoSharedTrustRoots. For every other error of this
// package, of either role, it gets InvalidParameter.
var ErrNoSharedRoot = errors.New("the destination is not this node on any fabric")

var (
	errOrder     = errors.New("message out of order")
	errSessionID = errors.New("session id is 0")
	errDecrypt   = errors.New("encrypted part is not genuine")
	errResumeMIC = errors.New("resumption is not genuine")
	errPeer      = errors.New("peer is not a node of the fabric, or not the one that was called")
	errUnoffered = errors.New("resumption that was not offered")
	errRedeemed  = errors.New("resumption record was used or removed meanwhile")
)

// Fabrics is the part of the fabric table that a Responder uses.
type Fabrics interface {
	// FindDestination returns the fabric and the operational IPK of a destination
	// identifier.
	FindDestination(destinationID, initiatorRandom []byte) (f *fabric.Fabric, ipk [mcrypto.KeySize]byte, ok bool)
	// Get returns the fabric with an index, nil if there is none.
	Get(i matter.FabricIndex) *fabric.Fabric
}

// Record holds the data of a session that are needed to resume it. A new record replaces
// that for the same fabric and peer. The owner removes it when the fabric is removed or
// its NOC is updated.
type Record struct {
	Fabric       matter.FabricIndex
	Peer         matter.NodeID
	ID           [ResumptionIDSize]byte
	SharedSecret [mcrypto.HashSize]byte
	CATs         [cert.MaxCATs]matter.CAT
}

// Resumptions is the set of records that a Responder uses.
type Resumptions interface {
	// Find returns the record with a resumption id of 16 octets.
	Find(id []byte) (Record, bool)
}

// Result is the result of a handshake: the parameters and keys of a secure session.
type Result struct {
	Fabric              matter.FabricIndex
	LocalNode, PeerNode matter.NodeID
	CATs                [cert.MaxCATs]matter.CAT // of the peer, padded with 0
	PeerSessionID       uint16
	PeerParams          message.SessionParameters

	I2R, R2I, AttestationChallenge [mcrypto.KeySize]byte

	Resumed      bool
	ResumptionID [ResumptionIDSize]byte
	SharedSecret [mcrypto.HashSize]byte
}

// Record returns the record for resuming the session.
func (r *Result) Record() Record {
	return Record{Fabric: r.Fabric, Peer: r.PeerNode, ID: r.ResumptionID, SharedSecret: r.SharedSecret, CATs: r.CATs}
}

// Wipe erases the keys and the shared secret.
func (r *Result) Wipe() {
	clear(r.I2R[:])
	clear(r.R2I[:])
	clear(r.AttestationChallenge[:])
	clear(r.SharedSecret[:])
}

// step is the state of a handshake. It determines the message that may follow.
type step uint8

const (
	stepStart  step = iota
	stepSigma2      // initiator, Sigma1 sent
	stepSigma3      // responder, Sigma2 sent
	stepResume      // responder, Sigma2_Resume sent
	stepOver        // succeeded or failed
)

// enter checks that the handshake is at the step want, and ends it until the caller sets
// the next step.
func (s *step) enter(want step) error {
	if *s != want {
		return errOrder
	}
	*s = stepOver
	return nil
}

// identity is a node's identity on a fabric.
type identity struct {
	root, icac, noc *cert.Certificate // icac may be nil
	key             *mcrypto.PrivateKey
	ipk             [mcrypto.KeySize]byte
}

// peer is the authenticated identity of the other side.
type peer struct {
	node         matter.NodeID
	cats         [cert.MaxCATs]matter.CAT
	resumptionID [ResumptionIDSize]byte // in Sigma2 only
}

// prove returns TBEData2 or TBEData3: the certificates, and a signature with the
// operational key over them and both ephemeral keys, own first. The resumption id is nil
// for TBEData3.
func (id *identity) prove(rand io.Reader, own, other []byte, resumptionID []byte) ([]byte, error) {
	tbs := encodeTBS(id.noc, id.icac, own, other)
	sig, err := id.key.Sign(rand, tbs)
	if err != nil {
		return nil, err
	}
	return encodeTBE(id.noc, id.icac, sig[:], resumptionID), nil
}

// verify verifies a peer's TBEData2 or TBEData3. own is the peer's ephemeral key, other is
// this side's.
func (id *identity) verify(tbe, own, other []byte, withResumption bool, at cert.VerifyOptions) (peer, error) {
	m, err := parseTBE(tbe, withResumption)
	if err != nil {
		return peer{}, err
	}
	noc, err := cert.Parse(m.noc)
	if err != nil {
		return peer{}, fmt.Errorf("NOC: %w", err)
	}
	var icac *cert.Certificate
	if m.icac != nil {
		if icac, err = cert.Parse(m.icac); err != nil {
			return peer{}, fmt.Errorf("ICAC: %w", err)
		}
	}
	// Several fabrics may have one root.
	if noc.FabricID() != id.noc.FabricID() {
		return peer{}, errPeer
	}
	if err := cert.VerifyChain(noc, icac, id.root, at); err != nil {
		return peer{}, err
	}
	if err := mcrypto.Verify(noc.PublicKey[:], encodeTBS(noc, icac, own, other), m.signature); err != nil {
		return peer{}, err
	}
	p := peer{node: noc.NodeID(), cats: noc.CATs()}
	copy(p.resumptionID[:], m.resumptionID)
	return p, nil
}
