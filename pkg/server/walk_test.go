package server_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/conformance"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const clDescriptor matter.ClusterID = 0x1D

// place is a cluster on an endpoint.
type place struct {
	ep matter.EndpointID
	cl matter.ClusterID
}

func (p place) String() string { return fmt.Sprintf("%d/0x%04X", p.ep, uint32(p.cl)) }

// walker explores a node as a controller does, from its descriptors.
type walker struct {
	*rig
	s *commissioner.Session
}

// walk runs f with a commissioned node that also has an endpoint for groups.
func walk(t *testing.T, f func(w *walker, a *commissioner.Authority, done *commissioner.Commissioned)) {
	bubble(t, 1, clean, func(r *rig) {
		a := r.authority(commissioner.AuthorityOptions{})
		done := r.commission(r.client(), a)
		r.must(r.srv.AddGroupEndpoint(2))
		f(&walker{rig: r, s: done.CASE}, a, done)
	})
}

// read reads attributes of one cluster and returns them in the requested order.
func (w *walker) read(p place, ids ...matter.AttributeID) []commissioner.Attribute {
	w.t.Helper()
	var out []commissioner.Attribute
	for part := range slices.Chunk(ids, 20) {
		var req commissioner.ReadRequest
		for _, id := range part {
			req.Attributes = append(req.Attributes, commissioner.Attr(p.ep, p.cl, id))
		}
		rep, err := w.s.Read(w.ctx, req)
		w.must(err)
		if len(rep.Attributes) != len(part) {
			w.t.Fatalf("%v: %d answers to %d paths", p, len(rep.Attributes), len(part))
		}
		out = append(out, rep.Attributes...)
	}
	return out
}

// list reads a list of numbers.
func (w *walker) list(p place, id matter.AttributeID) (list []uint32) {
	w.t.Helper()
	v := w.read(p, id)[0].Value()
	for v.EnterArray(); v.Next(); {
		list = append(list, v.Uint32())
	}
	w.must(v.End())
	if !slices.IsSorted(list) {
		w.t.Errorf("%v: list %d is not in order: %v", p, id, list)
	}
	return list
}

// places returns all clusters from the descriptors.
func (w *walker) places() (all []place) {
	w.t.Helper()
	for _, ep := range append([]uint32{0}, w.list(place{0, clDescriptor}, 3)...) {
		for _, cl := range w.list(place{matter.EndpointID(ep), clDescriptor}, 1) {
			all = append(all, place{matter.EndpointID(ep), matter.ClusterID(cl)})
		}
	}
	return all
}

// others returns ids that are not in the list: small ones, ends of ranges, and a
// manufacturer's.
func others(list []uint32, small uint32) (ids []uint32) {
	for id := range small {
		ids = append(ids, id)
	}
	ids = append(ids, 0x4FFF, 0xEFFF, 0xF000, 0xFFF7, 0xFFFA, 0xFFFE, 0xFFFF, 0xFFF1_0000)
	return slices.DeleteFunc(ids, func(id uint32) bool { return slices.Contains(list, id) })
}

// Exactly the attributes that a cluster lists can be read, and exactly those that
// the release defines as writable can be written.
func TestWalkAttributes(t *testing.T) {
	walk(t, func(w *walker, _ *commissioner.Authority, _ *commissioner.Commissioned) {
		places := w.places()
		if len(places) < 14 {
			t.Fatalf("only %v", places)
		}
		for _, p := range places {
			listed := w.list(p, matter.AttributeAttributeList)
			w.attributes(p, listed)
			var ids []matter.AttributeID
			for _, id := range others(listed, 0x40) {
				ids = append(ids, matter.AttributeID(id))
			}
			for _, a := range w.read(p, ids...) {
				if a.Status.Status != matter.StatusUnsupportedAttribute {
					t.Errorf("%v: attribute 0x%04X, which is not listed: %v", p, uint32(a.ID), a.Status)
				}
			}
		}
	})
}

