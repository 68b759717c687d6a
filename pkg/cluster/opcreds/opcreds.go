package opcreds

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.OperationalCredentialsID

const (
	attrNOCs                    = datamodel.OperationalCredentialsAttrNOCs
	attrFabrics                 = datamodel.OperationalCredentialsAttrFabrics
	attrSupportedFabrics        = datamodel.OperationalCredentialsAttrSupportedFabrics
	attrCommissionedFabrics     = datamodel.OperationalCredentialsAttrCommissionedFabrics
	attrTrustedRootCertificates = datamodel.OperationalCredentialsAttrTrustedRootCertificates
	attrCurrentFabricIndex      = datamodel.OperationalCredentialsAttrCurrentFabricIndex
)

const (
	cmdAttestationRequest          = datamodel.OperationalCredentialsCmdAttestationRequest
	cmdCertificateChainRequest     = datamodel.OperationalCredentialsCmdCertificateChainRequest
	cmdCSRRequest                  = datamodel.OperationalCredentialsCmdCSRRequest
	cmdAddNOC                      = datamodel.OperationalCredentialsCmdAddNOC
	cmdUpdateNOC                   = datamodel.OperationalCredentialsCmdUpdateNOC
	cmdUpdateFabricLabel           = datamodel.OperationalCredentialsCmdUpdateFabricLabel
	cmdRemoveFabric                = datamodel.OperationalCredentialsCmdRemoveFabric
	cmdAddTrustedRootCertificate   = datamodel.OperationalCredentialsCmdAddTrustedRootCertificate
	cmdSetVIDVerificationStatement = datamodel.OperationalCredentialsCmdSetVIDVerificationStatement
	cmdSignVIDVerificationRequest  = datamodel.OperationalCredentialsCmdSignVIDVerificationRequest
)

// tagFabricIndex is the tag of the fabric index in a fabric-scoped structure.
const tagFabricIndex = 0xFE

var spec = cluster.NewSpec(datamodel.OperationalCredentials, cluster.Selection{})

// Options are the parts of the node that the cluster uses. All are required.
type Options struct {
	Table       *fabric.Table
	FailSafe    *failsafe.FailSafe
	Attestation *attestation.Credentials
	Rand        io.Reader

	// EntryAdded is called with the access control entry that AddNOC has made for fabric
	// i, for the event of the Access Control cluster. r is the request of AddNOC.
	EntryAdded func(r *im.Request, i matter.FabricIndex, e store.ACLEntry)

	// Executed is called after each command with its name and its outcome, which is the
	// name of a NOCStatus or of an Interaction Model status. cause is the error, for the
	// operator. It contains no secrets.
	Executed func(command, status string, cause error)
}

// Cluster serves the cluster.
type Cluster struct {
	opt  Options
	seen digests
}

// digests are the digests of the attributes, for [Cluster.Changes]. generation and root
// identify the state that they are of.
type digests struct {
	generation uint64
	root       *cert.Certificate

	commissioned         int
	nocs, fabrics, roots [sha256.Size]byte
}

// New returns the cluster.
func New(opt Options) *Cluster {
	c := &Cluster{opt: opt}
	c.seen = c.digest()
	return c
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Write refuses: no attribute can be written.
func (c *Cluster) Write(*im.Request, matter.AttributeID, tlv.Element) error {
	return matter.StatusUnsupportedWrite
}

// Read writes one attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case attrNOCs:
		c.writeNOCs(w, t, visible(r))
	case attrFabrics:
		c.writeFabrics(w, t, visible(r))
	case attrSupportedFabrics:
		w.Uint(t, uint64(c.opt.Table.Max()))
	case attrCommissionedFabrics:
		w.Uint(t, uint64(c.opt.Table.Len()))
	case attrTrustedRootCertificates:
		c.writeRoots(w, t)
	case attrCurrentFabricIndex:
		w.Uint(t, uint64(r.Subject.Fabric))
	default:
		return matter.StatusUnsupportedAttribute
	}
	return nil
}

// visible returns the fabrics whose entries a request may see.
func visible(r *im.Request) func(matter.FabricIndex) bool {
	if !r.FabricFiltered {
		return everyFabric
	}
	return func(i matter.FabricIndex) bool { return i == r.Subject.Fabric }
}

func everyFabric(matter.FabricIndex) bool { return true }

// writeNOCs writes NOCStructs (section 11.18.4.4). Their fields are not
// fabric-sensitive: any administrator may verify any fabric's vendor.
func (c *Cluster) writeNOCs(w *tlv.Writer, t tlv.Tag, visible func(matter.FabricIndex) bool) {
	w.StartArray(t)
	for _, f := range c.opt.Table.All() {
		if !visible(f.Index) {
			continue
		}
		w.StartStruct(tlv.Anonymous)
		w.Octets(tlv.Context(1), f.NOC)
		if len(f.ICAC) > 0 {
			w.Octets(tlv.Context(2), f.ICAC)
		} else {
			w.Null(tlv.Context(2))
		}
		if len(f.VVSC) > 0 {
			w.Octets(tlv.Context(3), f.VVSC)
		}
		w.Uint(tlv.Context(tagFabricIndex), uint64(f.Index))
		w.End()
	}
	w.End()
}

