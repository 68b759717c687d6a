package im

import "github.com/opcredsd/opcredsd/pkg/tlv"

// Opcodes of the protocol (section 10.2).
const (
	OpcodeStatusResponse    uint8 = 0x01
	OpcodeReadRequest       uint8 = 0x02
	OpcodeSubscribeRequest  uint8 = 0x03
	OpcodeSubscribeResponse uint8 = 0x04
	OpcodeReportData        uint8 = 0x05
	OpcodeWriteRequest      uint8 = 0x06
	OpcodeWriteResponse     uint8 = 0x07
	OpcodeInvokeRequest     uint8 = 0x08
	OpcodeInvokeResponse    uint8 = 0x09
	OpcodeTimedRequest      uint8 = 0x0A
)

// The context tags. The last one is the tag of the revision at the end of each
// message.
var (
	tag0        = tlv.Context(0)
	tag1        = tlv.Context(1)
	tag2        = tlv.Context(2)
	tag3        = tlv.Context(3)
	tag4        = tlv.Context(4)
	tag5        = tlv.Context(5)
	tag7        = tlv.Context(7)
	tagRevision = tlv.Context(0xFF)
)
