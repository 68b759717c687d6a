// Package onboarding encodes the onboarding payload of a node that is discovered on
// the IP network and commissioned with the standard flow: the text of its QR code
// and its manual pairing code (section 5.1).
package onboarding

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// onNetwork is the discovery capability "on IP network" (section 5.1.3.1).
const onNetwork = 1 << 2

// Payload is the data with which a commissioner finds and pairs a node.
type Payload struct {
	VendorID      matter.VendorID
	ProductID     matter.ProductID
	Discriminator uint16 // 0 to 4095
	Passcode      uint32 // 1 to 99999998
}

// QR returns the text of the QR code: "MT:" and 19 characters of base 38.
func (p Payload) QR() string {
	var packed [11]byte
	pos := 0
	put := func(v uint64, bits int) {
		for i := range bits {
			packed[(pos+i)/8] |= byte(v>>i&1) << ((pos + i) % 8)
		}
		pos += bits
	}
	put(0, 3) // version
	put(uint64(p.VendorID), 16)
	put(uint64(p.ProductID), 16)
	put(0, 2) // standard commissioning flow
	put(onNetwork, 8)
	put(uint64(p.Discriminator), 12)
	put(uint64(p.Passcode), 27)
	return "MT:" + base38(packed[:])
}

// Manual returns the 11 digits of the manual pairing code.
func (p Payload) Manual() string {
	short := uint32(p.Discriminator >> 8)
	digits := fmt.Sprintf("%d%05d%04d", short>>2, short&3<<14|p.Passcode&0x3FFF, p.Passcode>>14)
	return digits + string(verhoeff(digits))
}

const base38Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-."

// base38 encodes three octets as five characters, two as four, one as two, the
// least significant first (section 5.1.3.3).
func base38(b []byte) string {
	var out []byte
	for len(b) > 0 {
		n := min(3, len(b))
		var v uint32
		for i := range n {
			v |= uint32(b[i]) << (8 * i)
		}
		for range [...]int{2, 4, 5}[n-1] {
			out = append(out, base38Alphabet[v%38])
			v /= 38
		}
		b = b[n:]
	}
	return string(out)
}

// verhoeff returns the check digit of a string of digits (section 5.1.4.1.5).
func verhoeff(digits string) byte {
	permute := [10]int{1, 5, 7, 6, 2, 8, 3, 0, 9, 4}
	inverse := [10]byte{0, 4, 3, 2, 1, 5, 6, 7, 8, 9}
	c := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		for range i + 1 {
			d = permute[d]
		}
		c = dihedral(c, d)
	}
	return '0' + inverse[c]
}

// dihedral multiplies in the dihedral group of order ten: 0 to 4 are rotations,
// 5 to 9 reflections.
func dihedral(a, b int) int {
	switch {
	case a < 5 && b < 5:
		return (a + b) % 5
	case a < 5:
		return 5 + (a+b)%5
	case b < 5:
		return 5 + (a-b)%5
	}
	return (a - b + 5) % 5
}
