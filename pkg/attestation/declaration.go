package attestation

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// CertificationType is the certification_type of a declaration.
type CertificationType uint8

// The certification types.
const (
	CertificationTest CertificationType = iota
	CertificationProvisional
	CertificationOfficial
)

// Bounds of a declaration's content (section 6.3.1).
const (
	formatVersion     = 1
	maxProducts       = 100
	maxPAAs           = 10
	certificateIDSize = 19
	keyIDSize         = 20
)

// Origin is the vendor and the product of the DAC, if they are not the declaration's.
type Origin struct {
	VendorID  matter.VendorID
	ProductID matter.ProductID
}

// Declaration is the content of a certification declaration (section 6.3.1).
type Declaration struct {
	VendorID            matter.VendorID
	ProductIDs          []matter.ProductID // 1 to 100
	DeviceType          matter.DeviceTypeID
	CertificateID       string // 19 characters
	SecurityLevel       uint8
	SecurityInformation uint16
	VersionNumber       uint16
	Type                CertificationType
	Origin              *Origin           // nil if the DAC is the product's own
	AuthorizedPAAs      [][keyIDSize]byte // key identifiers; none means any, otherwise at most 10
}

// encode returns the declaration in TLV, as it is signed.
func (d *Declaration) encode() []byte {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Uint(tlv.Context(0), formatVersion)
	w.Uint(tlv.Context(1), uint64(d.VendorID))
	w.StartArray(tlv.Context(2))
	for _, p := range d.ProductIDs {
		w.Uint(tlv.Anonymous, uint64(p))
	}
	w.End()
	w.Uint(tlv.Context(3), uint64(d.DeviceType))
	w.Text(tlv.Context(4), d.CertificateID)
	w.Uint(tlv.Context(5), uint64(d.SecurityLevel))
	w.Uint(tlv.Context(6), uint64(d.SecurityInformation))
	w.Uint(tlv.Context(7), uint64(d.VersionNumber))
	w.Uint(tlv.Context(8), uint64(d.Type))
	if d.Origin != nil {
		w.Uint(tlv.Context(9), uint64(d.Origin.VendorID))
		w.Uint(tlv.Context(10), uint64(d.Origin.ProductID))
	}
	if len(d.AuthorizedPAAs) > 0 {
		w.StartArray(tlv.Context(11))
		for i := range d.AuthorizedPAAs {
			w.Octets(tlv.Anonymous, d.AuthorizedPAAs[i][:])
		}
		w.End()
	}
	w.End()
	return w.Bytes()
}

// decodeDeclaration is the inverse of encode. It checks the content.
func decodeDeclaration(content []byte) (*Declaration, error) {
	var d Declaration
	var seen, format uint16
	r := tlv.NewReader(content)
	for r.EnterStruct(); r.Next(); {
		n := r.ContextTag()
		if n >= 0 && n <= 11 {
			seen |= 1 << n
		}
		switch n {
		case 0:
			format = r.Uint16()
		case 1:
			d.VendorID = matter.VendorID(r.Uint16())
		case 2:
			for r.EnterArray(); r.Next() && len(d.ProductIDs) <= maxProducts; {
				d.ProductIDs = append(d.ProductIDs, matter.ProductID(r.Uint16()))
			}
			r.Exit()
		case 3:
			d.DeviceType = matter.DeviceTypeID(r.Uint32())
		case 4:
			d.CertificateID = r.Text()
		case 5:
			d.SecurityLevel = r.Uint8()
		case 6:
			d.SecurityInformation = r.Uint16()
		case 7:
			d.VersionNumber = r.Uint16()
		case 8:
			d.Type = CertificationType(r.Uint8())
		case 9, 10:
			if d.Origin == nil {
				d.Origin = new(Origin)
			}
			if n == 9 {
				d.Origin.VendorID = matter.VendorID(r.Uint16())
			} else {
				d.Origin.ProductID = matter.ProductID(r.Uint16())
			}
		case 11:
			for r.EnterArray(); r.Next() && len(d.AuthorizedPAAs) <= maxPAAs; {
				if id := r.OctetsN(keyIDSize); id != nil {
					d.AuthorizedPAAs = append(d.AuthorizedPAAs, [keyIDSize]byte(id))
				}
			}
			r.Exit()
		}
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("content of the certification declaration: %w", err)
	}
	if err := d.check(seen, format); err != nil {
		return nil, fmt.Errorf("content of the certification declaration: %w", err)
	}
	return &d, nil
}

