package device

import "time"

// Device describes one device of another network, as its source knows it.
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
	Battery   *Battery `json:"battery,omitempty"` // nil: it has none, or none is known of
	Mains     bool     `json:"mains,omitempty"`   // it is known to run on mains power
	Layout    Layout   `json:"layout,omitempty"`
	Parts     []Part   `json:"parts"`
}

// Battery is what is known of a device's battery.
type Battery struct {
	Percent Value `json:"percent,omitzero"` // a number, 0 to 100; null: unknown
	Low     Value `json:"low,omitzero"`     // true or false; null: unknown
}

// Layout says how the parts of a device are shown.
type Layout string

// The layouts. The zero value leaves it to the profile.
const (
	Composed Layout = "composed" // one bridged device with child endpoints
	Flat     Layout = "flat"     // each part is a bridged device of its own
)

// Part describes one function of a device: one Matter device type.
type Part struct {
	ID      string  `json:"id"` // unique in the device; "main" if it is the only one
	Type    string  `json:"type"`
	Name    string  `json:"name,omitempty"`
	Meter   bool    `json:"meter,omitempty"` // it measures power or energy, too
	Options Options `json:"options,omitzero"`
	State   Values  `json:"state,omitempty"`
}

// Options say what a part can do. Which of them a part may have depends on its type.
type Options struct {
	MinKelvin  float64  `json:"min_kelvin,omitempty"` // lights with a color temperature
	MaxKelvin  float64  `json:"max_kelvin,omitempty"`
	ColorModes []string `json:"color_modes,omitempty"` // extended_color_light: hs, xy; default both

	Min *float64 `json:"min,omitempty"` // sensors: range of the measured value, in its unit
	Max *float64 `json:"max,omitempty"`

	Technology string `json:"technology,omitempty"` // occupancy_sensor

	Smoke          bool `json:"smoke,omitempty"` // smoke_co_alarm: what it has
	CarbonMonoxide bool `json:"carbon_monoxide,omitempty"`
	Gas            bool `json:"gas,omitempty"`

	Properties []string `json:"properties,omitempty"` // air_quality_sensor, meters: what it measures
	Gestures   []string `json:"gestures,omitempty"`   // generic_switch

	Kind     string `json:"kind,omitempty"`     // window_covering
	Position *bool  `json:"position,omitempty"` // it takes a position; default true
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

// Command is what a controller wants of a part: to set values, which belong to one
// gesture, or to do something.
type Command struct {
	Device string
	Part   string

	Set        Values         // nil if Do is set
	Transition *time.Duration // how long the change is to take; nil: as the device likes

	Do      Action
	Seconds int    // of Identify; 0 ends it
	PIN     string // of Lock and Unlock, if the controller gave one

	Fabric uint8  // whose controller it was; 0: not a controller's
	Node   uint64 // that controller
}

// Action is something that a device does and that is no value.
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

// Gesture is what somebody does to a button.
type Gesture string

// The gestures. Press and Release are the two halves of what is not interpreted by
// the source.
const (
	Single  Gesture = "single"
	Double  Gesture = "double"
	Triple  Gesture = "triple"
	Long    Gesture = "long"
	Press   Gesture = "press"
	Release Gesture = "release"
)

// Ignored is something that a source offered and that is not shown.
type Ignored struct {
	ID     string      `json:"id"`
	Source string      `json:"source"`
	What   string      `json:"what"`
	Reason string      `json:"reason"`
	Kind   IgnoredKind `json:"-"`
}

// IgnoredKind is the kind of a reason, for figures.
type IgnoredKind string

// The kinds. The zero value is that of any other reason.
const (
	IgnoredSetting    IgnoredKind = "setting"    // of the device, not a function
	IgnoredDiagnostic IgnoredKind = "diagnostic" // about the device
	IgnoredNoType     IgnoredKind = "no_type"    // Matter has none for it
	IgnoredUnreadable IgnoredKind = "unreadable" // what the source says cannot be read
	IgnoredRefused    IgnoredKind = "refused"    // by the registry
)
