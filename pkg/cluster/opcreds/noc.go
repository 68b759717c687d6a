package opcreds

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// The checks below have the order that certified controllers know. If there are several
// faults, the first one determines the status.

// addTrustedRootCertificate handles AddTrustedRootCertificate (section 11.18.6.13). The
// same root may come again.
func (c *Cluster) addTrustedRootCertificate(r *im.Request, fields tlv.Element) error {
	var raw []byte
	var seen members
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		if tag := rd.ContextTag(); tag == 0 {
			seen.saw(tag)
			raw = rd.Octets()
		}
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	if !seen.has(0) || len(raw) > cert.MaxSize {
		return fmt.Errorf("root certificate of %d octets: %w", len(raw), matter.StatusInvalidCommand)
	}
	if !c.opt.FailSafe.ArmedFor(r.Subject.Fabric) {
		return matter.StatusFailsafeRequired
	}
	staged := c.opt.FailSafe.Root()
	if staged != nil && !bytes.Equal(staged.Raw(), raw) {
		return fmt.Errorf("this fail-safe has another root already: %w", matter.StatusConstraintError)
	}
	if err := c.mayStage(r); err != nil || staged != nil {
		return err
	}
	root, err := cert.Parse(raw)
	if err == nil {
		err = cert.CheckRoot(root)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", matter.StatusInvalidCommand, err)
	}
	c.opt.FailSafe.SetRoot(root)
	return nil
}

// addNOCFields are the fields of AddNOC.
type addNOCFields struct {
	noc, icac, ipk []byte
	subject        matter.NodeID
	vendor         matter.VendorID
}

func readAddNOC(fields tlv.Element) (addNOCFields, error) {
	var f addNOCFields
	var seen members
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		tag := rd.ContextTag()
		seen.saw(tag)
		switch tag {
		case 0:
			f.noc = rd.Octets()
		case 1:
			f.icac = rd.Octets()
		case 2:
			f.ipk = rd.Octets()
		case 3:
			f.subject = matter.NodeID(rd.Uint())
		case 4:
			f.vendor = matter.VendorID(rd.Uint16())
		}
	}
	if err := rd.End(); err != nil {
		return f, im.CommandError(err)
	}
	switch {
	case !seen.has(0, 2, 3, 4):
		return f, fmt.Errorf("a field is missing: %w", matter.StatusInvalidCommand)
	case len(f.noc) > cert.MaxSize || len(f.icac) > cert.MaxSize:
		return f, fmt.Errorf("NOC of %d octets, ICAC of %d: %w", len(f.noc), len(f.icac), matter.StatusInvalidCommand)
	case len(f.ipk) != mcrypto.KeySize:
		return f, fmt.Errorf("IPK of %d octets: %w", len(f.ipk), matter.StatusInvalidCommand)
	case !f.vendor.OperationallyValid():
		return f, fmt.Errorf("admin vendor id %04X: %w", uint16(f.vendor), matter.StatusInvalidCommand)
	}
	return f, nil
}

// addNOC handles AddNOC (section 11.18.6.8).
func (c *Cluster) addNOC(r *im.Request, fields tlv.Element) (matter.FabricIndex, error) {
	f, err := readAddNOC(fields)
	if err != nil {
		return 0, err
	}
	key, err := c.stagedKey(r, false)
	if err != nil {
		return 0, err
	}
	root := c.opt.FailSafe.Root()
	if root == nil {
		return 0, fmt.Errorf("%w: this fail-safe has no root", NOCStatusInvalidNOC)
	}
	if _, tag := f.subject.CAT(); !tag && !f.subject.Operational() {
		return 0, NOCStatusInvalidAdminSubject
	}
	if c.opt.Table.Len() >= c.opt.Table.Max() {
		return 0, NOCStatusTableFull
	}
	noc, err := cert.Parse(f.noc)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", NOCStatusInvalidNOC, err)
	}
	if f := c.opt.Table.FindRoot(root.PublicKey[:], noc.FabricID()); f != nil {
		return 0, fmt.Errorf("%w: the node belongs to this fabric already, as fabric %d (label %q): to commission it again, remove that with \"opcredsd fabrics remove %d\"",
			NOCStatusFabricConflict, f.Index, f.Label, f.Index)
	}
	if err := checkChain(noc, f.icac, root, key); err != nil {
		return 0, err
	}
	// The entry gives the new administrator access over CASE. Without it nobody would
	// have access (section 11.18.6.8.2).
	entry := store.ACLEntry{
		Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE,
		Subjects: []matter.NodeID{f.subject},
	}
	compressed, err := mcrypto.CompressedFabricID(root.PublicKey[:], noc.FabricID())
	if err != nil {
		return 0, fmt.Errorf("%w: %w", NOCStatusInvalidNOC, err)
	}
	ipk, err := fabric.GroupKey(compressed, f.ipk, 0)
	if err != nil {
		return 0, err
	}
	added, err := c.opt.FailSafe.AddNOC(store.Fabric{
		FabricID: noc.FabricID(), NodeID: noc.NodeID(), VendorID: f.vendor,
		NOC: bytes.Clone(f.noc), ICAC: optional(f.icac),
		ACL:     []store.ACLEntry{entry},
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{ipk}}},
	})
	if err != nil {
		return 0, err
	}
	c.opt.EntryAdded(r, added.Index, entry)
	return added.Index, nil
}

