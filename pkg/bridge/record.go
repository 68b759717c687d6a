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

// record is what the store keeps of a device, as JSON. It stays when the device is
// removed, so that the same device coming back is the same for controllers.
type record struct {
	Device device.Device `json:"device"` // as its source described it last, with the last state

	// Said is what the source itself described, without states, where the operator says
	// something else of the device.
	Said *device.Device `json:"said,omitempty"`

	// Endpoints are by the key of the node of its assembly: the part's id, "" for what
	// the parts have in common.
	Endpoints map[string]identity `json:"endpoints,omitempty"`

	// Label is what an operator or a controller named the device by node key; LabelBy who.
	Labels map[string]label `json:"labels,omitempty"`

	Hidden  bool       `json:"hidden,omitempty"` // by an operator
	Created time.Time  `json:"created"`
	Updated time.Time  `json:"updated,omitzero"` // when its source was last heard
	Gone    *time.Time `json:"gone,omitempty"`   // when it was removed
}

// identity is who an endpoint is.
type identity struct {
	Number   matter.EndpointID `json:"number"`
	Shape    string            `json:"shape"`
	UniqueID string            `json:"unique_id"`
}

// label is a name and who gave it.
type label struct {
	Name string `json:"name"`
	By   Namer  `json:"by"`
	// Source is what the source called the device then: it counts again when it
	// changes, unless By is Operator.
	Source string `json:"source"`
}

// Namer is who named a device.
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

// newUniqueID returns an id that is nobody else's, 32 octets.
func newUniqueID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
