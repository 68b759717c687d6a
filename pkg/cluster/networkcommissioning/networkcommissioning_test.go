package networkcommissioning

import (
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

var admin = clustertest.Admin(1)

func newNode(t *testing.T, network *Network) (*clustertest.Node, *Cluster) {
	n := clustertest.New(t, 1)
	c := New(func() Network { return *network })
	n.Add(0, c)
	return n, c
}

func TestRead(t *testing.T) {
	n, _ := newNode(t, &Network{Name: "eth0", Connected: true})
	for id, want := range map[matter.AttributeID]string{
		maxNetworks:                         "1",
		networks:                            `[{0:x"65746830",1:true}]`,
		interfaceEnabled:                    "true",
		lastNetworkingStatus:                "0",
		lastNetworkID:                       `x"65746830"`,
		lastConnectErrorValue:               "null",
		matter.AttributeFeatureMap:          "4",
		matter.AttributeAcceptedCommandList: "[]",
	} {
		if got := n.Read(admin, 0, ID, id); got != want {
			t.Errorf("attribute %d: %s, want %s", id, got, want)
		}
	}
}

func TestNetworkIDIsBounded(t *testing.T) {
	n, _ := newNode(t, &Network{Name: strings.Repeat("a", 40)})
	if got, want := n.Read(admin, 0, ID, networks), `[{0:x"`+strings.Repeat("61", 32)+`",1:false}]`; got != want {
		t.Errorf("networks %s, want %s", got, want)
	}
}

// The only interface cannot be turned off.
func TestInterfaceEnabled(t *testing.T) {
	n, _ := newNode(t, &Network{Name: "eth0"})
	for value, want := range map[string]string{"true": "SUCCESS", "false": "INVALID_ACTION", "1": "INVALID_DATA_TYPE", "null": "INVALID_DATA_TYPE"} {
		if got := n.Write(admin, 0, ID, interfaceEnabled, value); got != want {
			t.Errorf("writing %s: %s, want %s", value, got, want)
		}
		if got := n.Read(admin, 0, ID, interfaceEnabled); got != "true" {
			t.Errorf("after writing %s it is %s", value, got)
		}
	}
}

func TestChanges(t *testing.T) {
	network := Network{Name: "eth0", Connected: true}
	n, c := newNode(t, &network)
	v := n.Version(0, ID, networks)
	step := func(what string, changes bool) {
		t.Helper()
		n.Settle(n.Now)
		now := n.Version(0, ID, networks)
		if (now != v) != changes {
			t.Errorf("%s: the data version changed: %v", what, now != v)
		}
		v = now
	}
	step("nothing", false)
	network.Connected = false
	step("without an event", false)
	c.Follow(im.LinksChanged)
	step("unplugged", true)
	c.Follow(im.LinksChanged)
	step("another link", false)
}

// A read before LinksChanged does not suppress the changes for subscribers.
func TestChangesAfterARead(t *testing.T) {
	network := Network{Name: "eth0"}
	n, c := newNode(t, &network)
	network.Connected = true
	if got := n.Read(admin, 0, ID, lastNetworkID); got != `x"65746830"` {
		t.Fatalf("LastNetworkID %s", got)
	}
	c.Follow(im.LinksChanged)
	var changed []matter.AttributeID
	c.Changes(func(id matter.AttributeID) { changed = append(changed, id) })
	if want := []matter.AttributeID{networks, lastNetworkingStatus, lastNetworkID}; !slices.Equal(changed, want) {
		t.Errorf("changes of %d, want %d", changed, want)
	}
}

// The last connection is reported if there was one, even after it is lost.
func TestLastNetwork(t *testing.T) {
	network := Network{Name: "eth0"}
	n, c := newNode(t, &network)
	last := func(what, want string) {
		t.Helper()
		c.Follow(im.LinksChanged)
		n.Settle(n.Now)
		if got := n.Read(admin, 0, ID, lastNetworkingStatus) + " " + n.Read(admin, 0, ID, lastNetworkID); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	last("never plugged in", "null null")
	network.Connected = true
	last("plugged in", `0 x"65746830"`)
	network.Connected = false
	last("unplugged", `0 x"65746830"`)
	network = Network{Name: "eth1"}
	last("another interface, not plugged in", `0 x"65746830"`)
	network.Connected = true
	last("plugged in, too", `0 x"65746831"`)
}