// attributes reads and writes the attributes that a cluster lists.
func (w *walker) attributes(p place, listed []uint32) {
	w.t.Helper()
	var ids []matter.AttributeID
	for _, id := range listed {
		ids = append(ids, matter.AttributeID(id))
	}
	for _, a := range w.read(p, ids...) {
		if a.Status.Status != matter.StatusSuccess {
			w.t.Errorf("%v: attribute 0x%04X is listed: %v", p, uint32(a.ID), a.Status)
			continue
		}
		f := w.fact(p.cl, a.ID)
		if f == nil {
			if a.ID < 0xFFF8 {
				w.t.Errorf("%v: no facts of attribute 0x%04X", p, uint32(a.ID))
			}
			f = &datamodel.Attribute{Name: fmt.Sprintf("0x%04X", uint32(a.ID))}
		} else if err := conformance.Attribute(w.spec(p), a.ID, a.Value()); err != nil {
			w.t.Errorf("%v: %v", p, err)
		}
		// The value has a type that no attribute has. A read-only attribute is
		// rejected before its value is checked.
		status, err := w.s.Write(w.ctx, p.ep, p.cl, a.ID, func(w *tlv.Writer, t tlv.Tag) { w.Float64(t, 1) })
		w.must(err)
		if refused := status.Status == matter.StatusUnsupportedWrite; refused != (f.Write == 0) {
			w.t.Errorf("%v: writing %s: %v", p, f.Name, status)
		}
		if f.Write != 0 && status.Status != matter.StatusInvalidDataType {
			w.t.Errorf("%v: writing a wrong type to %s: %v", p, f.Name, status)
		}
	}
}

// spec returns the features and the revision of the cluster.
func (w *walker) spec(p place) *im.Spec {
	w.t.Helper()
	got := w.read(p, matter.AttributeFeatureMap, matter.AttributeClusterRevision)
	features, revision := got[0].Value(), got[1].Value()
	return &im.Spec{ID: p.cl, Features: features.Uint32(), Revision: revision.Uint16()}
}

func (w *walker) fact(cl matter.ClusterID, id matter.AttributeID) *datamodel.Attribute {
	c := datamodel.ClusterByID(cl)
	if c == nil {
		w.t.Fatalf("no facts of cluster 0x%04X", uint32(cl))
	}
	return c.Attribute(id)
}

// Exactly the commands that a cluster lists exist, and their responses are listed
// too.
func TestWalkCommands(t *testing.T) {
	walk(t, func(w *walker, _ *commissioner.Authority, _ *commissioner.Commissioned) {
		for _, p := range w.places() {
			accepted := w.list(p, matter.AttributeAcceptedCommandList)
			generated := w.list(p, matter.AttributeGeneratedCommandList)
			for _, id := range accepted {
				rsp, err := w.s.Invoke(w.ctx, p.ep, p.cl, matter.CommandID(id), nil)
				switch st := matter.StatusOf(err).Status; {
				case st == matter.StatusUnsupportedCommand || st == matter.StatusFailure:
					t.Errorf("%v: command %d: %v", p, id, err)
				case err == nil && rsp.Command != matter.CommandID(id) && !slices.Contains(generated, uint32(rsp.Command)):
					t.Errorf("%v: command %d is answered by %d, which is not among %v", p, id, rsp.Command, generated)
				}
			}
			for _, id := range others(accepted, 0x20) {
				_, err := w.s.Invoke(w.ctx, p.ep, p.cl, matter.CommandID(id), nil)
				if matter.StatusOf(err).Status != matter.StatusUnsupportedCommand {
					t.Errorf("%v: command %d, which is not listed: %v", p, id, err)
				}
			}
			w.generated(p, accepted, generated)
		}
	})
}

// generated compares the list of generated commands with the release.
func (w *walker) generated(p place, accepted, generated []uint32) {
	w.t.Helper()
	want := map[uint32]bool{}
	for _, f := range datamodel.ClusterByID(p.cl).Commands {
		if f.Response != datamodel.NoResponse && slices.Contains(accepted, uint32(f.ID)) {
			want[uint32(f.Response)] = true
		}
	}
	if got := slices.Sorted(maps.Keys(want)); !slices.Equal(got, generated) {
		w.t.Errorf("%v: generated %v, want %v", p, generated, got)
	}
}

// Clusters and endpoints that do not exist have the right status.
func TestWalkElsewhere(t *testing.T) {
	walk(t, func(w *walker, _ *commissioner.Authority, _ *commissioner.Commissioned) {
		for p, want := range map[place]matter.Status{
			{0, 0x06}:        matter.StatusUnsupportedCluster,
			{0, 0xFFF1_FC00}: matter.StatusUnsupportedCluster,
			{1, 0x28}:        matter.StatusUnsupportedCluster,
			{3, 0x1D}:        matter.StatusUnsupportedEndpoint,
			{0xFFFE, 0x28}:   matter.StatusUnsupportedEndpoint,
		} {
			if got := w.read(p, 0)[0].Status.Status; got != want {
				t.Errorf("reading %v: %v, want %v", p, got, want)
			}
			_, err := w.s.Invoke(w.ctx, p.ep, p.cl, 0, nil)
			if got := matter.StatusOf(err).Status; got != want {
				t.Errorf("invoking on %v: %v, want %v", p, got, want)
			}
			status, err := w.s.Write(w.ctx, p.ep, p.cl, 0, func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 0) })
			if err != nil || status.Status != want {
				t.Errorf("writing to %v: %v, %v; want %v", p, status, err, want)
			}
		}
	})
}

