package failsafe

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// SetCSR stages the key pair of a CSRRequest and replaces an earlier one. It is valid for
// the session with this serial number only, for UpdateNOC or for AddNOC (sections
// 11.18.6.5 and 11.18.6.7).
func (f *FailSafe) SetCSR(key *mcrypto.PrivateKey, forUpdate bool, session uint64) {
	f.mustStage("a CSR")
	f.context.csr = csr{key, forUpdate, session}
}

// CSR returns the staged key pair; ok is false if there is none.
func (f *FailSafe) CSR() (key *mcrypto.PrivateKey, forUpdate bool, session uint64, ok bool) {
	c := f.context.csr
	return c.key, c.forUpdate, c.session, c.key != nil
}

// SetRoot stages the root certificate of the fabric to be added.
func (f *FailSafe) SetRoot(root *cert.Certificate) {
	f.mustStage("a root")
	f.context.root = root
}

// Root returns the root certificate staged in this context, or nil. AddNOC does not
// remove it.
func (f *FailSafe) Root() *cert.Certificate { return f.context.root }

// NOC returns whether AddNOC or UpdateNOC has succeeded in this context.
func (f *FailSafe) NOC() NOCChange { return f.context.noc }

// NOCSession returns the serial number of the session that sent that command, 0 if there
// was none.
func (f *FailSafe) NOCSession() uint64 { return f.context.changer }

// AddNOC stages rec as a new fabric with the staged root and key pair. It sets Index, Root
// and Key. From then on the context belongs to the fabric. If it returns an error, such
// as [fabric.ErrFull], nothing has changed. The caller has checked the certificates.
func (f *FailSafe) AddNOC(rec store.Fabric) (*fabric.Fabric, error) {
	f.mustStage("a NOC")
	if f.context.root == nil {
		panic("BUG: failsafe: AddNOC without a root")
	}
	rec.Index, rec.Root = matter.NoFabric, f.context.root.Raw()
	return f.stage(rec, Added)
}

// UpdateNOC stages another identity for the fabric of the context: noc, icac (nil for
// none) and the staged key pair. If it returns an error, nothing has changed. The caller
// has checked the certificates.
func (f *FailSafe) UpdateNOC(noc, icac []byte) (*fabric.Fabric, error) {
	f.mustStage("a NOC")
	old := f.table.Get(f.context.fabric)
	if old == nil {
		panic("BUG: failsafe: UpdateNOC of no fabric")
	}
	c, err := cert.Parse(noc)
	if err != nil {
		return nil, fmt.Errorf("reading the NOC: %w", err)
	}
	rec := old.Fabric
	rec.NOC, rec.ICAC, rec.NodeID = noc, icac, c.NodeID()
	return f.stage(rec, Updated)
}

func (f *FailSafe) stage(rec store.Fabric, change NOCChange) (*fabric.Fabric, error) {
	c := f.context.csr
	if c.key == nil {
		panic("BUG: failsafe: a NOC without a key pair")
	}
	rec.Key = c.key.Scalar()
	defer clear(rec.Key)
	staged, err := f.table.Stage(rec)
	if err != nil {
		return nil, fmt.Errorf("staging the fabric: %w", err)
	}
	f.context.fabric, f.context.noc, f.context.changer = staged.Index, change, c.session
	f.context.csr = csr{}
	return staged, nil
}

// mustStage panics if nothing may be staged any more.
func (f *FailSafe) mustStage(what string) {
	if !f.armed || f.context.noc != None {
		panic("BUG: failsafe: staging " + what + " while not armed or after the NOC")
	}
}
