package node

import (
	"github.com/opcredsd/opcredsd/pkg/cluster/ethernetdiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/networkcommissioning"
	"github.com/opcredsd/opcredsd/pkg/host"
)

// interfaces are the host's, as General Diagnostics lists them.
func interfaces(h *host.Host) (list []generaldiagnostics.Interface) {
	for _, i := range h.Adapters() {
		list = append(list, generaldiagnostics.Interface(i))
	}
	return list
}

// noNetwork names the interface of a host that has none: there must always be one
// (section 11.9.6.2).
const noNetwork = "ethernet"

// network is the interface that Network Commissioning describes.
func network(h *host.Host) networkcommissioning.Network {
	name, operational := h.Primary()
	if name == "" {
		name = noNetwork
	}
	return networkcommissioning.Network{Name: name, Connected: operational}
}

// link is the state of the same interface.
func link(h *host.Host) ethernetdiagnostics.Link {
	l := h.Link()
	return ethernetdiagnostics.Link{
		Megabits: l.Megabits, FullDuplex: l.FullDuplex, Carrier: l.Carrier,
		Counts: ethernetdiagnostics.Counts(l.Counts),
	}
}
