package im

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// The peers of the access tests, named for their privileges.
const (
	peerNobody  matter.NodeID = 0x10 + iota // nothing
	peerViewer                              // View on endpoint 0, cluster 6
	peerUser                                // Operate there
	peerManager                             // Manage there
	peerAdmin                               // Administer everywhere
	peerReader                              // View everywhere
	peerGuest                               // Operate on endpoint 2
)

// fabricOne is fabric 1 of a table, with access control entries for the peers.
type fabricOne struct {
	table *fabric.Table
	list  *acl.List
}

func newFabricOne(t *testing.T) *fabricOne {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.Open(filepath.Join(t.TempDir(), "test.db"), store.Options{})
	must(err)
	t.Cleanup(func() { st.Close() })
	table, err := fabric.Open(st, 5)
	must(err)

	rootKey, err := mcrypto.GenerateKey(rand.Reader)
	must(err)
	key, err := mcrypto.GenerateKey(rand.Reader)
	must(err)
	root, err := cert.NewRoot(rand.Reader, rootKey, 1, 0, cert.Validity{NotBefore: 1})
	must(err)
	noc, err := root.IssueNOC(key.Public(), 1, 2)
	must(err)
	f, err := table.Stage(store.Fabric{
		FabricID: 2, NodeID: 1, VendorID: 0xFFF1, Root: root.Certificate.Raw(), NOC: noc.Raw(), Key: key.Scalar(),
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: make([]byte, 16)}}}},
	})
	must(err)
	if f.Index != 1 {
		t.Fatalf("fabric index %d", f.Index)
	}
	x := &fabricOne{table: table}
	x.list = acl.New(table, func(matter.EndpointID) []matter.DeviceTypeID { return nil })
	x.grant(t, true)
	return x
}

