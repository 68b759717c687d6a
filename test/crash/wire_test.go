//go:build crash

package crash

import (
	"bytes"
	"context"
	"fmt"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Elements that the commissioner does not define.
const (
	clusterAccessControl    matter.ClusterID = 0x001F
	clusterBasicInformation matter.ClusterID = 0x0028

	attrACL       matter.AttributeID = 0
	attrNodeLabel matter.AttributeID = 5
	attrFabrics   matter.AttributeID = 1

	eventStartUp matter.EventID = 0

	cmdSetVID matter.CommandID = 0x0C
)

// shownFabric is an entry of the Fabrics attribute.
type shownFabric struct {
	root   []byte // public key
	vendor matter.VendorID
	id     matter.FabricID
	node   matter.NodeID
	label  string
	index  matter.FabricIndex
}

// fabricsOf reads the Fabrics attribute.
func fabricsOf(ctx context.Context, x *commissioner.Session, own bool) (list []shownFabric, err error) {
	rep, err := x.Read(ctx, commissioner.ReadRequest{
		Attributes:     []commissioner.Path{commissioner.Attr(0, commissioner.ClusterOperationalCredentials, attrFabrics)},
		FabricFiltered: own,
	})
	if err != nil {
		return nil, fmt.Errorf("reading Fabrics: %w", err)
	}
	a := rep.Find(0, commissioner.ClusterOperationalCredentials, attrFabrics)
	if a == nil || a.Status.Status != matter.StatusSuccess {
		return nil, fmt.Errorf("reading Fabrics: %+v", rep.Attributes)
	}
	r := a.Value()
	for r.EnterArray(); r.Next(); {
		var f shownFabric
		for r.EnterStruct(); r.Next(); {
			switch r.ContextTag() {
			case 1:
				f.root = bytes.Clone(r.Octets())
			case 2:
				f.vendor = matter.VendorID(r.Uint16())
			case 3:
				f.id = matter.FabricID(r.Uint())
			case 4:
				f.node = matter.NodeID(r.Uint())
			case 5:
				f.label = r.Text()
			case 0xFE:
				f.index = matter.FabricIndex(r.Uint8())
			}
		}
		r.Exit()
		list = append(list, f)
	}
	return list, r.End()
}

// sameFabrics compares the fabrics that a node shows with those in its store.
func sameFabrics(list []shownFabric, stored []store.Fabric) error {
	if len(list) != len(stored) {
		return fmt.Errorf("the node shows %d fabrics, its store held %d", len(list), len(stored))
	}
	for i, f := range stored {
		root, err := cert.Parse(f.Root)
		if err != nil {
			return err
		}
		t := list[i]
		if t.index != f.Index || t.id != f.FabricID || t.node != f.NodeID || t.vendor != f.VendorID || t.label != f.Label || !bytes.Equal(t.root, root.PublicKey[:]) {
			return fmt.Errorf("the node shows fabric %+v, its store held %d %v %v %v %q", t, f.Index, f.FabricID, f.NodeID, f.VendorID, f.Label)
		}
	}
	return nil
}

// lastEvent returns the number of the newest event, or with startUp that of the
// last StartUp, which is the first event of a process.
func lastEvent(ctx context.Context, x *commissioner.Session, startUp bool) (last matter.EventNumber, err error) {
	path := commissioner.Path{}
	if startUp {
		cluster, event := clusterBasicInformation, uint32(eventStartUp)
		path.Cluster, path.Element = &cluster, &event
	}
	rep, err := x.Read(ctx, commissioner.ReadRequest{Events: []commissioner.Path{path}})
	if err != nil {
		return 0, fmt.Errorf("reading events: %w", err)
	}
	for _, e := range rep.Events {
		last = max(last, e.Number)
	}
	if len(rep.Events) == 0 {
		return 0, fmt.Errorf("no events")
	}
	return last, nil
}

// writeAttribute writes one attribute of endpoint 0. A status is returned as an
// error.
func writeAttribute(ctx context.Context, x *commissioner.Session, cl matter.ClusterID, at matter.AttributeID, v commissioner.Value) error {
	st, err := x.Write(ctx, 0, cl, at, v)
	if err == nil && st.Status != matter.StatusSuccess {
		return st
	}
	return err
}

// setVID sets what proves that a fabric's administrator belongs to its vendor.
func setVID(ctx context.Context, x *commissioner.Session, vendor matter.VendorID, statement, vvsc []byte) error {
	_, err := x.Invoke(ctx, 0, commissioner.ClusterOperationalCredentials, cmdSetVID, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(vendor))
		w.Octets(tlv.Context(1), statement)
		w.Octets(tlv.Context(2), vvsc)
	})
	return err
}

// aclValue encodes entries as a controller does.
func aclValue(entries []store.ACLEntry) commissioner.Value {
	return func(w *tlv.Writer, t tlv.Tag) {
		w.StartArray(t)
		for _, e := range entries {
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(1), uint64(e.Privilege))
			w.Uint(tlv.Context(2), uint64(e.AuthMode))
			w.StartArray(tlv.Context(3))
			for _, s := range e.Subjects {
				w.Uint(tlv.Anonymous, uint64(s))
			}
			w.End()
			w.Null(tlv.Context(4))
			w.End()
		}
		w.End()
	}
}
