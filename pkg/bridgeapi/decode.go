package bridgeapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// members are the permitted members of an object, each with a function for its
// value.
type members map[string]func(at string, v json.RawMessage) error

// object decodes an object. Errors are [*bridge.Error] with the position of the
// member.
func object(at string, raw json.RawMessage, m members) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return wrong(at, "want an object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return wrong(at, "it is not JSON: %v", err)
		}
		name := t.(string) // the decoder returns nothing else for a member of an object
		place := at + "/" + escape(name)
		take := m[name]
		switch {
		case take == nil:
			return wrong(place, "there is no member %q here", name)
		case seen[name]:
			return wrong(place, "the member %q is there twice", name)
		}
		seen[name] = true
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return wrong(place, "it is not JSON: %v", err)
		}
		if err := take(place, v); err != nil {
			return err
		}
	}
	return nil
}

// array decodes an array of at most limit values.
func array(at string, raw json.RawMessage, limit int, take func(at string, v json.RawMessage) error) error {
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil || all == nil {
		return wrong(at, "want an array")
	}
	if len(all) > limit {
		return wrong(at, "it has %d entries, more than %d", len(all), limit)
	}
	for i, v := range all {
		if err := take(at+"/"+strconv.Itoa(i), v); err != nil {
			return err
		}
	}
	return nil
}

// escape returns a member's name in the form of a JSON pointer (RFC 6901, section
// 3).
func escape(name string) string { return escaper.Replace(name) }

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

func wrong(at, format string, args ...any) error {
	return &bridge.Error{Kind: bridge.Invalid, Pointer: at, Detail: fmt.Sprintf(format, args...)}
}

// text, boolean, number and others decode values of one type.

func text(to *string) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		var s *string
		if err := json.Unmarshal(v, &s); err != nil || s == nil {
			return wrong(at, "want a text")
		}
		*to = *s
		return nil
	}
}

func optionalText(to **string) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		*to = new(string)
		return text(*to)(at, v)
	}
}

func boolean(to *bool) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		var b *bool
		if err := json.Unmarshal(v, &b); err != nil || b == nil {
			return wrong(at, "want true or false")
		}
		*to = *b
		return nil
	}
}

func optionalBool(to **bool) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		*to = new(bool)
		return boolean(*to)(at, v)
	}
}

func number(to *float64) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		var f *float64
		if err := json.Unmarshal(v, &f); err != nil || f == nil {
			return wrong(at, "want a number")
		}
		*to = *f
		return nil
	}
}

func optionalNumber(to **float64) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		*to = new(float64)
		return number(*to)(at, v)
	}
}

func integer(to *int) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		var n *int
		if err := json.Unmarshal(v, &n); err != nil || n == nil {
			return wrong(at, "want a whole number")
		}
		*to = *n
		return nil
	}
}

// maxTexts limits the lists of options.
const maxTexts = 64

func texts(to *[]string) func(string, json.RawMessage) error {
	return func(at string, v json.RawMessage) error {
		list := []string{}
		err := array(at, v, maxTexts, func(at string, v json.RawMessage) error {
			var s string
			if err := text(&s)(at, v); err != nil {
				return err
			}
			list = append(list, s)
			return nil
		})
		*to = list
		return err
	}
}

// maxValues limits the values of a state.
const maxValues = 64

func values(to *device.Values) func(string, json.RawMessage) error {
	return func(at string, raw json.RawMessage) error {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil || all == nil {
			return wrong(at, "want an object")
		}
		if len(all) > maxValues {
			return wrong(at, "it has %d members, more than %d", len(all), maxValues)
		}
		*to = device.Values{}
		for name, v := range all {
			var x device.Value
			if err := json.Unmarshal(v, &x); err != nil {
				return wrong(at+"/"+escape(name), "%v", err)
			}
			(*to)[name] = x
		}
		return nil
	}
}

func battery(to **device.Battery) func(string, json.RawMessage) error {
	return func(at string, raw json.RawMessage) error {
		if string(raw) == "null" {
			return nil
		}
		b := &device.Battery{}
		*to = b
		value := func(to *device.Value) func(string, json.RawMessage) error {
			return func(at string, v json.RawMessage) error {
				if err := json.Unmarshal(v, to); err != nil {
					return wrong(at, "%v", err)
				}
				return nil
			}
		}
		return object(at, raw, members{"percent": value(&b.Percent), "low": value(&b.Low), "charging": value(&b.Charging)})
	}
}

func options(o *device.Options, meter *bool) func(string, json.RawMessage) error {
	m := members{
		"meter":              boolean(meter),
		"min_kelvin":         number(&o.MinKelvin),
		"max_kelvin":         number(&o.MaxKelvin),
		"color_modes":        texts(&o.ColorModes),
		"min":                optionalNumber(&o.Min),
		"max":                optionalNumber(&o.Max),
		"technology":         text(&o.Technology),
		"min_hold_seconds":   integer(&o.MinHoldSeconds),
		"max_hold_seconds":   integer(&o.MaxHoldSeconds),
		"sensitivity_levels": integer(&o.SensitivityLevels),
		"smoke":              boolean(&o.Smoke),
		"carbon_monoxide":    boolean(&o.CarbonMonoxide),
		"gas":                boolean(&o.Gas),
		"self_test":          boolean(&o.SelfTest),
		"properties":         texts(&o.Properties),
		"gestures":           texts(&o.Gestures),
		"positions":          integer(&o.Positions),
		"kind":               text(&o.Kind),
		"position":           optionalBool(&o.Position),
		"tilt":               boolean(&o.Tilt),
		"inverted":           boolean(&o.Inverted),
		"modes":              texts(&o.Modes),
		"min_celsius":        optionalNumber(&o.MinCelsius),
		"max_celsius":        optionalNumber(&o.MaxCelsius),
		"speeds":             integer(&o.Speeds),
		"level":              boolean(&o.Level),
		"clean_modes":        texts(&o.CleanModes),
		"areas":              texts(&o.Areas),
		"pin":                boolean(&o.PIN),
	}
	return func(at string, raw json.RawMessage) error { return object(at, raw, m) }
}

