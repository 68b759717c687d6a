package bridge

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// record is the stored record of a device, as JSON. It stays when the device is removed:
// its numbers are never given again, and the device that is added again keeps its name.
type record struct {
	Device device.Device `json:"device"` // latest description with the latest state

	// Said is the source's own description, without states, if the operator has
	// other settings for the device.
	Said *device.Device `json:"said,omitempty"`

	// Endpoints are by node key: the part's id, or "" for the parent.
	Endpoints map[string]identity `json:"endpoints,omitempty"`

	// Labels are names from an operator or a controller, by node key.
	Labels map[string]label `json:"labels,omitempty"`

	Hidden  bool       `json:"hidden,omitempty"` // by an operator
	Created time.Time  `json:"created"`
	Updated time.Time  `json:"updated,omitzero"` // last report of its source
	Gone    *time.Time `json:"gone,omitempty"`   // when it was removed
}

// identity is the identity of an endpoint.
type identity struct {
	Number   matter.EndpointID `json:"number"`
	Shape    string            `json:"shape"`
	UniqueID string            `json:"unique_id"`

	// Version is the version of a bridged device's configuration, and Elements a digest
	// of what controllers saw of it. Version is 0 before that.
	Version  uint32 `json:"version,omitempty"`
	Elements string `json:"elements,omitempty"`
}

// label is a name and its origin.
type label struct {
	Name string `json:"name"`
	By   Namer  `json:"by"`
	// Source is the source's name for the device at that time. If the source
	// changes it, the source's name counts again, unless By is Operator.
	Source string `json:"source"`
}

// Namer is the origin of a name.
type Namer string

// The namers.
const (
	BySource     Namer = "source"
	ByController Namer = "controller"
	ByOperator   Namer = "operator"
)

func decodeRecord(id string, b []byte) (*record, error) {
	r := new(record)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("device %s: its record cannot be read: %w", id, err)
	}
	if r.Device.ID != id {
		return nil, fmt.Errorf("device %s: its record is that of %q", id, r.Device.ID)
	}
	return r, nil
}

func (r *record) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic("BUG: bridge: " + err.Error())
	}
	return b
}

// newUniqueID returns a random id of 32 octets.
func newUniqueID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
