package server_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// house is a node with bridged plugs, and a controller that subscribes to
// everything over real sockets.
type house struct {
	ctx  context.Context
	srv  *server.Server
	s    *commissioner.Session
	u    *commissioner.Subscription
	id   string            // of the last plug
	plug matter.EndpointID // endpoint of that plug
	on   bool
}

func newHouse(b *testing.B, plugs int) *house {
	h := &house{ctx: context.Background()}
	srv, err := server.New(server.Options{StateDir: b.TempDir(), AnyPort: true, Passcode: passcode, Announcer: &billboard{}, Bridge: &server.Bridge{}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { srv.Stop() })
	h.srv = srv
	var all []device.Device
	for i := range plugs {
		id := fmt.Sprintf("test:%d", i)
		all = append(all, device.Device{ID: id, Name: "Plug", Reachable: true, Parts: []device.Part{
			{ID: "main", Type: "on_off_plug", State: device.Values{"on": device.Bool(false)}},
		}})
	}
	srv.Start()
	for _, err := range srv.Devices().PutAll(all) {
		if err != nil {
			b.Fatal(err)
		}
	}
	conns, err := transport.Listen(transport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	c := commissioner.New(conns[0])
	b.Cleanup(c.Close)
	for _, conn := range conns[1:] {
		b.Cleanup(func() { conn.Close() })
	}
	a, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
	if err != nil {
		b.Fatal(err)
	}
	done, err := c.Commission(h.ctx, netip.AddrPortFrom(netip.IPv6Loopback(), srv.Port()), passcode, a)
	if err != nil {
		b.Fatal(err)
	}
	h.s, h.id = done.CASE, all[plugs-1].ID
	v, err := srv.Devices().Device(h.id)
	if err != nil {
		b.Fatal(err)
	}
	h.plug = matter.EndpointID(v.Parts[0].Endpoint)
	if h.u, err = h.s.Subscribe(h.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}}, 0, 3600); err != nil {
		b.Fatal(err)
	}
	h.drain()
	return h
}

// drain reads reports until there are none for a while.
func (h *house) drain() {
	for {
		ctx, cancel := context.WithTimeout(h.ctx, 2*time.Second)
		_, err := h.u.Next(ctx)
		cancel()
		if err != nil {
			return
		}
	}
}

// The costs of a complete node are the same with a thousand devices as with one.
// See also BenchmarkFlat of pkg/im.
func BenchmarkFlat(b *testing.B) {
	const many = 1000
	one, thousand := newHouse(b, 1), newHouse(b, many)
	for _, tt := range []struct {
		name string
		do   func(h *house) (attributes int, err error)
	}{
		{"Read", func(h *house) (int, error) {
			_, err := h.s.Read(h.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(h.plug, clOnOff, 0)}})
			return 1, err
		}},
		{"Invoke", func(h *house) (int, error) {
			_, err := h.s.Invoke(h.ctx, h.plug, clIdentify, 0, args(0, 0))
			return 1, err
		}},
		{"Report", func(h *house) (int, error) {
			h.on = !h.on
			if err := h.srv.Devices().Report(h.id, "main", device.Values{"on": device.Bool(h.on)}); err != nil {
				return 0, err
			}
			_, err := h.u.Next(h.ctx)
			return 1, err
		}},
		{"ReadWildcard", func(h *house) (int, error) {
			rep, err := h.s.Read(h.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}})
			if err != nil {
				return 0, err
			}
			return len(rep.Attributes), nil
		}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var costs [2]time.Duration
			var attributes [2]int
			for b.Loop() {
				for i, h := range []*house{one, thousand} {
					begin := time.Now()
					n, err := tt.do(h)
					if err != nil {
						b.Fatal(err)
					}
					costs[i] += time.Since(begin)
					attributes[i] += n
				}
			}
			each := [2]float64{float64(costs[0]) / float64(attributes[0]), float64(costs[1]) / float64(attributes[1])}
			b.ReportMetric(each[0], "ns/1")
			b.ReportMetric(each[1], "ns/1000")
			b.ReportMetric(each[1]/each[0], "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// The time and memory for a new device do not depend on the number of devices. The
// heap includes everything that the node keeps for a device.
func BenchmarkAddDevices(b *testing.B) {
	for _, many := range []int{1, 1000} {
		b.Run(fmt.Sprintf("beside=%d", many), func(b *testing.B) {
			h := newHouse(b, many)
			before, n := heap(), 0
			var took time.Duration
			for b.Loop() {
				ep := server.Endpoint{
					ID: matter.EndpointID(20000 + n), DeviceTypes: []server.DeviceType{{ID: 0x010A, Revision: 4}}, Groups: true,
					Identify: &identify.Options{}, Clusters: []im.Cluster{bridged(b), &onOff{set: func(bool) {}}},
				}
				begin := time.Now()
				if err := h.srv.AddEndpoint(ep); err != nil {
					b.Fatal(err)
				}
				took += time.Since(begin)
				n++
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(n), "ns/add")
			b.ReportMetric(float64(heap()-before)/float64(n), "B/endpoint")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func bridged(b *testing.B) im.Cluster {
	c, err := bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{
		Info: bridgeddevicebasicinformation.Info{ProductName: "Plug"}, UniqueID: func() string { return "plug" },
	})
	if err != nil {
		b.Fatal(err)
	}
	return c
}
