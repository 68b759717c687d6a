package zigbee2mqtt

import (
	"encoding/json"
	"errors"
	"strings"
)

// bridgeDevice is an entry of bridge/devices. This type and the following ones
// contain only the members that are read. Members of an unexpected kind count as
// missing.
type bridgeDevice struct {
	IEEEAddress     string      `json:"ieee_address"`
	FriendlyName    string      `json:"friendly_name"`
	Type            string      `json:"type"` // Coordinator, Router, EndDevice
	Disabled        bool        `json:"disabled"`
	Supported       *bool       `json:"supported"`
	InterviewState  string      `json:"interview_state"`
	Completed       *bool       `json:"interview_completed"`
	PowerSource     string      `json:"power_source"`
	Manufacturer    string      `json:"manufacturer"`
	ModelID         string      `json:"model_id"`
	SoftwareBuildID string      `json:"software_build_id"`
	Definition      *definition `json:"definition"`
}

// powered reports whether the device announced mains power.
func (d *bridgeDevice) powered() bool {
	return strings.HasPrefix(d.PowerSource, "Mains") || strings.HasPrefix(d.PowerSource, "DC")
}

type definition struct {
	Model       string   `json:"model"`
	Vendor      string   `json:"vendor"`
	Description string   `json:"description"`
	Exposes     []expose `json:"exposes"`
}

// expose is a feature of a device: a state, a command, or both. Its fields are
// zigbee2mqtt's.
type expose struct {
	Type        string   `json:"type"`
	Name        string   `json:"name"`
	Property    string   `json:"property"`
	Endpoint    string   `json:"endpoint"`
	Unit        string   `json:"unit"`
	Category    string   `json:"category"`
	Description string   `json:"description"`
	Access      int      `json:"access"`
	Features    []expose `json:"features"`
	Values      []any    `json:"values"`
	ValueOn     any      `json:"value_on"`
	ValueOff    any      `json:"value_off"`
	ValueMin    *float64 `json:"value_min"`
	ValueMax    *float64 `json:"value_max"`
}

// Bits of an expose's access.
const (
	accessState = 1 // it is part of states
	accessSet   = 2 // it can be set
	accessGet   = 4 // it can be requested
)

func (e *expose) published() bool { return e.Access&accessState != 0 }
func (e *expose) settable() bool  { return e.Access&accessSet != 0 }
func (e *expose) readable() bool  { return e.Access&accessGet != 0 }

// sets reports whether there is such an expose, and it can be set.
func (e *expose) sets() bool { return e != nil && e.settable() }

// feature returns the first feature with one of the names.
func (e *expose) feature(names ...string) *expose {
	for _, name := range names {
		for i := range e.Features {
			if e.Features[i].Name == name {
				return &e.Features[i]
			}
		}
	}
	return nil
}

// words returns those values of an enum that are strings or numbers, as strings.
func (e *expose) words() []string {
	var out []string
	for _, v := range e.Values {
		if s, ok := word(v); ok {
			out = append(out, s)
		}
	}
	return out
}

// word returns a value of an enum as a string.
func word(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		b, err := json.Marshal(v)
		return string(b), err == nil
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

func (e *expose) has(value string) bool {
	for _, w := range e.words() {
		if w == value {
			return true
		}
	}
	return false
}

// limits returns the range of a number. Missing or invalid limits are 0.
func (e *expose) limits() (low, high float64) {
	if e == nil {
		return 0, 0
	}
	if e.ValueMin != nil {
		low = *e.ValueMin
	}
	if e.ValueMax != nil {
		high = *e.ValueMax
	}
	return low, high
}

// isOn reports whether a value of a binary is its value_on. ok is false if the
// value is neither value_on nor value_off.
func (e *expose) isOn(v any) (on, ok bool) {
	switch {
	case v == nil:
		return false, false
	case same(v, e.ValueOn):
		return true, true
	case same(v, e.ValueOff):
		return false, true
	}
	b, ok := v.(bool)
	return b, ok && e.ValueOn == nil
}

func same(a, b any) bool {
	switch a := a.(type) {
	case bool:
		y, ok := b.(bool)
		return ok && a == y
	case float64:
		y, ok := b.(float64)
		return ok && a == y
	case string:
		y, ok := b.(string)
		return ok && strings.EqualFold(a, y)
	}
	return false
}

type bridgeGroup struct {
	ID           *int64   `json:"id"`
	FriendlyName string   `json:"friendly_name"`
	Members      []member `json:"members"`
}

type member struct {
	IEEEAddress string `json:"ieee_address"`
}

type bridgeInfo struct {
	Version string `json:"version"`
	Config  struct {
		Availability struct {
			Enabled bool `json:"enabled"`
		} `json:"availability"`
	} `json:"config"`
}

// decode decodes JSON. It skips members of an unexpected kind: one wrong field must
// not affect the rest of the device, nor one device the others.
func decode(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return nil
	}
	return err
}

// list decodes an array item by item. It returns an error only if b is not an
// array.
func list[T any](b []byte, most int) ([]T, int, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(b, &items); err != nil {
		return nil, 0, err
	}
	bad := 0
	var out []T
	for _, item := range items {
		var v T
		if len(out) == most || decode(item, &v) != nil {
			bad++
			continue
		}
		out = append(out, v)
	}
	return out, bad, nil
}
