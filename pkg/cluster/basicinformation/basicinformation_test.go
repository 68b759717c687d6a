package basicinformation

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

var product = Options{
	VendorName: "Acme", VendorID: 0xFFF1, ProductName: "Bridge", ProductID: 0x8001,
	HardwareVersion: 3, HardwareVersionString: "C", SoftwareVersion: 1002003, SoftwareVersionString: "1.2.3",
	SerialNumber: "S-1", MaxPathsPerInvoke: 5, ConfigurationVersion: 6,
	Minima: CapabilityMinima{3, 4, 5, 6, 9, 8},
}

var admin = clustertest.Admin(1)

// newNode returns a node whose store remembers a label and a location.
func newNode(t *testing.T, opt Options) (*clustertest.Node, *Cluster) {
	t.Helper()
	n := clustertest.New(t, 1)
	err := n.Store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			n.UniqueID, n.NodeLabel, n.Location = "00112233445566778899aabbccddeeff", "old", "XX"
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	opt.Store = n.Store
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	n.Add(0, c)
	return n, c
}

func TestRead(t *testing.T) {
	n, _ := newNode(t, product)
	for id, want := range map[matter.AttributeID]string{
		dataModelRevision:     fmt.Sprint(matter.DataModelRevision),
		vendorName:            `"Acme"`,
		vendorID:              "65521",
		productName:           `"Bridge"`,
		productID:             "32769",
		nodeLabel:             `"old"`,
		location:              `"XX"`,
		hardwareVersion:       "3",
		hardwareVersionString: `"C"`,
		softwareVersion:       "1002003",
		softwareVersionString: `"1.2.3"`,
		serialNumber:          `"S-1"`,
		localConfigDisabled:   "false",
		uniqueID:              `"00112233445566778899aabbccddeeff"`,
		capabilityMinima:      "{0:3,1:4,2:5,3:6,4:9,5:8}",
		specificationVersion:  fmt.Sprint(matter.SpecificationVersion),
		maxPathsPerInvoke:     "5",
		configurationVersion:  "6",
	} {
		if got := n.Read(admin, 0, ID, id); got != want {
			t.Errorf("attribute 0x%02X: %s, want %s", id, got, want)
		}
	}
}

// The version is reported when it has increased.
func TestConfigurationVersion(t *testing.T) {
	n, c := newNode(t, product)
	var reported int
	for _, v := range []uint32{6, 7, 7} {
		c.SetConfigurationVersion(v)
		c.Changes(func(id matter.AttributeID) {
			if id != configurationVersion {
				t.Errorf("attribute 0x%02X is reported", id)
			}
			reported++
		})
	}
	if got := n.Read(admin, 0, ID, configurationVersion); got != "7" || reported != 1 {
		t.Errorf("version %s, reported %d times", got, reported)
	}
}

func TestNoSerialNumber(t *testing.T) {
	opt := product
	opt.SerialNumber = ""
	n, _ := newNode(t, opt)
	if got := n.Read(admin, 0, ID, serialNumber); got != "UNSUPPORTED_ATTRIBUTE" {
		t.Errorf("SerialNumber: %s", got)
	}
	if list := n.Read(admin, 0, ID, matter.AttributeAttributeList); strings.Contains(list, ",15,") {
		t.Errorf("AttributeList %s", list)
	}
	with, _ := newNode(t, product)
	if list := with.Read(admin, 0, ID, matter.AttributeAttributeList); !strings.Contains(list, ",15,") {
		t.Errorf("AttributeList of a product with a serial number %s", list)
	}
}

