package generaldiagnostics

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

var admin = clustertest.Admin(1)

// rig is the cluster with its node.
type rig struct {
	*clustertest.Node
	c          *Cluster
	interfaces []Interface
	load       im.Load
}

func newRig(t *testing.T, interfaces ...Interface) *rig {
	r := &rig{Node: clustertest.New(t, 1), interfaces: interfaces}
	r.c = New(Options{
		Started:          clustertest.Start,
		RebootCount:      7,
		BootReason:       BootSoftwareReset,
		Interfaces:       func() []Interface { return r.interfaces },
		OperationalHours: func(now time.Time) uint32 { return 40 + uint32(now.Sub(clustertest.Start)/time.Hour) },
		Load: func(f matter.FabricIndex) im.Load {
			l := r.load
			l.OfFabric = int(f)
			return l
		},
	})
	r.Add(0, r.c)
	return r
}

func TestRead(t *testing.T) {
	r := newRig(t)
	r.Now = r.Now.Add(2*time.Hour + 1500*time.Millisecond)
	for id, want := range map[matter.AttributeID]string{
		networkInterfaces: "[]", rebootCount: "7", upTime: "7201", totalOperationalHours: "42", bootReason: "6", activeNetworkFaults: "[]", testEventTriggersOn: "false",
	} {
		if got := r.Read(admin, 0, ID, id); got != want {
			t.Errorf("attribute %d: %s, want %s", id, got, want)
		}
	}
	r.Now = clustertest.Start.Add(-time.Hour)
	if got := r.Read(admin, 0, ID, upTime); got != "0" {
		t.Errorf("UpTime of a clock that was set back: %s", got)
	}
}

