package pase

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func TestResponderRefusesRequest(t *testing.T) {
	replace := func(tag int, f func(w *tlv.Writer)) func([]byte) []byte {
		return func(b []byte) []byte {
			return edit(b, func(w *tlv.Writer, have int) bool {
				if have != tag {
					return true
				}
				f(w)
				return false
			}, nil)
		}
	}
	nothing := func(*tlv.Writer) {}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   error
	}{
		{"passcode id 1", replace(3, func(w *tlv.Writer) { w.Uint(tlv.Context(3), 1) }), errPasscodeID},
		{"session id 0", replace(2, func(w *tlv.Writer) { w.Uint(tlv.Context(2), 0) }), errSessionID},
		{"session id of 17 bits", replace(2, func(w *tlv.Writer) { w.Uint(tlv.Context(2), 1<<16) }), tlv.ErrRange},
		{"short random", replace(1, func(w *tlv.Writer) { w.Octets(tlv.Context(1), make([]byte, 31)) }), tlv.ErrRange},
		{"long random", replace(1, func(w *tlv.Writer) { w.Octets(tlv.Context(1), make([]byte, 33)) }), tlv.ErrRange},
		{"a number for a boolean", replace(4, func(w *tlv.Writer) { w.Uint(tlv.Context(4), 1) }), tlv.ErrType},
		{"no random", replace(1, nothing), errMissing},
		{"no session id", replace(2, nothing), errMissing},
		{"no passcode id", replace(3, nothing), errMissing},
		{"no hasPBKDFParameters", replace(4, nothing), errMissing},
		{"parameters of another type", replace(5, func(w *tlv.Writer) { w.Uint(tlv.Context(5), 1) }), tlv.ErrType},
		{"a field twice", func(b []byte) []byte {
			return edit(b, nil, func(w *tlv.Writer) { w.Uint(tlv.Context(2), 7) })
		}, errTwice},
	} {
		_, _, refused, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), func(n int, b []byte) []byte {
			if n == 0 {
				return c.change(b)
			}
			return b
		})
		if refused != "responder" || !errors.Is(err, c.want) {
			t.Errorf("%s: %s: %v", c.name, refused, err)
		}
	}
}

// Fields of a later release are ignored; absent parameters have their defaults.
func TestResponderTolerates(t *testing.T) {
	i := NewInitiator(initiatorConfig())
	request, err := i.Start()
	if err != nil {
		t.Fatal(err)
	}
	request = edit(request, func(_ *tlv.Writer, tag int) bool { return tag != 5 }, func(w *tlv.Writer) {
		w.StartStruct(tlv.Context(9))
		w.Text(tlv.Context(1), "from the future")
		w.End()
		w.Uint(tlv.Context(200), 1)
		w.Uint(tlv.CommonProfile(3), 1)
	})
	// The initiator must include the same octets in its context.
	i.request = request
	r := NewResponder(responderConfig())
	response, err := r.PBKDFParamRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	pake1, err := i.PBKDFParamResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	pake2, err := r.Pake1(pake1)
	if err != nil {
		t.Fatal(err)
	}
	pake3, _, err := i.Pake2(pake2)
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.Pake3(pake3)
	if err != nil {
		t.Fatal(err)
	}
	if res.PeerParams != message.DefaultParameters() {
		t.Errorf("parameters %+v", res.PeerParams)
	}
}

func TestInitiatorRefusesResponse(t *testing.T) {
	pbkdf := func(iterations uint64, salt int) func([]byte) []byte {
		return func(b []byte) []byte {
			return edit(b, func(w *tlv.Writer, tag int) bool {
				if tag != 4 {
					return true
				}
				w.StartStruct(tlv.Context(4))
				w.Uint(tlv.Context(1), iterations)
				w.Octets(tlv.Context(2), make([]byte, salt))
				w.End()
				return false
			}, nil)
		}
	}
	drop := func(tag int) func([]byte) []byte {
		return func(b []byte) []byte {
			return edit(b, func(_ *tlv.Writer, have int) bool { return have != tag }, nil)
		}
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   error // nil: any
	}{
		{"999 iterations", pbkdf(999, 16), nil},
		{"100001 iterations", pbkdf(100_001, 16), nil},
		{"2^32-1 iterations", pbkdf(1<<32-1, 16), nil},
		{"2^32 iterations", pbkdf(1<<32, 16), tlv.ErrRange},
		{"a salt of 15 octets", pbkdf(1000, 15), nil},
		{"a salt of 33 octets", pbkdf(1000, 33), nil},
		{"no parameters", drop(4), errNoPBKDF},
		{"no random", drop(2), errMissing},
		{"no session id", drop(3), errMissing},
		{"no echo", drop(1), errMissing},
		{"session id 0", func(b []byte) []byte {
			return edit(b, func(w *tlv.Writer, tag int) bool {
				if tag == 3 {
					w.Uint(tlv.Context(3), 0)
				}
				return tag != 3
			}, nil)
		}, errSessionID},
		{"the echo of another request", func(b []byte) []byte {
			b = bytes.Clone(b)
			b[10] ^= 1
			return b
		}, errEcho},
		{"empty parameters", func(b []byte) []byte {
			return edit(b, func(w *tlv.Writer, tag int) bool {
				if tag == 4 {
					w.StartStruct(tlv.Context(4))
					w.End()
				}
				return tag != 4
			}, nil)
		}, errMissing},
	} {
		_, _, refused, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), func(n int, b []byte) []byte {
			if n == 1 {
				return c.change(b)
			}
			return b
		})
		if refused != "initiator" || (c.want != nil && !errors.Is(err, c.want)) || !strings.HasPrefix(err.Error(), "PBKDFParamResponse:") {
			t.Errorf("%s: %s: %v", c.name, refused, err)
		}
	}
	_, _, refused, err := run(NewInitiator(knownConfig()), NewResponder(responderConfig()), func(n int, b []byte) []byte {
		if n == 1 {
			return edit(b, nil, func(w *tlv.Writer) {
				w.StartStruct(tlv.Context(4))
				w.Uint(tlv.Context(1), 1000)
				w.Octets(tlv.Context(2), testSalt)
				w.End()
			})
		}
		return b
	})
	if refused != "initiator" || !errors.Is(err, errUnasked) {
		t.Errorf("parameters that were not asked for: %s: %v", refused, err)
	}
}

// Shares that are not points, or that contain only the blinding, end the handshake.
func TestBadShares(t *testing.T) {
	for name, bad := range map[string][]byte{
		"zeros":         make([]byte, mcrypto.PublicKeySize),
		"off the curve": append([]byte{4}, bytes.Repeat([]byte{1}, 64)...),
		"compressed":    append([]byte{2}, bytes.Repeat([]byte{1}, 64)...),
	} {
		_, _, refused, err := run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), func(n int, b []byte) []byte {
			if n == 2 {
				return encodePake(bad)
			}
			return b
		})
		if refused != "responder" || !errors.Is(err, mcrypto.ErrPublicKey) {
			t.Errorf("pA %s: %s: %v", name, refused, err)
		}
		_, _, refused, err = run(NewInitiator(initiatorConfig()), NewResponder(responderConfig()), func(n int, b []byte) []byte {
			if n == 3 {
				return encodePake(bad, make([]byte, mcrypto.HashSize))
			}
			return b
		})
		if refused != "initiator" || !errors.Is(err, mcrypto.ErrPublicKey) {
			t.Errorf("pB %s: %s: %v", name, refused, err)
		}
	}
}
