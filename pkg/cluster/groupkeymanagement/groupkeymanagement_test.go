package groupkeymanagement

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func newNode(t *testing.T, fabrics int, groups bool) *clustertest.Node {
	n := clustertest.New(t, fabrics)
	n.Add(0, New(n.Table, func() bool { return groups }))
	return n
}

var admin = clustertest.Admin(1)

// key is an epoch key as text.
func key(n int) string { return fmt.Sprintf(`x"%032x"`, n) }

// set is the field of KeySetWrite with a key for each start time.
func set(id int, starts ...string) string {
	parts := []string{fmt.Sprintf("0:%d,1:0", id)}
	for i := range 3 {
		if i < len(starts) {
			parts = append(parts, fmt.Sprintf("%d:%s,%d:%s", 2+2*i, key(id*10+i), 3+2*i, starts[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d:null,%d:null", 2+2*i, 3+2*i))
		}
	}
	return "{0:{" + strings.Join(parts, ",") + "}}"
}

func TestKeySetWrite(t *testing.T) {
	const never = "18446744073709551615"
	tests := []struct {
		name, fields, want string
	}{
		{"one key", set(7, "1"), "SUCCESS"},
		{"two keys", set(7, "1", "2"), "SUCCESS"},
		{"three keys", set(7, "1", "2", "3"), "SUCCESS"},
		{"the IPK", set(0, "5"), "SUCCESS"},
		{"a multicast policy of its own group", strings.Replace(set(7, "1"), "7:null", "7:null,8:0", 1), "SUCCESS"},
		{"members that nobody knows", strings.Replace(set(7, "1"), "7:null", "7:null,8:0,9:7,10:"+key(1)+",11:7,254:1", 1), "SUCCESS"},
		{"nothing but members that nobody knows", "{0:{9:7,10:7}}", "INVALID_COMMAND"},
		{"a disabled third", set(7, "1", "2", never), "SUCCESS"},
		{"a disabled second and third", set(7, "1", never, never), "SUCCESS"},
		{"all disabled", set(7, never), "INVALID_COMMAND"},
		{"a disabled second before a third", set(7, "1", never, "3"), "INVALID_COMMAND"},
		{"no key", set(7), "INVALID_COMMAND"},
		{"start time 0", set(7, "0"), "INVALID_COMMAND"},
		{"start times equal", set(7, "2", "2"), "INVALID_COMMAND"},
		{"start times descending", set(7, "2", "1"), "INVALID_COMMAND"},
		{"third before second", set(7, "1", "3", "2"), "INVALID_COMMAND"},
		{"key without a start time", strings.Replace(set(7, "1"), "3:1", "3:null", 1), "INVALID_COMMAND"},
		{"start time without a key", strings.Replace(set(7, "1"), "5:null", "5:2", 1), "INVALID_COMMAND"},
		{"second key without a start time", strings.Replace(set(7, "1"), "4:null", "4:"+key(1), 1), "INVALID_COMMAND"},
		{"third without second", strings.Replace(set(7, "1"), "6:null,7:null", "6:"+key(1)+",7:9", 1), "INVALID_COMMAND"},
		{"a key of 15 octets", strings.Replace(set(7, "1"), key(70), `x"`+strings.Repeat("00", 15)+`"`, 1), "CONSTRAINT_ERROR"},
		{"a second key of 17 octets", strings.Replace(set(7, "1", "2"), key(71), `x"`+strings.Repeat("00", 17)+`"`, 1), "CONSTRAINT_ERROR"},
		{"an empty key", strings.Replace(set(7, "1"), key(70), `x""`, 1), "CONSTRAINT_ERROR"},
		{"cache and sync", strings.Replace(set(7, "1"), "1:0", "1:1", 1), "INVALID_COMMAND"},
		{"unknown policy", strings.Replace(set(7, "1"), "1:0", "1:2", 1), "CONSTRAINT_ERROR"},
		{"multicast to all nodes", strings.Replace(set(7, "1"), "7:null", "7:null,8:1", 1), "INVALID_COMMAND"},
		{"unknown multicast policy", strings.Replace(set(7, "1"), "7:null", "7:null,8:2", 1), "CONSTRAINT_ERROR"},
		{"nothing", "{}", "INVALID_COMMAND"},
		{"no structure", "{0:1}", "INVALID_COMMAND"},
		{"a member missing", strings.Replace(set(7, "1"), ",7:null", "", 1), "INVALID_COMMAND"},
		{"a key that is text", strings.Replace(set(7, "1"), key(70), `"0123456789abcdef"`, 1), "INVALID_COMMAND"},
		{"an id too large", set(65536, "1"), "INVALID_COMMAND"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, 1, true)
			before := n.Table.Generation()
			if got := n.Invoke(admin, 0, ID, cmdKeySetWrite, tt.fields); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if changed := n.Table.Generation() != before; changed != (tt.want == "SUCCESS") {
				t.Errorf("changed %v", changed)
			}
		})
	}
}

func TestKeySets(t *testing.T) {
	n := newNode(t, 2, true)
	type step struct {
		cmd          matter.CommandID
		fields, want string
	}
	run := func(steps ...step) {
		t.Helper()
		for i, s := range steps {
			if got := n.Invoke(admin, 0, ID, s.cmd, s.fields); got != s.want {
				t.Errorf("step %d: command %d %s: %s, want %s", i, s.cmd, s.fields, got, s.want)
			}
		}
	}
	run(
		step{cmdKeySetReadAllIndices, "{}", "5{0:[0]}"},
		step{cmdKeySetRead, "{0:0}", "2{0:{0:0,1:0,2:null,3:0,4:null,5:null,6:null,7:null}}"},
		step{cmdKeySetRead, "{0:7}", "NOT_FOUND"},
		step{cmdKeySetRead, "{}", "INVALID_COMMAND"},
		step{cmdKeySetWrite, set(7, "10", "20"), "SUCCESS"},
		step{cmdKeySetWrite, set(3, "5"), "SUCCESS"},
		step{cmdKeySetReadAllIndices, "{}", "5{0:[0,3,7]}"},
		step{cmdKeySetRead, "{0:7}", "2{0:{0:7,1:0,2:null,3:10,4:null,5:20,6:null,7:null}}"}, // keys are never returned
		step{cmdKeySetWrite, set(7, "30"), "SUCCESS"},
		step{cmdKeySetRead, "{0:7}", "2{0:{0:7,1:0,2:null,3:30,4:null,5:null,6:null,7:null}}"},
		step{cmdKeySetRemove, "{0:0}", "INVALID_COMMAND"},
		step{cmdKeySetRemove, "{0:9}", "NOT_FOUND"},
		step{cmdKeySetRemove, "{}", "INVALID_COMMAND"},
	)
	if got := n.Write(admin, 0, ID, attrGroupKeyMap, "[{1:1,2:7},{1:2,2:3},{1:3,2:7}]"); got != "SUCCESS" {
		t.Fatal(got)
	}
	run(
		step{cmdKeySetRemove, "{0:7}", "SUCCESS"},
		step{cmdKeySetReadAllIndices, "{}", "5{0:[0,3]}"},
	)
	if got := n.Read(admin, 0, ID, attrGroupKeyMap); got != "[{1:2,2:3,254:1}]" {
		t.Errorf("GroupKeyMap after its set went: %s", got)
	}
	if got := n.Invoke(clustertest.Admin(2), 0, ID, cmdKeySetReadAllIndices, "{}"); got != "5{0:[0]}" {
		t.Errorf("the other fabric has %s", got)
	}
	if got := n.Invoke(clustertest.PASE(0), 0, ID, cmdKeySetReadAllIndices, "{}"); got != "UNSUPPORTED_ACCESS" {
		t.Errorf("without a fabric: %s", got)
	}
}

func TestKeySetsAreBounded(t *testing.T) {
	n := newNode(t, 2, true)
	for id := 1; id < MaxGroupKeys; id++ {
		if got := n.Invoke(admin, 0, ID, cmdKeySetWrite, set(id, "1")); got != "SUCCESS" {
			t.Fatalf("set %d: %s", id, got)
		}
	}
	if got := n.Invoke(admin, 0, ID, cmdKeySetWrite, set(99, "1")); got != "RESOURCE_EXHAUSTED" {
		t.Errorf("one more: %s", got)
	}
	if got := n.Invoke(admin, 0, ID, cmdKeySetWrite, set(1, "2")); got != "SUCCESS" {
		t.Errorf("one that is there: %s", got)
	}
	if got := n.Invoke(clustertest.Admin(2), 0, ID, cmdKeySetWrite, set(1, "1")); got != "SUCCESS" {
		t.Errorf("another fabric: %s", got)
	}
}

func TestGroupKeyMap(t *testing.T) {
	full := make([]string, MaxGroups)
	for i := range full {
		full[i] = fmt.Sprintf("{1:%d,2:1}", i+1)
	}
	tests := []struct {
		name, value, want, after string
	}{
		{"empty", "[]", "SUCCESS", "[]"},
		{"one", "[{1:5,2:1}]", "SUCCESS", "[{1:5,2:1,254:1}]"},
		{"a set that is not there yet", "[{1:5,2:77}]", "SUCCESS", "[{1:5,2:77,254:1}]"},
		{"another's fabric index", "[{1:5,2:1,254:2}]", "SUCCESS", "[{1:5,2:1,254:1}]"},
		{"two groups with one set", "[{1:5,2:1},{1:4,2:1}]", "SUCCESS", "[{1:5,2:1,254:1},{1:4,2:1,254:1}]"},
		{"a group twice", "[{1:5,2:1},{1:5,2:2}]", "CONSTRAINT_ERROR", "[]"},
		{"group 0", "[{1:0,2:1}]", "CONSTRAINT_ERROR", "[]"},
		{"the IPK", "[{1:5,2:0}]", "CONSTRAINT_ERROR", "[]"},
		{"no set", "[{1:5}]", "CONSTRAINT_ERROR", "[]"},
		{"too many", "[" + strings.Join(full, ",") + ",{1:99,2:1}]", "RESOURCE_EXHAUSTED", "[]"},
		{"no list", "{1:5}", "INVALID_DATA_TYPE", "[]"},
		{"no structure", "[5]", "INVALID_DATA_TYPE", "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, 2, true)
			if got := n.Write(admin, 0, ID, attrGroupKeyMap, tt.value); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if got := n.Read(admin, 0, ID, attrGroupKeyMap); got != tt.after {
				t.Errorf("then it is %s, want %s", got, tt.after)
			}
			if got := n.ReadAll(clustertest.Admin(2), 0, ID, attrGroupKeyMap); got != tt.after {
				t.Errorf("the other fabric sees %s", got) // it contains no secrets
			}
			if got := n.Read(clustertest.Admin(2), 0, ID, attrGroupKeyMap); got != "[]" {
				t.Errorf("the other fabric has %s", got)
			}
		})
	}
	if n := newNode(t, 1, true); n.Write(admin, 0, ID, attrGroupKeyMap, "["+strings.Join(full, ",")+"]") != "SUCCESS" {
		t.Error("not as many as MaxGroupsPerFabric says")
	}
}

