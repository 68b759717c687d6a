package device

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
)

// Property describes a property of a part: a value that its source reports, that a
// controller can set, or both. The name contains the unit.
type Property struct {
	Name     string
	Kind     Kind
	Min, Max float64  // of a number, if Min < Max
	Above    bool     // Min itself is not in the range
	Values   []string // of text
	Settable bool     // a controller can set it
	// Group is equal for properties that express the same in several ways, such as
	// a color by its hue or by its temperature. A request for one of them replaces
	// requests for the others. "": no group.
	Group string
	// OnlyOn means that the device gets the value only while it should be on: a
	// request with "on" false cancels it.
	OnlyOn bool
	// Slow is how long the device may take to carry out a command, if that is
	// longer than the usual few seconds.
	Slow time.Duration
	// Needed means that ecosystems do not show a part properly if the first value
	// of the property is unknown, and do not read it again; see [Endpoint.Waiting].
	Needed bool
	// Total means that the number is a count since some time: a limit would be taken for
	// a new start, and the count for a change, so no other number stands for one that is
	// out of range.
	Total bool
}

// Kind is the type of a property's value.
type Kind uint8

// The kinds.
const (
	KindBool Kind = iota
	KindNumber
	KindText
)

// maxTextValue bounds a text that is not one of a few, in octets.
const maxTextValue = 1024

// ValueError is returned for a value that does not match its property. What a program
// sets is to be refused then. What a device says is not to be lost: its source reports
// Nearest in place of Value.
type ValueError struct {
	Property string
	Value    Value
	Want     string // such as "a number from 0 to 100"
	Nearest  Value  // the limit that is nearest to a number out of range; null: there is none
}

func (e *ValueError) Error() string {
	v := e.Value.String()
	if s, ok := e.Value.Text(); ok {
		v = strconv.Quote(s)
	}
	return fmt.Sprintf("%s: %s is not %s", e.Property, v, e.Want)
}

// UnknownError is returned for a property that a part does not have.
type UnknownError struct {
	Property string
	Have     []string // the part's properties, sorted
}

func (e *UnknownError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("%s: the part has no properties", e.Property)
	}
	return fmt.Sprintf("%s: the part has no such property; it has %s", e.Property, strings.Join(e.Have, ", "))
}

// Check returns a *ValueError if v does not match the property. v may be null.
func (p *Property) Check(v Value) error {
	if v.IsNull() {
		return nil
	}
	fits := false
	switch p.Kind {
	case KindBool:
		_, fits = v.Bool()
	case KindNumber:
		var f float64
		if f, fits = v.Number(); fits && p.Min < p.Max {
			fits = f >= p.Min && f <= p.Max && !(p.Above && f == p.Min)
		}
	case KindText:
		var s string
		if s, fits = v.Text(); fits && p.Values != nil {
			fits = slices.Contains(p.Values, s)
		} else if fits {
			fits = len(s) <= maxTextValue
		}
	}
	if !fits {
		return &ValueError{Property: p.Name, Value: v, Want: p.want(), Nearest: p.nearest(v)}
	}
	return nil
}

// nearest returns the limit of the range that is nearest to v, or null.
func (p *Property) nearest(v Value) Value {
	f, ok := v.Number()
	switch {
	case !ok || p.Kind != KindNumber || p.Total:
	case f > p.Max:
		return Number(p.Max)
	case f < p.Min && !p.Above:
		return Number(p.Min)
	}
	return Null
}

// want describes the permitted values.
func (p *Property) want() string {
	switch p.Kind {
	case KindBool:
		return "true or false"
	case KindNumber:
		switch {
		case p.Min >= p.Max:
			return "a number"
		case p.Above:
			return fmt.Sprintf("a number above %s, up to %s", Number(p.Min), Number(p.Max))
		}
		return fmt.Sprintf("a number from %s to %s", Number(p.Min), Number(p.Max))
	}
	if p.Values == nil {
		return fmt.Sprintf("a text of at most %d octets", maxTextValue)
	}
	return "one of " + strings.Join(p.Values, ", ")
}

// property connects a property with the state S of its unit.
type property[S comparable] struct {
	Property
	// want is the bit with which clusters request the property. Properties with the
	// same bit are sent to the device together.
	want uint32
	// asked means that the property is sent only if a cluster requests it with its
	// bit. Otherwise it is also sent when a controller's change has changed its
	// value.
	asked bool
	get   func(s *S) Value
	// wish returns the value that the device should get, or null if the property
	// does not matter at the moment; nil: the same as get.
	wish   func(s *S) Value
	report func(c *cluster.Context, s *S, v Value) // nil: the device cannot report it
}

func (p *property[S]) wished(s *S) Value {
	if p.wish != nil {
		return p.wish(s)
	}
	return p.get(s)
}