// grant writes the peers' entries. If all is false, only the administrator keeps
// its entry.
func (x *fabricOne) grant(t *testing.T, all bool) {
	t.Helper()
	zero, two, six := matter.EndpointID(0), matter.EndpointID(2), matter.ClusterID(6)
	lamp := []store.ACLTarget{{Endpoint: &zero, Cluster: &six}}
	entry := func(p matter.Privilege, n matter.NodeID, targets []store.ACLTarget) store.ACLEntry {
		return store.ACLEntry{Privilege: p, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{n}, Targets: targets}
	}
	list := []store.ACLEntry{entry(matter.PrivilegeAdminister, peerAdmin, nil)}
	if all {
		list = append(list,
			entry(matter.PrivilegeView, peerViewer, lamp),
			entry(matter.PrivilegeOperate, peerUser, lamp),
			entry(matter.PrivilegeManage, peerManager, lamp),
			entry(matter.PrivilegeView, peerReader, nil),
			entry(matter.PrivilegeOperate, peerGuest, []store.ACLTarget{{Endpoint: &two}}))
	}
	err := x.table.Mutate(1, func(r *store.Fabric) error {
		r.ACL = list
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func peer(n matter.NodeID) acl.Subject {
	return acl.Subject{Fabric: 1, AuthMode: matter.AuthModeCASE, Node: n}
}

// strangers have no access, whatever the entries are.
var strangers = map[string]acl.Subject{
	"without a fabric":        {AuthMode: matter.AuthModeCASE, Node: peerAdmin},
	"of a fabric not here":    {Fabric: 2, AuthMode: matter.AuthModeCASE, Node: peerAdmin},
	"group with a node's id":  {Fabric: 1, AuthMode: matter.AuthModeGroup, Node: peerAdmin},
	"without authentication":  {Fabric: 1, Node: peerAdmin},
	"of the fabric, no entry": {Fabric: 1, AuthMode: matter.AuthModeCASE, Node: peerNobody},
}

func TestReadAccess(t *testing.T) {
	x := newFabricOne(t)
	tests := []struct {
		peer matter.NodeID
		path string
		want string
	}{
		// Without View a peer cannot find out what exists.
		{peerNobody, "<2:0,3:6,4:0>", fault(0, 6, 0, matter.StatusUnsupportedAccess)},
		{peerNobody, "<2:0,3:6,4:99>", fault(0, 6, 99, matter.StatusUnsupportedAccess)},
		{peerNobody, "<2:0,3:6,4:2>", fault(0, 6, 2, matter.StatusUnsupportedAccess)},
		{peerNobody, "<2:0,3:99,4:0>", fault(0, 99, 0, matter.StatusUnsupportedAccess)},
		{peerNobody, "<2:9,3:6,4:0>", fault(9, 6, 0, matter.StatusUnsupportedAccess)},
		{peerNobody, "<2:0,3:6,4:65533>", fault(0, 6, 65533, matter.StatusUnsupportedAccess)},
		{peerViewer, "<2:9,3:6,4:0>", fault(9, 6, 0, matter.StatusUnsupportedAccess)},
		{peerViewer, "<2:0,3:99,4:0>", fault(0, 99, 0, matter.StatusUnsupportedAccess)},
		{peerViewer, "<2:2,3:6,4:0>", fault(2, 6, 0, matter.StatusUnsupportedAccess)},
		{peerGuest, "<2:0,3:6,4:0>", fault(0, 6, 0, matter.StatusUnsupportedAccess)},
		// With View, existence is checked before the attribute's own privilege.
		{peerViewer, "<2:0,3:6,4:0>", data(0, 6, 0, "1")},
		{peerViewer, "<2:0,3:6,4:99>", fault(0, 6, 99, matter.StatusUnsupportedAttribute)},
		{peerViewer, "<2:0,3:6,4:2>", fault(0, 6, 2, matter.StatusUnsupportedRead)},
		{peerViewer, "<2:0,3:6,4:1>", fault(0, 6, 1, matter.StatusUnsupportedAccess)},
		{peerViewer, "<2:0,3:6,4:65533>", data(0, 6, 65533, "3")},
		{peerManager, "<2:0,3:6,4:1>", fault(0, 6, 1, matter.StatusUnsupportedAccess)},
		{peerAdmin, "<2:0,3:6,4:1>", data(0, 6, 1, `"s"`)},
		{peerReader, "<2:9,3:6,4:0>", fault(9, 6, 0, matter.StatusUnsupportedEndpoint)},
		{peerReader, "<2:2,3:99,4:0>", fault(2, 99, 0, matter.StatusUnsupportedCluster)},
		{peerGuest, "<2:2,3:99,4:0>", fault(2, 99, 0, matter.StatusUnsupportedCluster)},
	}
	for _, tt := range tests {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		_, c := n.ask(peer(tt.peer), OpcodeReadRequest, "{0:["+tt.path+"],3:false}")
		if want := "{1:[" + tt.want + "],4:true,255:12}"; c.last().text != want {
			t.Errorf("%v %s:\n got %s\nwant %s", tt.peer, tt.path, c.last().text, want)
		}
	}
	for name, s := range strangers {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		_, c := n.ask(s, OpcodeReadRequest, "{0:[<2:0,3:6,4:0>,<>],1:[<>,<1:0,2:6,3:0>],3:false}")
		if want := "{1:[" + fault(0, 6, 0, matter.StatusUnsupportedAccess) + "],2:[{0:{0:<1:0,2:6,3:0>,1:{0:126}}}],4:true,255:12}"; c.last().text != want {
			t.Errorf("%s: got %s", name, c.last().text)
		}
	}
}

func TestWildcardAccess(t *testing.T) {
	x := newFabricOne(t)
	const lamp = "0/6/0 0/6/3 0/6/4 0/6/5 0/6/6 0/6/7 0/6/8 0/6/65528 0/6/65529 0/6/65531 0/6/65532 0/6/65533 0/6/4293984257"
	tests := []struct {
		peer matter.NodeID
		path string
		want string
	}{
		{peerNobody, "<>", ""},
		{peerViewer, "<>", lamp},
		{peerManager, "<3:6>", lamp},
		{peerViewer, "<3:6,4:1>", ""},
		{peerAdmin, "<3:6,4:1>", "0/6/1 2/6/1"},
		{peerReader, "<3:6,4:0>", "0/6/0 2/6/0"},
		{peerGuest, "<3:6,4:0>", "2/6/0"},
		{peerGuest, "<2:0>", ""},
	}
	for _, tt := range tests {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		_, c := n.ask(peer(tt.peer), OpcodeReadRequest, "{0:["+tt.path+"],3:false}")
		if got := reportedPaths(c.last().text); got != tt.want {
			t.Errorf("%v %s: got %s", tt.peer, tt.path, got)
		}
	}
}

func TestEventAccess(t *testing.T) {
	x := newFabricOne(t)
	tests := []struct {
		peer matter.NodeID
		path string
		want string
	}{
		{peerNobody, "<1:0,2:6,3:0>", "0/6/0=UNSUPPORTED_ACCESS"},
		{peerNobody, "<1:0,2:6,3:99>", "0/6/99=UNSUPPORTED_ACCESS"},
		{peerNobody, "<1:9,2:9,3:99>", "9/9/99=UNSUPPORTED_ACCESS"},
		{peerNobody, "<>", ""},
		{peerViewer, "<1:0,2:6,3:0>", "1000"},
		{peerViewer, "<1:0,2:6,3:99>", "0/6/99=UNSUPPORTED_EVENT"},
		{peerViewer, "<1:0,2:6,3:1>", "0/6/1=UNSUPPORTED_ACCESS"},
		{peerViewer, "<>", "1000"},
		{peerReader, "<>", "1000 1002"},
		{peerReader, "<1:9,2:6,3:0>", "9/6/0=UNSUPPORTED_ENDPOINT"},
		{peerReader, "<1:2,2:9,3:0>", "2/9/0=UNSUPPORTED_CLUSTER"},
		{peerAdmin, "<>", "1000 1001 1002"},
	}
	for _, tt := range tests {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		n.Emit(n.now, 0, 6, 0, 0, nil)
		n.Emit(n.now, 0, 6, 1, 0, nil)
		n.Emit(n.now, 2, 6, 0, 0, nil)
		_, c := n.ask(peer(tt.peer), OpcodeReadRequest, "{1:["+tt.path+"],3:false}")
		if got := eventNumbers(t, c.sent); got != tt.want {
			t.Errorf("%v %s: got %s", tt.peer, tt.path, got)
		}
	}
}

func TestWriteAccess(t *testing.T) {
	x := newFabricOne(t)
	tests := []struct {
		peer matter.NodeID
		item string
		want matter.Status
	}{
		{peerNobody, "1:<2:0,3:6,4:0>,2:8", matter.StatusUnsupportedAccess},
		{peerNobody, "1:<2:9,3:6,4:0>,2:8", matter.StatusUnsupportedAccess},
		{peerNobody, "1:<2:0,3:9,4:0>,2:8", matter.StatusUnsupportedAccess},
		{peerNobody, "1:<2:0,3:6,4:99>,2:8", matter.StatusUnsupportedAccess},
		{peerNobody, "1:<2:0,3:6,4:6>,2:8", matter.StatusUnsupportedAccess},
		{peerViewer, "1:<2:9,3:6,4:0>,2:8", matter.StatusUnsupportedAccess},
		{peerReader, "1:<2:9,3:6,4:0>,2:8", matter.StatusUnsupportedEndpoint},
		{peerReader, "1:<2:2,3:9,4:0>,2:8", matter.StatusUnsupportedCluster},
		{peerViewer, "1:<2:0,3:6,4:99>,2:8", matter.StatusUnsupportedAttribute},
		{peerViewer, "1:<2:0,3:6,4:6>,2:8", matter.StatusUnsupportedWrite},
		{peerViewer, "1:<2:0,3:6,4:65533>,2:8", matter.StatusUnsupportedWrite},
		{peerViewer, "1:<2:0,3:6,4:0>,2:8", matter.StatusUnsupportedAccess},
		{peerViewer, "0:4,1:<2:0,3:6,4:0>,2:8", matter.StatusUnsupportedAccess},
		{peerViewer, "1:<2:0,3:6,4:7>,2:8", matter.StatusUnsupportedAccess},
		{peerUser, "1:<2:0,3:6,4:0>,2:8", matter.StatusSuccess},
		{peerUser, "1:<2:0,3:6,4:1>,2:8", matter.StatusUnsupportedAccess},
		{peerUser, `1:<2:0,3:6,4:3>,2:["x"]`, matter.StatusUnsupportedAccess},
		{peerUser, "0:4,1:<2:0,3:6,4:7>,2:8", matter.StatusNeedsTimedInteraction},
		{peerUser, "0:4,1:<2:0,3:6,4:0>,2:8", matter.StatusDataVersionMismatch},
		{peerManager, `1:<2:0,3:6,4:3>,2:["x"]`, matter.StatusSuccess},
		{peerManager, `1:<2:0,3:6,4:4>,2:[]`, matter.StatusSuccess},
		{peerManager, `1:<2:0,3:6,4:1>,2:"x"`, matter.StatusUnsupportedAccess},
		{peerAdmin, `1:<2:0,3:6,4:1>,2:"x"`, matter.StatusSuccess},
		{peerGuest, "1:<2:2,3:6,4:0>,2:8", matter.StatusSuccess},
	}
	for _, tt := range tests {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		_, c := n.ask(peer(tt.peer), OpcodeWriteRequest, "{1:false,2:[{"+tt.item+"}]}")
		var got string
		if _, after, found := strings.Cut(c.last().text, ">,1:{0:"); found {
			got, _, _ = strings.Cut(after, "}")
		}
		want := fmt.Sprint(uint8(tt.want))
		if writes := len(n.sw0.writes) + len(n.sw2.writes); got != want || (writes > 0) != (tt.want == matter.StatusSuccess) {
			t.Errorf("%v %s: got %s, want %v; %d writes", tt.peer, tt.item, c.last().text, tt.want, writes)
		}
	}
	for name, s := range strangers {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		n.ask(s, OpcodeWriteRequest, "{1:false,2:[{1:<2:0,3:6,4:0>,2:8}]}")
		if len(n.sw0.writes) != 0 {
			t.Errorf("%s: written", name)
		}
	}
}

func TestInvokeAccess(t *testing.T) {
	x := newFabricOne(t)
	tests := []struct {
		peer     matter.NodeID
		ep, cl   uint32
		id       uint32
		want     matter.Status
		response bool
	}{
		{peerNobody, 0, 6, 0, matter.StatusUnsupportedAccess, false},
		{peerNobody, 9, 6, 0, matter.StatusUnsupportedAccess, false},
		{peerNobody, 0, 9, 0, matter.StatusUnsupportedAccess, false},
		{peerNobody, 0, 6, 99, matter.StatusUnsupportedAccess, false},
		// View is not enough to find out which commands exist.
		{peerViewer, 0, 6, 99, matter.StatusUnsupportedAccess, false},
		{peerViewer, 0, 6, 0, matter.StatusUnsupportedAccess, false},
		{peerReader, 9, 6, 0, matter.StatusUnsupportedAccess, false},
		{peerUser, 0, 6, 99, matter.StatusUnsupportedCommand, false},
		{peerUser, 0, 6, 0, matter.StatusSuccess, false},
		{peerUser, 0, 6, 1, matter.StatusSuccess, true},
		{peerUser, 0, 6, 5, matter.StatusSuccess, true},
		{peerUser, 0, 6, 2, matter.StatusUnsupportedAccess, false},
		{peerUser, 0, 6, 3, matter.StatusNeedsTimedInteraction, false},
		{peerViewer, 0, 6, 3, matter.StatusUnsupportedAccess, false},
		{peerUser, 0, 9, 0, matter.StatusUnsupportedAccess, false},
		{peerUser, 2, 6, 0, matter.StatusUnsupportedAccess, false},
		{peerGuest, 2, 9, 0, matter.StatusUnsupportedCluster, false},
		{peerGuest, 2, 6, 0, matter.StatusSuccess, false},
		{peerAdmin, 9, 6, 0, matter.StatusUnsupportedEndpoint, false},
		{peerAdmin, 0, 6, 2, matter.StatusSuccess, false},
	}
	for _, tt := range tests {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		_, c := n.ask(peer(tt.peer), OpcodeInvokeRequest, fmt.Sprintf("{0:false,1:false,2:[{0:<0:%d,1:%d,2:%d>}]}", tt.ep, tt.cl, tt.id))
		want := outcome(tt.ep, tt.cl, tt.id, tt.want)
		if tt.response {
			want = response(tt.ep, tt.cl, 9, "{}")
		}
		if want = "{0:false,1:[" + want + "],255:12}"; c.last().text != want {
			t.Errorf("%v %d/%d/%d:\n got %s\nwant %s", tt.peer, tt.ep, tt.cl, tt.id, c.last().text, want)
		}
		if calls := len(n.sw0.invokes) + len(n.sw2.invokes); (calls > 0) != (tt.want == matter.StatusSuccess) {
			t.Errorf("%v %d/%d/%d: %d calls", tt.peer, tt.ep, tt.cl, tt.id, calls)
		}
	}
	for name, s := range strangers {
		n := newNode(t, func(o *Options) { o.ACL = x.list })
		n.ask(s, OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:0,1:6,2:0>}]}")
		if len(n.sw0.invokes) != 0 {
			t.Errorf("%s: invoked", name)
		}
	}
}

func TestListWriteOutlivesTheWritersRight(t *testing.T) {
	// A list that is sent in parts is one write. Its access is decided when it
	// begins. Later items are checked against the new list.
	x := newFabricOne(t)
	n := newNode(t, func(o *Options) { o.ACL = x.list })
	n.sw0.onWrite = func() { x.grant(t, false) }
	i, c := n.ask(peer(peerManager), OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:4>,2:[]},{1:<2:0,3:6,4:4,5:null>,2:{1:"a"}}],3:true}`)
	n.send(i, OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:4,5:null>,2:{1:"b"}},{1:<2:0,3:6,4:0>,2:8}]}`)
	wantLast(t, c, OpcodeWriteResponse, "{0:["+appended(0, 6, 4, 0)+","+written(0, 6, 0, matter.StatusUnsupportedAccess)+"],255:12}")
	if len(n.sw0.writes) != 1 || n.sw0.writes[0] != `0/6/4=[{1:"a"},{1:"b"}]` {
		t.Errorf("writes %q", n.sw0.writes)
	}
}

