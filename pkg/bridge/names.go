package bridge

import (
	"maps"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Rename gives a device, or one of its flat parts, a name that only an operator can
// change. An empty name restores the source's. The error is an [*Error].
func (r *Registry) Rename(id, part, name string) error {
	if err := checkText("name", name); err != nil {
		return invalid("/name", "%v", err)
	}
	return r.do(func(now time.Time) error {
		e := r.entries[id]
		if e == nil || e.rec.Gone != nil {
			return notFound(id)
		}
		n := e.named(part)
		if n == nil {
			return &Error{Kind: NotFound, Pointer: "/part", Detail: "device " + id + " has no part " + part + " with a name of its own"}
		}
		if err := r.keepLabel(e, n, name, ByOperator); err != nil {
			return err
		}
		r.describeInfos(now, e)
		r.notify(now, e)
		return nil
	})
}

// named returns the bridged node that has a part's name. An empty part means the
// device.
func (e *entry) named(part string) *device.Node {
	if e.assembly == nil {
		return nil
	}
	for _, n := range e.assembly.Nodes {
		if !n.Child && (n.Key == part || part == "") {
			return n
		}
	}
	return nil
}

// nameByController handles a NodeLabel that a controller writes.
func (r *Registry) nameByController(e *entry, n *device.Node, name string) error {
	if l, ok := e.rec.Labels[n.Key]; ok && l.By == ByOperator {
		return matter.StatusInvalidInState
	}
	return r.keepLabel(e, n, name, ByController)
}

// keepLabel stores a name before it is shown.
func (r *Registry) keepLabel(e *entry, n *device.Node, name string, by Namer) error {
	rec := *e.rec
	rec.Labels = maps.Clone(rec.Labels)
	if rec.Labels == nil {
		rec.Labels = map[string]label{}
	}
	if name == "" && by == ByOperator {
		delete(rec.Labels, n.Key)
	} else {
		rec.Labels[n.Key] = label{Name: name, By: by, Source: n.Label}
	}
	err := r.update(func(tx *store.Tx) error { return tx.PutDevice(e.id, rec.encode()) })
	if err != nil {
		return err
	}
	*e.rec = rec
	e.dirty = false
	return nil
}

// followNames applies names that the source has changed, unless an operator has
// named the device.
func (e *entry) followNames() {
	for _, n := range e.assembly.Nodes {
		if l, ok := e.rec.Labels[n.Key]; ok && l.By == ByController && l.Source != n.Label {
			e.rec.Labels = maps.Clone(e.rec.Labels)
			delete(e.rec.Labels, n.Key)
		}
	}
}
