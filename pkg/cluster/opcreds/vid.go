package opcreds

import (
	"encoding/binary"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Sizes of vendor id verification, version 1 (section 6.4.10).
const (
	bindingVersion      = 1
	statementSize       = 85
	clientChallengeSize = 32
	bindingSize         = 1 + mcrypto.PublicKeySize + 8 + 2
)

// setVIDVerificationStatement handles SetVIDVerificationStatement (section 11.18.6.14).
// If AddNOC or UpdateNOC has staged the fabric, the change is staged too.
func (c *Cluster) setVIDVerificationStatement(r *im.Request, fields tlv.Element) error {
	var vendor matter.VendorID
	var statement, vvsc []byte
	var seen members
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		tag := rd.ContextTag()
		seen.saw(tag)
		switch tag {
		case 0:
			vendor = matter.VendorID(rd.Uint16())
		case 1:
			statement = rd.Octets()
		case 2:
			vvsc = rd.Octets()
		}
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	own, err := c.own(r)
	if err != nil {
		return err
	}
	switch {
	case !seen.has(0) && !seen.has(1) && !seen.has(2):
		return matter.StatusInvalidCommand
	case seen.has(0) && !vendor.OperationallyValid():
		return fmt.Errorf("vendor id %04X: %w", uint16(vendor), matter.StatusConstraintError)
	case len(vvsc) > cert.MaxSize:
		return fmt.Errorf("VVSC of %d octets: %w", len(vvsc), matter.StatusConstraintError)
	case seen.has(2) && len(own.ICAC) > 0:
		return fmt.Errorf("a VVSC beside an ICAC: %w", matter.StatusInvalidCommand)
	case len(statement) != 0 && len(statement) != statementSize:
		return fmt.Errorf("statement of %d octets: %w", len(statement), matter.StatusConstraintError)
	}
	return c.opt.Table.Mutate(own.Index, func(f *store.Fabric) error {
		if seen.has(0) {
			f.VendorID = vendor
		}
		if seen.has(1) {
			f.VIDVerificationStatement = optional(statement)
		}
		if seen.has(2) {
			f.VVSC = optional(vvsc)
		}
		return nil
	})
}

// signVIDVerificationRequest handles SignVIDVerificationRequest (section 11.18.6.15).
func (c *Cluster) signVIDVerificationRequest(r *im.Request, fields tlv.Element, w *tlv.Writer) error {
	var i matter.FabricIndex
	var challenge []byte
	var seen members
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		tag := rd.ContextTag()
		seen.saw(tag)
		switch tag {
		case 0:
			i = matter.FabricIndex(rd.Uint8())
		case 1:
			challenge = rd.Octets()
		}
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	if !seen.has(0, 1) {
		return matter.StatusInvalidCommand
	}
	f := c.opt.Table.Get(i)
	if f == nil || len(challenge) != clientChallengeSize {
		return matter.StatusConstraintError
	}
	sig, err := f.OperationalKey.Sign(c.opt.Rand, verificationTBS(f, challenge, r.Session.AttestationChallenge[:]))
	if err != nil {
		return err
	}
	w.Uint(tlv.Context(0), uint64(i))
	w.Uint(tlv.Context(1), bindingVersion)
	w.Octets(tlv.Context(2), sig[:])
	return nil
}

// verificationTBS returns vendor_id_verification_tbs, which a fabric's operational key
// signs to prove that it belongs to the fabric's entry (section 6.4.10.1).
func verificationTBS(f *fabric.Fabric, clientChallenge, attestationChallenge []byte) []byte {
	b := make([]byte, 0, 1+clientChallengeSize+mcrypto.KeySize+1+bindingSize+statementSize)
	b = append(b, bindingVersion)
	b = append(b, clientChallenge...)
	b = append(b, attestationChallenge...)
	b = append(b, byte(f.Index))
	b = appendBinding(b, f)
	return append(b, f.VIDVerificationStatement...)
}

// appendBinding appends vendor_fabric_binding_message: version, root public key,
// fabric id, vendor id (section 6.4.10.1).
func appendBinding(b []byte, f *fabric.Fabric) []byte {
	b = append(b, bindingVersion)
	b = append(b, f.RootPublicKey[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(f.FabricID))
	return binary.BigEndian.AppendUint16(b, uint16(f.VendorID))
}
