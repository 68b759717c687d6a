package fabric

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// destination computes the destination identifiers (section 4.14.2.4.1) that initiators
// compute for one of the node's identities with one IPK. It keeps the keyed hash, so that
// a Sigma1 needs no key schedule and no allocation.
type destination struct {
	mac  hash.Hash
	tail [mcrypto.PublicKeySize + 16]byte // the message after the random
}

func newDestination(ipk, rootPublicKey []byte, id matter.FabricID, node matter.NodeID) destination {
	d := destination{mac: hmac.New(sha256.New, ipk)}
	b := append(d.tail[:0], rootPublicKey...)
	b = binary.LittleEndian.AppendUint64(b, uint64(id))
	binary.LittleEndian.AppendUint64(b, uint64(node))
	return d
}

// sum appends the identifier for the initiator's random to dst.
func (d *destination) sum(dst, initiatorRandom []byte) []byte {
	d.mac.Reset()
	d.mac.Write(initiatorRandom)
	d.mac.Write(d.tail[:])
	return d.mac.Sum(dst)
}

// FindDestination returns the fabric, which may be staged, and the operational IPK that a
// Sigma1's destination identifier (32 octets) was computed with. ok is false if there is
// none. It always tries all candidates and compares in constant time, so that its
// duration depends on the number of fabrics only.
func (t *Table) FindDestination(destinationID, initiatorRandom []byte) (f *Fabric, ipk [mcrypto.KeySize]byte, ok bool) {
	for _, candidate := range t.visible {
		for i := range candidate.destinations {
			sum := candidate.destinations[i].sum(t.scratch[:0], initiatorRandom)
			if subtle.ConstantTimeCompare(sum, destinationID) == 1 {
				f, ipk, ok = candidate, candidate.IPKs[i], true
			}
		}
	}
	return f, ipk, ok
}
