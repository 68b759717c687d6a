package bridge

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// View is a device as returned by the registry: the description, and the registry's
// own data.
type View struct {
	device.Device
	Parts []PartView `json:"parts"` // replaces the Device's

	Source     string            `json:"source"`
	UniqueID   string            `json:"unique_id"`
	Endpoint   matter.EndpointID `json:"endpoint"`
	Created    time.Time         `json:"created"`
	LastUpdate *time.Time        `json:"last_update"`
	Exposed    bool              `json:"exposed"`
	Reason     string            `json:"reason,omitempty"`
	LabelBy    Namer             `json:"label_by"`
}

// PartView is a part as returned by the registry.
type PartView struct {
	device.Part
	Endpoint matter.EndpointID `json:"endpoint"`
	UniqueID string            `json:"unique_id,omitempty"` // of a flat part
}

// MarshalJSON writes what a description may leave out as well, so that clients need not
// look whether it is there.
func (p PartView) MarshalJSON() ([]byte, error) {
	type plain PartView
	return json.Marshal(struct {
		plain
		Name    string         `json:"name"`
		Options device.Options `json:"options"`
		State   device.Values  `json:"state"`
	}{plain(p), p.Name, p.Options, p.State})
}

// Devices returns all devices, in the order of their creation.
func (r *Registry) Devices() (all []View, err error) {
	err = r.do(func(now time.Time) error {
		all = []View{}
		for _, e := range r.sorted() {
			if e.rec.Gone == nil {
				all = append(all, r.view(now, e))
			}
		}
		return nil
	})
	return all, err
}

// IDs returns the ids of a source's devices.
func (r *Registry) IDs(source string) (ids []string, err error) {
	err = r.do(func(time.Time) error {
		for _, e := range r.sorted() {
			if e.source() == source && e.rec.Gone == nil {
				ids = append(ids, e.id)
			}
		}
		return nil
	})
	return ids, err
}

// Device returns a device. The error is an [*Error].
func (r *Registry) Device(id string) (v View, err error) {
	err = r.do(func(now time.Time) error {
		e := r.entries[id]
		if e == nil || e.rec.Gone != nil {
			return notFound(id)
		}
		v = r.view(now, e)
		return nil
	})
	return v, err
}

// view returns a device with its state at now.
func (r *Registry) view(now time.Time, e *entry) View {
	v := View{Device: e.rec.Device, Source: e.source(), Created: e.rec.Created, Exposed: e.present(), LabelBy: BySource}
	v.Device.Reachable = e.reachable
	if v.Battery != nil {
		b := *v.Battery
		v.Battery = &b
	}
	if !e.rec.Updated.IsZero() {
		at := e.rec.Updated
		v.LastUpdate = &at
	}
	for i := range e.rec.Device.Parts {
		p := PartView{Part: e.rec.Device.Parts[i]}
		p.State = device.Values{}
		for name, x := range e.rec.Device.Parts[i].State {
			p.State[name] = x
		}
		if n := e.node(p.ID); n != nil {
			p.State = n.State(now)
		}
		id := e.rec.Endpoints[p.ID]
		p.Endpoint = id.Number
		if n := e.node(p.ID); n != nil && !n.Child && len(e.rec.Device.Parts) > 1 {
			p.UniqueID = id.UniqueID
		}
		v.Parts = append(v.Parts, p)
	}
	if n := e.named(""); n != nil {
		id := e.rec.Endpoints[n.Key]
		v.Endpoint, v.UniqueID = id.Number, id.UniqueID
		v.Name = e.labelOf(n)
		if l, ok := e.rec.Labels[n.Key]; ok {
			v.LabelBy = l.By
		}
	}
	v.Reason = e.reason()
	return v
}

// reason returns why the device is not shown, or not as described.
func (e *entry) reason() string {
	switch {
	case e.fault != "":
		return e.fault
	case e.hidden != "":
		return e.hidden
	case e.assembly == nil:
		return ""
	}
	notes := e.assembly.Notes
	if e.note != "" {
		notes = append([]string{e.note}, notes...)
	}
	if w := e.waiting(); len(w) > 0 {
		notes = append(slices.Clone(notes), "waiting for the first value of "+strings.Join(w, ", "))
	} else if !e.present() && len(e.assembly.Nodes) > 0 {
		return "about to be shown"
	}
	return strings.Join(notes, "; ")
}

// Ignored returns what sources offer and is not shown.
func (r *Registry) Ignored() (all []device.Ignored, err error) {
	err = r.do(func(time.Time) error {
		all = []device.Ignored{}
		for _, list := range r.ignored {
			all = append(all, list...)
		}
		return nil
	})
	return all, err
}
