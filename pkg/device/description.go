package device

import "time"

// Device is the description of a device of another network by its source.
type Device struct {
	ID   string `json:"id"` // SOURCE:KEY, 3 to 128 of A-Za-z0-9._:-
	Name string `json:"name,omitempty"`
	Room string `json:"room,omitempty"`

	Vendor          string `json:"vendor,omitempty"`
	Product         string `json:"product,omitempty"`
	Serial          string `json:"serial,omitempty"`
	HardwareVersion string `json:"hardware_version,omitempty"`
	SoftwareVersion string `json:"software_version,omitempty"`

	Reachable bool     `json:"reachable"`
	Battery   *Battery `json:"battery,omitempty"` // nil: none, or not known
	Mains     bool     `json:"mains,omitempty"`   // known to run on mains power
	Layout    Layout   `json:"layout,omitempty"`
	Parts     []Part   `json:"parts"`
}

// Battery is the state of a device's battery.
type Battery struct {
	Percent Value `json:"percent,omitzero"` // a number, 0 to 100; null: unknown
	Low     Value `json:"low,omitzero"`     // true or false; null: unknown
	// Charging is true or false for a battery that can be charged; null: unknown.
	Charging Value `json:"charging,omitzero"`
}

// Adds reports whether b contains what was not known before. A device must be assembled
// again to show that.
func (b *Battery) Adds(had *Battery) bool {
	return had == nil || had.Percent.IsNull() && !b.Percent.IsNull() || had.Charging.IsNull() && !b.Charging.IsNull()
}

// Layout is the way in which the parts of a device are shown.
type Layout string

// The layouts. With the zero value the profile decides.
const (
	Composed Layout = "composed" // one bridged device with child endpoints
	Flat     Layout = "flat"     // each part is a separate bridged device
)

// Part describes one function of a device: one Matter device type.
type Part struct {
	ID      string  `json:"id"` // unique in the device; "main" if it is the only one
	Type    string  `json:"type"`
	Name    string  `json:"name,omitempty"`
	Meter   bool    `json:"meter,omitempty"` // it also measures power or energy
	Options Options `json:"options,omitzero"`
	State   Values  `json:"state,omitempty"`
}

// Options describe the abilities of a part. The permitted options depend on its
// type.
type Options struct {
	MinKelvin  float64  `json:"min_kelvin,omitempty"` // lights with a color temperature
	MaxKelvin  float64  `json:"max_kelvin,omitempty"`
	ColorModes []string `json:"color_modes,omitempty"` // extended_color_light: hs, xy; default both

	Min *float64 `json:"min,omitempty"` // sensors: range of the measured value, in its unit
	Max *float64 `json:"max,omitempty"`

	Technology string `json:"technology,omitempty"` // occupancy_sensor
	// MinHoldSeconds (at least 1) and MaxHoldSeconds are the range of the time for which an
	// occupancy_sensor stays occupied after its last detection; 0: that cannot be set.
	MinHoldSeconds int `json:"min_hold_seconds,omitempty"`
	MaxHoldSeconds int `json:"max_hold_seconds,omitempty"`
	// SensitivityLevels is the number of levels of sensitivity of a sensor that is true or
	// false, 2 to 10; 0: it cannot be set.
	SensitivityLevels int `json:"sensitivity_levels,omitempty"`

	Smoke          bool `json:"smoke,omitempty"` // smoke_co_alarm: its detectors
	CarbonMonoxide bool `json:"carbon_monoxide,omitempty"`
	Gas            bool `json:"gas,omitempty"`
	SelfTest       bool `json:"self_test,omitempty"` // it can be asked to test itself

	Properties []string `json:"properties,omitempty"` // air_quality_sensor, meters and others: measured properties
	Gestures   []string `json:"gestures,omitempty"`   // generic_switch: of a push button
	Positions  int      `json:"positions,omitempty"`  // generic_switch: of one that latches, 2 to 32; 0: it is a push button

	Kind     string `json:"kind,omitempty"`     // window_covering
	Position *bool  `json:"position,omitempty"` // it accepts a position; default true
	Tilt     bool   `json:"tilt,omitempty"`
	Inverted bool   `json:"inverted,omitempty"`

	Modes      []string `json:"modes,omitempty"` // thermostat, fan
	MinCelsius *float64 `json:"min_celsius,omitempty"`
	MaxCelsius *float64 `json:"max_celsius,omitempty"`
	Speeds     int      `json:"speeds,omitempty"` // fan

	Level bool `json:"level,omitempty"` // water_valve

	CleanModes []string `json:"clean_modes,omitempty"` // robotic_vacuum_cleaner
	Areas      []string `json:"areas,omitempty"`

	PIN bool `json:"pin,omitempty"` // door_lock: the source checks a PIN that a controller sends
}

// Command is a request of a controller to a part: either to set values, which
// belong together, or to perform an action.
type Command struct {
	Device string
	Part   string

	Set        Values         // nil if Do is set
	Transition *time.Duration // duration of the change; nil: the device's default

	Do      Action
	Seconds int    // for Identify; 0 ends it
	PIN     string // for Lock and Unlock, if the controller sent one

	Fabric uint8  // of the controller; 0: not from a controller
	Node   uint64 // of the controller
}

// Action is something that a device does and that is not a value.
type Action string

// The actions.
const (
	Stop     Action = "stop"
	Lock     Action = "lock"
	Unlock   Action = "unlock"
	Pause    Action = "pause"
	Resume   Action = "resume"
	GoHome   Action = "go_home"
	Identify Action = "identify"
)

// Gesture is a gesture on a button.
type Gesture string

// The gestures. Press and Release are the two halves of a gesture that the source
// does not interpret.
const (
	Single  Gesture = "single"
	Double  Gesture = "double"
	Triple  Gesture = "triple"
	Long    Gesture = "long"
	Press   Gesture = "press"
	Release Gesture = "release"
)

// Ignored is something that a source offers and that is not shown.
type Ignored struct {
	ID     string      `json:"id"`
	Source string      `json:"source"`
	What   string      `json:"what"`
	Reason string      `json:"reason"`
	Kind   IgnoredKind `json:"-"`
}

// IgnoredKind is the kind of a reason, for metrics.
type IgnoredKind string

// The kinds. The zero value stands for all other reasons.
const (
	IgnoredSetting    IgnoredKind = "setting"    // a setting of the device, not a function
	IgnoredDiagnostic IgnoredKind = "diagnostic" // information about the device
	IgnoredNoType     IgnoredKind = "no_type"    // without a type in Matter
	IgnoredUnreadable IgnoredKind = "unreadable" // not readable
	IgnoredRefused    IgnoredKind = "refused"    // rejected by the registry
)
