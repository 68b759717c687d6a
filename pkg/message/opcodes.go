package message

// Opcodes of the secure channel protocol (section 4.11).
const (
	OpcodeMsgCounterSyncReq  uint8 = 0x00
	OpcodeMsgCounterSyncRsp  uint8 = 0x01
	OpcodeMRPStandaloneAck   uint8 = 0x10
	OpcodePBKDFParamRequest  uint8 = 0x20
	OpcodePBKDFParamResponse uint8 = 0x21
	OpcodePake1              uint8 = 0x22
	OpcodePake2              uint8 = 0x23
	OpcodePake3              uint8 = 0x24
	OpcodeSigma1             uint8 = 0x30
	OpcodeSigma2             uint8 = 0x31
	OpcodeSigma3             uint8 = 0x32
	OpcodeSigma2Resume       uint8 = 0x33
	OpcodeStatusReport       uint8 = 0x40
	OpcodeICDCheckIn         uint8 = 0x50
)

// Handshake reports whether a secure channel opcode belongs to PASE or CASE. Those
// are used only on the unsecured session.
func Handshake(opcode uint8) bool {
	return opcode >= OpcodePBKDFParamRequest && opcode <= OpcodePake3 ||
		opcode >= OpcodeSigma1 && opcode <= OpcodeSigma2Resume
}
