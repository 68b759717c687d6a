package im

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// The node of most tests has endpoints 0 and 2, cluster 6 on both, 7 on 0, and a
// manufacturer-specific and a diagnostics cluster on 2.
var specSwitch = &Spec{
	ID: 6, Name: "Switch", Revision: 3, Features: 5,
	Attributes: []Attribute{
		{ID: 0, Name: "State", Read: matter.PrivilegeView, Write: matter.PrivilegeOperate},
		{ID: 1, Name: "Secret", Read: matter.PrivilegeAdminister, Write: matter.PrivilegeAdminister},
		{ID: 2, Name: "WriteOnly", Write: matter.PrivilegeOperate},
		{ID: 3, Name: "Names", Read: matter.PrivilegeView, Write: matter.PrivilegeManage, Quality: List},
		{ID: 4, Name: "Owned", Read: matter.PrivilegeView, Write: matter.PrivilegeManage, Quality: List | FabricScoped},
		{ID: 5, Name: "Ticks", Read: matter.PrivilegeView, Quality: ChangesOmitted},
		{ID: 6, Name: "Serial", Read: matter.PrivilegeView, Quality: Fixed},
		{ID: 7, Name: "Guarded", Read: matter.PrivilegeView, Write: matter.PrivilegeOperate, Quality: Timed},
		{ID: 8, Name: "Maybe", Read: matter.PrivilegeView, Write: matter.PrivilegeOperate, Quality: List | Nullable},
		{ID: 0xFFF1_0001, Name: "Custom", Read: matter.PrivilegeView},
	},
	Commands: []Command{
		{ID: 0, Name: "Off", Response: NoResponse, Privilege: matter.PrivilegeOperate},
		{ID: 1, Name: "Echo", Response: 9, Privilege: matter.PrivilegeOperate},
		{ID: 2, Name: "Reset", Response: NoResponse, Privilege: matter.PrivilegeAdminister},
		{ID: 3, Name: "Open", Response: 4, Privilege: matter.PrivilegeOperate, Quality: Timed},
		{ID: 5, Name: "Mine", Response: 9, Privilege: matter.PrivilegeOperate, Quality: FabricScoped},
	},
	Events: []Event{
		{ID: 0, Name: "Pressed", Priority: Info, Read: matter.PrivilegeView},
		{ID: 1, Name: "Alarm", Priority: Critical, Read: matter.PrivilegeAdminister},
		{ID: 2, Name: "Joined", Priority: Info, Read: matter.PrivilegeView, Quality: FabricSensitive},
		{ID: 3, Name: "Trace", Priority: Debug, Read: matter.PrivilegeView},
	},
}

var specPlain = &Spec{ID: 7, Name: "Plain", Revision: 1, Attributes: []Attribute{{ID: 0, Name: "Value", Read: matter.PrivilegeView}}}

var specDiagnostics = &Spec{ID: 0x37, Name: "Diagnostics", Revision: 1}

var specCustom = &Spec{ID: 0xFFF1_FC01, Name: "Custom", Revision: 1}

type node struct {
	*harness
	sw0, sw2 *fakeCluster
}

func newSwitch() *fakeCluster {
	return &fakeCluster{
		spec: specSwitch,
		values: map[matter.AttributeID]string{
			0: "1", 1: `"s"`, 2: "0", 3: `["a","b"]`, 5: "99", 6: `"S1"`, 7: "0", 8: "null", 0xFFF1_0001: "-4",
		},
		lists: map[matter.AttributeID][]entry{4: {{1, "one"}, {2, "two"}}},
		fails: map[matter.AttributeID]error{},
	}
}

func newNode(t testing.TB, change func(*Options)) *node {
	n := &node{harness: newHarness(t, change), sw0: newSwitch(), sw2: newSwitch()}
	plain := &fakeCluster{spec: specPlain, values: map[matter.AttributeID]string{0: "7"}}
	n.AddEndpoint(Endpoint{ID: 2, Polled: true, Clusters: []Cluster{
		&fakeCluster{spec: specCustom}, watched{n.sw2}, &fakeCluster{spec: specDiagnostics},
	}})
	n.AddEndpoint(Endpoint{ID: 0, Clusters: []Cluster{plain, n.sw0}})
	for _, in := range n.instances() {
		in.version = 5
	}
	return n
}

