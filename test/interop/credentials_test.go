//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Cluster and attribute numbers.
const (
	descriptorCluster        = 0x001D
	accessControlCluster     = 0x001F
	basicInformationCluster  = 0x0028
	generalCommissioning     = 0x0030
	networkCommissioning     = 0x0031
	generalDiagnostics       = 0x0033
	administratorCluster     = 0x003C
	operationalCredentials   = 0x003E
	groupKeyManagement       = 0x003F
	attrNOCs                 = 0
	attrFabrics              = 1
	attrSupportedFabrics     = 2
	attrCommissionedFabrics  = 3
	attrTrustedRoots         = 4
	attrCurrentFabricIndex   = 5
	attrGeneratedCommandList = 0xFFF8
	attrAcceptedCommandList  = 0xFFF9
	attrAttributeList        = 0xFFFB
	attrFeatureMap           = 0xFFFC
	attrClusterRevision      = 0xFFFD
)

// Status codes.
const (
	statusInvalidCommand        = 0x85
	statusNeedsTimedInteraction = 0xC6
	statusFailsafeRequired      = 0xCA
	nocOK                       = 0
	nocLabelConflict            = 10
	nocInvalidFabricIndex       = 11
	paseInvalidParameter        = 2
)

// fabricOf contains what one controller has set on the device.
type fabricOf struct {
	controller string
	rootKey    octets
	root       octets
	fabricID   integer
	vendorID   uint16

	index    uint8
	nodeID   integer
	noc      octets
	icac     octets
	admin    integer
	label    string
	instance string
}

// report is one attribute in a read: a value or a status.
type report struct {
	Endpoint  uint16          `json:"endpoint"`
	Cluster   uint32          `json:"cluster"`
	Attribute uint32          `json:"attribute"`
	Value     json.RawMessage `json:"value"`
	Status    *int            `json:"status"`
}

type nocEntry struct {
	NOC         octets `json:"noc"`
	ICAC        octets `json:"icac"`
	VVSC        octets `json:"vvsc"`
	FabricIndex uint8  `json:"fabricIndex"`
}

type fabricEntry struct {
	RootPublicKey octets  `json:"rootPublicKey"`
	VendorID      uint16  `json:"vendorId"`
	FabricID      integer `json:"fabricId"`
	NodeID        integer `json:"nodeId"`
	Label         string  `json:"label"`
	Statement     octets  `json:"vidVerificationStatement"`
	FabricIndex   uint8   `json:"fabricIndex"`
}

type aclEntry struct {
	Privilege   int       `json:"privilege"`
	AuthMode    int       `json:"authMode"`
	Subjects    []integer `json:"subjects"`
	Targets     []any     `json:"targets"`
	FabricIndex uint8     `json:"fabricIndex"`
}

// value decodes one attribute of a read.
func value(reports []report, cluster, attribute uint32, into any) error {
	for _, r := range reports {
		if r.Cluster == cluster && r.Attribute == attribute {
			if r.Status != nil {
				return fmt.Errorf("attribute %#x/%#x: status %#x", cluster, attribute, *r.Status)
			}
			return json.Unmarshal(r.Value, into)
		}
	}
	return fmt.Errorf("no attribute %#x/%#x", cluster, attribute)
}

// checkCredentials compares every attribute of cluster 0x3E, as reader sees it,
// with what the controllers have set. filtered is true if the read was filtered by
// fabric.
func checkCredentials(reports []report, reader *fabricOf, all []*fabricOf, filtered bool) error {
	expected := all
	if filtered {
		expected = []*fabricOf{reader}
	}
	var nocs []nocEntry
	var fabrics []fabricEntry
	var roots []octets
	var supported, commissioned, current int
	for attribute, into := range map[uint32]any{
		attrNOCs: &nocs, attrFabrics: &fabrics, attrTrustedRoots: &roots,
		attrSupportedFabrics: &supported, attrCommissionedFabrics: &commissioned, attrCurrentFabricIndex: &current,
	} {
		if err := value(reports, operationalCredentials, attribute, into); err != nil {
			return err
		}
	}
	if len(nocs) != len(expected) || len(fabrics) != len(expected) {
		return fmt.Errorf("%d NOCs and %d Fabrics, want %d", len(nocs), len(fabrics), len(expected))
	}
	for i, f := range expected {
		if err := f.matches(nocs[i], fabrics[i]); err != nil {
			return err
		}
	}
	if commissioned != len(all) || current != int(reader.index) || supported < 5 || supported > 254 {
		return fmt.Errorf("CommissionedFabrics %d, CurrentFabricIndex %d, SupportedFabrics %d", commissioned, current, supported)
	}
	if len(roots) != len(all) {
		return fmt.Errorf("%d TrustedRootCertificates, want %d", len(roots), len(all))
	}
	for _, f := range all {
		if !slices.ContainsFunc(roots, func(r octets) bool { return bytes.Equal(r, f.root) }) {
			return fmt.Errorf("the root of fabric %d is not among TrustedRootCertificates", f.index)
		}
	}
	return nil
}

