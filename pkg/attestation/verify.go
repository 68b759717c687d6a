package attestation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// VerifyOptions are the options of Verify.
type VerifyOptions struct {
	Now   time.Time // the zero time: validity is not checked
	Roots [][]byte  // DER of PAAs that are trusted besides the published test roots

	// DER of certificates whose keys sign certification declarations, besides
	// the published test signer's.
	DeclarationSigners [][]byte
	// Signer has the DAC's key if the record has none.
	Signer Signer
	// VendorID and ProductID are the ids that Basic Information is configured to show;
	// 0: those of the declaration.
	VendorID  matter.VendorID
	ProductID matter.ProductID
}

// Report is the result of [Verify].
type Report struct {
	VendorID  matter.VendorID  // as Basic Information shows it, see Product
	ProductID matter.ProductID // likewise
	Test      bool             // under a published test root, or declared by the test signer
	Root      string           // subject of the PAA; empty if it is not known
	NotAfter  time.Time        // of the DAC
	Notes     []string         // what could not be checked, and why
}

// Verify checks credentials as a commissioner does: the form of the certificates, the
// chain, identifiers, validity, the declaration's signature and content (sections 6.2.2,
// 6.2.3 and 6.3). It also checks that the key is the DAC's. The error joins all faults. A
// check that needs an unknown root or signer is left out, with a note.
func Verify(a store.Attestation, opt VerifyOptions) (Report, error) {
	v := verifier{opt: opt}
	v.run(a)
	return v.report, errors.Join(v.faults...)
}

type verifier struct {
	opt    VerifyOptions
	report Report
	faults []error
}

func (v *verifier) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Errorf(format, args...))
}

func (v *verifier) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

func (v *verifier) run(a store.Attestation) {
	dac, pai := v.certificate("DAC", a.DAC, false), v.certificate("PAI", a.PAI, true)
	if dac == nil || pai == nil {
		return
	}
	v.key(dac, a.Key)
	leaf, err := subjectIDs(dac)
	if err != nil {
		v.fault("subject of the DAC: %w", err)
	}
	inter, err := subjectIDs(pai)
	if err != nil {
		v.fault("subject of the PAI: %w", err)
	}
	v.report.VendorID, v.report.ProductID = leaf.vendor, leaf.product
	v.report.NotAfter = dac.NotAfter
	v.identifiers(leaf, inter)
	v.issued("DAC", dac, "PAI", pai)
	paa := v.root(pai, inter)
	v.dates(dac, pai, paa)
	if _, err := (&Credentials{CD: a.CD}).Elements(make([]byte, NonceSize)); err != nil {
		v.fault("with this certification declaration: %w", err)
	}
	v.declaration(a, leaf, inter, paa)
}

// key checks that the record or the signer has the DAC's key.
func (v *verifier) key(dac *x509.Certificate, scalar []byte) {
	var err error
	switch {
	case len(scalar) > 0:
		_, err = keyOf(dac, scalar)
	case v.opt.Signer != nil:
		err = CheckSigner(dac.Raw, v.opt.Signer)
	default:
		v.note("the DAC's key is not available here: it was not checked")
	}
	if err != nil {
		v.fault("%w", err)
	}
}

// dates checks validity periods: the DAC must be valid now, PAI and PAA when the DAC was
// issued (section 6.2.3.1). paa is nil if it is not known.
func (v *verifier) dates(dac, pai, paa *x509.Certificate) {
	if now := v.opt.Now; !now.IsZero() {
		v.valid("DAC", dac, now)
	}
	v.valid("PAI", pai, dac.NotBefore)
	if paa != nil {
		v.valid("PAA", paa, dac.NotBefore)
	}
}

func (v *verifier) valid(name string, c *x509.Certificate, at time.Time) {
	if at.Before(c.NotBefore) || at.After(c.NotAfter) {
		v.fault("the %s is valid from %s to %s, not on %s", name,
			c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly), at.UTC().Format(time.DateOnly))
	}
}

var (
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
)

