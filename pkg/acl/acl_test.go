package acl

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

const (
	view       = matter.PrivilegeView
	proxyView  = matter.PrivilegeProxyView
	operate    = matter.PrivilegeOperate
	manage     = matter.PrivilegeManage
	administer = matter.PrivilegeAdminister

	pase  = matter.AuthModePASE
	byNOC = matter.AuthModeCASE
	group = matter.AuthModeGroup
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ptr[T any](v T) *T { return &v }

func cluster(id matter.ClusterID) store.ACLTarget   { return store.ACLTarget{Cluster: ptr(id)} }
func endpoint(id matter.EndpointID) store.ACLTarget { return store.ACLTarget{Endpoint: ptr(id)} }
func device(id matter.DeviceTypeID) store.ACLTarget { return store.ACLTarget{DeviceType: ptr(id)} }
func both(e matter.EndpointID, c matter.ClusterID) store.ACLTarget {
	return store.ACLTarget{Endpoint: ptr(e), Cluster: ptr(c)}
}

// types is a node of three endpoints.
var types = map[matter.EndpointID][]matter.DeviceTypeID{0: {0x16}, 1: {0x100, 0x101}, 2: {0x100}}

// newTable returns a table with fabrics 1 to n, whose lists are empty.
func newTable(t testing.TB, n int) *fabric.Table {
	t.Helper()
	st := must(store.Open(filepath.Join(t.TempDir(), store.FileName), store.Options{}))
	t.Cleanup(func() { st.Close() })
	table := must(fabric.Open(st, 254))
	root := must(cert.NewRoot(rand.Reader, must(mcrypto.GenerateKey(rand.Reader)), 1, 0, cert.Validity{NotBefore: 1}))
	for id := matter.FabricID(1); id <= matter.FabricID(n); id++ {
		key := must(mcrypto.GenerateKey(rand.Reader))
		must(table.Stage(store.Fabric{
			FabricID: id, NodeID: 1, Root: root.Certificate.Raw(), NOC: must(root.IssueNOC(key.Public(), 1, id)).Raw(), Key: key.Scalar(),
			KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: make([]byte, 16)}}}},
		}))
		if err := table.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	return table
}

func set(t testing.TB, table *fabric.Table, i matter.FabricIndex, entries ...store.ACLEntry) {
	t.Helper()
	if err := table.Mutate(i, func(f *store.Fabric) error { f.ACL = entries; return nil }); err != nil {
		t.Fatal(err)
	}
}

func newList(t testing.TB, entries ...store.ACLEntry) *List {
	t.Helper()
	table := newTable(t, 2)
	set(t, table, 1, entries...)
	return New(table, func(e matter.EndpointID) []matter.DeviceTypeID { return types[e] })
}

const (
	tagV1 matter.CAT = 0xABCD_0001
	tagV2 matter.CAT = 0xABCD_0002
	tagV3 matter.CAT = 0xABCD_0003
)

