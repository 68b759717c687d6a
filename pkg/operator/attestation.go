package operator

import (
	"context"
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// forOperator turns an error that the operator can correct into a refusal.
func forOperator(err error) error {
	var refusal provision.Refusal
	if errors.As(err, &refusal) {
		return admin.Refuse("%s", refusal)
	}
	return err
}

// imported checks the material of an import.
func imported(q admin.AttestationMaterial, key *provision.DACKey, want provision.IDs) (store.Attestation, error) {
	a, err := provision.CheckMaterial(store.Attestation{DAC: q.DAC, PAI: q.PAI, CD: q.CD, Key: q.Key}, key, verifyOptions(q.Trust, want))
	return a, forOperator(err)
}

func verifyOptions(q admin.AttestationTrust, want provision.IDs) attestation.VerifyOptions {
	now := time.Now()
	if !host.ClockPlausible(now) {
		now = time.Time{}
	}
	opt := attestation.VerifyOptions{Now: now, Roots: q.Roots, DeclarationSigners: q.Signers, VendorID: want.Vendor, ProductID: want.Product}
	if q.VendorID != 0 {
		opt.VendorID = q.VendorID
	}
	if q.ProductID != 0 {
		opt.ProductID = q.ProductID
	}
	return opt
}

// describeMaterial returns the material as commissioners will judge it.
func describeMaterial(a store.Attestation, key *provision.DACKey, opt attestation.VerifyOptions) admin.Attestation {
	out := admin.Attestation{Kind: MaterialKind(a), VendorID: a.VendorID, ProductID: a.ProductID, Key: "store", Faults: []string{}, Notes: []string{}}
	switch {
	case key != nil:
		out.Key = key.Where
	case len(a.Key) == 0:
		out.Key = "elsewhere"
	}
	report, err := attestation.Verify(a, opt)
	for _, f := range provision.Faults(err) {
		out.Faults = append(out.Faults, f.Error())
	}
	out.Root, out.Notes = report.Root, append(out.Notes, report.Notes...)
	if !endless(report.NotAfter) {
		out.NotAfter = instant(report.NotAfter)
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

// endless reports whether t stands for "no well-defined expiration date" (RFC 5280,
// section 4.1.2.5).
func endless(t time.Time) bool { return t.Year() >= 9999 }

func certificate(s attestation.CertificateSummary) *admin.Certificate {
	c := &admin.Certificate{Subject: s.Subject, Serial: s.Serial, KeyID: s.KeyID, NotBefore: s.NotBefore.UTC()}
	if !endless(s.NotAfter) {
		c.NotAfter = instant(s.NotAfter)
	}
	return c
}

// MaterialKind returns whether material is for a product or for development.
func MaterialKind(a store.Attestation) string {
	if a.Test {
		return "TEST"
	}
	return "production"
}

func (o *operator) attestation(ctx context.Context) (admin.Attestation, error) {
	return o.verifyAttestation(ctx, admin.AttestationTrust{})
}

// verifyAttestation returns the material, verified with the roots and signers of q.
// It does not run on the loop, because the key may be on a slow token.
func (o *operator) verifyAttestation(ctx context.Context, q admin.AttestationTrust) (admin.Attestation, error) {
	opt := verifyOptions(q, o.Configured)
	var a store.Attestation
	err := o.Node.Ask(ctx, func(time.Time) error {
		a, opt.Signer = o.Node.Material()
		return nil
	})
	if err != nil {
		return admin.Attestation{}, err
	}
	return describeMaterial(a, o.DACKey, opt), nil
}

// importAttestation replaces the material. Fabrics stay.
func (o *operator) importAttestation(ctx context.Context, q admin.AttestationMaterial) (admin.AttestationChange, error) {
	return o.replaceMaterial(ctx, func(store.Attestation) (store.Attestation, error) {
		return imported(q, o.DACKey, o.Configured)
	})
}

// generateAttestation replaces the material by new one for development.
func (o *operator) generateAttestation(ctx context.Context, q admin.GenerateRequest) (admin.AttestationChange, error) {
	ids := provision.IDs{Vendor: q.VendorID, Product: q.ProductID}
	if ids == (provision.IDs{}) {
		ids = o.Configured
	}
	return o.replaceMaterial(ctx, func(there store.Attestation) (store.Attestation, error) {
		a, err := provision.DevelopmentMaterial(ids, q.Force, &there, o.DACKey, o.Rand)
		return a, forOperator(err)
	})
}

// replaceMaterial stores the material that with returns. The node uses it from then
// on.
func (o *operator) replaceMaterial(ctx context.Context, with func(there store.Attestation) (store.Attestation, error)) (out admin.AttestationChange, err error) {
	o.replacing.Lock() // passes with the latest material
	defer o.replacing.Unlock()
	var there store.Attestation
	err = o.Node.Ask(ctx, func(time.Time) error {
		there, _ = o.Node.Material()
		return nil
	})
	if err != nil {
		return out, err
	}
	a, err := with(there)
	if err != nil {
		return out, err
	}
	device, signer, err := provision.Credentials(a, o.DACKey, o.Rand)
	if err != nil {
		return out, err
	}
	if err := o.Node.Ask(ctx, func(time.Time) error { return o.Node.ReplaceMaterial(a, device, signer) }); err != nil {
		return out, err
	}
	opt := verifyOptions(admin.AttestationTrust{}, o.Configured)
	opt.Signer = signer
	out.Attestation = describeMaterial(a, o.DACKey, opt)
	// Basic Information does not change while the node runs.
	out.Restart = o.Node.IDs() != provision.IDs{Vendor: a.VendorID, Product: a.ProductID}
	return out, nil
}