// data is the AttributeReportIB of a value.
func data(ep, cl, id uint32, value string) string {
	return fmt.Sprintf("{1:{0:5,1:<2:%d,3:%d,4:%d>,2:%s}}", ep, cl, id, value)
}

// fault is the AttributeReportIB of a status.
func fault(ep, cl, id uint32, st matter.Status) string {
	return fmt.Sprintf("{0:{0:<2:%d,3:%d,4:%d>,1:{0:%d}}}", ep, cl, id, st)
}

func TestReadConcrete(t *testing.T) {
	tests := []struct {
		name, paths, want string
	}{
		{"value", "<2:0,3:6,4:0>", data(0, 6, 0, "1")},
		{"any node id, before there is one", "<1:18446744073709551615,2:0,3:6,4:0>", data(0, 6, 0, "1")},
		{"compression off", "<0:false,2:0,3:6,4:0>", data(0, 6, 0, "1")},
		{"order and unknown parts", "<9:{0:1},4:0,3:6,2:0>", data(0, 6, 0, "1")},
		{"administer", "<2:0,3:6,4:1>", data(0, 6, 1, `"s"`)},
		{"list", "<2:2,3:6,4:3>", data(2, 6, 3, `["a","b"]`)},
		{"custom", "<2:2,3:6,4:4293984257>", data(2, 6, 0xFFF1_0001, "-4")},
		{"two", "<2:0,3:6,4:0>,<2:0,3:7,4:0>", data(0, 6, 0, "1") + "," + data(0, 7, 0, "7")},
		{"no endpoint", "<2:1,3:6,4:0>", fault(1, 6, 0, matter.StatusUnsupportedEndpoint)},
		{"no cluster", "<2:0,3:8,4:0>", fault(0, 8, 0, matter.StatusUnsupportedCluster)},
		{"no attribute", "<2:0,3:6,4:77>", fault(0, 6, 77, matter.StatusUnsupportedAttribute)},
		{"no such global", "<2:0,3:6,4:65530>", fault(0, 6, 65530, matter.StatusUnsupportedAttribute)},
		{"not readable", "<2:0,3:6,4:2>", fault(0, 6, 2, matter.StatusUnsupportedRead)},
		{"one item of a list", "<2:0,3:6,4:3,5:0>", fault(0, 6, 3, matter.StatusUnsupportedRead)},
		{"flags of a concrete path", "<2:0,3:6,4:6,6:511>", data(0, 6, 6, `"S1"`)},
		{"revision", "<2:0,3:6,4:65533>", data(0, 6, 65533, "3")},
		{"features", "<2:0,3:6,4:65532>", data(0, 6, 65532, "5")},
		{"attributes", "<2:0,3:7,4:65531>", data(0, 7, 65531, "[0,65528,65529,65531,65532,65533]")},
		{"commands", "<2:0,3:6,4:65529>", data(0, 6, 65529, "[0,1,2,3,5]")},
		{"generated", "<2:0,3:6,4:65528>", data(0, 6, 65528, "[4,9]")},
		{"custom attribute in the list", "<2:2,3:6,4:65531>",
			data(2, 6, 65531, "[0,1,2,3,4,5,6,7,8,65528,65529,65531,65532,65533,4293984257]")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			_, c := n.ask(pase(0), OpcodeReadRequest, "{0:["+tt.paths+"],3:false,255:12}")
			wantLast(t, c, OpcodeReportData, "{1:["+tt.want+"],4:true,255:12}")
			if len(c.sent) != 1 || !c.closed {
				t.Errorf("%d messages, closed %v", len(c.sent), c.closed)
			}
		})
	}
}

func TestReadExample(t *testing.T) {
	// The request of the reference, octet by octet.
	n := newNode(t, nil)
	c := n.newConn(pase(0))
	i := n.Open(n.now, c)
	i.Receive(n.now, OpcodeReadRequest, []byte{0x15, 0x36, 0x00, 0x17, 0x24, 0x02, 0x00, 0x24, 0x03, 0x3e, 0x24, 0x04, 0x05, 0x18, 0x18, 0x28, 0x03, 0x24, 0xff, 0x0c, 0x18})
	wantLast(t, c, OpcodeReportData, "{1:["+fault(0, 0x3e, 5, matter.StatusUnsupportedCluster)+"],4:true,255:12}")
}