// updateNOC handles UpdateNOC (section 11.18.6.9).
func (c *Cluster) updateNOC(r *im.Request, fields tlv.Element) (matter.FabricIndex, error) {
	raw, rawICAC, err := readUpdateNOC(fields)
	if err != nil {
		return 0, err
	}
	key, err := c.stagedKey(r, true)
	if err != nil {
		return 0, err
	}
	if root := c.opt.FailSafe.Root(); root != nil {
		if endsIn(root, raw, rawICAC) {
			// A NOC for AddNOC, and there was no CSR for that (TC-OPCREDS-3.4 step 20).
			return 0, fmt.Errorf("%w: the NOC is of the root in this fail-safe", NOCStatusMissingCSR)
		}
		return 0, fmt.Errorf("this fail-safe has a root, so only AddNOC may follow: %w", matter.StatusConstraintError)
	}
	own := c.opt.Table.Get(r.Subject.Fabric)
	if own == nil {
		return 0, fmt.Errorf("%w: no accessing fabric", NOCStatusInvalidNOC)
	}
	if len(own.VVSC) > 0 && len(rawICAC) > 0 {
		// The specification does not say which code. This is the official SDK's.
		return 0, fmt.Errorf("%w: the VVSC must be removed before there can be an ICAC", NOCStatusMissingCSR)
	}
	noc, err := cert.Parse(raw)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", NOCStatusInvalidNOC, err)
	}
	if noc.FabricID() != own.FabricID {
		return 0, fmt.Errorf("%w: the NOC is for another fabric id", NOCStatusInvalidNOC)
	}
	if err := checkChain(noc, rawICAC, own.RootCert, key); err != nil {
		return 0, err
	}
	updated, err := c.opt.FailSafe.UpdateNOC(bytes.Clone(raw), optional(rawICAC))
	if err != nil {
		return 0, err
	}
	return updated.Index, nil
}

// endsIn reports whether a chain, which need not be valid, names root as its issuer.
func endsIn(root *cert.Certificate, noc, icac []byte) bool {
	last := noc
	if len(icac) > 0 {
		last = icac
	}
	crt, err := cert.Parse(last)
	return err == nil && bytes.Equal(crt.AuthorityKeyID(), root.SubjectKeyID())
}

func readUpdateNOC(fields tlv.Element) (noc, icac []byte, err error) {
	var seen members
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		tag := rd.ContextTag()
		seen.saw(tag)
		switch tag {
		case 0:
			noc = rd.Octets()
		case 1:
			icac = rd.Octets()
		}
	}
	if err := rd.End(); err != nil {
		return nil, nil, im.CommandError(err)
	}
	if !seen.has(0) || len(noc) > cert.MaxSize || len(icac) > cert.MaxSize {
		return nil, nil, fmt.Errorf("NOC of %d octets, ICAC of %d: %w", len(noc), len(icac), matter.StatusInvalidCommand)
	}
	return noc, icac, nil
}

// stagedKey returns the key pair that a NOC on this session must have.
func (c *Cluster) stagedKey(r *im.Request, forUpdate bool) (*mcrypto.PrivateKey, error) {
	if err := c.mayStage(r); err != nil {
		return nil, err
	}
	key, update, session, ok := c.opt.FailSafe.CSR()
	if !ok || session != r.Session.Serial {
		return nil, fmt.Errorf("%w: no CSRRequest in this session", NOCStatusMissingCSR)
	}
	if update != forUpdate {
		return nil, fmt.Errorf("the CSR was for AddNOC instead of UpdateNOC, or the other way round: %w", matter.StatusConstraintError)
	}
	return key, nil
}

// checkChain verifies a NOC against root, and checks that it is for key (section
// 11.18.6.7). rawICAC may be empty. It does not check validity periods, which are checked
// when a session is opened: the issuer's clock may be ahead of the node's, and either may
// be wrong.
func checkChain(noc *cert.Certificate, rawICAC []byte, root *cert.Certificate, key *mcrypto.PrivateKey) error {
	var icac *cert.Certificate
	if len(rawICAC) > 0 {
		var err error
		if icac, err = cert.Parse(rawICAC); err != nil {
			return fmt.Errorf("%w: ICAC: %w", NOCStatusInvalidNOC, err)
		}
	}
	err := cert.VerifyChain(noc, icac, root, cert.VerifyOptions{})
	switch {
	case errors.Is(err, cert.ErrNodeID):
		return fmt.Errorf("%w: %w", NOCStatusInvalidNodeOpID, err)
	case err != nil:
		return fmt.Errorf("%w: %w", NOCStatusInvalidNOC, err)
	case noc.PublicKey != key.Public():
		return NOCStatusInvalidPublicKey
	}
	return nil
}

// optional returns a copy of b, nil if b is empty.
func optional(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}
