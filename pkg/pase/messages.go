package pase

import (
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const randomSize = 32

var (
	errTwice   = errors.New("a field occurs twice")
	errMissing = errors.New("a field is missing")
)

// fields is a set of context tags below 32 that were read.
type fields uint32

// mark returns the current element's context tag, or -1 if it is unknown, and adds it to
// the set. A tag that was read already is an error of r.
func (f *fields) mark(r *tlv.Reader) int {
	t := r.ContextTag()
	if t < 0 || t >= 32 {
		return -1
	}
	bit := fields(1) << t
	if *f&bit != 0 {
		r.Fail(errTwice)
	}
	*f |= bit
	return t
}

func (f fields) has(tag int) bool { return f&(1<<tag) != 0 }

// require returns errMissing unless all tags from 1 to last were read.
func (f fields) require(last int) error {
	for t := 1; t <= last; t++ {
		if !f.has(t) {
			return fmt.Errorf("%w: tag %d", errMissing, t)
		}
	}
	return nil
}

// paramRequest is PBKDFParamRequest.
type paramRequest struct {
	random     [randomSize]byte // 1
	sessionID  uint16           // 2
	passcodeID uint16           // 3
	hasPBKDF   bool             // 4: the initiator knows salt and iterations
	params     message.SessionParameters
}

func (m *paramRequest) encode() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), m.random[:])
	w.Uint(tlv.Context(2), uint64(m.sessionID))
	w.Uint(tlv.Context(3), uint64(m.passcodeID))
	w.Bool(tlv.Context(4), m.hasPBKDF)
	m.params.WriteTLV(w, tlv.Context(5))
	w.End()
	return w.Bytes()
}

func parseParamRequest(b []byte) (m paramRequest, err error) {
	m.params = message.DefaultParameters()
	var seen fields
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		switch seen.mark(&r) {
		case 1:
			copy(m.random[:], r.OctetsN(randomSize))
		case 2:
			m.sessionID = r.Uint16()
		case 3:
			m.passcodeID = r.Uint16()
		case 4:
			m.hasPBKDF = r.Bool()
		case 5:
			m.params = message.ReadParameters(&r)
		}
	}
	if err := r.End(); err != nil {
		return m, err
	}
	return m, seen.require(4)
}

// PBKDFParameters are the parameters that turn a passcode into the scalars of SPAKE2+.
type PBKDFParameters struct {
	Iterations uint32 // 1000 to 100000
	Salt       []byte // 16 to 32 octets
}

// paramResponse is PBKDFParamResponse.
type paramResponse struct {
	initiatorRandom [randomSize]byte // 1
	random          [randomSize]byte // 2
	sessionID       uint16           // 3
	pbkdf           *PBKDFParameters // 4, nil if the initiator has them
	params          message.SessionParameters
}

func (m *paramResponse) encode() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), m.initiatorRandom[:])
	w.Octets(tlv.Context(2), m.random[:])
	w.Uint(tlv.Context(3), uint64(m.sessionID))
	if m.pbkdf != nil {
		w.StartStruct(tlv.Context(4))
		w.Uint(tlv.Context(1), uint64(m.pbkdf.Iterations))
		w.Octets(tlv.Context(2), m.pbkdf.Salt)
		w.End()
	}
	m.params.WriteTLV(w, tlv.Context(5))
	w.End()
	return w.Bytes()
}

// parseParamResponse decodes b. The salt refers to b.
func parseParamResponse(b []byte) (m paramResponse, err error) {
	m.params = message.DefaultParameters()
	var seen fields
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		switch seen.mark(&r) {
		case 1:
			copy(m.initiatorRandom[:], r.OctetsN(randomSize))
		case 2:
			copy(m.random[:], r.OctetsN(randomSize))
		case 3:
			m.sessionID = r.Uint16()
		case 4:
			m.pbkdf = readPBKDF(&r)
		case 5:
			m.params = message.ReadParameters(&r)
		}
	}
	if err := r.End(); err != nil {
		return m, err
	}
	return m, seen.require(3)
}

func readPBKDF(r *tlv.Reader) *PBKDFParameters {
	var p PBKDFParameters
	var seen fields
	for r.EnterStruct(); r.Next(); {
		switch seen.mark(r) {
		case 1:
			p.Iterations = r.Uint32()
		case 2:
			p.Salt = r.Octets()
		}
	}
	r.Exit()
	if r.Err() == nil {
		if err := seen.require(2); err != nil {
			r.Fail(err)
		}
	}
	return &p
}

// encodePake encodes Pake1 {1: pA}, Pake2 {1: pB, 2: cB} or Pake3 {1: cA}.
func encodePake(values ...[]byte) []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	for i, v := range values {
		w.Octets(tlv.Context(uint8(i+1)), v)
	}
	w.End()
	return w.Bytes()
}

// parsePake decodes one of the Pake messages. Its tags from 1 on are octet strings of the
// given sizes. The results refer to b.
func parsePake(b []byte, sizes ...int) ([2][]byte, error) {
	var values [2][]byte
	var seen fields
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		if t := seen.mark(&r); t >= 1 && t <= len(sizes) {
			values[t-1] = r.OctetsN(sizes[t-1])
		}
	}
	if err := r.End(); err != nil {
		return values, err
	}
	return values, seen.require(len(sizes))
}

func parsePake1(b []byte) (pA []byte, err error) {
	v, err := parsePake(b, mcrypto.PublicKeySize)
	return v[0], err
}

func parsePake2(b []byte) (pB, cB []byte, err error) {
	v, err := parsePake(b, mcrypto.PublicKeySize, mcrypto.HashSize)
	return v[0], v[1], err
}

func parsePake3(b []byte) (cA []byte, err error) {
	v, err := parsePake(b, mcrypto.HashSize)
	return v[0], err
}
