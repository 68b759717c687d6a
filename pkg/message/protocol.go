package message

import "encoding/binary"

// Exchange flags. All other bits are reserved: sent as 0 and ignored on reception
// (section 4.4.3.1).
const (
	exchangeInitiator  = 0x01
	exchangeAck        = 0x02
	exchangeReliable   = 0x04
	exchangeExtensions = 0x08
	exchangeVendor     = 0x10
)

const fixedProtocolHeaderSize = 6

// ProtocolHeader is at the start of the message payload. It is encrypted on secured
// sessions.
type ProtocolHeader struct {
	Initiator bool // sent by the side that began the exchange
	Reliable  bool // requests an acknowledgement
	HasAck    bool
	Ack       uint32 // counter of the acknowledged message, if HasAck
	Opcode    uint8
	Exchange  uint16
	Vendor    uint16 // 0 is the standard vendor, encoded by omitting the field
	Protocol  uint16
}

// AppendTo appends the encoded header to b and returns the extended buffer.
func (p *ProtocolHeader) AppendTo(b []byte) []byte {
	var flags uint8
	if p.Initiator {
		flags |= exchangeInitiator
	}
	if p.HasAck {
		flags |= exchangeAck
	}
	if p.Reliable {
		flags |= exchangeReliable
	}
	if p.Vendor != 0 {
		flags |= exchangeVendor
	}
	b = append(b, flags, p.Opcode, byte(p.Exchange), byte(p.Exchange>>8))
	if p.Vendor != 0 {
		b = binary.LittleEndian.AppendUint16(b, p.Vendor)
	}
	b = binary.LittleEndian.AppendUint16(b, p.Protocol)
	if p.HasAck {
		b = binary.LittleEndian.AppendUint32(b, p.Ack)
	}
	return b
}

// ParseProtocolHeader decodes the protocol header at the start of b and returns its
// length. The length includes secured extensions, which are skipped.
func ParseProtocolHeader(b []byte) (p ProtocolHeader, size int, err error) {
	if len(b) < fixedProtocolHeaderSize {
		return ProtocolHeader{}, 0, ErrTruncated
	}
	flags := b[0]
	p.Initiator = flags&exchangeInitiator != 0
	p.Reliable = flags&exchangeReliable != 0
	p.Opcode = b[1]
	p.Exchange = binary.LittleEndian.Uint16(b[2:])
	rest := b[4:]
	if flags&exchangeVendor != 0 {
		// The vendor precedes the protocol id.
		if len(rest) < 4 {
			return ProtocolHeader{}, 0, ErrTruncated
		}
		p.Vendor = binary.LittleEndian.Uint16(rest)
		rest = rest[2:]
	}
	p.Protocol = binary.LittleEndian.Uint16(rest)
	rest = rest[2:]
	if flags&exchangeAck != 0 {
		if len(rest) < 4 {
			return ProtocolHeader{}, 0, ErrTruncated
		}
		p.HasAck, p.Ack = true, binary.LittleEndian.Uint32(rest)
		rest = rest[4:]
	}
	if flags&exchangeExtensions != 0 {
		if rest, err = skipExtensions(rest); err != nil {
			return ProtocolHeader{}, 0, err
		}
	}
	return p, len(b) - len(rest), nil
}
