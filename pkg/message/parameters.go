package message

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Limits to which ReadParameters clamps a peer's intervals. The upper one is the
// protocol's. Below the lower one retransmissions would be a burst.
const (
	MinInterval = 10 * time.Millisecond
	MaxInterval = time.Hour
)

// SessionParameters are the parameters that each side of a handshake announces
// (section 4.13.1). Intervals have a resolution of one millisecond.
type SessionParameters struct {
	IdleInterval    time.Duration // wait before a retransmission to this node while it is idle
	ActiveInterval  time.Duration // the same while it is active
	ActiveThreshold time.Duration // how long it stays active after a message; at most 65535 ms

	DataModelRevision        uint16 // 0: absent, a node of release 1.2 or older
	InteractionModelRevision uint16 // 0: absent
	SpecificationVersion     uint32 // 0xMMmmpp00; 0: absent
	MaxPathsPerInvoke        uint16 // at least 1
	SupportedTransports      uint16 // bit 1: TCP client, bit 2: TCP server; 0: MRP only
	MaxTCPMessageSize        uint32 // octets; meaningless without TCP
}

const (
	transportTCPClient   = 1 << 1
	transportTCPServer   = 1 << 2
	defaultMaxTCPMessage = 64000
)

// Context tags of the session parameter structure.
const (
	tagIdleInterval             = 1
	tagActiveInterval           = 2
	tagActiveThreshold          = 3
	tagDataModelRevision        = 4
	tagInteractionModelRevision = 5
	tagSpecificationVersion     = 6
	tagMaxPathsPerInvoke        = 7
	tagSupportedTransports      = 8
	tagMaxTCPMessageSize        = 9
)

// DefaultParameters returns the parameters of a peer that announces none.
func DefaultParameters() SessionParameters {
	return SessionParameters{
		IdleInterval:      500 * time.Millisecond,
		ActiveInterval:    300 * time.Millisecond,
		ActiveThreshold:   4 * time.Second,
		MaxPathsPerInvoke: 1,
		MaxTCPMessageSize: defaultMaxTCPMessage,
	}
}

// LocalParameters returns this node's parameters: the default intervals and the
// revisions that it implements.
func LocalParameters() SessionParameters {
	p := DefaultParameters()
	p.DataModelRevision = matter.DataModelRevision
	p.InteractionModelRevision = matter.InteractionModelRevision
	p.SpecificationVersion = matter.SpecificationVersion
	p.MaxPathsPerInvoke = matter.MaxPathsPerInvoke
	return p
}

// TCP reports whether the node speaks TCP in either role.
func (p *SessionParameters) TCP() bool {
	return p.SupportedTransports&(transportTCPClient|transportTCPServer) != 0
}

// WriteTLV writes p as a structure with the tag t. It always writes the intervals
// and the transports, as some peers cannot read an empty structure. Revisions that
// are 0 are omitted.
func (p *SessionParameters) WriteTLV(w *tlv.Writer, t tlv.Tag) {
	w.StartStruct(t)
	w.Uint(tlv.Context(tagIdleInterval), milliseconds(p.IdleInterval))
	w.Uint(tlv.Context(tagActiveInterval), milliseconds(p.ActiveInterval))
	w.Uint(tlv.Context(tagActiveThreshold), min(milliseconds(p.ActiveThreshold), 0xFFFF))
	for _, f := range [...]struct {
		tag   uint8
		value uint64
	}{
		{tagDataModelRevision, uint64(p.DataModelRevision)},
		{tagInteractionModelRevision, uint64(p.InteractionModelRevision)},
		{tagSpecificationVersion, uint64(p.SpecificationVersion)},
	} {
		if f.value != 0 {
			w.Uint(tlv.Context(f.tag), f.value)
		}
	}
	w.Uint(tlv.Context(tagMaxPathsPerInvoke), uint64(max(p.MaxPathsPerInvoke, 1)))
	w.Uint(tlv.Context(tagSupportedTransports), uint64(p.SupportedTransports))
	if p.TCP() {
		w.Uint(tlv.Context(tagMaxTCPMessageSize), uint64(p.MaxTCPMessageSize))
	}
	w.End()
}

func milliseconds(d time.Duration) uint64 {
	return uint64(min(max(d, 0), MaxInterval) / time.Millisecond)
}

// ReadParameters reads the structure at r. Absent fields get their defaults,
// unknown tags are ignored, and intervals are clamped to MinInterval and
// MaxInterval. If a field has the wrong type or is out of range, r has an error and
// the result is meaningless.
func ReadParameters(r *tlv.Reader) SessionParameters {
	p := DefaultParameters()
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case tagIdleInterval:
			p.IdleInterval = interval(r.Uint32())
		case tagActiveInterval:
			p.ActiveInterval = interval(r.Uint32())
		case tagActiveThreshold:
			p.ActiveThreshold = time.Duration(r.Uint16()) * time.Millisecond
		case tagDataModelRevision:
			p.DataModelRevision = r.Uint16()
		case tagInteractionModelRevision:
			p.InteractionModelRevision = r.Uint16()
		case tagSpecificationVersion:
			p.SpecificationVersion = r.Uint32()
		case tagMaxPathsPerInvoke:
			p.MaxPathsPerInvoke = max(r.Uint16(), 1)
		case tagSupportedTransports:
			p.SupportedTransports = r.Uint16() & (transportTCPClient | transportTCPServer)
		case tagMaxTCPMessageSize:
			p.MaxTCPMessageSize = r.Uint32()
		}
	}
	r.Exit()
	return p
}

func interval(ms uint32) time.Duration {
	return min(max(time.Duration(ms)*time.Millisecond, MinInterval), MaxInterval)
}
