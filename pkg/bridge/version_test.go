package bridge

import (
	"testing"
	"time"

	information "github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// The version of a device's configuration grows when controllers see other functions of it
// (section 9.13.5.4), by one each time, and stays with everything else.
func TestConfigurationVersion(t *testing.T) {
	g := newServedRig(t)
	version := func(when, want string) {
		t.Helper()
		g.pass(10 * time.Second)
		if got := g.read("api:remote", information.ID, datamodel.BridgedDeviceBasicInformationAttrConfigurationVersion); got != want {
			t.Errorf("%s: version %s, want %s", when, got, want)
		}
	}
	d := device.Device{ID: "api:remote", Name: "Remote", Reachable: true, Parts: []device.Part{
		{ID: "1", Type: "contact_sensor", State: device.Values{"closed": device.Bool(true)}},
		{ID: "2", Type: "temperature_sensor", State: device.Values{}},
		{ID: "3", Type: "contact_sensor", State: device.Values{"closed": device.Bool(true)}},
	}}
	g.put(d)
	version("at first", "1")
	number := g.get(d.ID).Endpoint

	if err := g.Report(d.ID, "2", device.Values{"temperature_celsius": device.Number(20)}); err != nil {
		t.Fatal(err)
	}
	version("with one more part, when its first value has come", "2")
	if err := g.Battery(d.ID, device.Battery{Percent: device.Number(50)}); err != nil {
		t.Fatal(err)
	}
	version("with a battery", "3")

	d.Battery = &device.Battery{Percent: device.Number(40)}
	d.Name, d.SoftwareVersion = "Other", "2.0"
	g.put(d)
	version("with another name and version", "3")
	if err := g.Report(d.ID, "1", device.Values{"closed": device.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	version("with another state", "3")
	g.stop()
	g.start()
	version("after a restart", "3")

	d.Parts = d.Parts[:2]
	g.put(d)
	version("with one part less", "4")
	g.kill() // the version is stored before controllers see it
	g.start()
	version("after SIGKILL", "4")
	if now := g.get(d.ID).Endpoint; now != number {
		t.Errorf("endpoint %d has become %d", number, now)
	}

	// A device that comes to another number goes on with its version.
	plug := device.Device{ID: "api:remote", Name: "Plug", Reachable: true, Parts: []device.Part{{ID: "1", Type: "on_off_plug", State: device.Values{"on": device.Bool(true)}}}}
	g.put(plug)
	version("as another device", "1")
	plug.Parts[0].Meter = true
	plug.Parts[0].State["power_watts"] = device.Number(3)
	g.put(plug)
	version("with a meter", "2")
	if now := g.get(d.ID).Endpoint; now == number {
		t.Error("the endpoint has kept its number")
	}
}
