package web

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// filter selects devices.
type filter struct{ Q, Source, Room, State string }

func filterOf(r *http.Request) filter {
	q := r.URL.Query()
	return filter{Q: strings.TrimSpace(q.Get("q")), Source: q.Get("source"), Room: q.Get("room"), State: q.Get("state")}
}

// Any reports whether the filter is set.
func (f filter) Any() bool { return f != filter{} }

func (f filter) matches(v *bridge.View) bool {
	switch f.State {
	case "reachable":
		if !v.Reachable || !v.Exposed {
			return false
		}
	case "unreachable":
		if v.Reachable || !v.Exposed {
			return false
		}
	case "hidden":
		if v.Exposed {
			return false
		}
	}
	if f.Source != "" && v.Source != f.Source || f.Room != "" && v.Room != f.Room {
		return false
	}
	if f.Q == "" {
		return true
	}
	text := strings.ToLower(strings.Join([]string{v.Name, v.Room, v.ID, v.Vendor, v.Product, types(v)}, "\n"))
	return strings.Contains(text, strings.ToLower(f.Q))
}

// types returns the names of the types of a device's parts.
func types(v *bridge.View) string {
	var names []string
	for i := range v.Parts {
		if n := typeName(v.Parts[i].Type); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// line is a device in the list.
type line struct {
	ID, Name, Room, Types, State, Why string
	Sort                              string
	Endpoint                          matter.EndpointID
	Reachable, Exposed                bool
	LowBattery, Alarm                 bool
	Updated                           time.Time
	Now                               time.Time
}

// partsMost is the maximum number of parts of a device in a line of the list.
const partsMost = 3

// lineOf returns a device as a line of the list. gesture is the latest one, or "".
func lineOf(v *bridge.View, gesture device.Gesture, now time.Time) line {
	l := line{
		ID: v.ID, Name: cmp.Or(v.Name, v.ID), Room: v.Room, Types: types(v), Endpoint: v.Endpoint,
		Reachable: v.Reachable, Exposed: v.Exposed, Updated: clockOf(v.LastUpdate), Now: now,
	}
	if v.Battery != nil {
		low, _ := v.Battery.Low.Bool()
		l.LowBattery = low
	}
	if !v.Exposed {
		l.Why = sentence(cmp.Or(v.Reason, "not shown"))
	}
	l.Sort = strings.ToLower(l.Name) + "\n" + v.ID
	var words []string
	for i := range v.Parts {
		part := &v.Parts[i]
		if w := short(part.Type, part.State); w != "" && len(words) < partsMost {
			words = append(words, w)
		}
		l.Alarm = l.Alarm || alarms(part.Type, part.State)
	}
	if w := gestures[gesture]; w != "" && len(words) == 0 {
		words = append(words, w)
	}
	l.State = strings.Join(words, "; ")
	return l
}

// devicesBody is the content of the list of devices.
type devicesBody struct {
	Filter  filter
	Lines   []line
	Totals  totals
	Sources []string
	Rooms   []string
	Ignored int
	Since   string // where the stream continues
}

func (p *Page) devices(r *http.Request, f *frame) error {
	b := &devicesBody{Filter: filterOf(r)}
	all, since, err := p.hub.devices(r.Context())
	if err != nil {
		return err
	}
	b.Since, b.Totals = since, p.hub.totals()
	for _, v := range all {
		if !slices.Contains(b.Sources, v.view.Source) {
			b.Sources = append(b.Sources, v.view.Source)
		}
		if room := v.view.Room; room != "" && !slices.Contains(b.Rooms, room) {
			b.Rooms = append(b.Rooms, room)
		}
		if b.Filter.matches(v.view) {
			b.Lines = append(b.Lines, lineOf(v.view, v.gesture, f.Now))
		}
	}
	slices.Sort(b.Sources)
	slices.Sort(b.Rooms)
	slices.SortFunc(b.Lines, func(a, b line) int { return strings.Compare(a.Sort, b.Sort) })
	q := r.URL.Query()
	q.Set("since", since)
	f.Title, f.Tab, f.Live, f.Body = "Devices", "devices", "/live/devices?"+q.Encode(), b
	return nil
}

// demoSource is the source whose values an operator may set.
const demoSource = "demo"

// deviceBody is the content of the page of a device.
type deviceBody struct {
	View    *bridge.View
	Line    line
	Parts   []partBody
	Hidden  bool // by an operator
	Demo    bool
	Battery string
}

type partBody struct {
	ID, Name, Type string
	Endpoint       matter.EndpointID
	Values         []valueBody
}

// valueBody is a value of a part. Prop is nil if the value cannot be set.
type valueBody struct {
	Name, Label, Unit, Text, Raw string
	Prop                         *device.Property
}

// device returns a device, or errGone.
func (p *Page) device(ctx context.Context, id string) (*bridge.View, error) {
	all, _, err := p.hub.devices(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r *row) bool { return r.view.ID == id })
	if i < 0 {
		return nil, errGone
	}
	return all[i].view, nil
}

// properties returns the properties of a part.
func properties(v *bridge.View, part *bridge.PartView) []*device.Property {
	description := part.Part
	e, err := device.New(v.ID, &description, nil)
	if err != nil {
		return nil
	}
	return e.Properties()
}

// propertyOf returns a property of a part of a device, or nil.
func propertyOf(v *bridge.View, part, name string) *device.Property {
	for i := range v.Parts {
		if v.Parts[i].ID != part {
			continue
		}
		for _, prop := range properties(v, &v.Parts[i]) {
			if prop.Name == name {
				return prop
			}
		}
	}
	return nil
}

func (p *Page) oneDevice(r *http.Request, f *frame) error {
	v, err := p.device(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	b := &deviceBody{View: v, Line: lineOf(v, "", f.Now), Hidden: v.Reason == bridge.HiddenByOperator, Demo: v.Source == demoSource}
	if v.Battery != nil {
		b.Battery = batteryWords(v.Battery)
	}
	for i := range v.Parts {
		b.Parts = append(b.Parts, partOf(v, &v.Parts[i], b.Demo))
	}
	f.Title, f.Tab, f.Live, f.Body = b.Line.Name, "devices", "/live/device?id="+template.URLQueryEscaper(v.ID), b
	return nil
}

func partOf(v *bridge.View, part *bridge.PartView, settable bool) partBody {
	b := partBody{ID: part.ID, Name: part.Name, Type: typeName(part.Type), Endpoint: part.Endpoint}
	for _, prop := range properties(v, part) {
		value, ok := part.State[prop.Name]
		if !ok {
			continue
		}
		x := valueBody{Name: prop.Name, Text: valueWords(part.Type, prop.Name, value), Raw: value.String()}
		x.Label, x.Unit = labelOf(prop.Name)
		if settable {
			x.Prop = prop
		}
		b.Values = append(b.Values, x)
	}
	return b
}

// IsBool, IsNumber and IsChoice select the input of the form.
func (v valueBody) IsBool() bool   { return v.Prop.Kind == device.KindBool }
func (v valueBody) IsNumber() bool { return v.Prop.Kind == device.KindNumber }

// Bounded reports whether a number has a range.
func (v valueBody) Bounded() bool { return v.Prop.Min < v.Prop.Max }

func batteryWords(b *device.Battery) string {
	words := ""
	if f, ok := b.Percent.Number(); ok {
		words = numberWords(f) + " %"
	}
	for _, x := range []struct {
		is   device.Value
		word string
	}{{b.Low, "low"}, {b.Charging, "charging"}} {
		if is, _ := x.is.Bool(); is {
			words = strings.TrimPrefix(words+", "+x.word, ", ")
		}
	}
	return cmp.Or(words, "unknown")
}

func (p *Page) removingDevice(r *http.Request, f *frame) error {
	v, err := p.device(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	f.Title, f.Tab, f.Body = "Remove "+cmp.Or(v.Name, v.ID), "devices", v
	return nil
}

// ignoredMost is the maximum number of entries on the page of what is not shown.
const ignoredMost = 200

// ignoredBody is the content of the page of what is not shown.
type ignoredBody struct {
	Q       string
	Devices []line
	Offered []device.Ignored
	Total   int // that match
	More    int // beyond those on the page
	Totals  totals
}

func (p *Page) ignored(r *http.Request, f *frame) error {
	b := &ignoredBody{Q: strings.TrimSpace(r.URL.Query().Get("q")), Totals: p.hub.totals()}
	all, _, err := p.hub.devices(r.Context())
	if err != nil {
		return err
	}
	for _, v := range all {
		if !v.view.Exposed && (filter{Q: b.Q}).matches(v.view) {
			b.Devices = append(b.Devices, lineOf(v.view, "", f.Now))
		}
	}
	offered, err := p.op.IgnoredDevices(r.Context())
	if err != nil && p.opt.Watch != nil {
		return err
	}
	slices.SortFunc(offered, func(a, b device.Ignored) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.What, b.What)) })
	for _, i := range offered {
		if strings.Contains(strings.ToLower(i.ID+"\n"+i.What+"\n"+i.Reason), strings.ToLower(b.Q)) {
			b.Offered = append(b.Offered, i)
		}
	}
	if b.Total = len(b.Offered); b.Total > ignoredMost {
		b.Offered, b.More = b.Offered[:ignoredMost], b.Total-ignoredMost
	}
	f.Title, f.Tab, f.Body = "Not shown", "devices", b
	return nil
}
