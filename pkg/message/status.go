package message

import (
	"encoding/binary"
	"fmt"
)

// General codes of a StatusReport (appendix D.3.1).
const (
	GeneralSuccess           uint16 = 0
	GeneralFailure           uint16 = 1
	GeneralBadPrecondition   uint16 = 2
	GeneralOutOfRange        uint16 = 3
	GeneralBadRequest        uint16 = 4
	GeneralUnsupported       uint16 = 5
	GeneralUnexpected        uint16 = 6
	GeneralResourceExhausted uint16 = 7
	GeneralBusy              uint16 = 8
	GeneralTimeout           uint16 = 9
	GeneralContinue          uint16 = 10
	GeneralAborted           uint16 = 11
	GeneralInvalidArgument   uint16 = 12
	GeneralNotFound          uint16 = 13
	GeneralAlreadyExists     uint16 = 14
	GeneralPermissionDenied  uint16 = 15
	GeneralDataLoss          uint16 = 16
)

// Protocol codes of a StatusReport of the secure channel protocol (section
// 4.11.1.3).
const (
	CodeSessionEstablished uint16 = 0x0000
	CodeNoSharedTrustRoots uint16 = 0x0001
	CodeInvalidParameter   uint16 = 0x0002
	CodeCloseSession       uint16 = 0x0003
	CodeBusy               uint16 = 0x0004
	CodeGeneralFailure     uint16 = 0xFFFF
)

const statusReportSize = 8

// StatusReport is the payload of OpcodeStatusReport. It is not TLV.
type StatusReport struct {
	General  uint16
	Protocol uint32 // vendor id in the upper half, protocol id in the lower
	Code     uint16 // meaning depends on Protocol
	Data     []byte // depends on the code; CodeBusy: 2 octets
}

// Success reports whether r reports the success of a handshake.
func (r *StatusReport) Success() bool {
	return r.General == GeneralSuccess && r.Protocol == 0 && r.Code == CodeSessionEstablished
}

// AppendTo appends the encoded report to b and returns the extended buffer.
func (r *StatusReport) AppendTo(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, r.General)
	b = binary.LittleEndian.AppendUint32(b, r.Protocol)
	b = binary.LittleEndian.AppendUint16(b, r.Code)
	return append(b, r.Data...)
}

// ParseStatusReport decodes b, a complete payload. Data points into it. Codes
// without a name here are not an error.
func ParseStatusReport(b []byte) (StatusReport, error) {
	if len(b) < statusReportSize {
		return StatusReport{}, ErrTruncated
	}
	return StatusReport{
		General:  binary.LittleEndian.Uint16(b),
		Protocol: binary.LittleEndian.Uint32(b[2:]),
		Code:     binary.LittleEndian.Uint16(b[6:]),
		Data:     b[statusReportSize:len(b):len(b)],
	}, nil
}

// Busy returns the report that asks the initiator of a handshake to wait at least
// the given number of milliseconds.
func Busy(milliseconds uint16) StatusReport {
	return StatusReport{General: GeneralBusy, Code: CodeBusy, Data: []byte{byte(milliseconds), byte(milliseconds >> 8)}}
}

// BusyWait returns the minimum wait in milliseconds if r is a Busy report, and
// whether it is.
func (r *StatusReport) BusyWait() (milliseconds uint16, ok bool) {
	if r.General != GeneralBusy || r.Protocol != 0 || r.Code != CodeBusy || len(r.Data) < 2 {
		return 0, false
	}
	return binary.LittleEndian.Uint16(r.Data), true
}

// String returns the numbers of the report, without Data, for logs.
func (r *StatusReport) String() string {
	return fmt.Sprintf("general %d, protocol %#x, code %#x", r.General, r.Protocol, r.Code)
}
