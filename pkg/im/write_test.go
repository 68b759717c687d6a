package im

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// written is the AttributeStatusIB of an item; appended is that of a part of a
// list.
func written(ep, cl, id uint32, st matter.Status) string {
	return fmt.Sprintf("{0:<2:%d,3:%d,4:%d>,1:{0:%d}}", ep, cl, id, st)
}

func appended(ep, cl, id uint32, st matter.Status) string {
	return fmt.Sprintf("{0:<2:%d,3:%d,4:%d,5:null>,1:{0:%d}}", ep, cl, id, st)
}

func TestWrite(t *testing.T) {
	const success = matter.StatusSuccess
	many := strings.TrimSuffix(strings.Repeat(`{1:<2:0,3:6,4:3,5:null>,2:"x"},`, 10), ",")
	tests := []struct {
		name, items string
		want        []string // statuses
		writes      []string
	}{
		{"nothing", "", nil, nil},
		{"value", "{1:<2:0,3:6,4:0>,2:8}", []string{written(0, 6, 0, success)}, []string{"0/6/0=8"}},
		{"order of parts", "{2:8,7:[],1:<4:0,3:6,2:0>}", []string{written(0, 6, 0, success)}, []string{"0/6/0=8"}},
		{"two", "{1:<2:0,3:6,4:0>,2:8},{1:<2:2,3:6,4:0>,2:9}",
			[]string{written(0, 6, 0, success), written(2, 6, 0, success)}, []string{"0/6/0=8", "2/6/0=9"}},
		{"one of them fails", "{1:<2:0,3:6,4:5>,2:8},{1:<2:2,3:6,4:0>,2:9}",
			[]string{written(0, 6, 5, matter.StatusUnsupportedWrite), written(2, 6, 0, success)}, []string{"2/6/0=9"}},
		{"no endpoint", "{1:<2:1,3:6,4:0>,2:8}", []string{written(1, 6, 0, matter.StatusUnsupportedEndpoint)}, nil},
		{"no cluster", "{1:<2:0,3:9,4:0>,2:8}", []string{written(0, 9, 0, matter.StatusUnsupportedCluster)}, nil},
		{"no attribute", "{1:<2:0,3:6,4:99>,2:8}", []string{written(0, 6, 99, matter.StatusUnsupportedAttribute)}, nil},
		{"read only", "{1:<2:0,3:6,4:6>,2:8}", []string{written(0, 6, 6, matter.StatusUnsupportedWrite)}, nil},
		{"global", "{1:<2:0,3:6,4:65533>,2:8}", []string{written(0, 6, 65533, matter.StatusUnsupportedWrite)}, nil},
		{"write only", "{1:<2:0,3:6,4:2>,2:8}", []string{written(0, 6, 2, success)}, []string{"0/6/2=8"}},
		{"needs timed", "{1:<2:0,3:6,4:7>,2:8}", []string{written(0, 6, 7, matter.StatusNeedsTimedInteraction)}, nil},
		{"needs a fabric", `{1:<2:0,3:6,4:4>,2:[]}`, []string{written(0, 6, 4, matter.StatusUnsupportedAccess)}, nil},
		{"version", "{0:5,1:<2:0,3:6,4:0>,2:8}", []string{written(0, 6, 0, success)}, []string{"0/6/0=8"}},
		{"other version", "{0:4,1:<2:0,3:6,4:0>,2:8}", []string{written(0, 6, 0, matter.StatusDataVersionMismatch)}, nil},
		{"version after a write", "{0:5,1:<2:0,3:6,4:0>,2:8},{0:5,1:<2:0,3:6,4:2>,2:1},{0:6,1:<2:0,3:6,4:2>,2:2}",
			[]string{written(0, 6, 0, success), written(0, 6, 2, matter.StatusDataVersionMismatch), written(0, 6, 2, success)},
			[]string{"0/6/0=8", "0/6/2=2"}},
		{"version comes after timed", "{0:4,1:<2:0,3:6,4:7>,2:8}", []string{written(0, 6, 7, matter.StatusNeedsTimedInteraction)}, nil},

		{"list", `{1:<2:0,3:6,4:3>,2:["x","y"]}`, []string{written(0, 6, 3, success)}, []string{`0/6/3=["x","y"]`}},
		{"list in parts", `{1:<2:0,3:6,4:3>,2:[]},{1:<2:0,3:6,4:3,5:null>,2:"x"},{1:<2:0,3:6,4:3,5:null>,2:{1:2}}`,
			[]string{written(0, 6, 3, success), appended(0, 6, 3, success), appended(0, 6, 3, success)}, []string{`0/6/3=["x",{1:2}]`}},
		{"list in parts, some in the first", `{1:<2:0,3:6,4:3>,2:["w"]},{1:<2:0,3:6,4:3,5:null>,2:"x"}`,
			[]string{written(0, 6, 3, success), appended(0, 6, 3, success)}, []string{`0/6/3=["w","x"]`}},
		{"two lists in parts", `{1:<2:0,3:6,4:3>,2:[]},{1:<2:0,3:6,4:3,5:null>,2:"x"},{1:<2:2,3:6,4:3>,2:[]},{1:<2:2,3:6,4:3,5:null>,2:"y"}`,
			[]string{written(0, 6, 3, success), appended(0, 6, 3, success), written(2, 6, 3, success), appended(2, 6, 3, success)},
			[]string{`0/6/3=["x"]`, `2/6/3=["y"]`}},
		{"list twice", `{1:<2:0,3:6,4:3>,2:["x"]},{1:<2:0,3:6,4:3>,2:["y"]}`,
			[]string{written(0, 6, 3, success), written(0, 6, 3, success)}, []string{`0/6/3=["x"]`, `0/6/3=["y"]`}},
		{"append to nothing", `{1:<2:0,3:6,4:3,5:null>,2:"x"}`, []string{appended(0, 6, 3, matter.StatusBusy)}, nil},
		{"append after another path", `{1:<2:0,3:6,4:3>,2:[]},{1:<2:0,3:6,4:0>,2:8},{1:<2:0,3:6,4:3,5:null>,2:"x"}`,
			[]string{written(0, 6, 3, success), written(0, 6, 0, success), appended(0, 6, 3, matter.StatusBusy)},
			[]string{`0/6/3=[]`, `0/6/0=8`}},
		{"append to another list", `{1:<2:0,3:6,4:3>,2:[]},{1:<2:2,3:6,4:3,5:null>,2:"x"}`,
			[]string{written(0, 6, 3, success), appended(2, 6, 3, matter.StatusBusy)}, []string{`0/6/3=[]`}},
		{"append to no list", `{1:<2:0,3:6,4:0,5:null>,2:8}`, []string{appended(0, 6, 0, matter.StatusUnsupportedWrite)}, nil},
		{"append without the attribute", `{1:<2:0,3:6,4:99,5:null>,2:8}`, []string{appended(0, 6, 99, matter.StatusUnsupportedAttribute)}, nil},
		{"one item", `{1:<2:0,3:6,4:3,5:0>,2:"x"}`, []string{written(0, 6, 3, matter.StatusUnsupportedWrite)}, nil},
		{"list without access to it, in parts", `{1:<2:0,3:6,4:4>,2:[]},{1:<2:0,3:6,4:4,5:null>,2:{}}`,
			[]string{written(0, 6, 4, matter.StatusUnsupportedAccess), appended(0, 6, 4, matter.StatusUnsupportedAccess)}, nil},
		{"list of another version, in parts", `{0:4,1:<2:0,3:6,4:3>,2:[]},{0:5,1:<2:0,3:6,4:3,5:null>,2:"x"}`,
			[]string{written(0, 6, 3, matter.StatusDataVersionMismatch), appended(0, 6, 3, matter.StatusDataVersionMismatch)}, nil},
		{"version of a list in parts", `{0:5,1:<2:0,3:6,4:3>,2:[]},{0:5,1:<2:0,3:6,4:3,5:null>,2:"x"}`,
			[]string{written(0, 6, 3, success), appended(0, 6, 3, success)}, []string{`0/6/3=["x"]`}},
		{"no list", `{1:<2:0,3:6,4:3>,2:"x"}`, []string{written(0, 6, 3, matter.StatusInvalidDataType)}, nil},
		{"null for no list", `{1:<2:0,3:6,4:3>,2:null}`, []string{written(0, 6, 3, matter.StatusInvalidDataType)}, nil},
		{"null for a nullable list", `{1:<2:0,3:6,4:8>,2:null}`, []string{written(0, 6, 8, success)}, []string{"0/6/8=null"}},
		{"array for a value", `{1:<2:0,3:6,4:0>,2:[1]}`, []string{written(0, 6, 0, success)}, []string{"0/6/0=[1]"}},
		{"many parts", `{1:<2:0,3:6,4:3>,2:[]},` + many,
			append([]string{written(0, 6, 3, success)}, slices.Repeat([]string{appended(0, 6, 3, success)}, 10)...),
			[]string{`0/6/3=["x","x","x","x","x","x","x","x","x","x"]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			var writes []string
			_, c := n.ask(pase(0), OpcodeWriteRequest, "{0:false,1:false,2:["+tt.items+"],255:12}")
			wantLast(t, c, OpcodeWriteResponse, "{0:["+strings.Join(tt.want, ",")+"],255:12}")
			for _, w := range []*fakeCluster{n.sw0, n.sw2} {
				writes = append(writes, w.writes...)
			}
			if !slices.Equal(writes, tt.writes) || !c.closed || len(c.sent) != 1 {
				t.Errorf("writes %q, want %q; closed %v", writes, tt.writes, c.closed)
			}
		})
	}
}

func TestWriteFabricScoped(t *testing.T) {
	n := newNode(t, nil)
	_, c := n.ask(pase(1), OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:4>,2:[{1:"x"}]}]}`)
	wantLast(t, c, OpcodeWriteResponse, "{0:["+written(0, 6, 4, matter.StatusSuccess)+"],255:12}")
}

func TestWriteFailure(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"status", matter.StatusConstraintError, "{0:135}"},
		{"cluster status", matter.ClusterStatus{Status: matter.StatusFailure, Code: 2}, "{0:1,1:2}"},
		{"other", errTest, "{0:1}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.sw0.fails[3] = tt.err
			_, c := n.ask(pase(1), OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3>,2:[]},{1:<2:0,3:6,4:3,5:null>,2:"x"},{1:<2:0,3:6,4:0>,2:8}]}`)
			wantLast(t, c, OpcodeWriteResponse, "{0:[{0:<2:0,3:6,4:3>,1:"+tt.want+"},{0:<2:0,3:6,4:3,5:null>,1:"+tt.want+"},"+written(0, 6, 0, 0)+"],255:12}")
			if v := n.instances()[0].version; v != 6 {
				t.Errorf("version %d: a failed write is no change", v)
			}
			if got := strings.Contains(n.log.String(), errTest.Error()); got != (tt.err == errTest) {
				t.Errorf("log: %s", n.log.String())
			}
		})
	}
}

func TestWriteMessages(t *testing.T) {
	const item = "{1:<2:0,3:6,4:0>,2:8}"
	tests := []struct {
		name, text string
		want       matter.Status
	}{
		{"nothing", `{}`, matter.StatusInvalidAction},
		{"no TimedRequest", `{2:[]}`, matter.StatusInvalidAction},
		{"no items", `{1:false}`, matter.StatusInvalidAction},
		{"items not an array", `{1:false,2:{}}`, matter.StatusInvalidAction},
		{"no path", `{1:false,2:[{2:8}]}`, matter.StatusInvalidAction},
		{"no data", `{1:false,2:[{1:<2:0,3:6,4:0>}]}`, matter.StatusInvalidAction},
		{"data twice", `{1:false,2:[{1:<2:0,3:6,4:0>,2:8,2:9}]}`, matter.StatusInvalidAction},
		{"bad item after a good one", `{1:false,2:[` + item + `,{1:<>,2:8}]}`, matter.StatusInvalidAction},
		{"wildcard endpoint", `{1:false,2:[{1:<3:6,4:0>,2:8}]}`, matter.StatusInvalidAction},
		{"wildcard cluster", `{1:false,2:[{1:<2:0,4:0>,2:8}]}`, matter.StatusInvalidAction},
		{"wildcard attribute", `{1:false,2:[{1:<2:0,3:6>,2:8}]}`, matter.StatusInvalidAction},
		{"version not a number", `{1:false,2:[{0:true,1:<2:0,3:6,4:0>,2:8}]}`, matter.StatusInvalidAction},
		{"more and suppress", `{0:true,1:false,2:[` + item + `],3:true}`, matter.StatusInvalidAction},
		{"more and timed", `{1:true,2:[` + item + `],3:true}`, matter.StatusInvalidAction},
		{"timed without announcement", `{1:true,2:[` + item + `]}`, matter.StatusTimedRequestMismatch},
		{"too many", `{1:false,2:[` + strings.Repeat(item+",", maxWrites+1) + `]}`, matter.StatusPathsExhausted},
		{"more than can be answered", `{1:false,2:[` + strings.Repeat(item+",", 60) + `]}`, matter.StatusPathsExhausted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			_, c := n.ask(pase(1), OpcodeWriteRequest, tt.text)
			wantStatus(t, c, tt.want)
			if len(n.sw0.writes) != 0 || len(c.sent) != 1 {
				t.Errorf("writes %q, %d messages", n.sw0.writes, len(c.sent))
			}
		})
	}
}

func TestWriteSuppressed(t *testing.T) {
	n := newNode(t, nil)
	_, c := n.ask(pase(1), OpcodeWriteRequest, `{0:true,1:false,2:[`+strings.Repeat("{1:<2:0,3:6,4:0>,2:8},", 60)+`]}`)
	if len(c.sent) != 0 || !c.closed || len(n.sw0.writes) != 60 {
		t.Errorf("%d messages, closed %v, %d writes", len(c.sent), c.closed, len(n.sw0.writes))
	}
}

func TestChunkedWrite(t *testing.T) {
	n := newNode(t, nil)
	i, c := n.ask(pase(1), OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:0>,2:8},{1:<2:0,3:6,4:3>,2:["a"]},{1:<2:0,3:6,4:3,5:null>,2:"b"}],3:true}`)
	wantLast(t, c, OpcodeWriteResponse, "{0:["+written(0, 6, 0, 0)+","+written(0, 6, 3, 0)+","+appended(0, 6, 3, 0)+"],255:12}")
	if want := []string{"0/6/0=8"}; !slices.Equal(n.sw0.writes, want) || c.closed || !c.deadline.Equal(start.Add(responseTimeout)) {
		t.Fatalf("writes %q, closed %v, deadline %v", n.sw0.writes, c.closed, c.deadline)
	}
	n.send(i, OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3,5:null>,2:"c"}],3:true}`)
	wantLast(t, c, OpcodeWriteResponse, "{0:["+appended(0, 6, 3, 0)+"],255:12}")
	n.send(i, OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3,5:null>,2:"d"},{1:<2:0,3:6,4:2>,2:1},{1:<2:0,3:6,4:3,5:null>,2:"e"}],3:false}`)
	wantLast(t, c, OpcodeWriteResponse, "{0:["+appended(0, 6, 3, 0)+","+written(0, 6, 2, 0)+","+appended(0, 6, 3, matter.StatusBusy)+"],255:12}")
	if want := []string{"0/6/0=8", `0/6/3=["a","b","c","d"]`, "0/6/2=1"}; !slices.Equal(n.sw0.writes, want) || !c.closed {
		t.Errorf("writes %q", n.sw0.writes)
	}
	if want := []int{0, 3, 0}; !slices.Equal(n.sw0.appended, want) {
		t.Errorf("appended %v, want %v", n.sw0.appended, want)
	}
	if want := []string{"write BUSY 0s"}; !slices.Equal(n.outcomes, want) || n.Stats().Waiting != 0 {
		t.Errorf("outcomes %q", n.outcomes)
	}
}

