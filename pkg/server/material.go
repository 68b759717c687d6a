package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// DACKey is a DAC's key that is not in the store.
type DACKey struct {
	// Where says in the operator's words where it is.
	Where string
	// Open is called at every start and at every change of the material.
	Open func() (attestation.Signer, error)
}

// product are the vendor and product id that the operator wants to be told of
// the node; 0: those of the DAC.
type product struct {
	vendor  matter.VendorID
	product matter.ProductID
}

// openMaterial makes the attestation material usable, and takes from it what
// the options leave open.
func (s *Server) openMaterial() error {
	t, p := &s.trust, &s.opt.Product
	t.configured = product{p.VendorID, p.ProductID}
	var err error
	if t.device, t.signer, err = credentials(t.material, s.opt.DACKey, s.opt.Rand); err != nil {
		return fmt.Errorf("the attestation material in %s: %w", t.store.Path(), err)
	}
	if t.signer != nil && len(t.material.Key) > 0 {
		t.material.Key = nil
		if err := t.store.Update(func(tx *store.Tx) error { return tx.PutAttestation(t.material) }); err != nil {
			return err
		}
		s.overwrite()
		s.log.Info("the attestation key is taken from outside, its copy in the store is removed", "from", s.opt.DACKey.Where)
	}
	if p.VendorID == 0 {
		p.VendorID = t.material.VendorID
	}
	if p.ProductID == 0 {
		p.ProductID = t.material.ProductID
	}
	if p.VendorID != t.material.VendorID || p.ProductID != t.material.ProductID {
		s.log.Warn("the attestation material is for another product: commissioners will refuse this node",
			"vendor_id", p.VendorID, "product_id", p.ProductID, "attestation_vendor_id", t.material.VendorID, "attestation_product_id", t.material.ProductID)
	}
	return nil
}

// credentials makes material usable. The signer is nil where the key is in the
// store.
func credentials(a store.Attestation, key *DACKey, rand io.Reader) (*attestation.Credentials, attestation.Signer, error) {
	if key == nil {
		if len(a.Key) == 0 {
			return nil, nil, errors.New("its key is not in the store: name the file with --dac-key-file, or import the material with its key")
		}
		c, err := attestation.Load(a, rand)
		return c, nil, err
	}
	signer, err := key.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("the DAC's key in %s: %w", key.Where, err)
	}
	if err := attestation.CheckSigner(a.DAC, signer); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key.Where, err)
	}
	c, err := attestation.New(a.DAC, a.PAI, a.CD, signer)
	return c, signer, err
}

// newMaterial reads and checks material that is to replace what is there, as it
// will be stored.
func newMaterial(q admin.AttestationMaterial, key *DACKey, want product) (a store.Attestation, err error) {
	a = store.Attestation{DAC: q.DAC, PAI: q.PAI, CD: q.CD, Key: q.Key}
	opt := verifyOptions(q.Trust, want)
	switch {
	case key == nil && len(q.Key) == 0:
		return a, admin.Refuse("the DAC's key is missing: give it with --key")
	case key != nil && len(q.Key) > 0:
		return a, admin.Refuse("the DAC's key is taken from %s: put it there, and leave --key out", key.Where)
	case key != nil:
		if opt.Signer, err = key.Open(); err != nil {
			return a, admin.Refuse("the DAC's key in %s: %v", key.Where, err)
		}
	}
	report, err := attestation.Verify(a, opt)
	if err != nil {
		var list []string
		for _, f := range faults(err) {
			list = append(list, f.Error())
		}
		return a, admin.Refuse("the material is not good: %s", strings.Join(list, "; "))
	}
	a.VendorID, a.ProductID, a.Test = report.VendorID, report.ProductID, report.Test
	return a, nil
}

func verifyOptions(q admin.AttestationTrust, want product) attestation.VerifyOptions {
	now := time.Now()
	if epoch(now) == 0 {
		now = time.Time{}
	}
	opt := attestation.VerifyOptions{Now: now, Roots: q.Roots, DeclarationSigners: q.Signers, VendorID: want.vendor, ProductID: want.product}
	if q.VendorID != 0 {
		opt.VendorID = q.VendorID
	}
	if q.ProductID != 0 {
		opt.ProductID = q.ProductID
	}
	return opt
}

// developmentMaterial makes material for development in place of what is there.
func developmentMaterial(q admin.GenerateRequest, there *store.Attestation, key *DACKey, rand io.Reader) (a store.Attestation, err error) {
	switch {
	case key != nil:
		return a, admin.Refuse("the DAC's key is taken from %s, and development material has a key of its own: run without --dac-key-file", key.Where)
	case there != nil && !there.Test && !q.Force:
		return a, admin.Refuse("this is production material, and its key would be lost: back up the store first, then say --force")
	}
	if q.VendorID == 0 {
		q.VendorID = DefaultVendorID
	}
	if q.ProductID == 0 {
		q.ProductID = DefaultProductID
	}
	if a, err = attestation.Generate(rand, q.VendorID, q.ProductID, time.Now()); err != nil {
		return a, admin.Refuse("%v", err)
	}
	return a, nil
}