// matches compares an entry of NOCs and of Fabrics with what was commissioned.
func (f *fabricOf) matches(noc nocEntry, fabric fabricEntry) error {
	switch {
	case noc.FabricIndex != f.index || fabric.FabricIndex != f.index:
		return fmt.Errorf("fabric index %d in NOCs, %d in Fabrics, want %d", noc.FabricIndex, fabric.FabricIndex, f.index)
	case !bytes.Equal(noc.NOC, f.noc):
		return fmt.Errorf("fabric %d: not the NOC it was given: %x", f.index, noc.NOC)
	case !bytes.Equal(noc.ICAC, f.icac):
		return fmt.Errorf("fabric %d: not the ICAC it was given: %x", f.index, noc.ICAC)
	case noc.VVSC != nil || fabric.Statement != nil:
		return fmt.Errorf("fabric %d: a VVSC or statement that nobody set", f.index)
	case !bytes.Equal(fabric.RootPublicKey, f.rootKey):
		return fmt.Errorf("fabric %d: root public key %x", f.index, fabric.RootPublicKey)
	case fabric.VendorID != f.vendorID || fabric.FabricID != f.fabricID || fabric.NodeID != f.nodeID:
		return fmt.Errorf("fabric %d: vendor %#x, fabric %#x, node %#x", f.index, fabric.VendorID, uint64(fabric.FabricID), uint64(fabric.NodeID))
	case fabric.Label != f.label:
		return fmt.Errorf("fabric %d: label %q, want %q", f.index, fabric.Label, f.label)
	}
	return nil
}

// checkCredentialsGlobals checks the global attributes of cluster 0x3E, revision 2.
func checkCredentialsGlobals(reports []report) error {
	lists := map[uint32][]uint32{
		attrAttributeList:        {0, 1, 2, 3, 4, 5, 0xFFF8, 0xFFF9, 0xFFFB, 0xFFFC, 0xFFFD},
		attrAcceptedCommandList:  {0x00, 0x02, 0x04, 0x06, 0x07, 0x09, 0x0A, 0x0B, 0x0C, 0x0D},
		attrGeneratedCommandList: {0x01, 0x03, 0x05, 0x08, 0x0E},
	}
	for attribute, want := range lists {
		var got []uint32
		if err := value(reports, operationalCredentials, attribute, &got); err != nil {
			return err
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("attribute %#x is %#x, want %#x", attribute, got, want)
		}
	}
	var revision int
	var features map[string]any // matter.js shows a bitmap by the names of its bits
	if err := value(reports, operationalCredentials, attrClusterRevision, &revision); err != nil {
		return err
	}
	if err := value(reports, operationalCredentials, attrFeatureMap, &features); err != nil {
		return err
	}
	if revision != 2 || len(features) != 0 {
		return fmt.Errorf("ClusterRevision %d, FeatureMap %v; want 2 and none", revision, features)
	}
	return nil
}

// checkRoot checks a wildcard read of endpoint 0: no status in it, the clusters of
// a root node, and in each cluster exactly the attributes of its AttributeList.
func checkRoot(reports []report) error {
	attributes := make(map[uint32][]uint32)
	for _, r := range reports {
		if r.Status != nil || r.Endpoint != 0 {
			return fmt.Errorf("endpoint %d, attribute %#x/%#x, status %v", r.Endpoint, r.Cluster, r.Attribute, r.Status)
		}
		attributes[r.Cluster] = append(attributes[r.Cluster], r.Attribute)
	}
	var servers, parts []uint32
	if err := value(reports, descriptorCluster, 1, &servers); err != nil {
		return err
	}
	if err := value(reports, descriptorCluster, 3, &parts); err != nil {
		return err
	}
	if len(servers) != len(attributes) || !slices.Contains(parts, 1) {
		return fmt.Errorf("ServerList %#x, but %d clusters answered; PartsList %d", servers, len(attributes), parts)
	}
	for _, cluster := range []uint32{
		descriptorCluster, accessControlCluster, basicInformationCluster, generalCommissioning, networkCommissioning,
		generalDiagnostics, administratorCluster, operationalCredentials, groupKeyManagement,
	} {
		if !slices.Contains(servers, cluster) {
			return fmt.Errorf("ServerList %#x has no %#x", servers, cluster)
		}
	}
	for _, cluster := range servers {
		var listed []uint32
		if err := value(reports, cluster, attrAttributeList, &listed); err != nil {
			return err
		}
		got := slices.Sorted(slices.Values(attributes[cluster]))
		if slices.Sort(listed); !slices.Equal(got, listed) {
			return fmt.Errorf("cluster %#x: AttributeList %#x, but these answered: %#x", cluster, listed, got)
		}
		for _, global := range []uint32{attrGeneratedCommandList, attrAcceptedCommandList, attrFeatureMap, attrClusterRevision} {
			if !slices.Contains(got, global) {
				return fmt.Errorf("cluster %#x has no attribute %#x", cluster, global)
			}
		}
	}
	return nil
}

// checkIdentity checks the product in Basic Information, and the access control
// entry that AddNOC creates.
func checkIdentity(reports []report, f *fabricOf) error {
	var vendor, product int
	var acl []aclEntry
	if err := value(reports, basicInformationCluster, 2, &vendor); err != nil {
		return err
	}
	if err := value(reports, basicInformationCluster, 4, &product); err != nil {
		return err
	}
	if vendor != testVendor || product != testProduct {
		return fmt.Errorf("Basic Information: vendor %#x, product %#x", vendor, product)
	}
	if err := value(reports, accessControlCluster, 0, &acl); err != nil {
		return err
	}
	const administer, byCASE = 5, 2
	if len(acl) != 1 || acl[0].Privilege != administer || acl[0].AuthMode != byCASE || acl[0].Targets != nil ||
		!slices.Equal(acl[0].Subjects, []integer{f.admin}) || acl[0].FabricIndex != f.index {
		return fmt.Errorf("ACL %+v, want Administer by CASE for %#x", acl, uint64(f.admin))
	}
	return nil
}