// certificate checks a certificate by itself.
func (v *verifier) certificate(name string, der []byte, ca bool) *x509.Certificate {
	c, err := parseCertificate(name, der)
	if err != nil {
		v.fault("%w", err)
		return nil
	}
	if c.Version != 3 || c.SignatureAlgorithm != x509.ECDSAWithSHA256 || publicKey(c) == nil {
		v.fault("the %s is not an X.509 v3 certificate with P-256 and ECDSA-SHA256", name)
	}
	if len(c.SubjectKeyId) != keyIDSize || len(c.AuthorityKeyId) != keyIDSize {
		v.fault("the %s has no subject or authority key identifier of %d octets", name, keyIDSize)
	}
	if !critical(c, oidBasicConstraints) || !critical(c, oidKeyUsage) {
		v.fault("the %s has no critical basic constraints or key usage", name)
	}
	if ca {
		v.caConstraints(name, c)
	} else if c.IsCA || c.MaxPathLen != -1 || c.KeyUsage != x509.KeyUsageDigitalSignature {
		v.fault("the %s is a CA certificate, or its key usage is not digitalSignature alone", name)
	}
	return c
}

func (v *verifier) caConstraints(name string, c *x509.Certificate) {
	const want = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if c.KeyUsage&^x509.KeyUsageDigitalSignature != want {
		v.fault("the key usage of the %s is not keyCertSign and cRLSign", name)
	}
	if !c.IsCA || c.MaxPathLen != 0 {
		v.fault("the %s is not a CA certificate with path length 0", name)
	}
}

func critical(c *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return e.Critical
		}
	}
	return false
}

func (v *verifier) identifiers(dac, pai ids) {
	switch {
	case !dac.hasVendor || !dac.hasProduct:
		v.fault("%w", errNoIDs)
	case !pai.hasVendor:
		v.fault("the PAI names no vendor")
	case dac.vendor != pai.vendor:
		v.fault("the DAC is of vendor %04X, the PAI of vendor %04X", uint16(dac.vendor), uint16(pai.vendor))
	case pai.hasProduct && pai.product != dac.product:
		v.fault("the DAC is of product %04X, the PAI of product %04X", uint16(dac.product), uint16(pai.product))
	}
}

// issued checks that parent issued child.
func (v *verifier) issued(childName string, child *x509.Certificate, parentName string, parent *x509.Certificate) {
	if !bytes.Equal(child.RawIssuer, parent.RawSubject) || !bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId) {
		v.fault("the %s names another issuer than the %s", childName, parentName)
		return
	}
	if err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature); err != nil {
		v.fault("the signature of the %s is not by the %s: %w", childName, parentName, err)
	}
}

// root returns the PAA that has issued the PAI, or nil if it is not known.
func (v *verifier) root(pai *x509.Certificate, inter ids) *x509.Certificate {
	test := testRoots()
	for i, der := range slices.Concat(test, v.opt.Roots) {
		paa, err := x509.ParseCertificate(der)
		if err != nil {
			v.fault("reading a PAA: %w", err)
			continue
		}
		if !bytes.Equal(paa.SubjectKeyId, pai.AuthorityKeyId) {
			continue
		}
		v.report.Test, v.report.Root = i < len(test), describe(paa)
		v.issued("PAI", pai, "PAA", paa)
		id, err := subjectIDs(paa)
		switch {
		case err != nil:
			v.fault("subject of the PAA: %w", err)
		case id.hasProduct:
			v.fault("the PAA names a product")
		case id.hasVendor && id.vendor != inter.vendor:
			v.fault("the PAA is of vendor %04X, the PAI of vendor %04X", uint16(id.vendor), uint16(inter.vendor))
		}
		return paa
	}
	v.note("the PAA with key identifier %X is not known here: its signature on the PAI was not checked", pai.AuthorityKeyId)
	return nil
}

