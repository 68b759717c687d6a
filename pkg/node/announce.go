package node

import (
	"fmt"
	"strconv"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// The service types (section 4.3).
const (
	serviceCommissionable = "_matterc._udp"
	serviceOperational    = "_matter._tcp"
)

// pairingHint describes how to open the commissioning window again: power cycle, or
// the manual of the device (section 5.4.2.5.3, bits 0 and 5).
const pairingHint = 1<<0 | 1<<5

// advertised is the state that the current announcements were derived from.
type advertised struct {
	once       bool
	generation uint64
	open       bool
	ad         window.Advertisement
	kind       window.Kind
}

// announce calls Announce if the services have changed. Most changes of a fabric do not
// change them.
func (n *Node) announce() {
	now := advertised{once: true, generation: n.trust.fabrics.Generation()}
	now.ad, now.open = n.trust.window.Advertise()
	now.kind = n.trust.window.Kind()
	if now == n.settled.advertised {
		return
	}
	last := n.settled.advertised
	n.settled.advertised = now
	if now.kind != last.kind {
		n.logWindow(last.kind, now.kind)
	}
	if n.renamed() || !last.once || now.open != last.open || now.ad != last.ad {
		n.opt.Announce(n.services())
	}
}

// logWindow logs a change of the commissioning window.
func (n *Node) logWindow(last, now window.Kind) {
	w := n.trust.window
	switch now {
	case window.Initial:
		n.log.Info("open for commissioning", "for", n.opt.CommissioningTimeout, "codes", "opcredsd pairing")
	case window.Basic, window.Enhanced:
		by := "the operator"
		if i, _, ok := w.Admin(); ok && i != matter.NoFabric {
			by = fmt.Sprintf("fabric %d", i)
		}
		until, _ := w.Deadline()
		n.log.Info("commissioning window open", "kind", now.String(), "by", by, "until", until.UTC().Format(time.RFC3339))
	case window.Closed:
		log := n.log.With("kind", last.String(), "failed_attempts", w.Failures())
		if n.trust.fabrics.Len() == 0 {
			log = log.With("open_again", "opcredsd window open")
		}
		if w.Failures() >= window.MaxAttempts {
			log.Warn("commissioning window closed, as too many attempts failed")
			return
		}
		log.Info("commissioning window closed")
	}
}

// operationalName distinguishes operational services.
type operationalName struct {
	fabric [8]byte
	node   matter.NodeID
}

// renamed reports whether the names of the operational services have changed since
// the last call.
func (n *Node) renamed() bool {
	all := n.trust.fabrics.All()
	same := len(all) == len(n.settled.names)
	for i := 0; same && i < len(all); i++ {
		same = n.settled.names[i] == operationalName{all[i].CompressedID, all[i].NodeID}
	}
	if same {
		return false
	}
	n.settled.names = n.settled.names[:0]
	for _, f := range all {
		n.settled.names = append(n.settled.names, operationalName{f.CompressedID, f.NodeID})
	}
	return true
}

// services returns the services that are to be announced.
func (n *Node) services() (list []Service) {
	if ad, open := n.trust.window.Advertise(); open {
		list = append(list, n.commissionable(ad))
	}
	for _, f := range n.trust.fabrics.All() {
		list = append(list, operational(f, n.Port()))
	}
	return list
}

// operational returns the service of the node on one fabric (section 4.3.2).
func operational(f *fabric.Fabric, port uint16) Service {
	return Service{
		Type:     serviceOperational,
		Instance: operationalInstance(f, f.NodeID),
		Subtypes: []string{fmt.Sprintf("_I%X", f.CompressedID[:])},
		Port:     port,
	}
}

// operationalInstance returns the instance name of a node on a fabric.
func operationalInstance(f *fabric.Fabric, id matter.NodeID) string {
	return fmt.Sprintf("%X-%v", f.CompressedID[:], id)
}

// commissionable returns the service of the open window (section 4.3.1).
func (n *Node) commissionable(ad window.Advertisement) Service {
	p := &n.opt.Product
	d := strconv.Itoa(int(ad.Discriminator))
	return Service{
		Type:     serviceCommissionable,
		Instance: fmt.Sprintf("%016X", ad.Instance),
		Subtypes: []string{
			"_S" + strconv.Itoa(int(ad.Discriminator>>8)),
			"_L" + d,
			"_V" + strconv.Itoa(int(p.VendorID)),
			"_T" + strconv.Itoa(int(datamodel.DeviceTypeAggregator)),
			"_CM",
		},
		Port: n.Port(),
		TXT: []string{
			"D=" + d,
			"CM=" + strconv.Itoa(int(ad.Mode)),
			fmt.Sprintf("VP=%d+%d", p.VendorID, p.ProductID),
			"DT=" + strconv.Itoa(int(datamodel.DeviceTypeAggregator)),
			"DN=" + p.ProductName,
			"PH=" + strconv.Itoa(pairingHint),
		},
	}
}
