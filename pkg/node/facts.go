package node

import (
	"github.com/opcredsd/opcredsd/pkg/cluster/ethernetdiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/networkcommissioning"
	"github.com/opcredsd/opcredsd/pkg/host"
)

// interfaces returns the host's interfaces for General Diagnostics.
func interfaces(h *host.Host) (list []generaldiagnostics.Interface) {
	for _, i := range h.Adapters() {
		list = append(list, generaldiagnostics.Interface(i))
	}
	return list
}

// noNetwork is the name that is reported if the host has no interface: there must always
// be one (section 11.9.6.2).
const noNetwork = "ethernet"

// network returns the primary interface for Network Commissioning.
func network(h *host.Host) networkcommissioning.Network {
	name, operational := h.Primary()
	if name == "" {
		name = noNetwork
	}
	return networkcommissioning.Network{Name: name, Connected: operational}
}

// link returns the state of the primary interface for Ethernet Network Diagnostics.
func link(h *host.Host) ethernetdiagnostics.Link {
	l := h.Link()
	return ethernetdiagnostics.Link{
		Megabits: l.Megabits, FullDuplex: l.FullDuplex, Carrier: l.Carrier,
		Counts: ethernetdiagnostics.Counts(l.Counts),
	}
}