// check returns an error if the content is not valid. Bit n of seen is set if there was a
// member with tag n.
func (d *Declaration) check(seen, format uint16) error {
	const mandatory, origin, paas = 1<<9 - 1, 1<<9 | 1<<10, 1 << 11
	switch {
	case seen&mandatory != mandatory:
		return errors.New("a mandatory member is missing")
	case format != formatVersion:
		return fmt.Errorf("format version %d, want %d", format, formatVersion)
	case len(d.ProductIDs) == 0 || len(d.ProductIDs) > maxProducts:
		return fmt.Errorf("the number of products is not 1 to %d", maxProducts)
	case len(d.CertificateID) != certificateIDSize:
		return fmt.Errorf("the certificate id has not %d characters", certificateIDSize)
	case d.Type > CertificationOfficial:
		return fmt.Errorf("unknown certification type %d", d.Type)
	case seen&origin != 0 && seen&origin != origin:
		return errors.New("incomplete DAC origin")
	case seen&paas != 0 && len(d.AuthorizedPAAs) == 0:
		return errors.New("an empty list of authorized PAAs")
	case len(d.AuthorizedPAAs) > maxPAAs:
		return fmt.Errorf("more than %d authorized PAAs", maxPAAs)
	}
	return nil
}

// SignedDeclaration is a certification declaration with its signature.
type SignedDeclaration struct {
	Declaration
	SignerKeyID [keyIDSize]byte // subject key identifier of the signer's certificate

	content   []byte
	signature [mcrypto.SignatureSize]byte
}

// Verify checks the signature with the signer's public key of 65 octets.
func (s *SignedDeclaration) Verify(pub []byte) error {
	if err := mcrypto.Verify(pub, s.content, s.signature[:]); err != nil {
		return fmt.Errorf("certification declaration: %w", err)
	}
	return nil
}

var (
	oidSignedData  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidData        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSHA256      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidECDSASHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// cmsVersion is the version of SignedData and of a SignerInfo with a key identifier (RFC
// 5652, sections 5.1 and 5.3).
const cmsVersion = 3

var (
	explicit0 = cbasn1.Tag(0).ContextSpecific().Constructed()
	implicit0 = cbasn1.Tag(0).ContextSpecific()
)

// sign returns d signed with key. keyID is the key identifier of its certificate.
func (d *Declaration) sign(rand io.Reader, key *mcrypto.PrivateKey, keyID []byte) ([]byte, error) {
	content := d.encode()
	sig, err := key.Sign(rand, content)
	if err != nil {
		return nil, err
	}
	return marshalCMS(content, keyID, derSignature(sig))
}

// marshalCMS puts content and its DER signature into a SignedData without
// certificates and signed attributes (section 6.3.1).
func marshalCMS(content, keyID, signature []byte) ([]byte, error) {
	algorithm := func(oid asn1.ObjectIdentifier) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) }
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(explicit0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(cmsVersion)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, algorithm(oidSHA256))
				})
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidData)
					b.AddASN1(explicit0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
				})
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(cmsVersion)
						b.AddASN1(implicit0, func(b *cryptobyte.Builder) { b.AddBytes(keyID) })
						b.AddASN1(cbasn1.SEQUENCE, algorithm(oidSHA256))
						b.AddASN1(cbasn1.SEQUENCE, algorithm(oidECDSASHA256))
						b.AddASN1OctetString(signature)
					})
				})
			})
		})
	})
	return b.Bytes()
}

var errCMS = errors.New("certification declaration: not the CMS structure of section 6.3.1")