// A read of everything returns exactly what the subject's privilege permits.
func TestReadEverything(t *testing.T) {
	walk(t, func(w *walker, a *commissioner.Authority, done *commissioner.Commissioned) {
		b, err := a.Admin(commissioner.RandomNodeID())
		w.must(err)
		stranger := w.session(w.client(), b, done.Node)
		places := w.places()
		lists := map[place][]uint32{}
		for _, p := range places {
			lists[p] = w.list(p, matter.AttributeAttributeList)
		}
		for _, privilege := range []matter.Privilege{0, matter.PrivilegeView, matter.PrivilegeProxyView, matter.PrivilegeOperate, matter.PrivilegeManage, matter.PrivilegeAdminister} {
			list := []entry{administers(a)}
			if privilege != 0 {
				list = append(list, entry{privilege, matter.AuthModeCASE, []uint64{uint64(b.NodeID)}, nil})
			}
			w.want("ACL", w.writeACL(w.s, list...), success)
			rep, err := stranger.Read(w.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}})
			w.must(err)
			got := map[string]bool{}
			for i := range rep.Attributes {
				x := &rep.Attributes[i]
				got[fmt.Sprintf("%v/%04X", place{x.Endpoint, x.Cluster}, uint32(x.ID))] = true
				if x.Status.Status != matter.StatusSuccess {
					t.Errorf("privilege %d: a status in a read of everything: %+v", privilege, x)
				}
			}
			for _, p := range places {
				for _, id := range lists[p] {
					need := matter.PrivilegeView
					if f := w.fact(p.cl, matter.AttributeID(id)); f != nil {
						need = f.Read
					}
					key := fmt.Sprintf("%v/%04X", p, id)
					if want := privilege != 0 && privilege.Includes(need); got[key] != want {
						t.Errorf("privilege %d: %s is shown: %v", privilege, key, got[key])
					}
					delete(got, key)
				}
			}
			if len(got) > 0 {
				t.Errorf("privilege %d: also shown %v", privilege, got)
			}
			if privilege == matter.PrivilegeView && rep.Chunks < 2 {
				t.Errorf("%d attributes in %d messages", len(rep.Attributes), rep.Chunks)
			}
		}
	})
}

// Lists that are larger than a message are complete, for any reader.
func TestLongLists(t *testing.T) {
	const fabrics = 6
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		var first *commissioner.Session
		for i := range fabrics {
			a := r.authority(commissioner.AuthorityOptions{ICAC: true})
			if i > 0 {
				r.must(first.OpenBasicWindow(r.ctx, 180))
			}
			s := r.commission(c, a).CASE
			if first == nil {
				first = s
			}
			full := administers(a)
			full.subjects = []uint64{uint64(a.NodeID), 1, 2, 3}
			full.targets = [][3]*uint32{{num(0x1F), num(0), nil}, {num(0x28), nil, num(0x16)}, {nil, num(0), nil}}
			admin := administers(a)
			r.want("ACL", r.writeACL(s, admin, full, full, full), success)
		}
		for _, filtered := range []bool{true, false} {
			want := fabrics
			if filtered {
				want = 1
			}
			rep, err := first.Read(r.ctx, commissioner.ReadRequest{FabricFiltered: filtered, Attributes: []commissioner.Path{
				commissioner.Attr(0, clOpCreds, 0), commissioner.Attr(0, clAccess, 0), commissioner.Attr(0, clOpCreds, 4), commissioner.Attr(0, clOpCreds, 1),
			}})
			r.must(err)
			for _, l := range []struct {
				cl   matter.ClusterID
				id   matter.AttributeID
				want int
			}{{clOpCreds, 0, want}, {clAccess, 0, 4 * want}, {clOpCreds, 4, fabrics}, {clOpCreds, 1, want}} {
				x := rep.Find(0, l.cl, l.id)
				if x == nil {
					t.Fatalf("no attribute 0x%04X/%d", l.cl, l.id)
				}
				n := 0
				v := x.Value()
				for v.EnterArray(); v.Next(); {
					n++
				}
				if err := v.End(); err != nil || n != l.want {
					t.Errorf("filtered %v: attribute 0x%04X/%d has %d entries, want %d: %v", filtered, l.cl, l.id, n, l.want, err)
				}
			}
			if !filtered && rep.Chunks < 4 {
				t.Errorf("%d messages", rep.Chunks)
			}
		}
	})
}
