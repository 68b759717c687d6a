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

// DeviceHiding hides a device, or shows it again.
type DeviceHiding struct {
	ID     string `json:"id"`
	Hidden bool   `json:"hidden"`
}

// DeviceIdentification has a device make itself known for a time; 0 seconds end it.
type DeviceIdentification struct {
	ID      string `json:"id"`
	Seconds int    `json:"seconds"` // 0 to 65535
}

func (v DeviceValues) subject() string         { return v.ID }
func (g DeviceGesture) subject() string        { return g.ID }
func (n DeviceName) subject() string           { return n.ID }
func (r DeviceRemoval) subject() string        { return r.ID }
func (h DeviceHiding) subject() string         { return h.ID }
func (i DeviceIdentification) subject() string { return i.ID }