func TestChunkedWriteEnds(t *testing.T) {
	const first = `{1:false,2:[{1:<2:0,3:6,4:3>,2:["a"]}],3:true}`
	tests := []struct {
		name   string
		opcode uint8
		text   string
		want   matter.Status // 0: no answer
	}{
		{"malformed", OpcodeWriteRequest, `{}`, matter.StatusInvalidAction},
		{"suppress", OpcodeWriteRequest, `{0:true,1:false,2:[],3:true}`, matter.StatusInvalidAction},
		{"timed", OpcodeWriteRequest, `{1:true,2:[]}`, matter.StatusTimedRequestMismatch},
		{"something else", OpcodeReadRequest, `{3:true}`, matter.StatusInvalidAction},
		{"status", OpcodeStatusResponse, `{0:0}`, 0},
		{"error", OpcodeStatusResponse, `{0:1}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			i, c := n.ask(pase(1), OpcodeWriteRequest, first)
			n.send(i, tt.opcode, tt.text)
			if tt.want != 0 {
				wantStatus(t, c, tt.want)
			} else if len(c.sent) != 1 || !c.closed {
				t.Errorf("%d messages, closed %v", len(c.sent), c.closed)
			}
			if len(n.sw0.writes) != 0 || n.Stats().Waiting != 0 {
				t.Errorf("writes %q", n.sw0.writes)
			}
		})
	}
	t.Run("peer gone", func(t *testing.T) {
		n := newNode(t, nil)
		i, _ := n.ask(pase(1), OpcodeWriteRequest, first)
		i.Closed(n.now.Add(time.Minute), errTest)
		n.send(i, OpcodeWriteRequest, `{1:false,2:[]}`)
		if len(n.sw0.writes) != 0 || n.Stats().Waiting != 0 {
			t.Errorf("writes %q", n.sw0.writes)
		}
	})
}

func TestListOfPartsIsBounded(t *testing.T) {
	n := newNode(t, nil)
	big := fmt.Sprintf("%q", strings.Repeat("x", 1000))
	i, c := n.ask(pase(1), OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3>,2:[]}],3:true}`)
	for range 30 {
		n.send(i, OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3,5:null>,2:`+big+`}],3:true}`)
	}
	wantLast(t, c, OpcodeWriteResponse, "{0:["+appended(0, 6, 3, matter.StatusResourceExhausted)+"],255:12}")
	n.send(i, OpcodeWriteRequest, `{1:false,2:[]}`)
	if len(n.sw0.writes) != 0 || !c.closed {
		t.Errorf("%d writes", len(n.sw0.writes))
	}
}

// All partly sent lists of a fabric together are limited too. A list that ends, for
// any reason, frees its share.
func TestListsOfPartsAreBounded(t *testing.T) {
	n := newNode(t, nil)
	big := `"` + strings.Repeat("x", 1000) + `"`
	var all []*Interaction
	begin := func(s acl.Subject) *fakeConn {
		i, c := n.ask(s, OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3>,2:[]}],3:true}`)
		all = append(all, i)
		for range 10 {
			n.send(i, OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:3,5:null>,2:`+big+`}],3:true}`)
		}
		return c
	}
	success := "{0:[" + appended(0, 6, 3, matter.StatusSuccess) + "],255:12}"
	exhausted := "{0:[" + appended(0, 6, 3, matter.StatusResourceExhausted) + "],255:12}"
	for range 6 {
		wantLast(t, begin(pase(1)), OpcodeWriteResponse, success)
	}
	wantLast(t, begin(pase(1)), OpcodeWriteResponse, exhausted)
	wantLast(t, begin(pase(2)), OpcodeWriteResponse, success)
	n.send(all[0], OpcodeWriteRequest, `{1:false,2:[]}`) // the last message of the write
	all[1].Closed(n.now, errTest)
	for range 2 {
		wantLast(t, begin(pase(1)), OpcodeWriteResponse, success)
	}
	for _, i := range all {
		i.Closed(n.now, errTest)
	}
	if n.lists != [256]int{} {
		t.Errorf("something is left: %v", n.lists)
	}
}