// Counters stop at their maximum (section 11.12.6.10).
func TestDeviceLoadStatus(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		load im.Load
		want string
	}{
		{im.Load{Subscriptions: 2, Established: 3, Sent: 4, Received: 5}, "{0:2,1:1,2:3,3:4,4:5}"},
		{im.Load{Subscriptions: 65535, Established: 1<<32 - 1, Sent: 1<<32 - 1, Received: 1<<32 - 1}, "{0:65535,1:1,2:4294967295,3:4294967295,4:4294967295}"},
		{im.Load{Subscriptions: 65536, Established: 1 << 32, Sent: 1 << 33, Received: 1 << 34}, "{0:65535,1:1,2:4294967295,3:4294967295,4:4294967295}"},
	} {
		r.load = tt.load
		if got := r.Read(admin, 0, ID, deviceLoadStatus); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.load, got, tt.want)
		}
	}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestNetworkInterfaces(t *testing.T) {
	mac := []byte{2, 0, 0, 0, 0, 1}
	tests := []struct {
		name string
		in   Interface
		want string
	}{
		{"Ethernet", Interface{Name: "eth0", Operational: true, HardwareAddress: mac, Ethernet: true, Addresses: addrs("192.168.1.2", "fe80::1")},
			`{0:"eth0",1:true,2:null,3:null,4:x"020000000001",5:[x"c0a80102"],6:[x"fe800000000000000000000000000001"],7:2}`},
		{"Wi-Fi, down", Interface{Name: "wlan0", HardwareAddress: mac, WiFi: true},
			`{0:"wlan0",1:false,2:null,3:null,4:x"020000000001",5:[],6:[],7:1}`},
		{"something else", Interface{Name: "wpan0", Operational: true, HardwareAddress: append(mac, 7, 8)},
			`{0:"wpan0",1:true,2:null,3:null,4:x"0200000000010708",5:[],6:[],7:0}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newRig(t, tt.in).Read(admin, 0, ID, networkInterfaces); got != "["+tt.want+"]" {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

// At most 8 interfaces, with at most 4 and 8 addresses and a name of 32 octets.
func TestNetworkInterfacesAreBounded(t *testing.T) {
	var many []netip.Addr
	for i := range 20 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), netip.AddrFrom16([16]byte{0: 0xFD, 15: byte(i)}))
	}
	var list []Interface
	for i := range 20 {
		list = append(list, Interface{Name: fmt.Sprintf("%02d%s", i, strings.Repeat("x", 40)), HardwareAddress: make([]byte, 6), Addresses: many})
	}
	var w tlv.Writer // larger than a message
	if err := newRig(t, list...).c.Read(&im.Request{}, networkInterfaces, &w, tlv.Anonymous); err != nil {
		t.Fatal(err)
	}
	got := clustertest.Text(t, tlv.NewReader(w.Bytes()))
	if n := strings.Count(got, "7:0}"); n != maxInterfaces {
		t.Errorf("%d interfaces", n)
	}
	if n := strings.Count(got, `x"0a0000`); n != maxInterfaces*maxIPv4 {
		t.Errorf("%d IPv4 addresses", n)
	}
	if n := strings.Count(got, `x"fd0000`); n != maxInterfaces*maxIPv6 {
		t.Errorf("%d IPv6 addresses", n)
	}
	if !strings.Contains(got, `0:"07`+strings.Repeat("x", 30)+`"`) || strings.Contains(got, `0:"08`) {
		t.Errorf("not the first ones: %.200s", got)
	}
}

// No test event can be triggered, as there is no enable key (section
// 11.12.7.1).
func TestTestEventTrigger(t *testing.T) {
	r := newRig(t)
	key := func(n int, b byte) string { return `x"` + strings.Repeat(fmt.Sprintf("%02x", b), n) + `"` }
	for fields, want := range map[string]string{
		"{0:" + key(16, 0) + ",1:0}":                    "CONSTRAINT_ERROR",
		"{0:" + key(16, 1) + ",1:0}":                    "CONSTRAINT_ERROR",
		"{0:" + key(16, 1) + ",1:18446744073709551615}": "CONSTRAINT_ERROR",
		"{0:" + key(15, 1) + ",1:0}":                    "CONSTRAINT_ERROR",
		"{0:" + key(16, 1) + "}":                        "INVALID_COMMAND",
		"{1:0}":                                         "INVALID_COMMAND",
		"{0:1,1:0}":                                     "INVALID_COMMAND",
		"{0:" + key(16, 1) + ",1:true}":                 "INVALID_COMMAND",
		"{}":                                            "INVALID_COMMAND",
	} {
		if got := r.Invoke(admin, 0, ID, cmdTestEventTrigger, fields); got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

// The same key would be needed here (section 11.12.7.4).
func TestPayloadTest(t *testing.T) {
	r := newRig(t)
	key := `0:x"` + strings.Repeat("01", 16) + `"`
	for fields, want := range map[string]string{
		"{" + key + ",1:255,2:2048}": "CONSTRAINT_ERROR",
		"{" + key + ",1:0,2:2049}":   "CONSTRAINT_ERROR",
		`{0:x"",1:0,2:0}`:            "CONSTRAINT_ERROR",
		"{" + key + ",1:256,2:1}":    "INVALID_COMMAND",
		"{" + key + ",1:0,2:65536}":  "INVALID_COMMAND",
		"{" + key + ",1:0}":          "INVALID_COMMAND",
		"{" + key + ",2:1}":          "INVALID_COMMAND",
		"{1:0,2:1}":                  "INVALID_COMMAND",
		"{0:1,1:0,2:1}":              "INVALID_COMMAND",
		"{}":                         "INVALID_COMMAND",
	} {
		if got := r.Invoke(admin, 0, ID, cmdPayloadTest, fields); got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

// Only nodes with Time Synchronization report the time of day.
func TestTimeSnapshot(t *testing.T) {
	r := newRig(t)
	r.Now = r.Now.Add(90*time.Second + 7*time.Millisecond + 300*time.Microsecond)
	if got, want := r.Invoke(admin, 0, ID, cmdTimeSnapshot, "{}"), "2{0:90007,1:null}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestChanges(t *testing.T) {
	eth := Interface{Name: "eth0", Operational: true, HardwareAddress: make([]byte, 6), Addresses: addrs("fe80::1")}
	r := newRig(t, eth)
	v := r.Version(0, ID, rebootCount)
	step := func(what string, changes bool) {
		t.Helper()
		r.Settle(r.Now)
		now := r.Version(0, ID, rebootCount)
		if (now != v) != changes {
			t.Errorf("%s: the data version changed: %v", what, now != v)
		}
		v = now
	}
	r.c.Follow(im.LinksChanged)
	step("the same", false)
	eth.Addresses = addrs("fe80::1", "fd00::1")
	r.interfaces = []Interface{eth}
	step("nobody said so", false)
	r.c.Follow(im.LinksChanged)
	step("an address more", true)
	r.interfaces = nil
	r.c.Follow(im.LinksChanged)
	step("none", true)
	step("still none", false)
}