// reportedPaths lists the paths of a report as endpoint/cluster/attribute.
func reportedPaths(text string) string {
	var out []string
	for _, part := range strings.Split(text, "<2:")[1:] {
		var ep, cl, id uint32
		fmt.Sscanf(part, "%d,3:%d,4:%d", &ep, &cl, &id)
		out = append(out, fmt.Sprintf("%d/%d/%d", ep, cl, id))
	}
	return strings.Join(out, " ")
}

func TestReadWildcard(t *testing.T) {
	const all0 = "0/6/0 0/6/1 0/6/3 0/6/4 0/6/5 0/6/6 0/6/7 0/6/8 0/6/65528 0/6/65529 0/6/65531 0/6/65532 0/6/65533 0/6/4293984257"
	const plain = "0/7/0 0/7/65528 0/7/65529 0/7/65531 0/7/65532 0/7/65533"
	all2 := strings.ReplaceAll(all0, "0/6/", "2/6/")
	const diag = "2/55/65528 2/55/65529 2/55/65531 2/55/65532 2/55/65533"
	custom := strings.ReplaceAll(diag, "2/55/", "2/4294048769/")
	all := strings.Join([]string{all0, plain, all2, diag, custom}, " ")
	without := func(s string, ids ...string) string {
		return strings.Join(strings.Fields(strings.NewReplacer(ids...).Replace(s+" ")), " ")
	}
	tests := []struct{ name, path, want string }{
		{"everything", "<>", all},
		{"endpoint", "<2:0>", all0 + " " + plain},
		{"cluster", "<3:6>", all0 + " " + all2},
		{"cluster of an endpoint", "<2:0,3:7>", plain},
		{"attribute everywhere", "<3:6,4:0>", "0/6/0 2/6/0"},
		{"global attribute", "<4:65533>", "0/6/65533 0/7/65533 2/6/65533 2/55/65533 2/4294048769/65533"},
		{"global of an endpoint", "<2:2,4:65532>", "2/6/65532 2/55/65532 2/4294048769/65532"},
		{"write-only attribute", "<3:6,4:2>", ""},
		{"nothing: endpoint", "<2:9>", ""},
		{"nothing: cluster", "<3:9>", ""},
		{"nothing: cluster of an endpoint", "<2:2,3:7>", ""},
		{"nothing: attribute", "<3:6,4:99>", ""},
		{"not the root", "<6:1>", strings.Join([]string{all2, diag, custom}, " ")},
		{"not the root, though named", "<2:0,3:7,6:1>", plain},
		{"no large globals", "<2:0,3:7,6:2>", "0/7/0 0/7/65532 0/7/65533"},
		{"no attribute list", "<2:0,3:7,6:4>", without(plain, "0/7/65531 ", "")},
		{"reserved flag", "<2:0,3:7,6:8>", plain},
		{"no command lists", "<2:0,3:7,6:16>", "0/7/0 0/7/65531 0/7/65532 0/7/65533"},
		{"nothing custom", "<2:2,6:32>", without(all2+" "+diag, "2/6/4293984257 ", "")},
		{"custom cluster by name", "<2:2,3:4294048769,6:32>", custom},
		{"no fixed ones", "<2:0,3:6,6:64>", "0/6/0 0/6/1 0/6/3 0/6/4 0/6/5 0/6/7 0/6/8 0/6/4293984257"},
		{"no changes omitted", "<2:0,3:6,6:128>", without(all0, "0/6/5 ", "")},
		{"no diagnostics", "<2:2,6:256>", all2 + " " + custom},
		{"diagnostics by name", "<2:2,3:55,6:256>", diag},
		{"global attribute by name", "<2:0,3:7,4:65531,6:6>", "0/7/65531"},
		{"global attribute everywhere by name", "<4:65531,6:7>", "2/6/65531 2/55/65531 2/4294048769/65531"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, func(o *Options) { o.MaxPayload = 1 << 16 })
			_, c := n.ask(pase(0), OpcodeReadRequest, "{0:["+tt.path+"],3:false}")
			if got := reportedPaths(c.last().text); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if tt.want == "" {
				wantLast(t, c, OpcodeReportData, "{4:true,255:12}")
			}
		})
	}
}

