package casesession

import (
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

var (
	errMissing    = errors.New("a field is missing")
	errTwice      = errors.New("a field occurs twice")
	errHalfResume = errors.New("one of resumption id and MIC without the other")
)

// readStruct calls field with the tag of each context-tagged member of the structure in b.
// No tag may occur twice, and tags 1 to required must occur. field ignores unknown tags,
// which a later release may add.
func readStruct(b []byte, required int, field func(r *tlv.Reader, tag int)) error {
	var seen [256]bool
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		tag := r.ContextTag()
		if tag < 0 {
			continue
		}
		if seen[tag] {
			r.Fail(fmt.Errorf("%w: %d", errTwice, tag))
		}
		seen[tag] = true
		field(&r, tag)
	}
	if err := r.End(); err != nil {
		return err
	}
	for tag := 1; tag <= required; tag++ {
		if !seen[tag] {
			return fmt.Errorf("%w: %d", errMissing, tag)
		}
	}
	return nil
}

// sigma1 is Sigma1. Its slices refer to the message.
type sigma1 struct {
	random        []byte // 1: 32 octets
	sessionID     uint16 // 2
	destinationID []byte // 3: 32 octets
	ephemeral     []byte // 4: 65 octets
	params        message.SessionParameters
	resumptionID  []byte // 6: 16 octets, nil without an offer to resume
	resumeMIC     []byte // 7: 16 octets, nil without an offer to resume
}

func (m *sigma1) encode() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), m.random)
	w.Uint(tlv.Context(2), uint64(m.sessionID))
	w.Octets(tlv.Context(3), m.destinationID)
	w.Octets(tlv.Context(4), m.ephemeral)
	m.params.WriteTLV(w, tlv.Context(5))
	if m.resumptionID != nil {
		w.Octets(tlv.Context(6), m.resumptionID)
		w.Octets(tlv.Context(7), m.resumeMIC)
	}
	w.End()
	return w.Bytes()
}

func parseSigma1(b []byte) (sigma1, error) {
	m := sigma1{params: message.DefaultParameters()}
	err := readStruct(b, 4, func(r *tlv.Reader, tag int) {
		switch tag {
		case 1:
			m.random = r.OctetsN(randomSize)
		case 2:
			m.sessionID = r.Uint16()
		case 3:
			m.destinationID = r.OctetsN(mcrypto.HashSize)
		case 4:
			m.ephemeral = r.OctetsN(mcrypto.PublicKeySize)
		case 5:
			m.params = message.ReadParameters(r)
		case 6:
			m.resumptionID = r.OctetsN(ResumptionIDSize)
		case 7:
			m.resumeMIC = r.OctetsN(mcrypto.MICSize)
		}
	})
	switch {
	case err != nil:
		return m, err
	case (m.resumptionID == nil) != (m.resumeMIC == nil):
		return m, errHalfResume
	case m.sessionID == 0:
		return m, errSessionID
	}
	return m, nil
}

// sigma2 is Sigma2. Its slices refer to the message.
type sigma2 struct {
	random    []byte // 1: 32 octets
	sessionID uint16 // 2
	ephemeral []byte // 3: 65 octets
	encrypted []byte // 4: TBEData2 and its MIC
	params    message.SessionParameters
}

func (m *sigma2) encode() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), m.random)
	w.Uint(tlv.Context(2), uint64(m.sessionID))
	w.Octets(tlv.Context(3), m.ephemeral)
	w.Octets(tlv.Context(4), m.encrypted)
	m.params.WriteTLV(w, tlv.Context(5))
	w.End()
	return w.Bytes()
}

func parseSigma2(b []byte) (sigma2, error) {
	m := sigma2{params: message.DefaultParameters()}
	err := readStruct(b, 4, func(r *tlv.Reader, tag int) {
		switch tag {
		case 1:
			m.random = r.OctetsN(randomSize)
		case 2:
			m.sessionID = r.Uint16()
		case 3:
			m.ephemeral = r.OctetsN(mcrypto.PublicKeySize)
		case 4:
			m.encrypted = r.Octets()
		case 5:
			m.params = message.ReadParameters(r)
		}
	})
	if err == nil && m.sessionID == 0 {
		err = errSessionID
	}
	return m, err
}