func TestGroupTable(t *testing.T) {
	n := newNode(t, 2, true)
	err := n.Table.Mutate(2, func(f *store.Fabric) error {
		f.Groups = []store.Group{{ID: 5, Name: "hall", Endpoints: []matter.EndpointID{2, 3}}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Read(clustertest.Admin(2), 0, ID, attrGroupTable); got != `[{1:5,2:[2,3],3:"hall",254:2}]` {
		t.Errorf("GroupTable %s", got)
	}
	if got := n.Read(admin, 0, ID, attrGroupTable); got != "[]" {
		t.Errorf("the other fabric's: %s", got)
	}
	if got := n.Write(admin, 0, ID, attrGroupTable, "[]"); got != "UNSUPPORTED_WRITE" {
		t.Errorf("writing it: %s", got)
	}
}

// A node without the Groups cluster reports that it supports no groups.
func TestNoGroups(t *testing.T) {
	n := newNode(t, 1, false)
	for id, want := range map[matter.AttributeID]string{attrMaxGroups: "0", attrMaxKeys: fmt.Sprint(MaxGroupKeys), attrGroupKeyMap: "[]", attrGroupTable: "[]"} {
		if got := n.Read(admin, 0, ID, id); got != want {
			t.Errorf("attribute %d: %s, want %s", id, got, want)
		}
	}
	if got := n.Write(admin, 0, ID, attrGroupKeyMap, "[{1:5,2:1}]"); got != "RESOURCE_EXHAUSTED" {
		t.Errorf("a group: %s", got)
	}
	if got := n.Write(admin, 0, ID, attrGroupKeyMap, "[]"); got != "SUCCESS" {
		t.Errorf("no group: %s", got)
	}
	if got := newNode(t, 1, true).Read(admin, 0, ID, attrMaxGroups); got != fmt.Sprint(MaxGroups) {
		t.Errorf("with groups: %s", got)
	}
}

// The data version also increases when others change the table, which all clusters
// share.
func TestChanges(t *testing.T) {
	n := newNode(t, 1, true)
	n.Settle(n.Now)
	before := n.Version(0, ID, attrMaxKeys)
	mutate := func(change func(f *store.Fabric)) uint32 {
		t.Helper()
		if err := n.Table.Mutate(1, func(f *store.Fabric) error { change(f); return nil }); err != nil {
			t.Fatal(err)
		}
		n.Settle(n.Now)
		return n.Version(0, ID, attrMaxKeys)
	}
	if v := mutate(func(f *store.Fabric) { f.Label = "kitchen" }); v != before {
		t.Error("a label changes the data version")
	}
	v := mutate(func(f *store.Fabric) { f.Groups = []store.Group{{ID: 1, Endpoints: []matter.EndpointID{2}}} })
	if v == before {
		t.Error("GroupTable does not change the data version")
	}
	if mutate(func(f *store.Fabric) { f.GroupKeyMap = []store.GroupKeyMapping{{Group: 1, KeySet: 1}} }) == v {
		t.Error("GroupKeyMap does not change the data version")
	}
}
