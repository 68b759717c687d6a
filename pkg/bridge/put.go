package bridge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// maxText limits names and versions, in octets. Matter's limits are usually lower,
// and texts are shortened to them.
const maxText = 256

// maxDescription bounds what is stored of a description, in octets: the record has room
// for numbers and names besides (see [store.MaxDevice]).
const maxDescription = 48 << 10

// Put adds a device or replaces its description, and reports whether it is new.
// Parts with the same shape keep their endpoints. The error is an [*Error].
func (r *Registry) Put(d device.Device) (created bool, err error) {
	err = r.do(func(now time.Time) error {
		c, err := r.prepare(now, &d)
		if err != nil {
			return err
		}
		created = c.created
		return r.commit(now, []*change{c}, nil)
	})
	return created, err
}

// PutAll puts several devices with different ids, in one transaction if possible. A
// device that is not valid does not affect the others: its error is at its index.
func (r *Registry) PutAll(devices []device.Device) (errs []error) {
	errs = make([]error, len(devices))
	err := r.do(func(now time.Time) error {
		var changes []*change
		var index []int
		for i := range devices {
			c, err := r.prepare(now, &devices[i])
			if errs[i] = err; err == nil {
				changes, index = append(changes, c), append(index, i)
			}
		}
		if len(changes) == 0 || r.commit(now, changes, nil) == nil {
			return nil
		}
		for k, i := range index { // one of them exceeds a limit, or the disk is full
			errs[i] = r.commit(now, changes[k:k+1], nil)
		}
		return nil
	})
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

// Sync replaces the devices of a source: it puts the given ones and removes all
// others of the source. It changes everything or nothing.
func (r *Registry) Sync(source string, devices []device.Device) error {
	return r.do(func(now time.Time) error {
		var changes []*change
		named := map[string]bool{}
		for i := range devices {
			d := &devices[i]
			if SourceOf(d.ID) != source {
				return invalid(fmt.Sprintf("/%d/id", i), "id: %q is not a device of source %q", d.ID, source)
			}
			if named[d.ID] {
				return invalid(fmt.Sprintf("/%d/id", i), "id: %q is there twice", d.ID)
			}
			named[d.ID] = true
			c, err := r.prepare(now, d)
			if err != nil {
				return below(fmt.Sprintf("/%d", i), err)
			}
			changes = append(changes, c)
		}
		var gone []*entry
		for _, e := range r.entries {
			if e.source() == source && !named[e.id] && e.rec.Gone == nil {
				gone = append(gone, e)
			}
		}
		return r.commit(now, changes, gone)
	})
}

// below adds a prefix to the pointer of an error.
func below(prefix string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Kind: e.Kind, Pointer: prefix + e.Pointer, Detail: e.Detail, Cause: e.Cause}
	}
	return err
}

// change is the result of a description, before it is applied.
type change struct {
	entry    *entry
	created  bool
	rec      record           // the new one
	assembly *device.Assembly // the new one; nil: the current one stays
	note     string           // why the operator's settings are not applied
	own      bool             // not caused by the source
	left     bool             // controllers have seen the device removed
	device   *device.Device
}

// prepare checks a description and returns the resulting change.
func (r *Registry) prepare(now time.Time, d *device.Device) (*change, error) {
	if err := checkDevice(d); err != nil {
		return nil, err
	}
	e := r.entries[d.ID]
	c := &change{entry: e, created: e == nil || e.rec.Gone != nil, device: d}
	if e == nil {
		c.entry = &entry{id: d.ID, rec: &record{Created: now.UTC()}}
	}
	c.left = c.entry.rec.Gone != nil && c.entry.assembly == nil
	c.rec = *c.entry.rec
	c.rec.Said, c.note = r.overridden(d)
	c.entry.keepProperties(d)
	whole := merged(&c.rec.Device, d)
	a, err := device.Assemble(whole, r.opt.Profile, r.sender(c.entry))
	if err != nil {
		return nil, assemblyError(err)
	}
	for i := range d.Parts {
		for _, n := range a.Nodes {
			if n.Part == &whole.Parts[i] {
				if r.retyped(d.ID, n.Key) {
					d.Parts[i].State = known(n, d.Parts[i].State)
				}
				if err := n.Report(now, d.Parts[i].State); err != nil {
					return nil, stateError(fmt.Sprintf("/parts/%d/state", i), err)
				}
			}
		}
	}
	if e == nil || e.assembly == nil || !sameParts(&e.rec.Device, d) || e.lacks(a, whole) {
		c.assembly = a
	}
	c.describe(d, now, a, whole)
	if n := len(c.rec.encode()); n > maxDescription {
		return nil, invalid("", "the description is too large: %d octets of at most %d are to be stored", n, maxDescription)
	}
	return c, nil
}

