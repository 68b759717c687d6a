package mcrypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math"
)

// errOpen contains no reason, so that an attacker learns nothing.
var errOpen = errors.New("message authentication failed")

// Parameters of CCM (RFC 3610; NIST SP 800-38C, appendix A): the length of the
// message takes two octets, which leaves 13 for the nonce.
const (
	lengthSize = aes.BlockSize - 1 - NonceSize

	flagsCTR = lengthSize - 1
	flagsMAC = (MICSize-2)/2<<3 | lengthSize - 1
	flagAAD  = 1 << 6

	maxMessage = math.MaxUint16
	maxAAD     = 0xFF00 - 1 // longer ones are encoded differently
)

// ccm is AES-128-CCM. Its blocks are scratch space: on the stack they would escape
// through the cipher's interface, which costs several allocations per message.
type ccm struct {
	b       cipher.Block
	mac     [aes.BlockSize]byte
	counter [aes.BlockSize]byte // next block to encrypt
	stream  [aes.BlockSize]byte // its encryption
	tag     [MICSize]byte
}

func (c *ccm) NonceSize() int { return NonceSize }
func (c *ccm) Overhead() int  { return MICSize }

// Seal implements [cipher.AEAD].
func (c *ccm) Seal(dst, nonce, plaintext, aad []byte) []byte {
	if len(nonce) != NonceSize || len(plaintext) > maxMessage || len(aad) > maxAAD {
		panic("BUG: mcrypto: nonce, message or header of a size that CCM does not take")
	}
	all, out := grow(dst, len(plaintext)+MICSize)
	c.start(nonce, len(plaintext), aad)
	c.crypt(out, plaintext, true)
	c.finish()
	copy(out[len(plaintext):], c.tag[:])
	return all
}

// Open implements [cipher.AEAD]. If the message is not authentic, the ciphertext
// stays unchanged, even in place.
func (c *ccm) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	if len(nonce) != NonceSize {
		panic("BUG: mcrypto: nonce of a size that CCM does not take")
	}
	n := len(ciphertext) - MICSize
	if n < 0 || n > maxMessage || len(aad) > maxAAD {
		return nil, errOpen
	}
	all, out := grow(dst, n)
	c.start(nonce, n, aad)
	c.crypt(out, ciphertext[:n], false)
	c.finish()
	if subtle.ConstantTimeCompare(c.tag[:], ciphertext[n:]) != 1 {
		c.start(nonce, n, nil) // the same key stream again
		c.crypt(out, out, false)
		return nil, errOpen
	}
	return all, nil
}

// grow appends n octets to b. It returns the result and the appended part.
func grow(b []byte, n int) (all, tail []byte) {
	if total := len(b) + n; total <= cap(b) {
		all = b[:total]
	} else {
		all = make([]byte, total)
		copy(all, b)
	}
	return all, all[len(b):]
}

// start begins a message of n octets: it adds the header to mac and starts the key
// stream.
func (c *ccm) start(nonce []byte, n int, aad []byte) {
	c.mac[0] = flagsMAC
	if len(aad) > 0 {
		c.mac[0] |= flagAAD
	}
	copy(c.mac[1:], nonce)
	binary.BigEndian.PutUint16(c.mac[1+NonceSize:], uint16(n))
	c.b.Encrypt(c.mac[:], c.mac[:])
	if len(aad) > 0 {
		c.mac[0] ^= byte(len(aad) >> 8)
		c.mac[1] ^= byte(len(aad))
		aad = aad[subtle.XORBytes(c.mac[2:], c.mac[2:], aad):]
		c.b.Encrypt(c.mac[:], c.mac[:])
		for len(aad) > 0 {
			aad = aad[subtle.XORBytes(c.mac[:], c.mac[:], aad):]
			c.b.Encrypt(c.mac[:], c.mac[:])
		}
	}
	c.counter[0] = flagsCTR
	copy(c.counter[1:], nonce)
	c.counter[14], c.counter[15] = 0, 1
}

// crypt encrypts or decrypts in to out, which may be the same slice, and adds the
// plaintext to mac.
func (c *ccm) crypt(out, in []byte, encrypt bool) {
	for i := uint16(1); len(in) > 0; i++ {
		binary.BigEndian.PutUint16(c.counter[1+NonceSize:], i)
		c.b.Encrypt(c.stream[:], c.counter[:])
		n := min(len(in), aes.BlockSize)
		if encrypt {
			subtle.XORBytes(c.mac[:], c.mac[:], in[:n])
			subtle.XORBytes(out, in[:n], c.stream[:])
		} else {
			subtle.XORBytes(out, in[:n], c.stream[:])
			subtle.XORBytes(c.mac[:], c.mac[:], out[:n])
		}
		c.b.Encrypt(c.mac[:], c.mac[:])
		out, in = out[n:], in[n:]
	}
}

// finish computes tag from mac.
func (c *ccm) finish() {
	c.counter[14], c.counter[15] = 0, 0
	c.b.Encrypt(c.stream[:], c.counter[:])
	subtle.XORBytes(c.tag[:], c.mac[:], c.stream[:])
}