func encodeSigma3(encrypted []byte) []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), encrypted)
	w.End()
	return w.Bytes()
}

// parseSigma3 returns TBEData3 with its MIC. The result refers to b.
func parseSigma3(b []byte) (encrypted []byte, err error) {
	err = readStruct(b, 1, func(r *tlv.Reader, tag int) {
		if tag == 1 {
			encrypted = r.Octets()
		}
	})
	return encrypted, err
}

// sigma2Resume is Sigma2_Resume. Its slices refer to the message.
type sigma2Resume struct {
	resumptionID []byte // 1: 16 octets, the new one
	mic          []byte // 2: 16 octets
	sessionID    uint16 // 3
	params       message.SessionParameters
}

func (m *sigma2Resume) encode() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Octets(tlv.Context(1), m.resumptionID)
	w.Octets(tlv.Context(2), m.mic)
	w.Uint(tlv.Context(3), uint64(m.sessionID))
	m.params.WriteTLV(w, tlv.Context(4))
	w.End()
	return w.Bytes()
}

func parseSigma2Resume(b []byte) (sigma2Resume, error) {
	m := sigma2Resume{params: message.DefaultParameters()}
	err := readStruct(b, 3, func(r *tlv.Reader, tag int) {
		switch tag {
		case 1:
			m.resumptionID = r.OctetsN(ResumptionIDSize)
		case 2:
			m.mic = r.OctetsN(mcrypto.MICSize)
		case 3:
			m.sessionID = r.Uint16()
		case 4:
			m.params = message.ReadParameters(r)
		}
	})
	if err == nil && m.sessionID == 0 {
		err = errSessionID
	}
	return m, err
}

// encodeTBS returns TBSData2 or TBSData3. It is not transmitted: both sides encode it, with
// the shortest encoding.
func encodeTBS(noc, icac *cert.Certificate, own, other []byte) []byte {
	w := tlv.NewWriter(make([]byte, 0, 2*cert.MaxSize+2*mcrypto.PublicKeySize+32))
	w.StartStruct(tlv.Anonymous)
	writeCertificates(w, noc, icac)
	w.Octets(tlv.Context(3), own)
	w.Octets(tlv.Context(4), other)
	w.End()
	return w.Bytes()
}

// encodeTBE returns TBEData2 or, without a resumption id, TBEData3. Its capacity includes
// the MIC.
func encodeTBE(noc, icac *cert.Certificate, signature, resumptionID []byte) []byte {
	w := tlv.NewWriter(make([]byte, 0, 2*cert.MaxSize+mcrypto.SignatureSize+ResumptionIDSize+32+mcrypto.MICSize))
	w.StartStruct(tlv.Anonymous)
	writeCertificates(w, noc, icac)
	w.Octets(tlv.Context(3), signature)
	if resumptionID != nil {
		w.Octets(tlv.Context(4), resumptionID)
	}
	w.End()
	return w.Bytes()
}

func writeCertificates(w *tlv.Writer, noc, icac *cert.Certificate) {
	w.Octets(tlv.Context(1), noc.Raw())
	if icac != nil {
		w.Octets(tlv.Context(2), icac.Raw())
	}
}

// tbe is TBEData2 or TBEData3. Its slices refer to the message.
type tbe struct {
	noc          []byte // 1
	icac         []byte // 2: nil if the root issued the NOC
	signature    []byte // 3: 64 octets
	resumptionID []byte // 4: 16 octets, in TBEData2 only
}

func parseTBE(b []byte, withResumption bool) (tbe, error) {
	var m tbe
	err := readStruct(b, 1, func(r *tlv.Reader, tag int) {
		switch {
		case tag == 1:
			m.noc = r.Octets()
		case tag == 2:
			m.icac = r.Octets()
		case tag == 3:
			m.signature = r.OctetsN(mcrypto.SignatureSize)
		case tag == 4 && withResumption:
			m.resumptionID = r.OctetsN(ResumptionIDSize)
		}
	})
	switch {
	case err != nil:
		return m, err
	case m.signature == nil:
		return m, fmt.Errorf("%w: 3", errMissing)
	case withResumption && m.resumptionID == nil:
		return m, fmt.Errorf("%w: 4", errMissing)
	}
	return m, nil
}
