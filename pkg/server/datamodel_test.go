package server

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/opcredsd/opcredsd/internal/conformance"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// bridgedExample returns a bridged device with all optional information. The node
// serves everything that it requires except the clusters of its own type.
func bridgedExample(t *testing.T) Endpoint {
	t.Helper()
	product, hardware, software := matter.ProductID(1), uint16(1), uint32(1)
	info, err := bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{
		Info: bridgeddevicebasicinformation.Info{
			VendorName: "x", VendorID: 1, ProductName: "x", ProductID: &product, HardwareVersion: &hardware, HardwareVersionString: "x",
			SoftwareVersion: &software, SoftwareVersionString: "x", ManufacturingDate: "20260101", PartNumber: "x", ProductURL: "x",
			ProductLabel: "x", SerialNumber: "x", Appearance: &bridgeddevicebasicinformation.Appearance{},
		},
		UniqueID: func() string { return "x" }, KeepNodeLabel: func(string) error { return nil }, ConfigurationVersion: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return Endpoint{
		ID: FirstEndpoint, DeviceTypes: []DeviceType{{ID: datamodel.DeviceTypeOnOffLight, Revision: 3}}, Clusters: []im.Cluster{info},
		Identify: &identify.Options{}, Groups: true, UniqueID: "x",
		Tags: []Tag{{Namespace: datamodel.NamespaceCommonNumber, Tag: datamodel.TagCommonNumberOne}},
	}
}

// assembled runs f with the endpoints of a node, including a bridged one.
func assembled(t *testing.T, f func(endpoints []im.Endpoint)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		conn := simnet.New(1, simnet.Conditions{}).Listen(netip.MustParseAddrPort("[fe80::1]:5540"))
		s, err := New(Options{StateDir: dir, Product: Product{SerialNumber: "1"}, Conns: []transport.PacketConn{conn}, Announcer: mute{}})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if err := s.AddEndpoint(bridgedExample(t)); err != nil {
			t.Fatal(err)
		}
		f(s.node.Endpoints())
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// Every mandatory element of the data model is served, and no disallowed one, with the right access, qualities and ids. The endpoints have exactly the
// clusters that their device types require.
func TestDataModel(t *testing.T) {
	assembled(t, func(endpoints []im.Endpoint) {
		if len(endpoints) != 3 {
			t.Errorf("%d endpoints", len(endpoints))
		}
		for _, ep := range endpoints {
			if ep.ID >= FirstEndpoint {
				// The example lacks On/Off and Scenes Management, which the program
				// adds. As a bridged node it is complete.
				for _, c := range ep.Clusters {
					for _, err := range conformance.Cluster(c.Spec()) {
						t.Error(err)
					}
				}
				continue
			}
			for _, err := range conformance.Endpoint(ep, "Ethernet") {
				t.Error(err)
			}
		}
	})
}
