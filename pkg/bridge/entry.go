package bridge

import (
	"errors"
	"maps"
	"slices"
	"time"

	information "github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// entry is one device.
type entry struct {
	id  string
	rec *record

	assembly *device.Assembly // nil: it was removed or is not valid
	reasons
	shown  map[string]bool                 // keys of the nodes that are shown
	infos  map[string]*information.Cluster // of its bridged endpoints, by node key
	stale  []matter.EndpointID             // endpoints of an earlier assembly that the node still has
	former []former                        // the same, as long as they may be written to

	silent    bool      // its source has not reported since the start
	lost      bool      // its source is lost
	reachable bool      // as controllers see it
	flipped   time.Time // when it became unreachable last; zero: not in this run
	shownAt   time.Time // when it became reachable last
	settleAt  time.Time // when to check the reachability again

	dirty bool // the record differs from the store
}

// reasons are the reasons why a device is not shown or not shown as described.
type reasons struct {
	fault  string // why it is not valid
	hidden string // why it is hidden
	note   string // why the operator's settings are not applied
}

// former is an endpoint that will be replaced by another one.
type former struct {
	node   *device.Node
	number matter.EndpointID
}

// source returns the name of the device's source.
func (e *entry) source() string { return SourceOf(e.id) }

// present reports whether the node has endpoints of the device.
func (e *entry) present() bool { return len(e.shown) > 0 }

// wantShown reports whether the device should be in the lists.
func (e *entry) wantShown() bool {
	return e.assembly != nil && e.hidden == "" && (e.present() || e.rec.Gone == nil && len(e.ready()) > 0)
}

// ready returns the nodes of the device that can be shown and are not yet. A part
// whose first value is unknown is held back alone, as some devices never report all
// of their measurements.
func (e *entry) ready() (all []*device.Node) {
	if len(e.shown) == len(e.assembly.Nodes) {
		return nil
	}
	parts := false
	for _, n := range e.assembly.Nodes {
		if n.Part != nil && (e.shown[n.Key] || len(n.Waiting()) == 0) {
			parts = true
			break
		}
	}
	for _, n := range e.assembly.Nodes {
		if !e.shown[n.Key] && parts && len(n.Waiting()) == 0 {
			all = append(all, n)
		}
	}
	return all
}

// waiting returns the needed properties without a value, for which parts are held
// back.
func (e *entry) waiting() (names []string) {
	for _, n := range e.assembly.Nodes {
		if !e.shown[n.Key] {
			names = append(names, n.Waiting()...)
		}
	}
	return names
}

// take returns the numbers of the device's endpoints on the node, which must be
// removed.
func (e *entry) take() (numbers []matter.EndpointID) {
	e.retire()
	numbers, e.stale, e.former = e.stale, nil, nil
	return numbers
}

// unshow records that the node has rejected endpoints of the device.
func (e *entry) unshow(refused []node.Endpoint, err error) {
	e.fault = err.Error()
	for _, n := range e.assembly.Nodes {
		if slices.ContainsFunc(refused, func(ep node.Endpoint) bool { return ep.Model == n.Endpoint }) {
			delete(e.shown, n.Key)
		}
	}
	if !e.present() {
		e.assembly = nil
	}
}

// retire marks the endpoints on the node as those of an earlier assembly. It must
// be called before their numbers change.
func (e *entry) retire() {
	if e.assembly != nil {
		for _, n := range e.assembly.Nodes {
			if e.shown[n.Key] {
				e.stale = append(e.stale, e.rec.Endpoints[n.Key].Number)
				e.former = append(e.former, former{n, e.rec.Endpoints[n.Key].Number})
			}
		}
	}
	e.shown = nil
}

// first returns the lowest number of the device's endpoints.
func (e *entry) first() (n matter.EndpointID) {
	for _, id := range e.rec.Endpoints {
		if n == 0 || id.Number < n {
			n = id.Number
		}
	}
	return n
}

// otherwise reports whether the operator has settings for the device, or had
// before.
func (e *entry) otherwise(all map[string]Override) bool {
	_, ok := all[e.id]
	return ok || e.rec.Said != nil
}

// part returns the description of a part, or nil.
func (e *entry) part(key string) *device.Part {
	for i := range e.rec.Device.Parts {
		if e.rec.Device.Parts[i].ID == key {
			return &e.rec.Device.Parts[i]
		}
	}
	return nil
}

// node returns the node of a part, or nil.
func (e *entry) node(part string) *device.Node {
	if e.assembly == nil {
		return nil
	}
	for _, n := range e.assembly.Nodes {
		if n.Part != nil && n.Key == part {
			return n
		}
	}
	return nil
}

// assemble creates the endpoints of an entry from its record: its parts with their
// last values, and their stored attributes. Numbers must have been assigned.
func (r *Registry) assemble(now time.Time, e *entry) error {
	a, err := device.Assemble(&e.rec.Device, r.opt.Profile, r.sender(e))
	if err != nil {
		e.fault = err.Error()
		return err
	}
	e.fault, e.assembly = "", a
	a.Place(func(key string) matter.EndpointID { return e.rec.Endpoints[key].Number })
	e.infos = map[string]*information.Cluster{}
	err = r.load(func(tx *store.Tx) error {
		for _, n := range a.Nodes {
			number := e.rec.Endpoints[n.Key].Number
			kept, ok, err := tx.Endpoint(number)
			if err != nil {
				return err
			}
			if ok {
				if err := n.Load(kept); err != nil {
					r.log.Warn("the stored state of an endpoint cannot be read", "device", e.id, "endpoint", number, "error", err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range a.Nodes {
		number := e.rec.Endpoints[n.Key].Number
		n.Persist = func() error { return r.persist(e, n, number) }
		n.Changed = func() { r.saving.kept = true }
		if n.Part != nil {
			r.restore(now, e, n)
		}
		if !n.Child {
			if e.infos[n.Key], err = r.information(e, n); err != nil {
				return err
			}
			n.SetReachable(now, e.reachable)
		}
	}
	r.decide(e)
	return nil
}

// restore sets the values of an endpoint that its source reported last. Values that
// are no longer valid are ignored.
func (r *Registry) restore(now time.Time, e *entry, n *device.Node) {
	fits := device.Values{}
	for name, v := range e.part(n.Key).State {
		if err := n.Check(device.Values{name: v}); err != nil {
			r.log.Debug("a value is not restored", "device", e.id, "part", n.Key, "error", err)
			continue
		}
		fits[name] = v
	}
	if err := n.Report(now, fits); err != nil {
		r.log.Warn("the last values are not restored", "device", e.id, "part", n.Key, "error", err)
	}
}

// persist stores the attributes of an endpoint at once, together with the source's
// report: at the next start that report counts, and must not be older.
func (r *Registry) persist(e *entry, n *device.Node, number matter.EndpointID) error {
	err := r.update(func(tx *store.Tx) error {
		if e.dirty {
			if err := putRecord(tx, e); err != nil {
				return err
			}
		}
		return tx.PutEndpoint(number, n.Save())
	})
	if err != nil {
		n.Unsaved()
		return err
	}
	e.dirty = false
	return nil
}

// labelOf returns the name of a bridged endpoint.
func (e *entry) labelOf(n *device.Node) string {
	if l, ok := e.rec.Labels[n.Key]; ok {
		return l.Name
	}
	return n.Label
}

// giveNumbers gives each node of an assembly an identity: the existing one if its
// shape is the same, or else a new number. A part that is no longer described keeps
// its identity for later.
//
// A device that comes back after controllers have seen it removed (left) gets new
// numbers: Home Assistant's Matter server does not show an endpoint again that it has
// removed, and the others have forgotten it as well. It keeps its old numbers only if no
// other ones are left.
func giveNumbers(tx *store.Tx, rec *record, a *device.Assembly, left bool) error {
	var fresh []string
	var former []matter.EndpointID // what these have kept belongs to nobody any more
	ids := maps.Clone(rec.Endpoints)
	if ids == nil {
		ids = map[string]identity{}
	}
	for _, n := range a.Nodes {
		id, ok := ids[n.Key]
		if ok && id.Shape == n.Shape && !left {
			continue
		}
		fresh = append(fresh, n.Key)
		if !ok {
			id.UniqueID = newUniqueID()
		} else {
			former = append(former, id.Number)
		}
		id.Shape, id.Number = n.Shape, 0
		ids[n.Key] = id
	}
	if len(fresh) > 0 {
		if err := tx.RaiseNextEndpoint(FirstEndpoint); err != nil {
			return err
		}
		first, err := tx.ReserveEndpoints(len(fresh))
		if left && errors.Is(err, store.ErrInvalid) {
			return giveNumbers(tx, rec, a, false)
		}
		if err != nil {
			return err
		}
		for i, key := range fresh {
			id := ids[key]
			id.Number = first + matter.EndpointID(i)
			ids[key] = id
		}
	}
	for _, n := range former {
		if err := tx.DeleteEndpoint(n); err != nil {
			return err
		}
	}
	rec.Endpoints = ids
	return nil
}
