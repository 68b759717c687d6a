package groups

import (
	"fmt"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

const maxGroups = 3

// newNode returns a node with the cluster on endpoints 2 and 3, and groups 1 to
// 9 mapped to keys on fabric 1.
func newNode(t *testing.T, identifying *bool) *clustertest.Node {
	n := clustertest.New(t, 2)
	for _, ep := range []matter.EndpointID{2, 3} {
		n.Add(ep, New(Options{Fabrics: n.Table, Max: maxGroups, Identifying: func() bool { return *identifying }}))
	}
	err := n.Table.Mutate(1, func(f *store.Fabric) error {
		for g := range matter.GroupID(9) {
			f.GroupKeyMap = append(f.GroupKeyMap, store.GroupKeyMapping{Group: g + 1, KeySet: 1})
		}
		f.KeySets = append(f.KeySets, store.GroupKeySet{ID: 1, Keys: []store.GroupKey{{Key: make([]byte, 16), Start: 1}}})
		f.GroupKeyMap = append(f.GroupKeyMap, store.GroupKeyMapping{Group: 11, KeySet: 2})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// step is one command to an endpoint, and the expected result.
type step struct {
	ep     matter.EndpointID
	cmd    matter.CommandID
	fields string
	want   string
}

func TestGroups(t *testing.T) {
	long := `"` + fmt.Sprintf("%017d", 0) + `"`
	tests := []struct {
		name  string
		steps []step
		table string
	}{
		{"add, see, remove", []step{
			{2, 0, `{0:1,1:"hall"}`, "0{0:0,1:1}"},
			{2, 1, `{0:1}`, `1{0:0,1:1,2:"hall"}`},
			{3, 1, `{0:1}`, `1{0:139,1:1,2:""}`},
			{2, 3, `{0:1}`, "3{0:0,1:1}"},
			{2, 3, `{0:1}`, "3{0:139,1:1}"},
			{2, 1, `{0:1}`, `1{0:139,1:1,2:""}`},
		}, "[]"},
		{"the last name counts", []step{
			{2, 0, `{0:1,1:"hall"}`, "0{0:0,1:1}"},
			{3, 0, `{0:1,1:"floor"}`, "0{0:0,1:1}"},
			{2, 1, `{0:1}`, `1{0:0,1:1,2:"floor"}`},
			{2, 0, `{0:1,1:""}`, "0{0:0,1:1}"},
		}, `[{1 "" [2 3]}]`},
		{"members in order, groups in order", []step{
			{3, 0, `{0:5,1:""}`, "0{0:0,1:5}"},
			{3, 0, `{0:2,1:""}`, "0{0:0,1:2}"},
			{2, 0, `{0:5,1:""}`, "0{0:0,1:5}"},
		}, `[{2 "" [3]} {5 "" [2 3]}]`},
		{"what is out of bounds", []step{
			{2, 0, `{0:0,1:""}`, "0{0:135,1:0}"},
			{2, 0, `{0:1,1:` + long + `}`, "0{0:135,1:1}"},
			{2, 0, `{0:65536,1:""}`, "INVALID_COMMAND"},
			{2, 0, `{0:1}`, "INVALID_COMMAND"},
			{2, 0, `{1:""}`, "INVALID_COMMAND"},
			{2, 0, `{0:1,1:x"00"}`, "INVALID_COMMAND"},
			{2, 1, `{0:0}`, `1{0:135,1:0,2:""}`},
			{2, 1, `{}`, "INVALID_COMMAND"},
			{2, 2, `{}`, "INVALID_COMMAND"},
			{2, 2, `{0:[1,0]}`, "CONSTRAINT_ERROR"},
			{2, 2, `{0:1}`, "INVALID_COMMAND"},
			{2, 3, `{0:0}`, "3{0:135,1:0}"},
			{2, 4, `{0:{1:2}}`, "SUCCESS"}, // unknown fields are ignored
			{2, 5, `{0:1}`, "INVALID_COMMAND"},
		}, "[]"},
		{"no key for the group", []step{{2, 0, `{0:10,1:""}`, "0{0:126,1:10}"}}, "[]"},
		{"a key set that is not there", []step{{2, 0, `{0:11,1:""}`, "0{0:126,1:11}"}}, "[]"},
		{"no room", []step{
			{2, 0, `{0:1,1:""}`, "0{0:0,1:1}"},
			{2, 0, `{0:2,1:""}`, "0{0:0,1:2}"},
			{3, 0, `{0:3,1:""}`, "0{0:0,1:3}"},
			{3, 0, `{0:4,1:""}`, "0{0:137,1:4}"},
			{3, 0, `{0:2,1:""}`, "0{0:0,1:2}"},
			{3, 2, `{0:[]}`, "2{0:0,1:[2,3]}"},
			{2, 2, `{0:[]}`, "2{0:0,1:[1,2]}"},
		}, `[{1 "" [2]} {2 "" [2 3]} {3 "" [3]}]`},
		{"membership", []step{
			{2, 2, `{0:[]}`, "2{0:3,1:[]}"},
			{2, 0, `{0:1,1:""}`, "0{0:0,1:1}"},
			{3, 0, `{0:2,1:""}`, "0{0:0,1:2}"},
			{2, 2, `{0:[]}`, "2{0:1,1:[1]}"},
			{2, 2, `{0:[9,2,1]}`, "2{0:1,1:[1]}"},
			{2, 2, `{0:[2]}`, "2{0:1,1:[]}"},
		}, `[{1 "" [2]} {2 "" [3]}]`},
		{"remove all", []step{
			{2, 4, `{}`, "SUCCESS"},
			{2, 0, `{0:1,1:""}`, "0{0:0,1:1}"},
			{2, 0, `{0:2,1:""}`, "0{0:0,1:2}"},
			{3, 0, `{0:2,1:""}`, "0{0:0,1:2}"},
			{2, 4, `{}`, "SUCCESS"},
		}, `[{2 "" [3]}]`},
		{"if identifying, and it is not", []step{
			{2, 5, `{0:1,1:""}`, "SUCCESS"},
			{2, 5, `{0:0,1:""}`, "SUCCESS"},
		}, "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, new(bool))
			run(t, n, tt.steps)
			if got := table(n); got != tt.table {
				t.Errorf("table %s, want %s", got, tt.table)
			}
		})
	}
	t.Run("if identifying, and it is", func(t *testing.T) {
		yes := true
		n := newNode(t, &yes)
		run(t, n, []step{
			{2, 5, `{0:1,1:"hall"}`, "SUCCESS"},
			{2, 5, `{0:0,1:""}`, "CONSTRAINT_ERROR"},
			{2, 5, `{0:10,1:""}`, "UNSUPPORTED_ACCESS"},
		})
		if got := table(n); got != `[{1 "hall" [2]}]` {
			t.Errorf("table %s", got)
		}
	})
}

func run(t *testing.T, n *clustertest.Node, steps []step) {
	t.Helper()
	for i, s := range steps {
		if got := n.Invoke(clustertest.Admin(1), s.ep, ID, s.cmd, s.fields); got != s.want {
			t.Errorf("step %d: command %d %s: %s, want %s", i, s.cmd, s.fields, got, s.want)
		}
	}
}

func table(n *clustertest.Node) string {
	text := "["
	for i, g := range n.Table.Get(1).Groups {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("{%d %q %v}", g.ID, g.Name, g.Endpoints)
	}
	return text + "]"
}

func TestFabricsAreApart(t *testing.T) {
	n := newNode(t, new(bool))
	n.Invoke(clustertest.Admin(1), 2, ID, 0, `{0:1,1:"one"}`)
	other := clustertest.Admin(2)
	for _, s := range []struct {
		cmd          matter.CommandID
		fields, want string
	}{
		{1, `{0:1}`, `1{0:139,1:1,2:""}`},
		{0, `{0:1,1:"two"}`, "0{0:126,1:1}"}, // it has no key for its group 1
		{2, `{0:[]}`, "2{0:3,1:[]}"},
		{3, `{0:1}`, "3{0:139,1:1}"},
		{4, `{}`, "SUCCESS"},
	} {
		if got := n.Invoke(other, 2, ID, s.cmd, s.fields); got != s.want {
			t.Errorf("command %d: %s, want %s", s.cmd, got, s.want)
		}
	}
	if got := table(n); got != `[{1 "one" [2]}]` {
		t.Errorf("table %s", got)
	}
	if got := n.Invoke(clustertest.PASE(0), 2, ID, 0, `{0:1,1:""}`); got != "UNSUPPORTED_ACCESS" {
		t.Errorf("without a fabric: %s", got)
	}
}

func TestAttributes(t *testing.T) {
	n := newNode(t, new(bool))
	for id, want := range map[matter.AttributeID]string{
		attrNameSupport:                      "128",
		matter.AttributeFeatureMap:           "1",
		matter.AttributeClusterRevision:      "4",
		matter.AttributeAcceptedCommandList:  "[0,1,2,3,4,5]",
		matter.AttributeGeneratedCommandList: "[0,1,2,3]",
	} {
		if got := n.Read(clustertest.Admin(1), 2, ID, id); got != want {
			t.Errorf("attribute %04X: %s, want %s", id, got, want)
		}
	}
	if got := n.Write(clustertest.Admin(1), 2, ID, attrNameSupport, "0"); got != "UNSUPPORTED_WRITE" {
		t.Errorf("NameSupport can be written: %s", got)
	}
}

func TestPrivileges(t *testing.T) {
	n := newNode(t, new(bool))
	operator := acl.Subject{Fabric: 1, AuthMode: matter.AuthModeCASE, Node: 77}
	err := n.Table.Mutate(1, func(f *store.Fabric) error {
		f.ACL = append(f.ACL, store.ACLEntry{Privilege: matter.PrivilegeOperate, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{77}})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for cmd, allowed := range map[matter.CommandID]bool{0: false, 1: true, 2: true, 3: false, 4: false, 5: false} {
		got := n.Invoke(operator, 2, ID, cmd, `{0:1,1:""}`)
		if (got != "UNSUPPORTED_ACCESS") != allowed {
			t.Errorf("command %d of an operator: %s", cmd, got)
		}
	}
}
