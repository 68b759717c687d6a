package matter

import "fmt"

// Identifiers of the data model (section 7.18 and 2.5).
type (
	VendorID     uint16
	ProductID    uint16
	NodeID       uint64
	FabricID     uint64
	FabricIndex  uint8
	GroupID      uint16
	EndpointID   uint16
	ClusterID    uint32
	AttributeID  uint32
	CommandID    uint32
	EventID      uint32
	DeviceTypeID uint32
	DataVersion  uint32
	EventNumber  uint64
)

// Fabric indices are 1 to 254; 0 means "no fabric" (section 2.5.1).
const (
	NoFabric       FabricIndex = 0
	MinFabricIndex FabricIndex = 1
	MaxFabricIndex FabricIndex = 254
)

// Valid reports whether i is the index of a fabric.
func (i FabricIndex) Valid() bool { return i >= MinFabricIndex && i <= MaxFabricIndex }

// Ranges of the 64-bit node identifier (section 2.5.5).
const (
	MinOperationalNodeID NodeID = 0x0000_0000_0000_0001
	MaxOperationalNodeID NodeID = 0xFFFF_FFEF_FFFF_FFFF

	minPAKEKeyNodeID NodeID = 0xFFFF_FFFB_0000_0000
	minCATNodeID     NodeID = 0xFFFF_FFFD_0000_0000
	maxCATNodeID     NodeID = 0xFFFF_FFFD_FFFF_FFFF
	minGroupNodeID   NodeID = 0xFFFF_FFFF_FFFF_0000
)

// Operational reports whether n is an operational node id.
func (n NodeID) Operational() bool { return n >= MinOperationalNodeID && n <= MaxOperationalNodeID }

// CAT returns the CASE authenticated tag that n represents as a subject, and
// whether it represents one. A tag with version 0 is not a tag.
func (n NodeID) CAT() (CAT, bool) {
	if n < minCATNodeID || n > maxCATNodeID {
		return 0, false
	}
	c := CAT(n)
	return c, c.Valid()
}

// Group returns the group that n represents, and whether it represents one.
func (n NodeID) Group() (GroupID, bool) {
	return GroupID(n), n >= minGroupNodeID && GroupID(n) != 0
}

// NodeID returns the group's form as a node id (section 2.5.5.1).
func (g GroupID) NodeID() NodeID { return minGroupNodeID | NodeID(g) }

func (n NodeID) String() string   { return fmt.Sprintf("%016X", uint64(n)) }
func (f FabricID) String() string { return fmt.Sprintf("%016X", uint64(f)) }

// OperationallyValid reports whether a fabric's administrator may have the vendor
// id: it is not 0 and not reserved (section 2.5.2). The four test vendors are
// valid.
func (v VendorID) OperationallyValid() bool { return v >= 0x0001 && v <= 0xFFF4 }

// Test reports whether v is one of the four test vendors, 0xFFF1 to 0xFFF4.
func (v VendorID) Test() bool { return v >= 0xFFF1 && v <= 0xFFF4 }

// CAT is a CASE authenticated tag: identifier in the upper 16 bits, version in
// the lower 16 (section 6.6.2.1.2).
type CAT uint32

// Identifier returns the upper half.
func (c CAT) Identifier() uint16 { return uint16(c >> 16) }

// Version returns the lower half.
func (c CAT) Version() uint16 { return uint16(c) }

// Valid reports whether c is a tag. Its version must not be 0.
func (c CAT) Valid() bool { return c.Version() != 0 }

// NodeID returns the tag's form as an access control subject.
func (c CAT) NodeID() NodeID { return minCATNodeID | NodeID(c) }

// Privilege is an access control privilege (section 9.10.5.2).
type Privilege uint8

// The privileges. Each includes the ones before it, except that ProxyView only
// includes View.
const (
	PrivilegeView       Privilege = 1
	PrivilegeProxyView  Privilege = 2
	PrivilegeOperate    Privilege = 3
	PrivilegeManage     Privilege = 4
	PrivilegeAdminister Privilege = 5
)

// Includes reports whether the privilege p includes want.
func (p Privilege) Includes(want Privilege) bool {
	if p == PrivilegeProxyView || want == PrivilegeProxyView {
		return p == want || (p == PrivilegeProxyView && want == PrivilegeView) || p == PrivilegeAdminister
	}
	return p >= want
}

// AuthMode is the way in which a peer was authenticated (section 9.10.5.4).
type AuthMode uint8

// The authentication modes.
const (
	AuthModePASE  AuthMode = 1
	AuthModeCASE  AuthMode = 2
	AuthModeGroup AuthMode = 3
)

// Protocol ids of the standard vendor (section 4.4.3.4).
const (
	ProtocolSecureChannel    uint16 = 0x0000
	ProtocolInteractionModel uint16 = 0x0001
)

// Revisions that this node announces.
const (
	DataModelRevision        = 21
	InteractionModelRevision = 12
	SpecificationVersion     = 0x01060000
)

// MaxPathsPerInvoke is the number of commands in one request: as many as fit into one
// message, with the arguments of most. A number above one requires the data model test
// feature of General Diagnostics (section 11.12.4.1).
const MaxPathsPerInvoke = 32

// EpochOffset is the number of seconds between 1970-01-01 and the Matter epoch,
// 2000-01-01T00:00:00Z (section 7.19.2.4).
const EpochOffset = 946684800

// Ids of the global attributes (section 7.13).
const (
	AttributeGeneratedCommandList AttributeID = 0xFFF8
	AttributeAcceptedCommandList  AttributeID = 0xFFF9
	AttributeAttributeList        AttributeID = 0xFFFB
	AttributeFeatureMap           AttributeID = 0xFFFC
	AttributeClusterRevision      AttributeID = 0xFFFD
)
