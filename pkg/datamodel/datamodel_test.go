package datamodel

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// TestTables holds what users of the tables rely on: order, unique ids, types that are
// whole, and responses that exist.
func TestTables(t *testing.T) {
	for i, c := range clusters {
		if i > 0 && c.ID <= clusters[i-1].ID {
			t.Errorf("%s: %#x does not follow %#x", c.Name, c.ID, clusters[i-1].ID)
		}
		if ClusterByID(c.ID) != c {
			t.Errorf("ClusterByID(%#x) is not %s", c.ID, c.Name)
		}
		ascending(t, c, c.Features, func(f Feature) uint64 { return uint64(f.Bit) })
		ascending(t, c, c.Attributes, func(a Attribute) uint64 { return uint64(a.ID) })
		ascending(t, c, c.Commands, func(x Command) uint64 { return uint64(x.ID) })
		ascending(t, c, c.Responses, func(x Command) uint64 { return uint64(x.ID) })
		ascending(t, c, c.Events, func(e Event) uint64 { return uint64(e.ID) })
		for _, a := range c.Attributes {
			checkType(t, c, a.Name, a.Type)
		}
		for _, x := range append(slices.Clone(c.Commands), c.Responses...) {
			checkFields(t, c, x.Name, x.Fields)
			if x.Response != 0 && x.Response != NoResponse &&
				!slices.ContainsFunc(c.Responses, func(r Command) bool { return r.ID == x.Response }) {
				t.Errorf("%s %s: no response %#x", c.Name, x.Name, x.Response)
			}
		}
		for _, e := range c.Events {
			checkFields(t, c, e.Name, e.Fields)
		}
	}
}

func ascending[T any](t *testing.T, c *Cluster, list []T, id func(T) uint64) {
	t.Helper()
	for i := 1; i < len(list); i++ {
		if id(list[i]) <= id(list[i-1]) {
			t.Errorf("%s: %T %#x does not follow %#x", c.Name, list[i], id(list[i]), id(list[i-1]))
		}
	}
}

func checkFields(t *testing.T, c *Cluster, name string, fields []Field) {
	t.Helper()
	ascending(t, c, fields, func(f Field) uint64 { return uint64(f.ID) })
	for _, f := range fields {
		checkType(t, c, name+"."+f.Name, f.Type)
	}
}

func checkType(t *testing.T, c *Cluster, name string, typ *Type) {
	t.Helper()
	switch {
	case typ == nil:
		t.Errorf("%s %s: no type", c.Name, name)
	case typ.Kind == List:
		checkType(t, c, name, typ.Entry)
	case typ.Kind == Struct:
		checkFields(t, c, name, typ.Fields)
	case typ.Kind == Enum8:
		for i, v := range typ.Values {
			if v.Value > 0xFF || i > 0 && v.Value <= typ.Values[i-1].Value {
				t.Errorf("%s %s: value %#x", c.Name, name, v.Value)
			}
		}
	case typ.Kind == Bitmap8 && typ.Bits > 0xFF, typ.Kind == Bitmap16 && typ.Bits > 0xFFFF:
		t.Errorf("%s %s: bits %#x", c.Name, name, typ.Bits)
	}
}

// TestFacts looks at some facts of each kind, of a hand that is not the generator's.
func TestFacts(t *testing.T) {
	if OnOff.Revision != 6 || Identify.Revision != 6 || BasicInformation.Revision != 6 || AccessControl.Revision != 3 {
		t.Error("revisions")
	}
	a := OnOff.Attributes[4]
	if a.ID != OnOffAttrStartUpOnOff || a.Read != matter.PrivilegeView || a.Write != matter.PrivilegeManage ||
		!a.Quality.Has(Nullable|NonVolatile) || a.Type.Kind != Enum8 || len(a.Type.Values) != 3 {
		t.Errorf("StartUpOnOff: %+v", a)
	}
	if OnOffFeatureLighting != 1 || OnOffStartUpOnOffToggle != 2 || SwitchEventInitialPress != 1 || LevelControlOptionsExecuteIfOff != 1 {
		t.Error("constants")
	}
	c := AdministratorCommissioning.Commands[0]
	if c.ID != AdministratorCommissioningCmdOpenCommissioningWindow || c.Privilege != matter.PrivilegeAdminister ||
		!c.Access.Has(Timed) || c.Response != NoResponse || len(c.Fields) != 5 {
		t.Errorf("OpenCommissioningWindow: %+v", c)
	}
	if !EthernetNetworkDiagnostics.Diagnostics || Descriptor.Diagnostics {
		t.Error("diagnostics")
	}
	if Groups.Commands[0].Response != GroupsCmdAddGroupResponse || !Groups.Commands[0].Access.Has(FabricScoped) {
		t.Errorf("AddGroup: %+v", Groups.Commands[0])
	}
	e := SmokeCOAlarm.Events[0]
	if e.ID != SmokeCOAlarmEventSmokeAlarm || e.Priority != 2 || e.Read != matter.PrivilegeView {
		t.Errorf("SmokeAlarm: %+v", e)
	}
}

func TestDeviceTypes(t *testing.T) {
	for i := range deviceTypes {
		d := &deviceTypes[i]
		if DeviceTypeByID(d.ID) != d {
			t.Errorf("DeviceTypeByID(%#x) is not %s", d.ID, d.Name)
		}
		if d.Superset != 0 && DeviceTypeByID(d.Superset) == nil {
			t.Errorf("%s: no superset %#x", d.Name, d.Superset)
		}
		if d.Class == 0 || d.Revision == 0 {
			t.Errorf("%s: class %d, revision %d", d.Name, d.Class, d.Revision)
		}
	}
	root := DeviceTypeByID(DeviceTypeRootNode)
	if root == nil || root.Revision != 4 || root.Class != ClassNode {
		t.Errorf("root: %+v", root)
	}
	if d := DeviceTypeByID(DeviceTypeExtendedColorLight); d.Superset != DeviceTypeColorTemperatureLight {
		t.Errorf("superset %#x", d.Superset)
	}
	if DeviceTypeByID(0xFFFF) != nil || ClusterByID(0xFFFF) != nil {
		t.Error("an unknown id is found")
	}
}

// TestNoInit holds that the tables are laid out by the compiler: a program that uses the
// package does nothing for it at its start, and tables that it does not use are left out.
func TestNoInit(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	trace, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(trace), "init runtime") {
		t.Fatalf("no trace: %s", trace)
	}
	if strings.Contains(string(trace), "/datamodel @") {
		t.Errorf("the package has something to initialise:\n%s", trace)
	}
}