func TestPrivilegeInclusion(t *testing.T) {
	// Rows: the privilege of the entry. Columns: the required one, View to
	// Administer.
	included := map[matter.Privilege][5]bool{
		view:       {true, false, false, false, false},
		proxyView:  {true, true, false, false, false},
		operate:    {true, false, true, false, false},
		manage:     {true, false, true, true, false},
		administer: {true, true, true, true, true},
	}
	for has, row := range included {
		l := newList(t, store.ACLEntry{Privilege: has, AuthMode: byNOC})
		for i, want := range row {
			p := matter.Privilege(i + 1)
			if got := l.Check(Subject{Fabric: 1, AuthMode: byNOC, Node: 5}, Target{}, p); got != want {
				t.Errorf("privilege %d for %d: %v", p, has, got)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	everywhere := Target{Endpoint: 1, Cluster: 6}
	peer := Subject{Fabric: 1, AuthMode: byNOC, Node: 5}
	entry := func(m matter.AuthMode, subjects []matter.NodeID, targets ...store.ACLTarget) store.ACLEntry {
		return store.ACLEntry{Privilege: operate, AuthMode: m, Subjects: subjects, Targets: targets}
	}
	with := func(cats ...matter.CAT) Subject {
		s := peer
		copy(s.CATs[:], cats)
		return s
	}
	nodes := func(n ...matter.NodeID) []matter.NodeID { return n }
	for name, test := range map[string]struct {
		entry   store.ACLEntry
		subject Subject
		target  Target
		want    bool
	}{
		"everybody, null":                     {entry(byNOC, nil), peer, everywhere, true},
		"everybody, empty":                    {entry(byNOC, []matter.NodeID{}), peer, everywhere, true},
		"everybody is not groups":             {entry(byNOC, nil), Subject{1, group, matter.GroupID(7).NodeID(), [3]matter.CAT{}}, everywhere, false},
		"other fabric":                        {entry(byNOC, nil), Subject{Fabric: 2, AuthMode: byNOC, Node: 5}, everywhere, false},
		"no fabric":                           {entry(byNOC, nil), Subject{AuthMode: byNOC, Node: 5}, everywhere, false},
		"fabric that is not there":            {entry(byNOC, nil), Subject{Fabric: 3, AuthMode: byNOC, Node: 5}, everywhere, false},
		"fabric 255":                          {entry(byNOC, nil), Subject{Fabric: 255, AuthMode: byNOC, Node: 5}, everywhere, false},
		"PASE without a fabric":               {entry(byNOC, nodes(9)), Subject{AuthMode: pase}, everywhere, true},
		"PASE after AddNOC":                   {entry(byNOC, nodes(9)), Subject{Fabric: 1, AuthMode: pase}, everywhere, true},
		"no auth mode":                        {entry(0, nil), Subject{Fabric: 1, Node: 5}, everywhere, false},
		"auth mode 4":                         {entry(4, nil), Subject{Fabric: 1, AuthMode: 4, Node: 5}, everywhere, false},
		"its node":                            {entry(byNOC, nodes(4, 5)), peer, everywhere, true},
		"other nodes":                         {entry(byNOC, nodes(4, 6)), peer, everywhere, false},
		"its tag":                             {entry(byNOC, nodes(tagV2.NodeID())), with(tagV2), everywhere, true},
		"its tag, newer":                      {entry(byNOC, nodes(tagV2.NodeID())), with(0x10001, 0x20001, tagV3), everywhere, true},
		"its tag, older":                      {entry(byNOC, nodes(tagV2.NodeID())), with(tagV1), everywhere, false},
		"other tag, newer":                    {entry(byNOC, nodes(tagV2.NodeID())), with(0xABCE_0009), everywhere, false},
		"no tags":                             {entry(byNOC, nodes(tagV2.NodeID())), peer, everywhere, false},
		"tag with version 0":                  {entry(byNOC, nodes(matter.CAT(0xABCD_0000).NodeID())), with(0xABCD_0000), everywhere, false},
		"a node id that looks like the tag":   {entry(byNOC, nodes(tagV2.NodeID())), Subject{Fabric: 1, AuthMode: byNOC, Node: tagV2.NodeID()}, everywhere, false},
		"its group":                           {entry(group, nodes(7)), Subject{1, group, matter.GroupID(7).NodeID(), [3]matter.CAT{}}, everywhere, true},
		"other group":                         {entry(group, nodes(8)), Subject{1, group, matter.GroupID(7).NodeID(), [3]matter.CAT{}}, everywhere, false},
		"its group as a node id":              {entry(group, nodes(matter.GroupID(7).NodeID())), Subject{1, group, matter.GroupID(7).NodeID(), [3]matter.CAT{}}, everywhere, false},
		"a node with the id of the group":     {entry(group, nodes(7)), Subject{1, group, 7, [3]matter.CAT{}}, everywhere, false},
		"a group with the id of the node":     {entry(byNOC, nodes(7)), Subject{1, group, matter.GroupID(7).NodeID(), [3]matter.CAT{}}, everywhere, false},
		"tags are nothing to a group":         {entry(group, nodes(tagV2.NodeID())), Subject{1, group, matter.GroupID(7).NodeID(), [3]matter.CAT{tagV2}}, everywhere, false},
		"its cluster":                         {entry(byNOC, nil, cluster(6)), peer, everywhere, true},
		"other cluster":                       {entry(byNOC, nil, cluster(8)), peer, everywhere, false},
		"its endpoint":                        {entry(byNOC, nil, endpoint(1)), peer, everywhere, true},
		"other endpoint":                      {entry(byNOC, nil, endpoint(0)), peer, everywhere, false},
		"endpoint and cluster":                {entry(byNOC, nil, both(1, 6)), peer, everywhere, true},
		"endpoint and other cluster":          {entry(byNOC, nil, both(1, 8)), peer, everywhere, false},
		"one of each is not both":             {entry(byNOC, nil, both(1, 8), both(2, 6)), peer, everywhere, false},
		"its device type":                     {entry(byNOC, nil, device(0x101)), peer, everywhere, true},
		"device type of another endpoint":     {entry(byNOC, nil, device(0x16)), peer, everywhere, false},
		"device type on no endpoint":          {entry(byNOC, nil, device(0x100)), peer, Target{Endpoint: 9, Cluster: 6}, false},
		"device type and its cluster":         {entry(byNOC, nil, store.ACLTarget{DeviceType: ptr(matter.DeviceTypeID(0x100)), Cluster: ptr(matter.ClusterID(6))}), peer, everywhere, true},
		"device type and another cluster":     {entry(byNOC, nil, store.ACLTarget{DeviceType: ptr(matter.DeviceTypeID(0x100)), Cluster: ptr(matter.ClusterID(8))}), peer, everywhere, false},
		"third target":                        {entry(byNOC, nil, cluster(8), endpoint(0), cluster(6)), peer, everywhere, true},
		"targets, empty":                      {store.ACLEntry{Privilege: operate, AuthMode: byNOC, Targets: []store.ACLTarget{}}, peer, everywhere, true},
		"a target of nothing is not anything": {entry(byNOC, nil, store.ACLTarget{}), peer, everywhere, false},
		"its node, other target":              {entry(byNOC, nodes(5), cluster(8)), peer, everywhere, false},
		"privilege out of range":              {store.ACLEntry{Privilege: 200, AuthMode: byNOC}, peer, everywhere, false},
		"privilege 0":                         {store.ACLEntry{AuthMode: byNOC}, peer, everywhere, false},
	} {
		if got := newList(t, test.entry).Check(test.subject, test.target, operate); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNoEntriesDenyEverything(t *testing.T) {
	l := newList(t)
	for _, m := range []matter.AuthMode{byNOC, group} {
		if l.Check(Subject{Fabric: 1, AuthMode: m, Node: 5}, Target{}, view) {
			t.Errorf("auth mode %d may read", m)
		}
	}
}

// A privilege of 0 means that the operation does not exist.
func TestImpossiblePrivilegesAreHeldByNobody(t *testing.T) {
	l := newList(t, store.ACLEntry{Privilege: administer, AuthMode: byNOC})
	for _, p := range []matter.Privilege{0, 6, 255} {
		for _, m := range []matter.AuthMode{pase, byNOC} {
			if l.Check(Subject{Fabric: 1, AuthMode: m, Node: 5}, Target{}, p) {
				t.Errorf("privilege %d is held with auth mode %d", p, m)
			}
		}
	}
}

// The entries of a staged fabric are valid as long as it is. Entries written during
// an update stay.
func TestStagedEntriesCountUntilTheRollback(t *testing.T) {
	table := newTable(t, 2)
	again := table.Get(2).Fabric.Clone()
	if err := table.Remove(2); err != nil {
		t.Fatal(err)
	}
	l := New(table, func(matter.EndpointID) []matter.DeviceTypeID { return nil })
	again.Index = matter.NoFabric
	for name, tt := range map[string]struct {
		r     store.Fabric
		stays bool
	}{
		"added":   {again, false},
		"updated": {table.Get(1).Fabric, true},
	} {
		i := must(table.Stage(tt.r)).Index
		set(t, table, i, store.ACLEntry{Privilege: administer, AuthMode: byNOC})
		s := Subject{Fabric: i, AuthMode: byNOC, Node: 5}
		if !l.Check(s, Target{}, administer) {
			t.Errorf("%s: the entry does not count", name)
		}
		table.Rollback()
		if got := l.Check(s, Target{}, administer); got != tt.stays {
			t.Errorf("%s: after the rollback the entry counts: %v", name, got)
		}
	}
}

// granted is a simple implementation of section 6.6.6.2.
func granted(entries []store.ACLEntry, s Subject, t Target, p matter.Privilege) bool {
	if s.AuthMode == pase {
		return true
	}
	included := map[matter.Privilege][]matter.Privilege{
		view: {view}, proxyView: {proxyView, view}, operate: {operate, view}, manage: {manage, operate, view},
		administer: {administer, manage, operate, proxyView, view},
	}
	for _, e := range entries {
		subject, target := len(e.Subjects) == 0, len(e.Targets) == 0
		for _, n := range e.Subjects {
			subject = subject || n == s.Node || s.AuthMode == group && n == s.Node&0xFFFF
			for _, c := range s.CATs {
				subject = subject || c != 0 && n>>32 == 0xFFFF_FFFD && uint16(n>>16) == uint16(c>>16) && uint16(n) <= uint16(c)
			}
		}
		for _, w := range e.Targets {
			target = target || (w.Cluster == nil || *w.Cluster == t.Cluster) && (w.Endpoint == nil || *w.Endpoint == t.Endpoint) &&
				(w.DeviceType == nil || slices.Contains(types[t.Endpoint], *w.DeviceType))
		}
		if subject && target && e.AuthMode == s.AuthMode && slices.Contains(included[e.Privilege], p) {
			return true
		}
	}
	return false
}

func pick[T any](r *mathrand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// some returns up to n of the values, sometimes nil.
func some[T any](r *mathrand.Rand, n int, of ...T) []T {
	var all []T
	for range r.IntN(n + 1) {
		all = append(all, pick(r, of...))
	}
	return all
}

func randomEntry(r *mathrand.Rand) store.ACLEntry {
	e := store.ACLEntry{Privilege: matter.Privilege(1 + r.IntN(5)), AuthMode: pick(r, byNOC, group)}
	if e.AuthMode == byNOC {
		e.Subjects = some(r, MaxSubjects, 5, 6, tagV1.NodeID(), tagV2.NodeID(), matter.CAT(0x10001).NodeID())
	} else {
		e.Subjects = some[matter.NodeID](r, MaxSubjects, 7, 8)
	}
	e.Targets = some(r, MaxTargets, cluster(6), cluster(8), endpoint(1), endpoint(2), both(1, 6), device(0x100), device(0x16))
	return e
}

func TestCheckAgainstModel(t *testing.T) {
	table := newTable(t, 3)
	l := New(table, func(e matter.EndpointID) []matter.DeviceTypeID { return types[e] })
	r := mathrand.New(mathrand.NewPCG(1, 2))
	grants := 0
	for range 300 {
		lists := make(map[matter.FabricIndex][]store.ACLEntry)
		for i := matter.FabricIndex(1); i <= 3; i++ {
			for range r.IntN(EntriesPerFabric + 1) {
				e := randomEntry(r)
				if e.Privilege == administer {
					e.AuthMode, e.Subjects = byNOC, nil
				}
				if err := Validate(e); err != nil {
					t.Fatalf("%+v: %v", e, err)
				}
				lists[i] = append(lists[i], e)
			}
			set(t, table, i, lists[i]...)
		}
		for range 60 {
			s := Subject{Fabric: pick[matter.FabricIndex](r, 0, 1, 2, 3, 4), AuthMode: pick(r, byNOC, byNOC, group)}
			if s.AuthMode == byNOC {
				s.Node = pick[matter.NodeID](r, 5, 6, 9)
				copy(s.CATs[:], some(r, 3, tagV1, tagV2, tagV3, 0x10001))
			} else {
				s.Node = pick(r, matter.GroupID(7), 8, 9).NodeID()
			}
			target := Target{Endpoint: matter.EndpointID(r.IntN(4)), Cluster: pick[matter.ClusterID](r, 6, 8, 0x3E)}
			p := matter.Privilege(1 + r.IntN(5))
			want := granted(lists[s.Fabric], s, target, p)
			if got := l.Check(s, target, p); got != want {
				t.Fatalf("%+v may %d on %+v: %v, want %v by %+v", s, p, target, got, want, lists[s.Fabric])
			}
			if want {
				grants++
			}
		}
	}
	if grants < 1000 || grants > 17000 {
		t.Errorf("%d of 18000 were grants: the test is lopsided", grants)
	}
}

func TestValidate(t *testing.T) {
	entry := func(p matter.Privilege, m matter.AuthMode, subjects ...matter.NodeID) store.ACLEntry {
		return store.ACLEntry{Privilege: p, AuthMode: m, Subjects: subjects}
	}
	to := func(targets ...store.ACLTarget) store.ACLEntry {
		return store.ACLEntry{Privilege: operate, AuthMode: byNOC, Targets: targets}
	}
	const constraint, exhausted = matter.StatusConstraintError, matter.StatusResourceExhausted
	for name, test := range map[string]struct {
		e    store.ACLEntry
		want error
	}{
		"administrator":                       {entry(administer, byNOC, 112233), nil},
		"everybody":                           {entry(view, byNOC), nil},
		"ProxyView":                           {entry(proxyView, byNOC), nil},
		"privilege 0":                         {entry(0, byNOC), constraint},
		"privilege 6":                         {entry(6, byNOC), constraint},
		"no auth mode":                        {entry(view, 0), constraint},
		"PASE":                                {entry(view, pase), constraint},
		"auth mode 4":                         {entry(view, 4), constraint},
		"group that manages":                  {entry(manage, group, 1), nil},
		"group that administers":              {entry(administer, group, 1), constraint},
		"all groups":                          {entry(operate, group), nil},
		"last group":                          {entry(operate, group, 0xFFFF), nil},
		"beyond the last group":               {entry(operate, group, 0x10000), constraint},
		"group in the form of a node":         {entry(operate, group, matter.GroupID(1).NodeID()), constraint},
		"tag as group":                        {entry(operate, group, tagV1.NodeID()), constraint},
		"group 0":                             {entry(operate, group, 0), constraint},
		"group 0 in the form of a node":       {entry(operate, group, 0xFFFF_FFFF_FFFF_0000), constraint},
		"group as node":                       {entry(operate, byNOC, matter.GroupID(1).NodeID()), constraint},
		"tag":                                 {entry(operate, byNOC, tagV1.NodeID()), nil},
		"tag with version 0":                  {entry(operate, byNOC, matter.CAT(0xABCD_0000).NodeID()), constraint},
		"node 0":                              {entry(operate, byNOC, 0), constraint},
		"last operational node":               {entry(operate, byNOC, matter.MaxOperationalNodeID), nil},
		"first reserved node":                 {entry(operate, byNOC, matter.MaxOperationalNodeID+1), constraint},
		"PAKE key":                            {entry(operate, byNOC, 0xFFFF_FFFB_0000_0000), constraint},
		"temporary local node":                {entry(operate, byNOC, 0xFFFF_FFFE_0000_0001), constraint},
		"one bad subject of four":             {entry(operate, byNOC, 1, 2, 3, 0), constraint},
		"as many subjects as there may be":    {entry(operate, byNOC, 1, 2, 3, 4), nil},
		"a subject too many":                  {entry(operate, byNOC, 1, 2, 3, 4, 5), exhausted},
		"as many targets as there may be":     {to(cluster(6), endpoint(1), device(0x100)), nil},
		"a target too many":                   {to(cluster(6), endpoint(1), device(0x100), cluster(8)), exhausted},
		"a target of nothing":                 {to(store.ACLTarget{}), constraint},
		"endpoint and device type":            {to(store.ACLTarget{Endpoint: ptr(matter.EndpointID(1)), DeviceType: ptr(matter.DeviceTypeID(0x100))}), constraint},
		"all three":                           {to(store.ACLTarget{Cluster: ptr(matter.ClusterID(6)), Endpoint: ptr(matter.EndpointID(1)), DeviceType: ptr(matter.DeviceTypeID(0x100))}), constraint},
		"cluster and device type":             {to(store.ACLTarget{Cluster: ptr(matter.ClusterID(6)), DeviceType: ptr(matter.DeviceTypeID(0x100))}), nil},
		"endpoint 0":                          {to(endpoint(0)), nil},
		"endpoint 0xFFFE":                     {to(endpoint(0xFFFE)), nil},
		"endpoint 0xFFFF":                     {to(endpoint(0xFFFF)), constraint},
		"last standard cluster":               {to(cluster(0x7FFF)), nil},
		"cluster beyond the standard":         {to(cluster(0x8000)), constraint},
		"manufacturer's suffix, no vendor":    {to(cluster(0xFC00)), constraint},
		"manufacturer's cluster":              {to(cluster(0xFFF1_FC00)), nil},
		"manufacturer's last cluster":         {to(cluster(0xFFF1_FFFE)), nil},
		"manufacturer's cluster beyond":       {to(cluster(0xFFF1_FFFF)), constraint},
		"manufacturer's standard suffix":      {to(cluster(0xFFF1_0006)), constraint},
		"cluster wildcard":                    {to(cluster(0xFFFF_FFFF)), constraint},
		"cluster of vendor 0xFFFF":            {to(cluster(0xFFFF_FC00)), constraint},
		"last device type":                    {to(device(0xBFFF)), nil},
		"device type beyond":                  {to(device(0xC000)), constraint},
		"manufacturer's device type":          {to(device(0xFFF1_0001)), nil},
		"device type of vendor 0xFFFF":        {to(device(0xFFFF_0001)), constraint},
		"bad subject among too many subjects": {entry(operate, byNOC, 1, 2, 3, 4, 0), constraint},
	} {
		if err := Validate(test.e); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestValidateList(t *testing.T) {
	good := store.ACLEntry{Privilege: view, AuthMode: byNOC}
	for n, want := range []error{nil, nil, nil, nil, nil, matter.StatusResourceExhausted} {
		if err := ValidateList(slices.Repeat([]store.ACLEntry{good}, n)); !errors.Is(err, want) {
			t.Errorf("%d entries: %v, want %v", n, err, want)
		}
	}
	if err := ValidateList([]store.ACLEntry{good, {Privilege: view, AuthMode: pase}}); !errors.Is(err, matter.StatusConstraintError) {
		t.Errorf("second entry at fault: %v", err)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a list without device types was made")
		}
	}()
	New(newTable(t, 1), nil)
}

func TestCheckDoesNotAllocate(t *testing.T) {
	l, s := worst(t, 2)
	if n := testing.AllocsPerRun(100, func() { l.Check(s, Target{Endpoint: 1, Cluster: 6}, view) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// worst returns a list in which all entries must be checked completely.
func worst(t testing.TB, fabrics int) (*List, Subject) {
	table := newTable(t, fabrics)
	e := store.ACLEntry{Privilege: administer, AuthMode: byNOC,
		Subjects: []matter.NodeID{tagV1.NodeID(), tagV2.NodeID(), tagV3.NodeID(), 5}, Targets: []store.ACLTarget{cluster(8), endpoint(2), device(0x16)}}
	i := matter.FabricIndex(fabrics)
	set(t, table, i, e, e, e, e)
	light := []matter.DeviceTypeID{0x100}
	l := New(table, func(matter.EndpointID) []matter.DeviceTypeID { return light })
	return l, Subject{Fabric: i, AuthMode: byNOC, Node: 5, CATs: [3]matter.CAT{0x10001, 0x20001, 0x30001}}
}

func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1, 16, 254} {
		b.Run(fmt.Sprintf("fabrics=%d", n), func(b *testing.B) {
			l, s := worst(b, n)
			b.ReportAllocs()
			for b.Loop() {
				l.Check(s, Target{Endpoint: 1, Cluster: 6}, view)
			}
		})
	}
}
