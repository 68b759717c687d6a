// Package ethernetdiagnostics implements the Ethernet Network Diagnostics cluster,
// 0x0037 with features PKTCNT and ERRCNT (section 11.16).
package ethernetdiagnostics

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.EthernetNetworkDiagnosticsID

const (
	phyRate        = datamodel.EthernetNetworkDiagnosticsAttrPHYRate
	fullDuplex     = datamodel.EthernetNetworkDiagnosticsAttrFullDuplex
	packetRxCount  = datamodel.EthernetNetworkDiagnosticsAttrPacketRxCount
	packetTxCount  = datamodel.EthernetNetworkDiagnosticsAttrPacketTxCount
	txErrCount     = datamodel.EthernetNetworkDiagnosticsAttrTxErrCount
	collisionCount = datamodel.EthernetNetworkDiagnosticsAttrCollisionCount
	overrunCount   = datamodel.EthernetNetworkDiagnosticsAttrOverrunCount
	carrierDetect  = datamodel.EthernetNetworkDiagnosticsAttrCarrierDetect
	timeSinceReset = datamodel.EthernetNetworkDiagnosticsAttrTimeSinceReset

	cmdResetCounts = datamodel.EthernetNetworkDiagnosticsCmdResetCounts
)

var spec = cluster.NewSpec(datamodel.EthernetNetworkDiagnostics, cluster.Selection{
	Features:   datamodel.EthernetNetworkDiagnosticsFeaturePacketCounts | datamodel.EthernetNetworkDiagnosticsFeatureErrorCounts,
	Attributes: []matter.AttributeID{phyRate, fullDuplex, carrierDetect, timeSinceReset},
})

// Counts are the counters of the interface since the host started.
type Counts struct {
	RxPackets, TxPackets, TxErrors, Collisions, Overruns uint64
}

// Link is the state of the interface that carries the node's traffic. Nil members
// are unknown.
type Link struct {
	Megabits   *uint32
	FullDuplex *bool
	Carrier    *bool
	Counts     Counts
}

// Cluster serves the cluster.
type Cluster struct {
	im.ReadOnly
	link    func() Link
	base    Counts // at the last reset
	started time.Time
	seen    Link // the last observed state
	look    bool
}

// New returns the cluster of an interface. link returns its state. Counts begin at
// now, and so does the time since the interface was reset, since the node does not
// know what was before.
func New(now time.Time, link func() Link) *Cluster {
	l := link()
	return &Cluster{link: link, base: l.Counts, started: now, seen: l}
}

// Follow schedules a look at the link when the host's links have changed.
func (c *Cluster) Follow(e im.NodeEvent) { c.look = c.look || e == im.LinksChanged }

// Changes reports the attributes that have changed.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if !c.look {
		return
	}
	c.look = false
	was, now := c.seen, c.link()
	c.seen = now
	if !same(was.Megabits, now.Megabits) {
		changed(phyRate)
	}
	if !same(was.FullDuplex, now.FullDuplex) {
		changed(fullDuplex)
	}
	if !same(was.Carrier, now.Carrier) {
		changed(carrierDetect)
	}
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read writes one attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	l := c.link()
	switch id {
	case phyRate:
		if rate, ok := rateEnum(l.Megabits); ok {
			w.Uint(t, rate)
		} else {
			w.Null(t)
		}
	case fullDuplex:
		nullableBool(w, t, l.FullDuplex)
	case carrierDetect:
		nullableBool(w, t, l.Carrier)
	case packetRxCount:
		w.Uint(t, since(l.Counts.RxPackets, c.base.RxPackets))
	case packetTxCount:
		w.Uint(t, since(l.Counts.TxPackets, c.base.TxPackets))
	case txErrCount:
		w.Uint(t, since(l.Counts.TxErrors, c.base.TxErrors))
	case collisionCount:
		w.Uint(t, since(l.Counts.Collisions, c.base.Collisions))
	case overrunCount:
		w.Uint(t, since(l.Counts.Overruns, c.base.Overruns))
	case timeSinceReset:
		w.Uint(t, uint64(max(0, r.Now.Sub(c.started)/time.Minute)))
	}
	return nil
}

// since returns a count relative to base. An interface that was created again
// counts from zero.
func since(count, base uint64) uint64 {
	if count < base {
		return count
	}
	return count - base
}

func nullableBool(w *tlv.Writer, t tlv.Tag, v *bool) {
	if v == nil {
		w.Null(t)
	} else {
		w.Bool(t, *v)
	}
}

// rateEnum maps a speed to PHYRateEnum (section 11.16.5.1).
func rateEnum(megabits *uint32) (uint64, bool) {
	if megabits == nil {
		return 0, false
	}
	for i, m := range [...]uint32{10, 100, 1000, 2500, 5000, 10000, 40000, 100000, 200000, 400000} {
		if m == *megabits {
			return uint64(i), true
		}
	}
	return 0, false
}

// Invoke executes ResetCounts, which has no fields.
func (c *Cluster) Invoke(_ *im.Request, _ matter.CommandID, fields tlv.Element, _ *tlv.Writer) error {
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	c.base = c.link().Counts
	return nil
}
