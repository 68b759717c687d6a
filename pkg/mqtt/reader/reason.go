package reader

import (
	"errors"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Reason is why something is not shown: a kind for metrics, and a text for people.
type Reason struct {
	Kind device.IgnoredKind
	Text string
}

// Error makes Reason an error.
func (r Reason) Error() string { return r.Text }

// Reasons of several readers.
var (
	Settings    = Reason{device.IgnoredSetting, "settings are not shown"}
	Diagnostics = Reason{device.IgnoredDiagnostic, "diagnostics are not shown"}
	Twice       = Other("another feature reports the same")
	Nothing     = NoType("nothing of it has a type in Matter")
)

// NoType returns a reason of the kind no type: Matter has no type for it, or its
// type is not known.
func NoType(text string) Reason { return Reason{device.IgnoredNoType, text} }

// Unreadable returns a reason of the kind unreadable: what the source sent is
// wrong.
func Unreadable(text string) Reason { return Reason{device.IgnoredUnreadable, text} }

// Other is any other reason, such as a bound.
func Other(text string) Reason { return Reason{"", text} }

// ReasonOf returns the reason of an error. Any error that is not a Reason, such as
// one of a topic or a template, becomes Unreadable.
func ReasonOf(err error) Reason {
	var r Reason
	if errors.As(err, &r) {
		return r
	}
	return Unreadable(err.Error())
}

// Ignored returns the report that a device, or a part of it, is not shown for this
// reason.
func (r Reason) Ignored(source, id, what string) device.Ignored {
	return device.Ignored{ID: id, Source: source, What: what, Reason: r.Text, Kind: r.Kind}
}
