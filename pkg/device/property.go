package device

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
)

// Property describes a property of a part: one value that its source reports, that a
// controller may want, or both. The unit stands in the name.
type Property struct {
	Name     string
	Kind     Kind
	Min, Max float64  // of a number, if Min < Max
	Above    bool     // Min itself is not in the range
	Values   []string // of a text
	Settable bool     // a controller may want it
	// Group is the same for properties that say one thing in several ways, such as a color
	// by its hue or by its temperature: what is wanted of one of them replaces what was
	// wanted of the others. "": it is in no group.
	Group string
	// OnlyOn says that the device is asked for it only while it is to be on: the wish that
	// "on" be false ends one for this.
	OnlyOn bool
	// Slow is how long the device may take to do what a controller wants, if that is more
	// than the few seconds of most.
	Slow time.Duration
	// Needed says that ecosystems make nothing of a part whose first value of the
	// property is unknown, and do not look again; see [Endpoint.Waiting].
	Needed bool
}

// Kind is what a property's value is.
type Kind uint8

// The kinds.
const (
	KindBool Kind = iota
	KindNumber
	KindText
)

// ValueError says that a value does not fit its property.
type ValueError struct {
	Property string
	Value    Value
	Want     string // such as "a number from 0 to 100"
}

func (e *ValueError) Error() string {
	v := e.Value.String()
	if s, ok := e.Value.Text(); ok {
		v = strconv.Quote(s)
	}
	return fmt.Sprintf("%s: %s is not %s", e.Property, v, e.Want)
}

// UnknownError says that a part has no such property.
type UnknownError struct {
	Property string
	Have     []string // those that it has, sorted
}

func (e *UnknownError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("%s: the part has no properties", e.Property)
	}
	return fmt.Sprintf("%s: the part has no such property; it has %s", e.Property, strings.Join(e.Have, ", "))
}

// Check returns a *ValueError if v, which may be null, does not fit.
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
		}
	}
	if !fits {
		return &ValueError{Property: p.Name, Value: v, Want: p.want()}
	}
	return nil
}

// want says in words what fits.
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
		return "a text"
	}
	return "one of " + strings.Join(p.Values, ", ")
}

// property is the way from a property to the state S of its unit.
type property[S comparable] struct {
	Property
	// want is the bit by which clusters say that they want the property. Properties with
	// the same bit are sent to the device together.
	want uint32
	// asked says that it is sent only where a cluster says so by its bit; else it is sent
	// as well where a controller's change makes another value of it.
	asked bool
	get   func(s *S) Value
	// wish returns what the device is to come to, null if the property does not matter at
	// the moment; nil: what get returns.
	wish   func(s *S) Value
	report func(c *cluster.Context, s *S, v Value) // nil: the device cannot report it
}

func (p *property[S]) wished(s *S) Value {
	if p.wish != nil {
		return p.wish(s)
	}
	return p.get(s)
}
