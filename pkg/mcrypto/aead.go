package mcrypto

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// NewAEAD returns AES-128-CCM with a MIC of 16 and a nonce of 13 octets (section
// 3.6) for a key of 16 octets. Seal and Open can work in place, on plaintext[:0]
// and ciphertext[:0], and then allocate nothing. The AEAD must not be used
// concurrently.
func NewAEAD(key []byte) (cipher.AEAD, error) {
	b, err := newBlock(key)
	if err != nil {
		return nil, err
	}
	return &ccm{b: b}, nil
}

func newBlock(key []byte) (cipher.Block, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("an AES key has %d octets, not %d", KeySize, len(key))
	}
	return aes.NewCipher(key)
}

// MessageNonce returns the nonce of a secured message: security flags, message
// counter and the sender's node id, which is 0 on PASE sessions (chapter Message Security).
func MessageNonce(securityFlags uint8, counter uint32, source matter.NodeID) [NonceSize]byte {
	var n [NonceSize]byte
	n[0] = securityFlags
	binary.LittleEndian.PutUint32(n[1:], counter)
	binary.LittleEndian.PutUint64(n[5:], uint64(source))
	return n
}

// ObfuscatePrivacy obfuscates or deobfuscates in place the part of a message header
// that privacy covers, from the security flags up to the payload (chapter Message
// Privacy). It is its own inverse. mic is the last 16 octets of the message.
func ObfuscatePrivacy(privacyKey []byte, sessionID uint16, mic, header []byte) error {
	b, err := newBlock(privacyKey)
	if err != nil {
		return err
	}
	if len(mic) != MICSize {
		return fmt.Errorf("a MIC has %d octets, not %d", MICSize, len(mic))
	}
	// The first key stream block of CCM: flags for a two-octet counter, the privacy
	// nonce (session id and the end of the MIC), counter 1.
	var iv [aes.BlockSize]byte
	iv[0] = 1
	binary.BigEndian.PutUint16(iv[1:], sessionID)
	copy(iv[3:14], mic[MICSize-11:])
	iv[15] = 1
	cipher.NewCTR(b, iv[:]).XORKeyStream(header, header)
	return nil
}
