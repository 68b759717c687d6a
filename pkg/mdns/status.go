package mdns

import "net/netip"

// State of a name on an interface.
type State uint8

// A name starts at Probing; three questions that nobody answers end it.
// Announced lasts until the service is withdrawn or somebody else claims the
// name. Conflict ends by another try, up to a minute later.
const (
	Probing State = iota
	Announced
	Conflict
)

func (s State) String() string {
	switch s {
	case Probing:
		return "probing"
	case Announced:
		return "announced"
	case Conflict:
		return "conflict"
	}
	panic("BUG: unknown state of a name")
}

// Status is a snapshot of a Responder.
type Status struct {
	// Interfaces are in the order of their indices.
	Interfaces []InterfaceStatus
	Stats      Stats
}

// InterfaceStatus says what is announced on one interface.
type InterfaceStatus struct {
	Name  string
	Index int
	// Host is the host name in use, such as "B75AFB458ECD.local.".
	Host string
	// Addrs are the addresses published, IPv6 first.
	Addrs []netip.Addr
	// Reason says why nothing is announced here; empty if something can be.
	Reason string
	// Services are sorted by type and instance.
	Services []ServiceStatus
}

// ServiceStatus is a service on an interface.
type ServiceStatus struct {
	Type, Instance string
	State          State
}

// Stats counts since the start.
type Stats struct {
	Received, Sent uint64 // packets
	Dropped        uint64 // packets over the limits
	Malformed      uint64
	Conflicts      uint64
}

// Announced reports whether every service is announced on at least one
// interface, and there is an interface.
func (s Status) Announced() bool { return false }
