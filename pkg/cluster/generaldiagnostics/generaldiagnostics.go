// Package generaldiagnostics implements the General Diagnostics cluster, 0x0033
// (section 11.12).
package generaldiagnostics

import (
	"math"
	"net/netip"
	"reflect"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.GeneralDiagnosticsID

const (
	networkInterfaces     = datamodel.GeneralDiagnosticsAttrNetworkInterfaces
	rebootCount           = datamodel.GeneralDiagnosticsAttrRebootCount
	upTime                = datamodel.GeneralDiagnosticsAttrUpTime
	totalOperationalHours = datamodel.GeneralDiagnosticsAttrTotalOperationalHours
	bootReason            = datamodel.GeneralDiagnosticsAttrBootReason
	activeNetworkFaults   = datamodel.GeneralDiagnosticsAttrActiveNetworkFaults
	testEventTriggersOn   = datamodel.GeneralDiagnosticsAttrTestEventTriggersEnabled
	deviceLoadStatus      = datamodel.GeneralDiagnosticsAttrDeviceLoadStatus
	cmdTestEventTrigger   = datamodel.GeneralDiagnosticsCmdTestEventTrigger
	cmdPayloadTest        = datamodel.GeneralDiagnosticsCmdPayloadTestRequest
	cmdTimeSnapshot       = datamodel.GeneralDiagnosticsCmdTimeSnapshot
	EventBootReason       = datamodel.GeneralDiagnosticsEventBootReason
	maxInterfaces         = 8
	maxIPv4, maxIPv6      = 4, 8
	maxInterfaceNameLen   = 32
	interfaceTypeEthernet = 2
	interfaceTypeWiFi     = 1
	interfaceTypeUnknown  = 0
)

var spec = cluster.NewSpec(datamodel.GeneralDiagnostics, cluster.Selection{
	Features:   datamodel.GeneralDiagnosticsFeatureDataModelTest, // for nodes that take several commands at once
	Attributes: []matter.AttributeID{totalOperationalHours, bootReason, activeNetworkFaults},
})

// BootReason is why the node started (section 11.12.5.5).
type BootReason = datamodel.GeneralDiagnosticsBootReason

// The boot reasons that a process can distinguish.
const (
	BootUnspecified   = datamodel.GeneralDiagnosticsBootReasonUnspecified
	BootPowerOn       = datamodel.GeneralDiagnosticsBootReasonPowerOnReboot
	BootSoftwareReset = datamodel.GeneralDiagnosticsBootReasonSoftwareReset
)

// Interface is one network interface.
type Interface struct {
	Name            string
	Operational     bool
	HardwareAddress []byte // 6 octets, or 8
	Addresses       []netip.Addr
	WiFi            bool
	Ethernet        bool
}

// Options describe the node.
type Options struct {
	Started     time.Time
	RebootCount uint16
	BootReason  BootReason
	Interfaces  func() []Interface
	// OperationalHours returns the node's total, including this run.
	OperationalHours func(now time.Time) uint32
	// Load returns the load of the node, with the subscriptions of fabric f.
	Load func(f matter.FabricIndex) im.Load
}

// Cluster serves the cluster.
type Cluster struct {
	im.ReadOnly
	opt  Options
	seen []Interface // the last observed interfaces
	look bool
}

// New returns the cluster.
func New(opt Options) *Cluster { return &Cluster{opt: opt, seen: opt.Interfaces()} }

// Follow schedules a look at the interfaces when the host's links have changed. A
// factory reset clears the count of reboots (section 11.12.6.2).
func (c *Cluster) Follow(e im.NodeEvent) {
	switch e {
	case im.LinksChanged:
		c.look = true
	case im.FactoryReset:
		c.opt.RebootCount = 0
	}
}

// Changes reports the attributes that have changed.
func (c *Cluster) Changes(changed func(matter.AttributeID)) {
	if !c.look {
		return
	}
	c.look = false
	if now := c.opt.Interfaces(); !reflect.DeepEqual(now, c.seen) {
		c.seen = now
		changed(networkInterfaces)
	}
}

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read writes one attribute.
func (c *Cluster) Read(r *im.Request, id matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	switch id {
	case networkInterfaces:
		c.interfaces(w, t)
	case rebootCount:
		w.Uint(t, uint64(c.opt.RebootCount))
	case upTime:
		w.Uint(t, uint64(c.up(r.Now)/time.Second))
	case totalOperationalHours:
		w.Uint(t, uint64(c.opt.OperationalHours(r.Now)))
	case bootReason:
		w.Uint(t, uint64(c.opt.BootReason))
	case activeNetworkFaults:
		w.StartArray(t) // a client that reads this reached the node by the network
		w.End()
	case testEventTriggersOn:
		w.Bool(t, false)
	case deviceLoadStatus:
		l := c.opt.Load(r.Subject.Fabric)
		w.StartStruct(t)
		w.Uint(tlv.Context(0), min(uint64(l.Subscriptions), math.MaxUint16))
		w.Uint(tlv.Context(1), min(uint64(l.OfFabric), math.MaxUint16))
		for i, n := range [...]uint64{l.Established, l.Sent, l.Received} {
			w.Uint(tlv.Context(uint8(i+2)), min(n, math.MaxUint32))
		}
		w.End()
	}
	return nil
}

func (c *Cluster) up(now time.Time) time.Duration { return max(0, now.Sub(c.opt.Started)) }

func (c *Cluster) interfaces(w *tlv.Writer, t tlv.Tag) {
	w.StartArray(t)
	list := c.opt.Interfaces()
	for _, n := range list[:min(len(list), maxInterfaces)] {
		w.StartStruct(tlv.Anonymous)
		w.Text(tlv.Context(0), n.Name[:min(len(n.Name), maxInterfaceNameLen)])
		w.Bool(tlv.Context(1), n.Operational)
		w.Null(tlv.Context(2)) // reachability off the premises is not probed
		w.Null(tlv.Context(3))
		w.Octets(tlv.Context(4), n.HardwareAddress)
		addresses(w, tlv.Context(5), n.Addresses, netip.Addr.Is4, maxIPv4)
		addresses(w, tlv.Context(6), n.Addresses, netip.Addr.Is6, maxIPv6)
		switch {
		case n.WiFi:
			w.Uint(tlv.Context(7), interfaceTypeWiFi)
		case n.Ethernet:
			w.Uint(tlv.Context(7), interfaceTypeEthernet)
		default:
			w.Uint(tlv.Context(7), interfaceTypeUnknown)
		}
		w.End()
	}
	w.End()
}

func addresses(w *tlv.Writer, t tlv.Tag, list []netip.Addr, want func(netip.Addr) bool, limit int) {
	w.StartArray(t)
	for _, a := range list {
		if limit > 0 && want(a) {
			limit--
			w.Octets(tlv.Anonymous, a.AsSlice())
		}
	}
	w.End()
}

// Invoke executes a command.
func (c *Cluster) Invoke(r *im.Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	switch id {
	case cmdTestEventTrigger:
		return testEventTrigger(fields)
	case cmdPayloadTest:
		return payloadTest(fields)
	}
	w.Uint(tlv.Context(0), uint64(c.up(r.Now)/time.Millisecond))
	// A node without Time Synchronization may omit the time of day, and its
	// certification test requires that (section 11.12.7.3.2).
	w.Null(tlv.Context(1))
	return nil
}

// testEventTrigger returns an error: this node has no test event triggers, so no
// enable key can match (section 11.12.7.1).
func testEventTrigger(fields tlv.Element) error {
	r := fields.Reader()
	var key []byte
	var trigger bool
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			key = r.Octets()
		case 1:
			r.Uint()
			trigger = true
		}
	}
	if err := r.End(); err != nil {
		return im.CommandError(err)
	}
	if key == nil || !trigger {
		return matter.StatusInvalidCommand
	}
	return matter.StatusConstraintError
}

// payloadTest also returns an error, since it requires the enable key of test event
// triggers (section 11.12.7.4).
func payloadTest(fields tlv.Element) error {
	r := fields.Reader()
	var have [3]bool
	for r.EnterStruct(); r.Next(); {
		switch tag := r.ContextTag(); tag {
		case 0:
			r.Octets()
			have[tag] = true
		case 1:
			r.Uint8()
			have[tag] = true
		case 2:
			r.Uint16()
			have[tag] = true
		}
	}
	if err := r.End(); err != nil {
		return im.CommandError(err)
	}
	if have != [3]bool{true, true, true} {
		return matter.StatusInvalidCommand
	}
	return matter.StatusConstraintError
}