func TestReadMalformed(t *testing.T) {
	tests := []struct {
		name, text string
		want       matter.Status
	}{
		{"nothing", `{}`, matter.StatusInvalidAction},
		{"not a structure", `[]`, matter.StatusInvalidAction},
		{"no FabricFiltered", `{0:[<2:0,3:6,4:0>]}`, matter.StatusInvalidAction},
		{"FabricFiltered not bool", `{0:[<2:0,3:6,4:0>],3:1}`, matter.StatusInvalidAction},
		{"FabricFiltered twice", `{0:[<2:0,3:6,4:0>],3:true,3:true}`, matter.StatusInvalidAction},
		{"paths twice", `{0:[<2:0,3:6,4:0>],0:[],3:true}`, matter.StatusInvalidAction},
		{"paths in a list", `{0:<2:0>,3:true}`, matter.StatusInvalidAction},
		{"path a structure", `{0:[{2:0,3:6,4:0}],3:true}`, matter.StatusInvalidAction},
		{"endpoint twice", `{0:[<2:0,2:0,3:6,4:0>],3:true}`, matter.StatusInvalidAction},
		{"endpoint too wide", `{0:[<2:65536,3:6,4:0>],3:true}`, matter.StatusInvalidAction},
		{"endpoint 0xFFFF", `{0:[<2:65535,3:6,4:0>],3:true}`, matter.StatusInvalidAction},
		{"endpoint signed", `{0:[<2:+1,3:6,4:0>],3:true}`, matter.StatusInvalidAction},
		{"endpoint null", `{0:[<2:null,3:6,4:0>],3:true}`, matter.StatusInvalidAction},
		{"cluster -1", `{0:[<2:0,3:4294967295,4:0>],3:true}`, matter.StatusInvalidAction},
		{"attribute -1", `{0:[<2:0,3:6,4:4294967295>],3:true}`, matter.StatusInvalidAction},
		{"attribute of every cluster", `{0:[<2:0,4:0>],3:true}`, matter.StatusInvalidAction},
		{"list index of all", `{0:[<2:0,3:6,5:1>],3:true}`, matter.StatusInvalidAction},
		{"list index null", `{0:[<2:0,3:6,4:3,5:null>],3:true}`, matter.StatusInvalidAction},
		{"list index too wide", `{0:[<2:0,3:6,4:3,5:65536>],3:true}`, matter.StatusInvalidAction},
		{"tag compression", `{0:[<0:true,2:0,3:6,4:0>],3:true}`, matter.StatusInvalidAction},
		{"node not a number", `{0:[<1:"x",2:0,3:6,4:0>],3:true}`, matter.StatusInvalidAction},
		{"flags not a number", `{0:[<2:0,6:true>],3:true}`, matter.StatusInvalidAction},
		{"event of every cluster", `{1:[<3:0>],3:true}`, matter.StatusInvalidAction},
		{"event path a structure", `{1:[{3:0}],3:true}`, matter.StatusInvalidAction},
		{"event filter without minimum", `{2:[{0:1}],3:true}`, matter.StatusInvalidAction},
		{"version filter without version", `{3:true,4:[{0:<1:0,2:6>}]}`, matter.StatusInvalidAction},
		{"version filter without path", `{3:true,4:[{1:5}]}`, matter.StatusInvalidAction},
		{"too many paths", `{0:[` + strings.Repeat("<>,", MaxPaths) + `<>],3:true}`, matter.StatusPathsExhausted},
		{"too many with events", `{0:[<>],1:[` + strings.Repeat("<>,", MaxPaths) + `],3:true}`, matter.StatusPathsExhausted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			_, c := n.ask(pase(1), OpcodeReadRequest, tt.text)
			wantStatus(t, c, tt.want)
			if len(c.sent) != 1 {
				t.Errorf("%d messages", len(c.sent))
			}
		})
	}
	t.Run("trailing octets", func(t *testing.T) {
		n := newNode(t, nil)
		c := n.newConn(pase(1))
		n.Open(n.now, c).Receive(n.now, OpcodeReadRequest, append(encode(t, `{3:true}`), 0))
		wantStatus(t, c, matter.StatusInvalidAction)
	})
}

func TestReadNothing(t *testing.T) {
	n := newNode(t, nil)
	_, c := n.ask(pase(0), OpcodeReadRequest, "{3:false}")
	wantLast(t, c, OpcodeReportData, "{4:true,255:12}")
}

func TestReadManyPaths(t *testing.T) {
	// Nine paths are guaranteed. All that the node accepts are answered.
	n := newNode(t, nil)
	i, c := n.ask(pase(0), OpcodeReadRequest, "{0:["+strings.Repeat("<2:0,3:6,4:0>,", MaxPaths)+"],3:false}")
	for !c.closed {
		n.confirm(i)
	}
	got := 0
	for _, m := range c.sent {
		got += strings.Count(m.text, "<2:0,3:6,4:0>")
	}
	if got != MaxPaths {
		t.Errorf("%d reports", got)
	}
}

