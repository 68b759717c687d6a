package admin

import "github.com/opcredsd/opcredsd/pkg/device"

// DeviceValues are values of a part of a device. An empty Part is the only one.
type DeviceValues struct {
	ID    string        `json:"id"`
	Part  string        `json:"part,omitempty"`
	State device.Values `json:"state"`
}

// DeviceGesture is what somebody does to a button.
type DeviceGesture struct {
	ID      string         `json:"id"`
	Part    string         `json:"part,omitempty"`
	Gesture device.Gesture `json:"event"`
}

// DeviceName is a name that an operator gives a device, or a part that is shown as a
// device of its own. An empty one gives it back to the source.
type DeviceName struct {
	ID   string `json:"id"`
	Part string `json:"part,omitempty"`
	Name string `json:"name"`
}

// DeviceRemoval names a device to remove; Now means without a grace time.
type DeviceRemoval struct {
	ID  string `json:"id"`
	Now bool   `json:"now,omitempty"`
}