// describe updates the record with a description. Values that it does not contain
// stay. a was assembled from whole.
func (c *change) describe(d *device.Device, now time.Time, a *device.Assembly, whole *device.Device) {
	old := c.rec.Device
	c.rec.Device = *d
	if d.Battery != nil {
		c.rec.Device.Battery = mergeBattery(old.Battery, *d.Battery)
	}
	c.rec.Device.Parts = slices.Clone(d.Parts)
	for i := range c.rec.Device.Parts {
		p := &c.rec.Device.Parts[i]
		state := device.Values{}
		for _, o := range old.Parts {
			if o.ID == p.ID {
				maps.Copy(state, stillFit(a, &whole.Parts[i], o.State))
			}
		}
		maps.Copy(state, p.State)
		p.State = state
	}
	c.rec.Updated, c.rec.Gone = now.UTC(), nil
}

// commit stores changes and removals in one transaction, and then applies them.
func (r *Registry) commit(now time.Time, changes []*change, gone []*entry) error {
	if err := r.checkRoom(changes, gone); err != nil {
		return err
	}
	at := now.UTC()
	err := r.update(func(tx *store.Tx) error {
		for _, c := range changes {
			if c.assembly != nil {
				if err := giveNumbers(tx, &c.rec, c.assembly, c.left); err != nil {
					return err
				}
			}
			if err := tx.PutDevice(c.entry.id, c.rec.encode()); err != nil {
				return err
			}
		}
		for _, e := range gone {
			rec := *e.rec
			rec.Gone = &at
			if err := tx.PutDevice(e.id, rec.encode()); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrInvalid) {
		return &Error{Kind: Full, Detail: "there are no endpoint numbers left: each is given once"}
	}
	if err != nil {
		return err
	}
	for _, c := range changes {
		r.apply(now, c)
	}
	for _, e := range gone {
		r.depart(now, e, at)
	}
	return nil
}

func (r *Registry) checkRoom(changes []*change, gone []*entry) error {
	// A change that does not grow needs no check, so that a source that repeats
	// everything costs the same with one device and with a thousand.
	if !slices.ContainsFunc(changes, func(c *change) bool {
		return c.created || len(c.device.Parts) > len(c.entry.rec.Device.Parts)
	}) {
		return nil
	}
	devices, endpoints := 0, 0
	replaced := map[*entry]bool{}
	for _, c := range changes {
		replaced[c.entry] = true
		devices++
		endpoints += len(c.device.Parts) + 1
	}
	for _, e := range gone {
		replaced[e] = true
	}
	for _, e := range r.entries {
		if e.rec.Gone == nil && !replaced[e] {
			devices++
			endpoints += len(e.rec.Device.Parts) + 1
		}
	}
	if devices > MaxDevices || endpoints > MaxEndpoints {
		return &Error{Kind: Full, Detail: fmt.Sprintf("there is room for %d devices with %d parts in all", MaxDevices, MaxEndpoints)}
	}
	return nil
}

// apply applies a stored change.
func (r *Registry) apply(now time.Time, c *change) {
	e := c.entry
	r.entries[e.id] = e
	delete(r.leaving, e)
	e.silent = c.own && (e.silent || c.created)
	e.dirty, e.note = false, c.note
	if c.assembly != nil {
		e.retire()
	}
	*e.rec = c.rec
	if c.assembly == nil {
		for i := range c.device.Parts {
			p := &c.device.Parts[i]
			if n := e.node(p.ID); n != nil && len(p.State) > 0 {
				r.report(now, e, n, p.State)
			}
		}
		if b := e.rec.Device.Battery; b != nil {
			r.showBattery(now, e, *b)
		}
		e.assembly.Relabel(&e.rec.Device)
		e.followNames()
		r.describeInfos(now, e)
	} else {
		if err := r.assemble(now, e); err != nil {
			r.log.Error("a device is not shown", "device", e.id, "error", err)
		}
		r.pending.changed(now)
	}
	r.decide(e)
	if e.wantShown() != e.present() {
		r.pending.changed(now)
	}
	r.updateReachable(now, e)
	r.notify(now, e)
}

// Remove removes a device. It is not found from then on. Controllers see it as unreachable
// at once, and it leaves their lists after the grace time, or at once if now is set, also
// within the grace time. The error is an [*Error].
func (r *Registry) Remove(id string, now bool) error {
	return r.do(func(t time.Time) error {
		e := r.entries[id]
		switch {
		case e == nil || e.rec.Gone != nil && !(now && e.present()):
			return notFound(id)
		case e.rec.Gone == nil:
			if err := r.commit(t, nil, []*entry{e}); err != nil {
				return err
			}
		}
		if now {
			at := t.Add(-GraceTime).UTC()
			e.rec.Gone = &at
			r.updateList(t)
		}
		return nil
	})
}

// depart starts the grace time of a removed device.
func (r *Registry) depart(now time.Time, e *entry, at time.Time) {
	e.rec.Gone = &at
	r.commands.forget(e.id)
	r.updateReachable(now, e)
	if e.present() {
		r.leaving[e] = struct{}{}
	}
	r.notify(now, e)
}

// checkDevice checks what does not depend on types.
func checkDevice(d *device.Device) error {
	if err := CheckID(d.ID); err != nil {
		return invalid("/id", "%v", err)
	}
	for _, t := range []struct{ member, text string }{
		{"name", d.Name}, {"room", d.Room}, {"vendor", d.Vendor}, {"product", d.Product}, {"serial", d.Serial},
		{"hardware_version", d.HardwareVersion}, {"software_version", d.SoftwareVersion},
	} {
		if err := checkText(t.member, t.text); err != nil {
			return invalid("/"+t.member, "%v", err)
		}
	}
	if d.Layout != "" && d.Layout != device.Composed && d.Layout != device.Flat {
		return invalid("/layout", "layout: %q is neither composed nor flat", d.Layout)
	}
	if err := checkBattery(d.Battery); err != nil {
		return err
	}
	if len(d.Parts) == 0 || len(d.Parts) > MaxParts {
		return invalid("/parts", "parts: a device has 1 to %d parts, not %d", MaxParts, len(d.Parts))
	}
	seen := map[string]bool{}
	for i, p := range d.Parts {
		at := fmt.Sprintf("/parts/%d", i)
		if p.ID == "" || len(p.ID) > 64 || strings.ContainsFunc(p.ID, func(c rune) bool { return !idRune(c) || c == ':' }) {
			return invalid(at+"/id", "id: %q is not 1 to 64 of A-Z a-z 0-9 . _ -", p.ID)
		}
		if seen[p.ID] {
			return invalid(at+"/id", "id: there are two parts %q", p.ID)
		}
		seen[p.ID] = true
		if err := checkText("name", p.Name); err != nil {
			return invalid(at+"/name", "%v", err)
		}
	}
	return nil
}

func checkBattery(b *device.Battery) error {
	if b == nil {
		return nil
	}
	for _, x := range []struct {
		property device.Property
		value    device.Value
	}{
		{device.Property{Name: "percent", Kind: device.KindNumber, Max: 100}, b.Percent},
		{device.Property{Name: "low", Kind: device.KindBool}, b.Low},
		{device.Property{Name: "charging", Kind: device.KindBool}, b.Charging},
	} {
		if err := x.property.Check(x.value); err != nil {
			return stateError("/battery", err)
		}
	}
	return nil
}

func checkText(member, s string) error {
	switch {
	case len(s) > maxText:
		return fmt.Errorf("%s: it has %d octets, more than %d", member, len(s), maxText)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s: it is not UTF-8", member)
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7F }):
		return fmt.Errorf("%s: it has a control character", member)
	}
	return nil
}

// assemblyError converts an error of device.Assemble.
func assemblyError(err error) error {
	var at string
	var part *device.PartError
	if errors.As(err, &part) {
		at = fmt.Sprintf("/parts/%d", part.Index)
		err = part.Err
	}
	var typ *device.TypeError
	var option *device.OptionError
	switch {
	case errors.As(err, &typ):
		return invalid(at+"/type", "%v", err)
	case errors.As(err, &option):
		return invalid(at+"/options/"+option.Option, "%v", err)
	}
	return invalid(at, "%v", err)
}

// stateError converts an error in the values at a pointer.
func stateError(at string, err error) error {
	var value *device.ValueError
	var unknown *device.UnknownError
	switch {
	case errors.As(err, &value):
		return &Error{Kind: Invalid, Pointer: at + "/" + value.Property, Detail: err.Error(), Cause: value}
	case errors.As(err, &unknown):
		return invalid(at+"/"+unknown.Property, "%v", err)
	}
	return invalid(at, "%v", err)
}
