package admin

import "github.com/opcredsd/opcredsd/pkg/device"

// DeviceValues are values of a part of a device. If Part is empty, the device must
// have only one.
type DeviceValues struct {
	ID    string        `json:"id"`
	Part  string        `json:"part,omitempty"`
	State device.Values `json:"state"`
}

// DeviceGesture is a gesture on a button.
type DeviceGesture struct {
	ID      string         `json:"id"`
	Part    string         `json:"part,omitempty"`
	Gesture device.Gesture `json:"event"`
}

// DeviceName is the operator's name for a device, or for a part that is shown as a
// device of its own. An empty name restores the source's.
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