func partMembers(p *device.Part) members {
	return members{
		"type":    text(&p.Type),
		"meter":   boolean(&p.Meter),
		"options": options(&p.Options, &p.Meter),
		"state":   values(&p.State),
	}
}

// readOnly are members of answers that a description may repeat.
var readOnly = []string{"endpoint", "unique_id", "source", "created", "last_update", "exposed", "reason", "label_by", "mains"}

func skip(string, json.RawMessage) error { return nil }

// decodeDevice decodes a description. id, if not empty, is the device's id in the
// path. Members of a single part may be at the top level. Pointers in errors are
// those of the request.
func decodeDevice(at string, raw json.RawMessage, id string) (device.Device, error) {
	d := device.Device{ID: id, Reachable: true}
	single := device.Part{ID: "main"}
	var short []string
	m := members{
		"id":               text(&d.ID),
		"name":             text(&d.Name),
		"room":             text(&d.Room),
		"vendor":           text(&d.Vendor),
		"product":          text(&d.Product),
		"serial":           text(&d.Serial),
		"hardware_version": text(&d.HardwareVersion),
		"software_version": text(&d.SoftwareVersion),
		"reachable":        boolean(&d.Reachable),
		"battery":          battery(&d.Battery),
		"layout": func(at string, v json.RawMessage) error {
			var s string
			err := text(&s)(at, v)
			d.Layout = device.Layout(s)
			return err
		},
		"parts": func(at string, v json.RawMessage) error {
			d.Parts = []device.Part{}
			return array(at, v, bridge.MaxParts, func(at string, v json.RawMessage) error {
				var p device.Part
				err := decodePart(at, v, &p)
				d.Parts = append(d.Parts, p)
				return err
			})
		},
	}
	for name, take := range partMembers(&single) {
		m[name] = func(at string, v json.RawMessage) error {
			short = append(short, name)
			return take(at, v)
		}
	}
	for _, name := range readOnly {
		m[name] = skip
	}
	if err := object(at, raw, m); err != nil {
		return d, err
	}
	switch {
	case id != "" && d.ID != id:
		return d, wrong(at+"/id", "id: %q is not that of the path, %q", d.ID, id)
	case len(short) > 0 && d.Parts != nil:
		slices.Sort(short)
		return d, wrong(at+"/"+short[0], "%s: it stands at the top level only where there are no parts", short[0])
	case d.Parts == nil:
		d.Parts = []device.Part{single}
		if single.Type == "" {
			return d, wrong(at+"/type", "type: it is missing")
		}
	}
	return d, nil
}

func decodePart(at string, raw json.RawMessage, p *device.Part) error {
	m := partMembers(p)
	m["id"], m["name"] = text(&p.ID), text(&p.Name)
	m["endpoint"], m["unique_id"] = skip, skip
	if err := object(at, raw, m); err != nil {
		return err
	}
	if p.Type == "" {
		return wrong(at+"/type", "type: it is missing")
	}
	return nil
}

func decodePatch(raw json.RawMessage) (p bridge.Patch, err error) {
	err = object("", raw, members{
		"name":             optionalText(&p.Name),
		"hardware_version": optionalText(&p.HardwareVersion),
		"software_version": optionalText(&p.SoftwareVersion),
		"reachable":        optionalBool(&p.Reachable),
		"battery":          battery(&p.Battery),
		"state": func(at string, v json.RawMessage) error {
			s := bridge.PartState{Pointer: at}
			err := values(&s.State)(at, v)
			p.States = append(p.States, s)
			return err
		},
		"parts": func(at string, v json.RawMessage) error {
			return array(at, v, bridge.MaxParts, func(at string, v json.RawMessage) error {
				s := bridge.PartState{Pointer: at + "/state"}
				if err := object(at, v, members{"id": text(&s.Part), "state": values(&s.State)}); err != nil {
					return err
				}
				if s.Part == "" {
					return wrong(at+"/id", "id: it is missing")
				}
				p.States = append(p.States, s)
				return nil
			})
		},
	})
	return p, err
}

// gesture is the body of POST …/events.
type gesture struct {
	Part  string
	Event string
}

func decodeGesture(raw json.RawMessage) (g gesture, err error) {
	err = object("", raw, members{"part": text(&g.Part), "event": text(&g.Event)})
	if err == nil && g.Event == "" {
		err = wrong("/event", "event: it is missing")
	}
	return g, err
}

// maxBody is the maximum size of a request's body, in octets.
const maxBody = 4 << 20

// body reads a body that is one JSON value.
func body(r io.Reader) (json.RawMessage, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if !json.Valid(b) {
		return nil, wrong("", "the body is not JSON")
	}
	return b, nil
}
