package reader

import (
	"errors"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Reason is why something is not shown: the kind for figures, and a text for people.
type Reason struct {
	Kind device.IgnoredKind
	Text string
}

// Error makes a reason an error of what could not be built.
func (r Reason) Error() string { return r.Text }

// Reasons that several readers have.
var (
	Settings    = Reason{device.IgnoredSetting, "settings are not shown"}
	Diagnostics = Reason{device.IgnoredDiagnostic, "diagnostics are not shown"}
	Twice       = Other("another one says the same")
	Nothing     = NoType("nothing of it has a type in Matter")
)

// NoType is a reason that lies in Matter's types, or in what can be known of theirs.
func NoType(text string) Reason { return Reason{device.IgnoredNoType, text} }

// Unreadable is a reason that lies in what the source says.
func Unreadable(text string) Reason { return Reason{device.IgnoredUnreadable, text} }

// Other is any other reason, such as a bound.
func Other(text string) Reason { return Reason{"", text} }

// ReasonOf returns the reason that an error is. What else is wrong with a description,
// such as a topic or a template, is unreadable.
func ReasonOf(err error) Reason {
	var r Reason
	if errors.As(err, &r) {
		return r
	}
	return Unreadable(err.Error())
}

// Ignored says of a device, or of something of it, why it is not shown.
func (r Reason) Ignored(source, id, what string) device.Ignored {
	return device.Ignored{ID: id, Source: source, What: what, Reason: r.Text, Kind: r.Kind}
}
