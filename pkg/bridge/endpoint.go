package bridge

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	information "github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/node"
)

// show returns the node's form of a device's endpoints that are ready and not shown
// yet.
func (r *Registry) show(e *entry) []node.Endpoint {
	ready := e.ready()
	all := make([]node.Endpoint, 0, len(ready))
	for _, n := range ready {
		ep := node.Endpoint{
			ID:       e.rec.Endpoints[n.Key].Number,
			Returns:  true, // the registry ensures that it is the same device
			Clusters: slices.Concat(n.Clusters(), n.Other),
			Model:    n.Endpoint,
			Groups:   n.Groups,
		}
		for _, t := range n.Types {
			ep.DeviceTypes = append(ep.DeviceTypes, descriptor.DeviceType(t))
		}
		for _, t := range n.Tags {
			ep.Tags = append(ep.Tags, descriptor.Tag{Namespace: t.Namespace, Tag: t.Tag, Label: t.Label})
		}
		if n.Child {
			ep.Parent = e.rec.Endpoints[n.Parent].Number
		} else {
			ep.Clusters = append(ep.Clusters, e.infos[n.Key])
		}
		if n.Scenes {
			ep.Scenes = &n.Endpoint.Endpoint
		}
		if n.Identify {
			ep.Identify = r.identification(e, n)
		}
		all = append(all, ep)
		if e.shown == nil {
			e.shown = map[string]bool{}
		}
		e.shown[n.Key] = true
	}
	return all
}

// identification returns the options with which a device identifies itself to its
// user.
func (r *Registry) identification(e *entry, n *device.Node) *identify.Options {
	return &identify.Options{
		Type: datamodel.IdentifyIdentifyType(n.IdentifyType),
		ShowUntil: func(end time.Time) {
			c := device.Command{Device: e.id, Part: n.Key, Do: device.Identify}
			if left := time.Until(end); !end.IsZero() && left > 0 {
				c.Seconds = int((left + time.Second - 1) / time.Second)
			}
			// An unreachable device cannot be seen, so the result does not matter.
			_ = r.sender(e)(time.Now(), c)
		},
	}
}

// information returns the cluster that describes a bridged endpoint.
func (r *Registry) information(e *entry, n *device.Node) (*information.Cluster, error) {
	id := e.rec.Endpoints[n.Key]
	return information.New(information.Options{
		Info:                 describe(&e.rec.Device),
		UniqueID:             func() string { return id.UniqueID },
		NodeLabel:            fitting(e.labelOf(n), information.MaxText),
		KeepNodeLabel:        func(name string) error { return r.nameByController(e, n, name) },
		ConfigurationVersion: max(id.Version, 1),
		Unreachable:          !e.reachable,
	})
}

// Default names. Without them Home Assistant would show the bridge's.
const (
	unknownVendor  = "Unknown"
	unknownProduct = "Bridged device"
)

// describe returns the information about a device, shortened to Matter's limits.
func describe(d *device.Device) information.Info {
	or := func(s, other string, limit int) string {
		if s = fitting(s, limit); s == "" {
			return other
		}
		return s
	}
	return information.Info{
		VendorName:            or(d.Vendor, unknownVendor, 32),
		ProductName:           or(d.Product, unknownProduct, 32),
		HardwareVersionString: fitting(d.HardwareVersion, 64),
		SoftwareVersionString: fitting(d.SoftwareVersion, 64),
		SerialNumber:          fitting(d.Serial, 32),
	}
}

// fitting returns the longest prefix of s with at most limit octets and whole
// characters.
func fitting(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return strings.TrimSpace(s)
}
