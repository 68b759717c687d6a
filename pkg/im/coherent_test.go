package im

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// cached is a controller's copy of one attribute.
type cached struct {
	version matter.DataVersion
	value   string
}

var reportedData = regexp.MustCompile(`\{1:\{0:(\d+),1:<2:(\d+),3:(\d+),4:(\d+)(,5:null)?>,2:`)

// keep adds the attributes of messages to a controller's cache, with parts of lists
// appended.
func keep(t *testing.T, cache map[string]cached, sent []message) {
	t.Helper()
	for _, m := range sent {
		at := reportedData.FindAllStringSubmatchIndex(m.text, -1)
		for i, x := range at {
			part := func(n int) string { return m.text[x[2*n]:x[2*n+1]] }
			end := len(m.text)
			if i+1 < len(at) {
				end = at[i+1][0]
			} else if e := strings.LastIndex(m.text, "}}]"); e > 0 {
				end = e + 2
			}
			version, err := strconv.Atoi(part(1))
			if err != nil {
				t.Fatal(err)
			}
			path := fmt.Sprintf("%s/%s/%s", part(2), part(3), part(4))
			c := cached{version: matter.DataVersion(version), value: strings.TrimSuffix(strings.TrimSuffix(m.text[x[1]:end], ","), "}}")}
			if x[10] >= 0 {
				c.value = strings.Replace(cache[path].value+","+c.value, "[],", "[", 1)
				c.value = strings.Replace(c.value, "],", ",", 1) + "]"
			}
			cache[path] = c
		}
	}
}

// coherent checks a controller's copy of one cluster. If the controller has one
// attribute with the current data version, it must have the current values of all,
// as it will not be sent them again.
func (n *node) coherent(t *testing.T, cache map[string]cached, ep matter.EndpointID, cl matter.ClusterID) {
	t.Helper()
	in, _ := n.find(ep, cl)
	present := make(map[string]cached)
	limit := n.opt.MaxPayload
	n.opt.MaxPayload = 4000
	_, c := n.ask(pase(1), OpcodeReadRequest, fmt.Sprintf("{0:[<2:%d,3:%d>],3:false}", ep, cl))
	n.opt.MaxPayload = limit
	keep(t, present, c.sent)
	has := false
	for path := range present {
		has = has || cache[path].version == in.version
	}
	for path, want := range present {
		if got := cache[path]; has && got.value != want.value {
			t.Errorf("with version %d, %s is %s of version %d; it is %s", in.version, path, got.value, got.version, want.value)
		}
	}
}

// The expansion of a cluster that takes several messages starts again when it
// changes.
func TestClusterOfSeveralMessagesIsCoherent(t *testing.T) {
	for name, request := range map[string]string{
		"all":                "{0:[<>],3:false}",
		"the cluster":        "{0:[<2:0,3:6>],3:false}",
		"the clusters":       "{0:[<3:6>],3:false}",
		"the cluster, twice": "{0:[<2:0,3:6>,<3:6>],3:false}",
		"its attributes":     "{0:[<2:0,3:6,4:0>,<2:0,3:6,4:1>,<2:0,3:6,4:2>,<2:0,3:6,4:3>,<2:0,3:6,4:4>,<2:0,3:6,4:5>,<2:0,3:6,4:6>,<2:0,3:6,4:7>,<2:0,3:6,4:8>],3:false}",
	} {
		for after := range 20 {
			for _, attribute := range []matter.AttributeID{0, 3, 7, 8} {
				n := newNode(t, func(o *Options) { o.MaxPayload = 128 })
				i, c := n.ask(pase(1), OpcodeReadRequest, request)
				for range after {
					n.confirm(i)
				}
				n.sw0.values[attribute] = map[matter.AttributeID]string{0: "2", 3: `["c","d","e"]`, 7: "70", 8: "80"}[attribute]
				n.Changed(0, 6, attribute)
				n.Settle(n.now)
				for !c.closed {
					n.confirm(i)
				}
				if len(c.sent) < 2 {
					t.Fatalf("%d messages", len(c.sent))
				}
				cache := make(map[string]cached)
				keep(t, cache, c.sent)
				n.coherent(t, cache, 0, 6)
				n.coherent(t, cache, 2, 6)
				if t.Failed() {
					t.Fatalf("%s: attribute %d changed after %d messages", name, attribute, after+1)
				}
			}
		}
	}
}

// The same holds in a report to a subscriber.
func TestReportedClusterIsCoherent(t *testing.T) {
	for after := range 8 {
		n := newNode(t, func(o *Options) { o.MaxPayload = 128 })
		n.subscribe(pase(1), "{0:true,1:0,2:600,3:[<3:6>],7:false}")
		for id := range matter.AttributeID(9) {
			n.Changed(0, 6, id)
		}
		n.pass(sec)
		c := n.reports(1)[0]
		for range after {
			n.confirm(c.opened)
		}
		n.sw0.values[0] = "2"
		n.Changed(0, 6, 0)
		for !c.closed {
			n.confirm(c.opened)
		}
		if len(c.sent) < 2 {
			t.Fatalf("%d messages", len(c.sent))
		}
		cache := make(map[string]cached)
		keep(t, cache, c.sent)
		in, _ := n.find(0, 6)
		for id := range matter.AttributeID(9) {
			if got := cache[fmt.Sprintf("0/6/%d", id)]; got.version == in.version && cache["0/6/0"].version != in.version {
				t.Errorf("changed after %d messages: attribute %d has version %d, attribute 0 %d", after+1, id, got.version, cache["0/6/0"].version)
			}
		}
	}
}

// A report ends even if a cluster changes all the time, and the cluster is not
// taken for unchanged.
func TestClusterThatChangesAllTheTime(t *testing.T) {
	n := newNode(t, func(o *Options) { o.MaxPayload = 128 })
	i, c := n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0>],3:false}")
	for k := 0; !c.closed; k++ {
		if k > 200 {
			t.Fatal("the report does not end")
		}
		n.sw0.values[0] = fmt.Sprint(k)
		n.Changed(0, 6, 0)
		n.Settle(n.now)
		n.confirm(i)
	}
	cache := make(map[string]cached)
	keep(t, cache, c.sent)
	n.coherent(t, cache, 0, 6)
}