// writeFabrics writes FabricDescriptorStructs (section 11.18.4.5).
func (c *Cluster) writeFabrics(w *tlv.Writer, t tlv.Tag, visible func(matter.FabricIndex) bool) {
	w.StartArray(t)
	for _, f := range c.opt.Table.All() {
		if !visible(f.Index) {
			continue
		}
		w.StartStruct(tlv.Anonymous)
		w.Octets(tlv.Context(1), f.RootPublicKey[:])
		w.Uint(tlv.Context(2), uint64(f.VendorID))
		w.Uint(tlv.Context(3), uint64(f.FabricID))
		w.Uint(tlv.Context(4), uint64(f.NodeID))
		w.Text(tlv.Context(5), f.Label)
		if len(f.VIDVerificationStatement) > 0 {
			w.Octets(tlv.Context(6), f.VIDVerificationStatement)
		}
		w.Uint(tlv.Context(tagFabricIndex), uint64(f.Index))
		w.End()
	}
	w.End()
}

// writeRoots writes each root once, even if several fabrics share it, and the staged root
// (sections 11.18.5.5 and 11.18.6.13).
func (c *Cluster) writeRoots(w *tlv.Writer, t tlv.Tag) {
	w.StartArray(t)
	fabrics := c.opt.Table.All()
	for i, f := range fabrics {
		if !hasRoot(fabrics[:i], f.Root) {
			w.Octets(tlv.Anonymous, f.Root)
		}
	}
	if root := c.opt.FailSafe.Root(); root != nil && !hasRoot(fabrics, root.Raw()) {
		w.Octets(tlv.Anonymous, root.Raw())
	}
	w.End()
}

func hasRoot(fabrics []*fabric.Fabric, root []byte) bool {
	for _, f := range fabrics {
		if bytes.Equal(f.Root, root) {
			return true
		}
	}
	return false
}

// Changes calls changed for each attribute that has changed since the last call.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if c.seen.generation == c.opt.Table.Generation() && c.seen.root == c.opt.FailSafe.Root() {
		return
	}
	old := c.seen
	c.seen = c.digest()
	if c.seen.nocs != old.nocs {
		changed(attrNOCs)
	}
	if c.seen.fabrics != old.fabrics {
		changed(attrFabrics)
	}
	if c.seen.commissioned != old.commissioned {
		changed(attrCommissionedFabrics)
	}
	if c.seen.roots != old.roots {
		changed(attrTrustedRootCertificates)
	}
}

func (c *Cluster) digest() digests {
	d := digests{generation: c.opt.Table.Generation(), root: c.opt.FailSafe.Root(), commissioned: c.opt.Table.Len()}
	var w tlv.Writer
	sum := func() [sha256.Size]byte {
		s := sha256.Sum256(w.Bytes())
		w.Reset(w.Bytes()[:0])
		return s
	}
	c.writeNOCs(&w, tlv.Anonymous, everyFabric)
	d.nocs = sum()
	c.writeFabrics(&w, tlv.Anonymous, everyFabric)
	d.fabrics = sum()
	c.writeRoots(&w, tlv.Anonymous)
	d.roots = sum()
	return d
}

// Invoke executes a command.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	err := c.invoke(r, id, fields, w)
	if errors.Is(err, im.ErrLater) {
		return err
	}
	return c.executed(id, err, w)
}

// executed follows a command that was executed with err.
func (c *Cluster) executed(id matter.CommandID, err error, w *tlv.Writer) error {
	status := outcome(err)
	c.opt.Executed(commandName(id), status.Error(), err)
	if code, ok := status.(NOCStatus); ok {
		writeNOCResponse(w, code, matter.NoFabric)
		return nil
	}
	return err
}

// own returns the accessing fabric. A fabric-scoped command needs one.
func (c *Cluster) own(r *im.Request) (*fabric.Fabric, error) {
	f := c.opt.Table.Get(r.Subject.Fabric)
	if f == nil {
		return nil, matter.StatusUnsupportedAccess
	}
	return f, nil
}

// outcome returns the status in err: the NOCStatus of a NOCResponse, or a matter.Status.
func outcome(err error) error {
	var code NOCStatus
	if errors.As(err, &code) {
		return code
	}
	return matter.StatusOf(err).Status
}

func commandName(id matter.CommandID) string {
	for i := range spec.Commands {
		if spec.Commands[i].ID == id {
			return spec.Commands[i].Name
		}
	}
	return "unknown"
}

func (c *Cluster) invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	switch id {
	case cmdAttestationRequest:
		return c.attestationRequest(r, fields, w)
	case cmdCertificateChainRequest:
		return c.certificateChainRequest(fields, w)
	case cmdCSRRequest:
		return c.csrRequest(r, fields, w)
	case cmdAddTrustedRootCertificate:
		return c.addTrustedRootCertificate(r, fields)
	case cmdSetVIDVerificationStatement:
		return c.setVIDVerificationStatement(r, fields)
	case cmdSignVIDVerificationRequest:
		return c.signVIDVerificationRequest(r, fields, w)
	}
	var i matter.FabricIndex
	var err error
	switch id {
	case cmdAddNOC:
		i, err = c.addNOC(r, fields)
	case cmdUpdateNOC:
		i, err = c.updateNOC(r, fields)
	case cmdUpdateFabricLabel:
		i, err = c.updateFabricLabel(r, fields)
	case cmdRemoveFabric:
		i, err = c.removeFabric(fields)
	default:
		err = matter.StatusUnsupportedCommand
	}
	if err == nil {
		writeNOCResponse(w, NOCStatusOK, i)
	}
	return err
}