// describeMaterial tells what commissioners will make of material.
func describeMaterial(a store.Attestation, key *DACKey, opt attestation.VerifyOptions) admin.Attestation {
	out := admin.Attestation{Kind: kindOf(a), VendorID: a.VendorID, ProductID: a.ProductID, Key: "store", Faults: []string{}, Notes: []string{}}
	switch {
	case key != nil:
		out.Key = key.Where
	case len(a.Key) == 0:
		out.Key = "elsewhere"
	}
	report, err := attestation.Verify(a, opt)
	for _, f := range faults(err) {
		out.Faults = append(out.Faults, f.Error())
	}
	out.Root, out.Notes = report.Root, append(out.Notes, report.Notes...)
	if !report.NotAfter.IsZero() && !endless(report.NotAfter) {
		out.NotAfter = instant(report.NotAfter, true)
	}
	if s, err := attestation.Summarize(a); err == nil {
		out.DAC, out.PAI = certificate(s.DAC), certificate(s.PAI)
		out.CD = &admin.Declaration{
			VendorID: s.CD.VendorID, ProductIDs: s.CD.ProductIDs, DeviceType: s.CD.DeviceType,
			CertificateID: s.CD.CertificateID, Type: s.CD.Type.String(),
		}
	}
	return out
}

// endless says whether t stands for no well-defined end (RFC 5280, section
// 4.1.2.5).
func endless(t time.Time) bool { return t.Year() >= 9999 }

func certificate(s attestation.CertificateSummary) *admin.Certificate {
	return &admin.Certificate{
		Subject: s.Subject, Serial: s.Serial, KeyID: s.KeyID,
		NotBefore: s.NotBefore.UTC(), NotAfter: instant(s.NotAfter, !endless(s.NotAfter)),
	}
}

func kindOf(a store.Attestation) string {
	if a.Test {
		return "TEST"
	}
	return "production"
}

// attestation tells of the material in use. It belongs to the loop.
func (s *Server) attestation(q admin.AttestationTrust) admin.Attestation {
	opt := verifyOptions(q, s.trust.configured)
	opt.Signer = s.trust.signer
	return describeMaterial(s.trust.material, s.opt.DACKey, opt)
}

func (o operator) Attestation(ctx context.Context) (admin.Attestation, error) {
	return o.VerifyAttestation(ctx, admin.AttestationTrust{})
}

// VerifyAttestation is Attestation held against more than is known here.
func (o operator) VerifyAttestation(ctx context.Context, q admin.AttestationTrust) (out admin.Attestation, err error) {
	err = o.s.ask(ctx, func(time.Time) error {
		out = o.s.attestation(q)
		return nil
	})
	return out, err
}

// ImportAttestation replaces the material. Fabrics stay.
func (o operator) ImportAttestation(ctx context.Context, q admin.AttestationMaterial) (admin.AttestationChange, error) {
	a, err := newMaterial(q, o.s.opt.DACKey, o.s.trust.configured)
	if err != nil {
		return admin.AttestationChange{}, err
	}
	return o.replaceMaterial(ctx, func(*store.Attestation) (store.Attestation, error) { return a, nil })
}

// GenerateAttestation replaces the material by new one for development.
func (o operator) GenerateAttestation(ctx context.Context, q admin.GenerateRequest) (admin.AttestationChange, error) {
	if c := o.s.trust.configured; q.VendorID == 0 && q.ProductID == 0 {
		q.VendorID, q.ProductID = c.vendor, c.product
	}
	return o.replaceMaterial(ctx, func(there *store.Attestation) (store.Attestation, error) {
		return developmentMaterial(q, there, o.s.opt.DACKey, o.s.opt.Rand)
	})
}

// replaceMaterial stores other material in one transaction, and the node proves
// itself with it from then on.
func (o operator) replaceMaterial(ctx context.Context, with func(there *store.Attestation) (store.Attestation, error)) (out admin.AttestationChange, err error) {
	s := o.s
	err = s.ask(ctx, func(time.Time) error {
		t := &s.trust
		a, err := with(&t.material)
		if err != nil {
			return err
		}
		device, signer, err := credentials(a, s.opt.DACKey, s.opt.Rand)
		if err != nil {
			return err
		}
		if err := t.store.Update(func(tx *store.Tx) error { return tx.PutAttestation(a) }); err != nil {
			return err
		}
		s.overwrite()
		t.material, t.signer = a, signer
		t.device.Replace(device)
		out.Attestation = s.attestation(admin.AttestationTrust{})
		// What is told of the product is fixed while the node runs.
		out.Restart = a.VendorID != s.opt.Product.VendorID || a.ProductID != s.opt.Product.ProductID
		return nil
	})
	return out, err
}