func TestWrite(t *testing.T) {
	text := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	tests := []struct {
		name  string
		id    matter.AttributeID
		value string
		want  string
	}{
		{"label", nodeLabel, `"hall"`, "SUCCESS"},
		{"no label", nodeLabel, `""`, "SUCCESS"},
		{"longest label", nodeLabel, text(32), "SUCCESS"},
		{"label of 32 octets in fewer letters", nodeLabel, `"` + strings.Repeat("ü", 16) + `"`, "SUCCESS"},
		{"label too long", nodeLabel, text(33), "CONSTRAINT_ERROR"},
		{"label too long in octets", nodeLabel, `"` + strings.Repeat("ü", 17) + `"`, "CONSTRAINT_ERROR"},
		{"label of octets", nodeLabel, `x"00"`, "INVALID_DATA_TYPE"},
		{"label null", nodeLabel, "null", "INVALID_DATA_TYPE"},
		{"location", location, `"DE"`, "SUCCESS"},
		{"location too short", location, `"D"`, "CONSTRAINT_ERROR"},
		{"location empty", location, `""`, "CONSTRAINT_ERROR"},
		{"location too long", location, `"DEU"`, "CONSTRAINT_ERROR"},
		{"location a number", location, "49", "INVALID_DATA_TYPE"},
		{"local configuration", localConfigDisabled, "true", "SUCCESS"},
		{"local configuration a number", localConfigDisabled, "1", "INVALID_DATA_TYPE"},
		{"vendor name", vendorName, `"x"`, "UNSUPPORTED_WRITE"},
		{"unique id", uniqueID, `"x"`, "UNSUPPORTED_WRITE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, c := newNode(t, product)
			before, version := n.Read(admin, 0, ID, tt.id), n.Version(0, ID, tt.id)
			if got := n.Write(admin, 0, ID, tt.id, tt.value); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			want := before
			if tt.want == "SUCCESS" {
				want = tt.value
			}
			if got := n.Read(admin, 0, ID, tt.id); got != want {
				t.Errorf("then it is %s, want %s", got, want)
			}
			if changed := n.Version(0, ID, tt.id) != version; changed != (tt.want == "SUCCESS") {
				t.Errorf("the data version changed: %v", changed)
			}
			// A value is on the disk before the answer is sent.
			opt := product
			opt.Store = n.Store
			again, err := New(opt)
			if err != nil {
				t.Fatal(err)
			}
			if again.node.NodeLabel != c.NodeLabel() || again.node.Location != c.node.Location || again.node.LocalConfigDisabled != c.node.LocalConfigDisabled {
				t.Errorf("stored %+v", again.node)
			}
		})
	}
}

func TestSetLocation(t *testing.T) {
	n, c := newNode(t, product)
	v := n.Version(0, ID, location)
	step := func(country string, want error, changes bool) {
		t.Helper()
		if err := c.SetLocation(country); err != want {
			t.Errorf("SetLocation(%q) = %v, want %v", country, err, want)
		}
		n.Settle(n.Now)
		now := n.Version(0, ID, location)
		if (now != v) != changes {
			t.Errorf("SetLocation(%q): the data version changed: %v", country, now != v)
		}
		v = now
	}
	step("FR", nil, true)
	step("FR", nil, false)
	step("FRA", matter.StatusConstraintError, false)
	step("", matter.StatusConstraintError, false)
	step("\xff\xff", matter.StatusConstraintError, false)
	if got := n.Read(admin, 0, ID, location); got != `"FR"` {
		t.Errorf("Location %s", got)
	}
}

// A factory reset changes the store; Reset then reads the new values.
func TestReset(t *testing.T) {
	n, c := newNode(t, product)
	version := n.Version(0, ID, nodeLabel)
	err := n.Store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			n.NodeLabel, n.UniqueID = "", "new"
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	if got := n.Read(admin, 0, ID, nodeLabel) + n.Read(admin, 0, ID, uniqueID); got != `"""new"` {
		t.Errorf("label and unique id %s", got)
	}
	if n.Version(0, ID, nodeLabel) == version {
		t.Error("the data version outlasts the reset")
	}
}

// A store that fails changes nothing.
func TestStoreFails(t *testing.T) {
	n := clustertest.New(t, 0)
	opt := product
	opt.Store = n.Store
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.update(func(n *store.Node) { n.NodeLabel = strings.Repeat("x", 33) }); err == nil {
		t.Error("an invalid record was stored")
	}
	if c.NodeLabel() != "" {
		t.Errorf("label %q after a failure", c.NodeLabel())
	}
	gone, err := store.Open(filepath.Join(t.TempDir(), store.FileName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	c.opt.Store = gone
	if err := c.SetLocation("FR"); err == nil {
		t.Error("a location was stored nowhere")
	}
	c.Changes(func(id matter.AttributeID) { t.Errorf("attribute %d is reported as changed after a failure", id) })
}
