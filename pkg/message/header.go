package message

import (
	"encoding/binary"
	"errors"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Sizes in octets.
const (
	// MaxSize is the largest message to send in one datagram: the IPv6 minimum MTU of
	// 1280 minus the IPv6 and UDP headers.
	MaxSize = 1232
	// MaxReceived is the largest message to accept. Some controllers put as many commands
	// into a request as the node takes, whatever their size, and leave it to IP to
	// fragment the datagram.
	MaxReceived = 2048
	// MaxPayload is the largest application payload of one message. It leaves room
	// for the longest headers and the MIC.
	MaxPayload = 1162
	// MICSize is the length of the message integrity check at the end of every
	// message of a secured session.
	MICSize = 16
)

// Errors of the decoders. A message that cannot be decoded is dropped. It is
// neither answered nor acknowledged.
var (
	ErrTruncated   = errors.New("message: truncated")
	ErrVersion     = errors.New("message: unknown version")
	ErrSessionType = errors.New("message: reserved session type")
	ErrAddressing  = errors.New("message: source and destination do not fit the session type")
)

// Message flags and security flags. All other bits are reserved: sent as 0 and
// ignored on reception (sections 4.4.1.1 and 4.4.1.3).
const (
	flagVersion  = 0xF0
	flagSource   = 0x04
	flagDSIZ     = 0x03
	dsizNone     = 0
	dsizNode     = 1
	dsizGroup    = 2
	dsizReserved = 3

	securityPrivacy    = 0x80
	securityControl    = 0x40
	securityExtensions = 0x20
	securityType       = 0x03
	typeUnicast        = 0
	typeGroup          = 1
)

const fixedHeaderSize = 8

// Header is the message header. It is not encrypted. On secured sessions it is
// authenticated.
type Header struct {
	SessionID uint16 // the receiver's id of the session; 0 without Group: the unsecured session
	Group     bool
	Control   bool
	Privacy   bool
	Counter   uint32

	HasSource    bool
	Source       matter.NodeID
	HasDest      bool
	Dest         matter.NodeID
	HasDestGroup bool
	DestGroup    matter.GroupID
}

// Unsecured reports whether the message belongs to the unsecured session.
func (h *Header) Unsecured() bool { return !h.Group && h.SessionID == 0 }

// SecurityFlags returns the security flags octet as AppendTo writes it.
// Cryptographic operations on a received message must use the received octet
// (offset 3) instead, as it may contain bits that a Header does not keep.
func (h *Header) SecurityFlags() uint8 {
	var f uint8
	if h.Group {
		f |= typeGroup
	}
	if h.Control {
		f |= securityControl
	}
	if h.Privacy {
		f |= securityPrivacy
	}
	return f
}

// AppendTo appends the encoded header to b and returns the extended buffer.
func (h *Header) AppendTo(b []byte) []byte {
	var flags uint8
	if h.HasSource {
		flags |= flagSource
	}
	switch {
	case h.HasDest && h.HasDestGroup:
		panic("BUG: message: header with two destinations")
	case h.HasDest:
		flags |= dsizNode
	case h.HasDestGroup:
		flags |= dsizGroup
	}
	b = append(b, flags, byte(h.SessionID), byte(h.SessionID>>8), h.SecurityFlags())
	b = binary.LittleEndian.AppendUint32(b, h.Counter)
	if h.HasSource {
		b = binary.LittleEndian.AppendUint64(b, uint64(h.Source))
	}
	if h.HasDest {
		b = binary.LittleEndian.AppendUint64(b, uint64(h.Dest))
	}
	if h.HasDestGroup {
		b = binary.LittleEndian.AppendUint16(b, uint16(h.DestGroup))
	}
	return b
}

// ParseHeader decodes the message header at the start of b and returns its length.
// The length includes message extensions, which are skipped. ParseHeader makes
// those validity checks of section 4.7.2 that need no session:
//
//   - the version is 0, and the session type and DSIZ are not reserved;
//   - on the unsecured session there is either a source or a destination node id, not both;
//   - a unicast message is not addressed to a group;
//   - a group message has a source and a destination.
//
// If Privacy is set, the fields after the security flags are still obfuscated.
func ParseHeader(b []byte) (h Header, size int, err error) {
	if len(b) < fixedHeaderSize {
		return Header{}, 0, ErrTruncated
	}
	flags, security := b[0], b[3]
	if flags&flagVersion != 0 {
		return Header{}, 0, ErrVersion
	}
	switch security & securityType {
	case typeUnicast:
	case typeGroup:
		h.Group = true
	default:
		return Header{}, 0, ErrSessionType
	}
	h.SessionID = binary.LittleEndian.Uint16(b[1:])
	h.Privacy = security&securityPrivacy != 0
	h.Control = security&securityControl != 0
	h.Counter = binary.LittleEndian.Uint32(b[4:])
	rest := b[fixedHeaderSize:]
	if flags&flagSource != 0 {
		if len(rest) < 8 {
			return Header{}, 0, ErrTruncated
		}
		h.HasSource, h.Source = true, matter.NodeID(binary.LittleEndian.Uint64(rest))
		rest = rest[8:]
	}
	switch flags & flagDSIZ {
	case dsizNode:
		if len(rest) < 8 {
			return Header{}, 0, ErrTruncated
		}
		h.HasDest, h.Dest = true, matter.NodeID(binary.LittleEndian.Uint64(rest))
		rest = rest[8:]
	case dsizGroup:
		if len(rest) < 2 {
			return Header{}, 0, ErrTruncated
		}
		h.HasDestGroup, h.DestGroup = true, matter.GroupID(binary.LittleEndian.Uint16(rest))
		rest = rest[2:]
	case dsizReserved:
		return Header{}, 0, ErrAddressing
	}
	if security&securityExtensions != 0 {
		if rest, err = skipExtensions(rest); err != nil {
			return Header{}, 0, err
		}
	}
	if !h.addressed() {
		return Header{}, 0, ErrAddressing
	}
	return h, len(b) - len(rest), nil
}

// addressed checks whether source and destination match the session type.
func (h *Header) addressed() bool {
	switch {
	case h.Group:
		return h.HasSource && (h.HasDest || h.HasDestGroup)
	case h.HasDestGroup:
		return false
	case h.Unsecured():
		return h.HasSource != h.HasDest
	}
	return true
}

// skipExtensions returns what follows an extensions block. The block is a 16-bit
// length and as many octets, which this version of the protocol does not define.
func skipExtensions(b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, ErrTruncated
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n > len(b)-2 {
		return nil, ErrTruncated
	}
	return b[2+n:], nil
}