// ParseDeclaration reads a certification declaration in DER. It does not check the
// signature; see [SignedDeclaration.Verify].
func ParseDeclaration(der []byte) (*SignedDeclaration, error) {
	var info, explicit, data cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() ||
		!readOID(&info, oidSignedData) ||
		!info.ReadASN1(&explicit, explicit0) || !info.Empty() ||
		!explicit.ReadASN1(&data, cbasn1.SEQUENCE) || !explicit.Empty() {
		return nil, errCMS
	}
	var version int
	var digests, encap, inner, content, signers cryptobyte.String
	if !data.ReadASN1Integer(&version) || version != cmsVersion ||
		!data.ReadASN1(&digests, cbasn1.SET) || !readAlgorithm(&digests, oidSHA256) || !digests.Empty() ||
		!data.ReadASN1(&encap, cbasn1.SEQUENCE) ||
		!readOID(&encap, oidData) || !encap.ReadASN1(&inner, explicit0) || !encap.Empty() ||
		!inner.ReadASN1(&content, cbasn1.OCTET_STRING) || !inner.Empty() ||
		!data.ReadASN1(&signers, cbasn1.SET) || !data.Empty() {
		return nil, errCMS
	}
	s := &SignedDeclaration{content: bytes.Clone(content)}
	if err := s.readSigner(signers); err != nil {
		return nil, err
	}
	d, err := decodeDeclaration(s.content)
	if err != nil {
		return nil, err
	}
	s.Declaration = *d
	return s, nil
}

// readSigner reads the set that contains one SignerInfo.
func (s *SignedDeclaration) readSigner(in cryptobyte.String) error {
	var signer, keyID, sig cryptobyte.String
	var version int
	if !in.ReadASN1(&signer, cbasn1.SEQUENCE) || !in.Empty() ||
		!signer.ReadASN1Integer(&version) || version != cmsVersion ||
		!signer.ReadASN1(&keyID, implicit0) || len(keyID) != keyIDSize ||
		!readAlgorithm(&signer, oidSHA256) || !readAlgorithm(&signer, oidECDSASHA256) ||
		!signer.ReadASN1(&sig, cbasn1.OCTET_STRING) || !signer.Empty() {
		return errCMS
	}
	s.SignerKeyID = [keyIDSize]byte(keyID)
	raw, ok := rawSignature(sig)
	if !ok {
		return errCMS
	}
	s.signature = raw
	return nil
}

func readOID(s *cryptobyte.String, want asn1.ObjectIdentifier) bool {
	var oid asn1.ObjectIdentifier
	return s.ReadASN1ObjectIdentifier(&oid) && oid.Equal(want)
}

// readAlgorithm reads an AlgorithmIdentifier without parameters.
func readAlgorithm(s *cryptobyte.String, want asn1.ObjectIdentifier) bool {
	var seq cryptobyte.String
	return s.ReadASN1(&seq, cbasn1.SEQUENCE) && readOID(&seq, want) && seq.Empty()
}

// derSignature returns r and s in the form of X.509 and CMS.
func derSignature(sig [mcrypto.SignatureSize]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[:mcrypto.ScalarSize]))
		b.AddASN1BigInt(new(big.Int).SetBytes(sig[mcrypto.ScalarSize:]))
	})
	return b.BytesOrPanic()
}

// rawSignature is the inverse of derSignature.
func rawSignature(der []byte) (raw [mcrypto.SignatureSize]byte, ok bool) {
	var seq cryptobyte.String
	r, s := new(big.Int), new(big.Int)
	in := cryptobyte.String(der)
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadASN1Integer(r) || !seq.ReadASN1Integer(s) || !seq.Empty() {
		return raw, false
	}
	const bits = 8 * mcrypto.ScalarSize
	if r.Sign() <= 0 || s.Sign() <= 0 || r.BitLen() > bits || s.BitLen() > bits {
		return raw, false
	}
	r.FillBytes(raw[:mcrypto.ScalarSize])
	s.FillBytes(raw[mcrypto.ScalarSize:])
	return raw, true
}
