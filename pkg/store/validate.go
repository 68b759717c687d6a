package store

import (
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Bounds of the records, from the specification. They keep a peer from growing the file.
const (
	maxLabel       = 32
	maxCertificate = 400
	maxExtension   = 128
	maxGroupName   = 16
	maxGroupKeys   = 3
	keySize        = 32 // private scalar
	groupKeySize   = 16
	statementSize  = 85
	verifierSize   = 97
	resumptionID   = 16
	sharedSecret   = 32
	maxCATs        = 3
)

// text reports whether s is valid UTF-8, which JSON does not change, and short enough.
func text(s string, limit int) bool { return len(s) <= limit && utf8.ValidString(s) }

// Validate returns an error that wraps ErrInvalid if f may not be stored: if root, NOC,
// key or IPK is missing, or if something exceeds its bounds. Package fabric checks the
// certificates.
func (f *Fabric) Validate() error {
	switch {
	case !f.Index.Valid():
		return invalid("fabric index %d", f.Index)
	case f.FabricID == 0:
		return invalid("fabric %d has no fabric id", f.Index)
	case !f.NodeID.Operational():
		return invalid("fabric %d has node id %v", f.Index, f.NodeID)
	case !text(f.Label, maxLabel):
		return invalid("fabric %d has a label of %d octets", f.Index, len(f.Label))
	case len(f.Root) == 0 || len(f.Root) > maxCertificate:
		return invalid("fabric %d has a root certificate of %d octets", f.Index, len(f.Root))
	case len(f.NOC) == 0 || len(f.NOC) > maxCertificate:
		return invalid("fabric %d has a NOC of %d octets", f.Index, len(f.NOC))
	case len(f.ICAC) > maxCertificate:
		return invalid("fabric %d has an ICAC of %d octets", f.Index, len(f.ICAC))
	case len(f.Key) != keySize:
		return invalid("fabric %d has an operational key of %d octets", f.Index, len(f.Key))
	case len(f.VVSC) > maxCertificate:
		return invalid("fabric %d has a VVSC of %d octets", f.Index, len(f.VVSC))
	case len(f.VVSC) > 0 && len(f.ICAC) > 0:
		return invalid("fabric %d has a VVSC beside an ICAC", f.Index)
	case len(f.VIDVerificationStatement) != 0 && len(f.VIDVerificationStatement) != statementSize:
		return invalid("fabric %d has a VID verification statement of %d octets", f.Index, len(f.VIDVerificationStatement))
	case len(f.Extension) > maxExtension:
		return invalid("fabric %d has an access control extension of %d octets", f.Index, len(f.Extension))
	}
	if err := f.validateKeySets(); err != nil {
		return err
	}
	return f.validateGroups()
}

func (f *Fabric) validateKeySets() error {
	seen := make(map[uint16]bool, len(f.KeySets))
	for i := range f.KeySets {
		set := &f.KeySets[i]
		if seen[set.ID] {
			return invalid("fabric %d has key set %d twice", f.Index, set.ID)
		}
		seen[set.ID] = true
		if len(set.Keys) == 0 || len(set.Keys) > maxGroupKeys {
			return invalid("fabric %d has key set %d with %d keys", f.Index, set.ID, len(set.Keys))
		}
		for j, k := range set.Keys {
			if len(k.Key) != groupKeySize {
				return invalid("fabric %d has key set %d with a key of %d octets", f.Index, set.ID, len(k.Key))
			}
			if j > 0 && k.Start <= set.Keys[j-1].Start {
				return invalid("fabric %d has key set %d with start times out of order", f.Index, set.ID)
			}
		}
	}
	if !seen[0] {
		return invalid("fabric %d has no identity protection key", f.Index)
	}
	return nil
}

func (f *Fabric) validateGroups() error {
	for _, m := range f.GroupKeyMap {
		if m.Group == 0 || m.KeySet == 0 {
			return invalid("fabric %d maps group %d to key set %d", f.Index, m.Group, m.KeySet)
		}
	}
	for _, g := range f.Groups {
		if g.ID == 0 || !text(g.Name, maxGroupName) {
			return invalid("fabric %d has group %d with a name of %d octets", f.Index, g.ID, len(g.Name))
		}
	}
	return nil
}

// administered reports whether an entry grants Administer to a CASE subject.
func (f *Fabric) administered() bool {
	for i := range f.ACL {
		if e := &f.ACL[i]; e.Privilege == matter.PrivilegeAdminister && e.AuthMode == matter.AuthModeCASE {
			return true
		}
	}
	return false
}

// Validate returns an error that wraps ErrInvalid if n may not be stored. Members that
// are not set yet may be zero.
func (n *Node) Validate() error {
	switch {
	case len(n.Salt) != 0 && (len(n.Salt) < 16 || len(n.Salt) > 32):
		return invalid("node has a salt of %d octets", len(n.Salt))
	case n.Iterations != 0 && (n.Iterations < 1000 || n.Iterations > 100000):
		return invalid("node has %d iterations", n.Iterations)
	case len(n.Verifier) != 0 && len(n.Verifier) != verifierSize:
		return invalid("node has a verifier of %d octets", len(n.Verifier))
	case n.Discriminator > 0xFFF:
		return invalid("node has discriminator %d", n.Discriminator)
	case !text(n.UniqueID, 32):
		return invalid("node has a unique id of %d octets", len(n.UniqueID))
	case !text(n.NodeLabel, 32):
		return invalid("node has a label of %d octets", len(n.NodeLabel))
	case n.Location != "" && (len(n.Location) != 2 || !utf8.ValidString(n.Location)):
		return invalid("node has a location of %d octets", len(n.Location))
	case !text(n.BootID, 64):
		return invalid("node has a boot id of %d octets", len(n.BootID))
	case n.NextFabricIndex != 0 && !n.NextFabricIndex.Valid():
		return invalid("node has next fabric index %d", n.NextFabricIndex)
	}
	return nil
}

// Validate returns an error that wraps ErrInvalid if a may not be stored. The key may be
// missing, as it can be kept elsewhere.
func (a *Attestation) Validate() error {
	if len(a.DAC) == 0 || len(a.PAI) == 0 || len(a.CD) == 0 || len(a.Key) != 0 && len(a.Key) != keySize {
		return invalid("attestation material is not complete")
	}
	return nil
}

// Validate returns an error that wraps ErrInvalid if r may not be stored.
func (r *Resumption) Validate() error {
	switch {
	case !r.Fabric.Valid() || !r.Peer.Operational():
		return invalid("resumption record of fabric %d, node %v", r.Fabric, r.Peer)
	case len(r.ID) != resumptionID || len(r.SharedSecret) != sharedSecret:
		return invalid("resumption record with an id of %d and a secret of %d octets", len(r.ID), len(r.SharedSecret))
	case len(r.CATs) > maxCATs:
		return invalid("resumption record with %d CATs", len(r.CATs))
	}
	return nil
}

// Validate returns an error that wraps ErrInvalid if s may not be stored.
func (s *Subscription) Validate() error {
	if !s.Fabric.Valid() || !s.Peer.Operational() {
		return invalid("subscription of fabric %d, node %v", s.Fabric, s.Peer)
	}
	return nil
}
