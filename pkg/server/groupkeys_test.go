package server_test

import (
	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// keySet makes a GroupKeySetStruct with one key for each start time.
func keySet(id, policy int, starts ...uint64) commissioner.Value {
	return func(w *tlv.Writer, t tlv.Tag) {
		w.StartStruct(t)
		w.Uint(tlv.Context(0), uint64(id))
		w.Uint(tlv.Context(1), uint64(policy))
		for i := range 3 {
			if i < len(starts) {
				key := make([]byte, 16)
				key[0] = byte(i + 1)
				w.Octets(tlv.Context(uint8(2+2*i)), key)
				w.Uint(tlv.Context(uint8(3+2*i)), starts[i])
			} else {
				w.Null(tlv.Context(uint8(2 + 2*i)))
				w.Null(tlv.Context(uint8(3 + 2*i)))
			}
		}
		w.End()
	}
}
