package server

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

// forOperator turns an error that the operator can mend into one that says so.
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

// describeMaterial tells what commissioners will make of material.
func describeMaterial(a store.Attestation, key *provision.DACKey, opt attestation.VerifyOptions) admin.Attestation {
	out := admin.Attestation{Kind: kindOf(a), VendorID: a.VendorID, ProductID: a.ProductID, Key: "store", Faults: []string{}, Notes: []string{}}
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

// endless says whether t stands for no well-defined end (RFC 5280, section
// 4.1.2.5).
func endless(t time.Time) bool { return t.Year() >= 9999 }

func certificate(s attestation.CertificateSummary) *admin.Certificate {
	c := &admin.Certificate{Subject: s.Subject, Serial: s.Serial, KeyID: s.KeyID, NotBefore: s.NotBefore.UTC()}
	if !endless(s.NotAfter) {
		c.NotAfter = instant(s.NotAfter)
	}
	return c
}

func kindOf(a store.Attestation) string {
	if a.Test {
		return "TEST"
	}
	return "production"
}

// attestation tells of the material in use. It belongs to the loop.
func (s *Server) attestation(q admin.AttestationTrust) admin.Attestation {
	opt := verifyOptions(q, s.configured)
	material, signer := s.node.Material()
	opt.Signer = signer
	return describeMaterial(material, s.opt.DACKey, opt)
}

func (o operator) attestation(ctx context.Context) (admin.Attestation, error) {
	return o.verifyAttestation(ctx, admin.AttestationTrust{})
}

// verifyAttestation is Attestation held against more than is known here.
func (o operator) verifyAttestation(ctx context.Context, q admin.AttestationTrust) (out admin.Attestation, err error) {
	err = o.s.node.Ask(ctx, func(time.Time) error {
		out = o.s.attestation(q)
		return nil
	})
	return out, err
}

// importAttestation replaces the material. Fabrics stay.
func (o operator) importAttestation(ctx context.Context, q admin.AttestationMaterial) (admin.AttestationChange, error) {
	a, err := imported(q, o.s.opt.DACKey, o.s.configured)
	if err != nil {
		return admin.AttestationChange{}, err
	}
	return o.replaceMaterial(ctx, func(*store.Attestation) (store.Attestation, error) { return a, nil })
}

// generateAttestation replaces the material by new one for development.
func (o operator) generateAttestation(ctx context.Context, q admin.GenerateRequest) (admin.AttestationChange, error) {
	ids := provision.IDs{Vendor: q.VendorID, Product: q.ProductID}
	if ids == (provision.IDs{}) {
		ids = o.s.configured
	}
	return o.replaceMaterial(ctx, func(there *store.Attestation) (store.Attestation, error) {
		return provision.DevelopmentMaterial(ids, q.Force, there, o.s.opt.DACKey, o.s.opt.Rand)
	})
}

// replaceMaterial stores other material in one transaction, and the node proves
// itself with it from then on.
func (o operator) replaceMaterial(ctx context.Context, with func(there *store.Attestation) (store.Attestation, error)) (out admin.AttestationChange, err error) {
	s := o.s
	err = s.node.Ask(ctx, func(time.Time) error {
		there, _ := s.node.Material()
		a, err := with(&there)
		if err != nil {
			return forOperator(err)
		}
		device, signer, err := provision.Credentials(a, s.opt.DACKey, s.opt.Rand)
		if err != nil {
			return err
		}
		if err := s.node.ReplaceMaterial(a, device, signer); err != nil {
			return err
		}
		out.Attestation = s.attestation(admin.AttestationTrust{})
		// What is told of the product is fixed while the node runs.
		out.Restart = a.VendorID != s.opt.Product.VendorID || a.ProductID != s.opt.Product.ProductID
		return nil
	})
	return out, err
}
