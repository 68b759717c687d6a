package operator

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Offline is the store of a node that is not running. It answers the requests of an
// operator that need no running node, and refuses the others.
type Offline struct {
	admin.Operator

	// DACKey is the location of the DAC's key; nil: the store.
	DACKey *provision.DACKey

	st       *provision.Store
	stateDir string
}

// OpenOffline opens the store in stateDir. The error is one of package provision.
func OpenOffline(stateDir string, a provision.Access, log *slog.Logger) (*Offline, error) {
	st, err := provision.Open(stateDir, a, log)
	if err != nil {
		return nil, err
	}
	o := &Offline{st: st, stateDir: stateDir}
	o.Operator = admin.Operator{
		Pairing: o.pairing, Fabrics: o.fabrics, RemoveFabric: o.removeFabric,
		Attestation: o.attestation, VerifyAttestation: o.verifyAttestation,
		ImportAttestation: o.importAttestation, GenerateAttestation: o.generateAttestation,
		FactoryReset: o.factoryReset, CheckStore: o.checkStore, Backup: o.backup,
	}
	o.Otherwise(admin.Refuse("the daemon must run for that"))
	return o, nil
}

// Close closes the store.
func (o *Offline) Close() error { return o.st.Close() }

// pairing returns the onboarding payload.
func (o *Offline) pairing(context.Context) (admin.Pairing, error) {
	p, err := o.st.Codes()
	return pairing(p), err
}

// fabrics returns the fabric table.
func (o *Offline) fabrics(context.Context) ([]admin.Fabric, error) { return storedFabrics(o.st) }

func storedFabrics(st *provision.Store) ([]admin.Fabric, error) {
	t, err := st.Fabrics()
	if err != nil {
		return nil, err
	}
	rows := []admin.Fabric{}
	for _, f := range t.All() {
		rows = append(rows, fabricRow(f))
	}
	return rows, nil
}

// BackupFabrics returns the fabrics in a copy of a store.
func BackupFabrics(file string) ([]admin.Fabric, error) {
	st, err := provision.OpenBackup(file)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return storedFabrics(st)
}

// removeFabric removes a fabric.
func (o *Offline) removeFabric(_ context.Context, i matter.FabricIndex) error {
	return noSuchFabric(i, o.st.RemoveFabric(i))
}

// factoryReset removes all fabrics and the settings of controllers, including those
// of bridged devices.
func (o *Offline) factoryReset(context.Context) error { return o.st.FactoryReset(bridge.ResetRecords) }

// attestation returns the attestation material.
func (o *Offline) attestation(ctx context.Context) (admin.Attestation, error) {
	return o.verifyAttestation(ctx, admin.AttestationTrust{})
}

// verifyAttestation returns the material, verified with the roots and signers of q.
func (o *Offline) verifyAttestation(_ context.Context, q admin.AttestationTrust) (out admin.Attestation, err error) {
	a, err := o.st.Material()
	if err != nil {
		return out, err
	}
	if a == nil {
		return out, provision.ErrEmpty
	}
	opt := verifyOptions(q, provision.IDs{})
	if o.DACKey != nil {
		if opt.Signer, err = o.DACKey.Open(); err != nil {
			return out, err
		}
	}
	return describeMaterial(*a, o.DACKey, opt), nil
}

// importAttestation replaces the attestation material. Fabrics stay.
func (o *Offline) importAttestation(_ context.Context, q admin.AttestationMaterial) (admin.AttestationChange, error) {
	a, err := imported(q, o.DACKey, provision.IDs{})
	if err != nil {
		return admin.AttestationChange{}, err
	}
	return o.putMaterial(a)
}

// generateAttestation replaces the attestation material by new one for
// development.
func (o *Offline) generateAttestation(_ context.Context, q admin.GenerateRequest) (admin.AttestationChange, error) {
	there, err := o.st.Material()
	if err != nil {
		return admin.AttestationChange{}, err
	}
	a, err := provision.DevelopmentMaterial(provision.IDs{Vendor: q.VendorID, Product: q.ProductID}, q.Force, there, o.DACKey, rand.Reader)
	if err != nil {
		return admin.AttestationChange{}, forOperator(err)
	}
	return o.putMaterial(a)
}

func (o *Offline) putMaterial(a store.Attestation) (out admin.AttestationChange, err error) {
	if err := o.st.PutMaterial(a); err != nil {
		return out, err
	}
	out.Attestation, err = o.attestation(context.Background())
	return out, err
}

// checkStore checks the store.
func (o *Offline) checkStore(context.Context) error { return o.st.Check(bridge.Check) }

// backup writes a copy of the store to w.
func (o *Offline) backup(_ context.Context, w io.Writer) error {
	if err := o.st.Backup(w); err != nil {
		return err
	}
	// A backup counts also where nothing may be written beside the store.
	_ = provision.OpenBackups(o.stateDir).Made(time.Now())
	return nil
}
