package server_test

import (
	"fmt"
	"os"

	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// onOff is the On/Off cluster of a plug that a program bridges.
type onOff struct {
	on, reported bool
	set          func(on bool) // switches the real plug
}

var onOffSpec = im.Spec{
	ID: 0x0006, Name: "OnOff", Revision: 6,
	Attributes: []im.Attribute{{ID: 0, Name: "OnOff", Read: matter.PrivilegeView, Quality: im.NonVolatile}},
	Commands: []im.Command{
		{ID: 0, Name: "Off", Response: im.NoResponse, Privilege: matter.PrivilegeOperate},
		{ID: 1, Name: "On", Response: im.NoResponse, Privilege: matter.PrivilegeOperate},
		{ID: 2, Name: "Toggle", Response: im.NoResponse, Privilege: matter.PrivilegeOperate},
	},
}

func (c *onOff) Spec() *im.Spec { return &onOffSpec }

func (c *onOff) Read(_ *im.Request, _ matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	w.Bool(t, c.on)
	return nil
}

func (c *onOff) Write(*im.Request, matter.AttributeID, tlv.Element) error {
	return matter.StatusUnsupportedWrite
}

func (c *onOff) Invoke(_ *im.Request, id matter.CommandID, _ tlv.Element, _ *tlv.Writer) error {
	c.on = id == 1 || id == 2 && !c.on
	c.set(c.on)
	return nil
}

var _ im.Watcher = (*onOff)(nil)

// Changes makes the node report a change to subscribers, whoever has switched the
// plug.
func (c *onOff) Changes(changed func(matter.AttributeID)) {
	if c.on != c.reported {
		c.reported = c.on
		changed(0)
	}
}

// This bridge has one plug of another kind of network. Controllers can switch it
// and get a report when somebody else does.
func ExampleServer_AddEndpoint() {
	srv, dir := exampleNode()
	defer os.RemoveAll(dir)
	defer srv.Stop()

	const address = "00:12:4b:00:01:02:03:04" // address of the plug on its own network
	info, err := bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{
		Info:     bridgeddevicebasicinformation.Info{VendorName: "Plugs Ltd", ProductName: "Plug 7"},
		UniqueID: func() string { return srv.UniqueID(address) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	plug := &onOff{set: func(on bool) { fmt.Println("switch", address, on) }}
	if err := srv.AddEndpoint(server.Endpoint{
		ID:          server.FirstEndpoint, // must stay the same for this plug
		DeviceTypes: []server.DeviceType{{ID: 0x010A, Revision: 4}},
		Clusters:    []im.Cluster{info, plug},
		Identify:    &identify.Options{Type: datamodel.IdentifyIdentifyTypeVisibleIndicator, Show: func(on bool) { fmt.Println("blink", address, on) }},
		Groups:      true,
	}); err != nil {
		fmt.Println(err)
		return
	}
	srv.Start()

	// The plug has reported a change, on any goroutine.
	err = srv.Do(func() error {
		info.SetReachable(true)
		plug.on = true
		return nil
	})
	fmt.Println("reported:", err)

	// The plug was removed for good.
	fmt.Println("removed:", srv.RemoveEndpoint(server.FirstEndpoint))
	// Output:
	// reported: <nil>
	// removed: <nil>
}
