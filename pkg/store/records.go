package store

import (
	"bytes"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Fabric holds everything that belongs to one fabric: the entry of the fabric table,
// its credentials, and the fabric-scoped data of Access Control and Group Key
// Management. It is stored as one value.
//
// FabricID and NodeID are also in the NOC; package fabric checks that they agree.
type Fabric struct {
	Index    matter.FabricIndex `json:"index"`     // 1 to 254
	FabricID matter.FabricID    `json:"fabric_id"` // not 0
	NodeID   matter.NodeID      `json:"node_id"`   // operational
	VendorID matter.VendorID    `json:"vendor_id"`
	Label    string             `json:"label"`           // at most 32 octets of UTF-8
	Added    uint32             `json:"added,omitempty"` // when AddNOC added it, in seconds since the Matter epoch; 0: not known

	Root []byte `json:"root"`           // Matter TLV, 1 to 400 octets
	NOC  []byte `json:"noc"`            // Matter TLV, 1 to 400 octets
	ICAC []byte `json:"icac,omitempty"` // Matter TLV, at most 400 octets; nil if the chain has none
	Key  []byte `json:"key"`            // operational private key: the scalar, 32 octets big-endian

	VVSC                     []byte `json:"vvsc,omitempty"`                       // at most 400 octets; never beside an ICAC
	VIDVerificationStatement []byte `json:"vid_verification_statement,omitempty"` // 85 octets or none

	ACL       []ACLEntry `json:"acl"`                 // in the order in which the administrator wrote it
	Extension []byte     `json:"extension,omitempty"` // Access Control extension, at most 128 octets

	KeySets     []GroupKeySet     `json:"key_sets"` // set 0, the IPK, always exists
	GroupKeyMap []GroupKeyMapping `json:"group_key_map,omitempty"`
	Groups      []Group           `json:"groups,omitempty"`
}

// Clone returns a copy that shares nothing with f.
func (f *Fabric) Clone() Fabric {
	c := *f
	for _, b := range []*[]byte{&c.Root, &c.NOC, &c.ICAC, &c.Key, &c.VVSC, &c.VIDVerificationStatement, &c.Extension} {
		*b = bytes.Clone(*b)
	}
	c.ACL = slices.Clone(f.ACL)
	for i := range c.ACL {
		c.ACL[i] = c.ACL[i].Clone()
	}
	c.KeySets = slices.Clone(f.KeySets)
	for i := range c.KeySets {
		keys := slices.Clone(c.KeySets[i].Keys)
		for j := range keys {
			keys[j].Key = bytes.Clone(keys[j].Key)
		}
		c.KeySets[i].Keys = keys
	}
	c.GroupKeyMap = slices.Clone(f.GroupKeyMap)
	c.Groups = slices.Clone(f.Groups)
	for i := range c.Groups {
		c.Groups[i].Endpoints = slices.Clone(c.Groups[i].Endpoints)
	}
	return c
}

// ACLEntry is one access control entry (section 9.10.5.7).
type ACLEntry struct {
	Privilege matter.Privilege `json:"privilege"`
	AuthMode  matter.AuthMode  `json:"auth_mode"`
	Subjects  []matter.NodeID  `json:"subjects"` // nil is null: every subject
	Targets   []ACLTarget      `json:"targets"`  // nil is null: every target
}

// Clone returns a copy that shares nothing with e.
func (e *ACLEntry) Clone() ACLEntry {
	c := *e
	c.Subjects = slices.Clone(e.Subjects)
	c.Targets = slices.Clone(e.Targets)
	for i := range c.Targets {
		t := &c.Targets[i]
		t.Cluster, t.Endpoint, t.DeviceType = clone(t.Cluster), clone(t.Endpoint), clone(t.DeviceType)
	}
	return c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// ACLTarget restricts an entry (section 9.10.5.6). A nil member is null and restricts
// nothing.
type ACLTarget struct {
	Cluster    *matter.ClusterID    `json:"cluster,omitempty"`
	Endpoint   *matter.EndpointID   `json:"endpoint,omitempty"`
	DeviceType *matter.DeviceTypeID `json:"device_type,omitempty"`
}

// GroupKeySet is a set of one to three group keys (chapter Group Key Management
// Cluster).
type GroupKeySet struct {
	ID     uint16     `json:"id"`
	Policy uint8      `json:"policy"`
	Keys   []GroupKey `json:"keys"` // by ascending start time
}

// GroupKey is the operational key that was derived from an epoch key for this fabric.
// The epoch key is not kept.
type GroupKey struct {
	Key   []byte `json:"operational_key"` // 16 octets
	Start uint64 `json:"start"`           // microseconds since the Matter epoch; 0 for the IPK of AddNOC
}

// GroupKeyMapping says which key set a group uses.
type GroupKeyMapping struct {
	Group  matter.GroupID `json:"group"`
	KeySet uint16         `json:"key_set"` // never 0
}

// Group is one row of the group table.
type Group struct {
	ID        matter.GroupID      `json:"id"`
	Name      string              `json:"name,omitempty"` // at most 16 octets of UTF-8
	Endpoints []matter.EndpointID `json:"endpoints,omitempty"`
}

// Node is the identity of the node and its own state. Change it with [Tx.MutateNode]: a
// copy from an earlier transaction may have an old NextFabricIndex.
type Node struct {
	Passcode      uint32 `json:"passcode"`
	Salt          []byte `json:"salt"`          // 16 to 32 octets
	Iterations    uint32 `json:"iterations"`    // 1000 to 100000
	Verifier      []byte `json:"verifier"`      // SPAKE2+ verifier, 97 octets
	Discriminator uint16 `json:"discriminator"` // 0 to 4095

	UniqueID            string `json:"unique_id"`  // at most 32 octets
	NodeLabel           string `json:"node_label"` // at most 32 octets
	Location            string `json:"location"`   // 2 octets
	LocalConfigDisabled bool   `json:"local_config_disabled"`

	RebootCount       uint16             `json:"reboot_count"`
	OperationalHours  uint32             `json:"operational_hours"`
	BootID            string             `json:"boot_id"`              // of the host's kernel at the last start; at most 64 octets
	Stopped           bool               `json:"stopped,omitempty"`    // the last run ended in order
	NextFabricIndex   matter.FabricIndex `json:"next_fabric_index"`    // 0: there was no fabric yet
	LastKnownGoodTime uint32             `json:"last_known_good_time"` // seconds since the Matter epoch
}

// Attestation is the device attestation material.
type Attestation struct {
	DAC       []byte           `json:"dac"` // DER
	PAI       []byte           `json:"pai"` // DER
	CD        []byte           `json:"cd"`  // CMS, DER
	Key       []byte           `json:"key"` // of the DAC: the scalar, 32 octets big-endian
	VendorID  matter.VendorID  `json:"vendor_id"`
	ProductID matter.ProductID `json:"product_id"`
	Test      bool             `json:"test"` // made under a published test authority
}

// Resumption lets a peer resume a CASE session. There is one for each peer of a
// fabric.
type Resumption struct {
	Fabric       matter.FabricIndex `json:"fabric"`
	Peer         matter.NodeID      `json:"peer"`
	ID           []byte             `json:"id"`             // 16 octets
	SharedSecret []byte             `json:"shared_secret"`  // 32 octets
	CATs         []matter.CAT       `json:"cats,omitempty"` // at most 3
}

// Subscription is an active subscription, to be resumed after a restart.
type Subscription struct {
	Fabric         matter.FabricIndex `json:"fabric"`
	Peer           matter.NodeID      `json:"peer"`
	ID             uint32             `json:"id"`
	MinInterval    uint16             `json:"min_interval"` // seconds
	MaxInterval    uint16             `json:"max_interval"` // seconds, as agreed
	FabricFiltered bool               `json:"fabric_filtered"`
	Attributes     []AttributePath    `json:"attributes,omitempty"`
	Events         []EventPath        `json:"events,omitempty"`
}

// AttributePath is a path as the subscriber gave it; nil is a wildcard.
type AttributePath struct {
	Endpoint  *matter.EndpointID  `json:"endpoint,omitempty"`
	Cluster   *matter.ClusterID   `json:"cluster,omitempty"`
	Attribute *matter.AttributeID `json:"attribute,omitempty"`
	Flags     uint32              `json:"flags,omitempty"` // wildcard path flags
}

// EventPath is a path as the subscriber gave it; nil is a wildcard.
type EventPath struct {
	Endpoint *matter.EndpointID `json:"endpoint,omitempty"`
	Cluster  *matter.ClusterID  `json:"cluster,omitempty"`
	Event    *matter.EventID    `json:"event,omitempty"`
	Urgent   bool               `json:"urgent,omitempty"`
}
