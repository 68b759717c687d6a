package mcrypto

import (
	"encoding/binary"
	"io"
)

// RandomUint32 draws a number from rand.
func RandomUint32(rand io.Reader) (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b[:]), nil
}
