package server_test

import (
	"context"
	"fmt"
	"os"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// cellar is a front with a network of one thermometer.
type cellar struct{ heard chan error }

// Name returns the name of the front. It is also the name of the source: the part
// before the colon in the ids of devices.
func (c cellar) Name() string { return "cellar" }

// Run describes the devices and then reports their values. It may block, fail and
// even panic without affecting the node's controllers.
func (c cellar) Run(ctx context.Context, r *bridge.Registry) error {
	if _, err := r.Put(device.Device{
		ID: "cellar:thermometer", Name: "Wine", Vendor: "ACME", Product: "T1", Reachable: true,
		Parts: []device.Part{{ID: "main", Type: "temperature_sensor", State: device.Values{"temperature_celsius": device.Number(12)}}},
	}); err != nil {
		return err
	}
	c.heard <- r.Report("cellar:thermometer", "main", device.Values{"temperature_celsius": device.Number(12.5)})
	<-ctx.Done()
	return nil
}

// A program that bridges devices of the types that package device knows describes
// them and reports their values. The node manages endpoints, clusters and
// identities, across restarts too.
func ExampleFront() {
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	source := cellar{heard: make(chan error, 1)}
	srv, err := server.New(server.Options{
		StateDir: dir, AnyPort: true, Interfaces: []string{"lo"},
		Bridge: &server.Bridge{Fronts: []server.Front{source}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Stop()
	srv.Start()

	if err := <-source.heard; err != nil {
		fmt.Println(err)
		return
	}
	d, err := srv.Devices().Device("cellar:thermometer")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(d.Name, d.Parts[0].State["temperature_celsius"], "at endpoint", d.Parts[0].Endpoint)
	// Output: Wine 12.5 at endpoint 2
}
