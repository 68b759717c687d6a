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

// ErrNoSharedRoot is returned by Responder.Sigma1 for an initiator that looks
// for a node that this is not, on any fabric. The peer is told
// NoSharedTrustRoots; every other error of this package, of either role, is
// InvalidParameter to the peer.
var ErrNoSharedRoot = errors.New("destination is no node of a fabric here")

var (
	errOrder     = errors.New("message out of order")
	errSessionID = errors.New("session id is 0")
	errDecrypt   = errors.New("encrypted part is not genuine")
	errResumeMIC = errors.New("resumption is not genuine")
	errPeer      = errors.New("peer is not a node of the fabric, or not the one that was called")
	errUnoffered = errors.New("resumption that was not offered")
	errRedeemed  = errors.New("resumption id was used or dropped meanwhile")
)

// Fabrics is what a Responder asks the fabric table.
type Fabrics interface {
	// FindDestination returns the fabric, and the operational IPK, that a
	// destination identifier was made with.
	FindDestination(destinationID, initiatorRandom []byte) (f *fabric.Fabric, ipk [mcrypto.KeySize]byte, ok bool)
	// Get returns the fabric with an index, nil if there is none.
	Get(i matter.FabricIndex) *fabric.Fabric
}

// Record is what a node remembers of a session to resume it later. A new one
// replaces that of the same fabric and peer. It must be forgotten when the fabric
// is removed or its NOC updated.
type Record struct {
	Fabric       matter.FabricIndex
	Peer         matter.NodeID
	ID           [ResumptionIDSize]byte
	SharedSecret [mcrypto.HashSize]byte
	CATs         [cert.MaxCATs]matter.CAT
}

// Resumptions is where a Responder looks for records.
type Resumptions interface {
	// Find returns the record with a resumption id of 16 octets.
	Find(id []byte) (Record, bool)
}

// Result is what a handshake yields: all that a secure session is made of.
type Result struct {
	Fabric              matter.FabricIndex
	LocalNode, PeerNode matter.NodeID
	CATs                [cert.MaxCATs]matter.CAT // the peer's, 0 where there is none
	PeerSessionID       uint16
	PeerParams          message.SessionParameters

	I2R, R2I, AttestationChallenge [mcrypto.KeySize]byte

	Resumed      bool
	ResumptionID [ResumptionIDSize]byte
	SharedSecret [mcrypto.HashSize]byte
}

// Record returns what is to be remembered of the session.
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

// step is how far a handshake has come; it tells the one message that may follow.
type step uint8

const (
	stepStart  step = iota
	stepSigma2      // initiator: Sigma1 is out
	stepSigma3      // responder: Sigma2 is out
	stepResume      // responder: Sigma2_Resume is out
	stepOver        // done, or failed
)

// enter takes the step want; the method that does so sets the next one when its
// work is done.
func (s *step) enter(want step) error {
	if *s != want {
		return errOrder
	}
	*s = stepOver
	return nil
}

// identity is who a node is on a fabric.
type identity struct {
	root, icac, noc *cert.Certificate // icac may be nil
	key             *mcrypto.PrivateKey
	ipk             [mcrypto.KeySize]byte
}

// peer is who the other side has proven to be.
type peer struct {
	node         matter.NodeID
	cats         [cert.MaxCATs]matter.CAT
	resumptionID [ResumptionIDSize]byte // in Sigma2 only
}

// prove makes TBEData2 or TBEData3: the certificates, and a signature with the
// operational key over them and both ephemeral keys, the own one first. The
// resumption id is nil in TBEData3.
func (id *identity) prove(rand io.Reader, own, other []byte, resumptionID []byte) ([]byte, error) {
	tbs := encodeTBS(id.noc, id.icac, own, other)
	sig, err := id.key.Sign(rand, tbs)
	if err != nil {
		return nil, err
	}
	return encodeTBE(id.noc, id.icac, sig[:], resumptionID), nil
}

// verify checks a peer's TBEData2 or TBEData3. own is the peer's ephemeral key
// and other this side's.
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
	// A root may serve more than one fabric.
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
