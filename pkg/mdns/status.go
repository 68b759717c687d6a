package mdns

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// State of a name on an interface.
type State uint8

// A name starts as Probing, until three questions have not been answered. Announced
// lasts until the service is withdrawn or another host claims the name. Conflict lasts
// until the next attempt, up to a minute.
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
	// Pending says that the snapshot is older than the last Set.
	Pending bool
	Stats   Stats

	set uint64 // number of calls of Set that it includes
}

// InterfaceStatus describes what is announced on one interface.
type InterfaceStatus struct {
	Name  string
	Index int
	// Host is the host name in use, such as "B75AFB458ECD.local.".
	Host string
	// Addrs are the addresses published, IPv6 first.
	Addrs []netip.Addr
	// Reason says why the interface cannot be used. It is empty if it can.
	Reason string
	// Services are sorted by type and instance.
	Services []ServiceStatus
	// Found says that the last lookup on this interface found the services. If it did
	// not, Lookup says why. Before the first lookup both are zero.
	Found  bool
	Lookup string
}

// ServiceStatus is the status of a service on an interface.
type ServiceStatus struct {
	Type, Instance string
	State          State
	// Rival is the address of another host that announces the service, too, or tries
	// to. It is the zero Addr if there is none.
	Rival netip.Addr
}

// Problem says why controllers may not find every service on the interface. It is empty
// if they can, or will within seconds.
func (i InterfaceStatus) Problem() string {
	if i.Reason != "" {
		return i.Reason
	}
	var lost []string
	for _, s := range i.Services {
		if s.State == Conflict {
			lost = append(lost, fmt.Sprintf("%s.%s is announced by another host, too (%v)", s.Instance, s.Type, s.Rival))
		}
	}
	switch n := len(lost); {
	case n > namedRivals:
		return strings.Join(lost[:namedRivals], "; ") + fmt.Sprintf("; and %d others are", n-namedRivals)
	case n > 0:
		return strings.Join(lost, "; ")
	}
	return i.Lookup
}

// namedRivals is the number of services that Problem names.
const namedRivals = 2

// Stats counts since the start.
type Stats struct {
	Received  uint64 // packets
	Sent      uint64 // packets
	Unsent    uint64 // packets that the kernel did not take
	Dropped   uint64 // packets and questions over the limits
	Malformed uint64 // packets
	Conflicts uint64 // names that another host claimed
}

// counters count what Stats reports.
type counters struct {
	received, sent, unsent, dropped, malformed, conflicts atomic.Uint64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Received: c.received.Load(), Sent: c.sent.Load(), Unsent: c.unsent.Load(),
		Dropped: c.dropped.Load(), Malformed: c.malformed.Load(), Conflicts: c.conflicts.Load(),
	}
}

// Announced reports whether all services are announced on the interface.
func (i InterfaceStatus) Announced() bool {
	return i.Reason == "" && !slices.ContainsFunc(i.Services, func(v ServiceStatus) bool { return v.State != Announced })
}

// Rivals returns the addresses of other hosts that announce services of this node here,
// or try to.
func (i InterfaceStatus) Rivals() (list []netip.Addr) {
	for _, s := range i.Services {
		if s.Rival.IsValid() && !slices.Contains(list, s.Rival) {
			list = append(list, s.Rival)
		}
	}
	return list
}

// contested reports whether another host has the name of a service.
func (i InterfaceStatus) contested() bool {
	return slices.ContainsFunc(i.Services, func(v ServiceStatus) bool { return v.State == Conflict })
}

// Announced reports whether all services are announced on at least one interface. Without
// services it reports whether an interface is in use.
func (s Status) Announced() bool {
	return !s.Pending && slices.ContainsFunc(s.Interfaces, InterfaceStatus.Announced)
}

// Fault returns an error that says why controllers may not find the node, and on which
// interface. It returns nil if all services are announced on at least one interface and
// there is no conflict on any.
func (s Status) Fault() error {
	var lost []string
	for _, i := range s.Interfaces {
		if i.contested() {
			lost = append(lost, i.Name+": "+i.Problem())
		}
	}
	switch {
	case len(lost) > 0:
		return fmt.Errorf("%w on %s", ErrNotAnnounced, strings.Join(lost, "; on "))
	case s.Announced():
		return nil
	}
	for _, i := range s.Interfaces {
		if i.Reason == "" {
			return fmt.Errorf("%w yet", ErrNotAnnounced)
		}
		lost = append(lost, i.Name+": "+i.Reason)
	}
	if len(lost) == 0 {
		return fmt.Errorf("%w: there is no network interface", ErrNotAnnounced)
	}
	return fmt.Errorf("%w: no network interface can be used: %s", ErrNotAnnounced, strings.Join(lost, "; "))
}

// ErrNotAnnounced is what Fault returns.
var ErrNotAnnounced = errors.New("not announced over mDNS")

// Discoverable reports whether the last lookup found the services on every interface in
// use, and there is one.
func (s Status) Discoverable() bool {
	used := 0
	for _, i := range s.Interfaces {
		if i.Reason != "" {
			continue
		}
		if !i.Found {
			return false
		}
		used++
	}
	return used > 0
}

// status returns a snapshot without the counters.
func (e *engine) status() Status {
	var s Status
	for _, info := range e.unusable {
		s.Interfaces = append(s.Interfaces, InterfaceStatus{Name: info.name, Index: info.index, Reason: info.reason})
	}
	for _, l := range e.links {
		i := InterfaceStatus{
			Name: l.info.name, Index: l.info.index,
			Host: l.host.name(), Addrs: slices.Clone(l.info.addrs),
		}
		for _, c := range l.claims()[1:] {
			i.Services = append(i.Services, ServiceStatus{c.service.Type, c.service.Instance, c.state, c.rival.addr})
		}
		slices.SortFunc(i.Services, func(a, b ServiceStatus) int {
			return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Instance, b.Instance))
		})
		s.Interfaces = append(s.Interfaces, i)
	}
	slices.SortFunc(s.Interfaces, func(a, b InterfaceStatus) int { return cmp.Compare(a.Index, b.Index) })
	return s
}