func TestSubscriptionAccess(t *testing.T) {
	x := newFabricOne(t)
	n := newNode(t, func(o *Options) { o.ACL = x.list })
	for _, paths := range []string{
		"3:[<>]", "3:[<2:0,3:6,4:0>]", "4:[<>]", "4:[<1:0,2:6,3:0>]",
	} {
		_, c := n.ask(peer(peerNobody), OpcodeSubscribeRequest, "{0:true,1:0,2:60,"+paths+",7:true}")
		wantStatus(t, c, matter.StatusInvalidAction)
	}
	_, c := n.ask(peer(peerViewer), OpcodeSubscribeRequest, "{0:true,1:0,2:60,4:[<3:1,2:6>],7:true}")
	wantStatus(t, c, matter.StatusInvalidAction)
	_, c = n.ask(strangers["without a fabric"], OpcodeSubscribeRequest, "{0:true,1:0,2:60,3:[<>],7:true}")
	wantStatus(t, c, matter.StatusUnsupportedAccess)

	n.subscribe(peer(peerViewer), "{0:true,1:0,2:60,3:[<>],4:[<4:true>],7:true}")
	n.Changed(2, 6, 0) // this peer may not see it
	n.Changed(0, 6, 1)
	n.Emit(n.now, 2, 6, 0, 0, nil)
	n.Settle(n.now)
	n.reports(0)

	// A subscription does not end when its subscriber loses access. There is
	// nothing to report.
	x.grant(t, false)
	n.Changed(0, 6, 0)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.Settle(n.now)
	n.reports(0)
	n.pass(50 * sec)
	if got := hideID(n.reports(1)[0].last()).text; got != "{0:ID,4:true,255:12}" {
		t.Errorf("got %s", got)
	}
	x.grant(t, true)
	n.Changed(0, 6, 0)
	n.Settle(n.now)
	if got := reportedPaths(n.reports(1)[0].last().text); got != "0/6/0" {
		t.Errorf("got %s", got)
	}
}