func TestDataVersionFilter(t *testing.T) {
	tests := []struct{ name, request, want string }{
		{"same version", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<1:0,2:6>,1:5}]}`, ""},
		{"with node", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<0:1,1:0,2:6>,1:5}]}`, ""},
		{"other version", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<1:0,2:6>,1:4}]}`, "0/6/0"},
		{"other endpoint", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<1:2,2:6>,1:5}]}`, "0/6/0"},
		{"wildcard filter", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<2:6>,1:5},{0:<1:0>,1:5}]}`, "0/6/0"},
		{"wildcard path", `{0:[<3:6,4:0>],3:false,4:[{0:<1:0,2:6>,1:5}]}`, "2/6/0"},
		{"second filter", `{0:[<3:6,4:0>],3:false,4:[{0:<1:0,2:7>,1:5},{0:<1:2,2:6>,1:5}]}`, "0/6/0"},
		{"an older one too", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<1:0,2:6>,1:5},{0:<1:0,2:6>,1:4}]}`, "0/6/0"},
		{"an older one before", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<1:0,2:6>,1:4},{0:<1:0,2:6>,1:5}]}`, "0/6/0"},
		{"twice the same", `{0:[<2:0,3:6,4:0>],3:false,4:[{0:<1:0,2:6>,1:5},{0:<1:0,2:6>,1:5}]}`, ""},
		{"unknown cluster", `{0:[<3:6,4:0>],3:false,4:[{0:<1:9,2:9>,1:5}]}`, "0/6/0 2/6/0"},
		{"status stays", `{0:[<2:0,3:6,4:99>],3:false,4:[{0:<1:0,2:6>,1:5}]}`, "0/6/99"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			_, c := n.ask(pase(0), OpcodeReadRequest, tt.request)
			if got := reportedPaths(c.last().text); got != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestFabricFilter(t *testing.T) {
	one, two := `{1:"one",254:1}`, `{1:"two",254:2}`
	tests := []struct {
		name     string
		fabric   matter.FabricIndex
		filtered bool
		want     string
	}{
		{"own", 1, true, "[" + one + "]"},
		{"other", 2, true, "[" + two + "]"},
		{"none", 0, true, "[]"},
		{"all", 1, false, "[" + one + "," + two + "]"},
		{"all without a fabric", 0, false, "[" + one + "," + two + "]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			_, c := n.ask(pase(tt.fabric), OpcodeReadRequest, fmt.Sprintf("{0:[<2:0,3:6,4:4>],3:%v}", tt.filtered))
			wantLast(t, c, OpcodeReportData, "{1:["+data(0, 6, 4, tt.want)+"],4:true,255:12}")
		})
	}
}

func TestReadFailure(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string // StatusIB
		logs bool
	}{
		{"status", matter.StatusBusy, "{0:156}", false},
		{"wrapped", fmt.Errorf("x: %w", matter.StatusNotFound), "{0:139}", false},
		{"cluster status", matter.ClusterStatus{Status: matter.StatusFailure, Code: 3}, "{0:1,1:3}", false},
		{"other", errTest, "{0:1}", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.sw0.fails[0] = tt.err
			_, c := n.ask(pase(0), OpcodeReadRequest, "{0:[<2:0,3:6,4:0>,<2:0,3:7,4:0>],3:false}")
			wantLast(t, c, OpcodeReportData, "{1:[{0:{0:<2:0,3:6,4:0>,1:"+tt.want+"}},"+data(0, 7, 0, "7")+"],4:true,255:12}")
			if got := strings.Contains(n.log.String(), "it broke"); got != tt.logs {
				t.Errorf("log: %s", n.log.String())
			}
		})
	}
}

// The six clusters with quality K in this release.
func TestDiagnosticsClusters(t *testing.T) {
	for id := matter.ClusterID(0); id < 0x100; id++ {
		want := id == 0x32 || id == 0x33 || id == 0x34 || id == 0x35 || id == 0x36 || id == 0x37
		if got := diagnosticsCluster(id); got != want {
			t.Errorf("cluster 0x%02X: %v", id, got)
		}
	}
}