// declaration checks the certification declaration (section 6.2.3.1).
func (v *verifier) declaration(a store.Attestation, dac, pai ids, paa *x509.Certificate) {
	d, err := ParseDeclaration(a.CD)
	if err != nil {
		v.fault("%w", err)
		return
	}
	v.declared(d)
	v.report.VendorID, v.report.ProductID, err = d.product(dac, v.opt.VendorID, v.opt.ProductID, a.ProductID)
	for _, f := range unjoin(err) {
		v.fault("%w", f)
	}
	if len(d.AuthorizedPAAs) > 0 && paa != nil && len(paa.SubjectKeyId) == keyIDSize &&
		!slices.Contains(d.AuthorizedPAAs, [keyIDSize]byte(paa.SubjectKeyId)) {
		v.fault("the certification declaration does not allow this PAA")
	}
	if d.Origin != nil {
		if dac.vendor != d.Origin.VendorID || dac.product != d.Origin.ProductID {
			v.fault("the certification declaration wants a DAC of vendor %04X, product %04X",
				uint16(d.Origin.VendorID), uint16(d.Origin.ProductID))
		}
		return
	}
	if d.VendorID != dac.vendor {
		v.fault("the certification declaration is of vendor %04X, the DAC of vendor %04X", uint16(d.VendorID), uint16(dac.vendor))
	}
	if !slices.Contains(d.ProductIDs, dac.product) {
		v.fault("the certification declaration does not list product %04X", uint16(dac.product))
	}
	if pai.hasProduct && !slices.Contains(d.ProductIDs, pai.product) {
		v.fault("the certification declaration does not list the PAI's product %04X", uint16(pai.product))
	}
}

// Product returns the vendor and product id that Basic Information must show so that
// commissioners accept the material: those of the declaration, which are not those of the
// DAC if the declaration has an origin (section 6.2.3.1). vendor and product are the
// configured ids, 0 for none. If they do not match the declaration, Product returns them
// with an error.
func Product(a store.Attestation, vendor matter.VendorID, product matter.ProductID) (matter.VendorID, matter.ProductID, error) {
	d, err := ParseDeclaration(a.CD)
	if err != nil {
		return vendor, product, err
	}
	dac, err := parseCertificate("DAC", a.DAC)
	if err != nil {
		return vendor, product, err
	}
	id, err := subjectIDs(dac)
	if err != nil {
		return vendor, product, fmt.Errorf("subject of the DAC: %w", err)
	}
	return d.product(id, vendor, product, a.ProductID)
}

// product is Product. kept is the product id that was configured when the material was
// imported, or 0.
func (d *Declaration) product(dac ids, vendor matter.VendorID, product, kept matter.ProductID) (matter.VendorID, matter.ProductID, error) {
	var errs []error
	switch {
	case vendor == 0:
		vendor = d.VendorID
	case vendor != d.VendorID:
		errs = append(errs, fmt.Errorf("the certification declaration is of vendor %04X, the configured vendor-id is 0x%04X", uint16(d.VendorID), uint16(vendor)))
	}
	switch {
	case product != 0:
		if !slices.Contains(d.ProductIDs, product) {
			errs = append(errs, fmt.Errorf("the certification declaration does not list the configured product-id 0x%04X", uint16(product)))
		}
	case slices.Contains(d.ProductIDs, kept):
		product = kept
	case d.Origin == nil || slices.Contains(d.ProductIDs, dac.product):
		product = dac.product // declaration checks whether it is listed
	default:
		product = d.ProductIDs[0]
		if len(d.ProductIDs) > 1 {
			errs = append(errs, fmt.Errorf("the certification declaration lists %d products: say which one with product-id", len(d.ProductIDs)))
		}
	}
	return vendor, product, errors.Join(errs...)
}

// unjoin returns the errors in the result of errors.Join.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	return err.(interface{ Unwrap() []error }).Unwrap()
}

// declared checks the signature of the certification declaration.
func (v *verifier) declared(d *SignedDeclaration) {
	if bytes.Equal(d.SignerKeyID[:], mustHex(testCDKeyIDHex)) {
		v.report.Test = true
		pub := testCDKey().Public()
		if err := d.Verify(pub[:]); err != nil {
			v.fault("%w", err)
		}
		if d.Type == CertificationOfficial {
			v.fault("the certification declaration calls itself official and is signed by the test signer")
		}
		return
	}
	for _, der := range v.opt.DeclarationSigners {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			v.fault("reading the certificate of a signer of declarations: %w", err)
			continue
		}
		if !bytes.Equal(c.SubjectKeyId, d.SignerKeyID[:]) {
			continue
		}
		if pub := publicKey(c); pub == nil {
			v.fault("signer of the certification declaration: %w", errNotP256)
		} else if err := d.Verify(pub); err != nil {
			v.fault("%w", err)
		}
		return
	}
	v.note("the signer %X of the certification declaration is not known here: its signature was not checked", d.SignerKeyID)
}
