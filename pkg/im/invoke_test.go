package im

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// outcome is the InvokeResponseIB with a status; response is one with data.
func outcome(ep, cl, id uint32, st matter.Status) string {
	return fmt.Sprintf("{1:{0:<0:%d,1:%d,2:%d>,1:{0:%d}}}", ep, cl, id, st)
}

func response(ep, cl, id uint32, fields string) string {
	return fmt.Sprintf("{0:{0:<0:%d,1:%d,2:%d>,1:%s}}", ep, cl, id, fields)
}

func TestInvoke(t *testing.T) {
	tests := []struct {
		name, command, want string
		invokes             []string
	}{
		{"status", "{0:<0:0,1:6,2:0>}", outcome(0, 6, 0, 0), []string{"0/6/0{}"}},
		{"response", `{0:<0:2,1:6,2:1>,1:{0:"hi",1:[1]}}`, response(2, 6, 9, `{0:"hi",1:[1]}`), []string{`2/6/1{0:"hi",1:[1]}`}},
		{"order of parts", `{9:1,1:{},0:<2:1,1:6,0:0>}`, response(0, 6, 9, "{}"), []string{"0/6/1{}"}},
		{"reference in a status", "{0:<0:0,1:6,2:0>,2:77}", "{1:{0:<0:0,1:6,2:0>,1:{0:0},2:77}}", []string{"0/6/0{}"}},
		{"reference in a response", "{0:<0:0,1:6,2:1>,2:78}", "{0:{0:<0:0,1:6,2:9>,1:{},2:78}}", []string{"0/6/1{}"}},
		{"no endpoint", "{0:<0:1,1:6,2:0>}", outcome(1, 6, 0, matter.StatusUnsupportedEndpoint), nil},
		{"no cluster", "{0:<0:0,1:9,2:0>}", outcome(0, 9, 0, matter.StatusUnsupportedCluster), nil},
		{"no command", "{0:<0:0,1:6,2:9>,2:5}", "{1:{0:<0:0,1:6,2:9>,1:{0:129},2:5}}", nil},
		{"needs timed", "{0:<0:0,1:6,2:3>}", outcome(0, 6, 3, matter.StatusNeedsTimedInteraction), nil},
		{"needs a fabric", "{0:<0:0,1:6,2:5>}", outcome(0, 6, 5, matter.StatusUnsupportedAccess), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			_, c := n.ask(pase(0), OpcodeInvokeRequest, "{0:false,1:false,2:["+tt.command+"],255:12}")
			wantLast(t, c, OpcodeInvokeResponse, "{0:false,1:["+tt.want+"],255:12}")
			if got := slices.Concat(n.sw0.invokes, n.sw2.invokes); !slices.Equal(got, tt.invokes) || !c.closed || len(c.sent) != 1 {
				t.Errorf("invokes %q, closed %v", got, c.closed)
			}
		})
	}
}

func TestInvokeFailure(t *testing.T) {
	tests := []struct {
		name string
		id   int
		err  error
		want string
		logs bool
	}{
		{"status", 0, matter.StatusConstraintError, "{0:135}", false},
		{"status of a command with a response", 1, matter.StatusFailsafeRequired, "{0:202}", false},
		{"cluster status", 0, matter.ClusterStatus{Status: matter.StatusFailure, Code: 2}, "{0:1,1:2}", false},
		{"success with a cluster status", 0, matter.ClusterStatus{Code: 4}, "{0:0,1:4}", false},
		{"other", 1, errTest, "{0:1}", true},
		{"wrapped", 1, fmt.Errorf("%w: %w", errTest, matter.StatusBusy), "{0:156}", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.sw0.invoke = func(_ *Request, _ matter.CommandID, _ tlv.Element, w *tlv.Writer) error {
				w.StartStruct(tag0) // a failed command must leave nothing in the message
				return tt.err
			}
			_, c := n.ask(pase(0), OpcodeInvokeRequest, fmt.Sprintf("{0:false,1:false,2:[{0:<0:0,1:6,2:%d>}]}", tt.id))
			wantLast(t, c, OpcodeInvokeResponse, fmt.Sprintf("{0:false,1:[{1:{0:<0:0,1:6,2:%d>,1:%s}}],255:12}", tt.id, tt.want))
			if got := strings.Contains(n.log.String(), errTest.Error()); got != tt.logs {
				t.Errorf("log: %s", n.log.String())
			}
		})
	}
}

func TestInvokeMessages(t *testing.T) {
	const off, echo = "{0:<0:0,1:6,2:0>,2:1}", "{0:<0:0,1:6,2:1>,2:2}"
	tests := []struct {
		name, text string
		limit      int
		want       matter.Status
	}{
		{"nothing", `{}`, 1, matter.StatusInvalidAction},
		{"no SuppressResponse", `{1:false,2:[` + off + `]}`, 1, matter.StatusInvalidAction},
		{"no TimedRequest", `{0:false,2:[` + off + `]}`, 1, matter.StatusInvalidAction},
		{"no commands", `{0:false,1:false}`, 1, matter.StatusInvalidAction},
		{"zero commands", `{0:false,1:false,2:[]}`, 1, matter.StatusInvalidAction},
		{"no path", `{0:false,1:false,2:[{1:{}}]}`, 1, matter.StatusInvalidAction},
		{"no endpoint", `{0:false,1:false,2:[{0:<1:6,2:0>}]}`, 1, matter.StatusInvalidAction},
		{"no cluster", `{0:false,1:false,2:[{0:<0:0,2:0>}]}`, 1, matter.StatusInvalidAction},
		{"no command", `{0:false,1:false,2:[{0:<0:0,1:6>}]}`, 1, matter.StatusInvalidAction},
		{"endpoint 0xFFFF", `{0:false,1:false,2:[{0:<0:65535,1:6,2:0>}]}`, 1, matter.StatusInvalidAction},
		{"fields not a structure", `{0:false,1:false,2:[{0:<0:0,1:6,2:0>,1:[]}]}`, 1, matter.StatusInvalidAction},
		{"fields twice", `{0:false,1:false,2:[{0:<0:0,1:6,2:0>,1:{},1:{}}]}`, 1, matter.StatusInvalidAction},
		{"reference too wide", `{0:false,1:false,2:[{0:<0:0,1:6,2:0>,2:65536}]}`, 1, matter.StatusInvalidAction},
		{"timed without announcement", `{0:false,1:true,2:[` + off + `]}`, 1, matter.StatusTimedRequestMismatch},
		{"two of one", `{0:false,1:false,2:[` + off + `,` + echo + `]}`, 1, matter.StatusInvalidAction},
		{"three of two", `{0:false,1:false,2:[` + off + `,` + echo + `,{0:<0:2,1:6,2:1>,2:3}]}`, 2, matter.StatusInvalidAction},
		{"no reference", `{0:false,1:false,2:[` + off + `,{0:<0:0,1:6,2:1>}]}`, 2, matter.StatusInvalidAction},
		{"no first reference", `{0:false,1:false,2:[{0:<0:0,1:6,2:0>},` + echo + `]}`, 2, matter.StatusInvalidAction},
		{"reference twice", `{0:false,1:false,2:[` + off + `,{0:<0:0,1:6,2:1>,2:1}]}`, 2, matter.StatusInvalidAction},
		{"path twice", `{0:false,1:false,2:[` + off + `,{0:<0:0,1:6,2:0>,2:2}]}`, 2, matter.StatusInvalidAction},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, func(o *Options) { o.MaxPathsPerInvoke = tt.limit })
			_, c := n.ask(pase(1), OpcodeInvokeRequest, tt.text)
			wantStatus(t, c, tt.want)
			if len(n.sw0.invokes) != 0 || len(c.sent) != 1 {
				t.Errorf("invokes %q, %d messages", n.sw0.invokes, len(c.sent))
			}
		})
	}
}

func TestInvokeSuppressed(t *testing.T) {
	n := newNode(t, nil)
	_, c := n.ask(pase(1), OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<0:0,1:6,2:1>}]}`)
	if len(c.sent) != 0 || !c.closed || len(n.sw0.invokes) != 1 {
		t.Errorf("%d messages, closed %v, invokes %q", len(c.sent), c.closed, n.sw0.invokes)
	}
}

func TestInvokeBatch(t *testing.T) {
	n := newNode(t, func(o *Options) { o.MaxPathsPerInvoke = 3 })
	_, c := n.ask(pase(1), OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<0:0,1:6,2:0>,2:3},{0:<0:2,1:6,2:1>,1:{0:5},2:0},{0:<0:2,1:9,2:1>,2:1}]}`)
	wantLast(t, c, OpcodeInvokeResponse, "{0:false,1:[{1:{0:<0:0,1:6,2:0>,1:{0:0},2:3}},{0:{0:<0:2,1:6,2:9>,1:{0:5},2:0}},{1:{0:<0:2,1:9,2:1>,1:{0:195},2:1}}],255:12}")
	if want := []string{"invoke UNSUPPORTED_CLUSTER 0s"}; !slices.Equal(n.outcomes, want) || n.Stats().Waiting != 0 {
		t.Errorf("outcomes %q", n.outcomes)
	}
}

func TestInvokeBatchInChunks(t *testing.T) {
	// Responses of every size: each message is within the limit, and their order is
	// kept.
	for size := range 180 {
		n := newNode(t, func(o *Options) { o.MaxPathsPerInvoke, o.MaxPayload = 6, 256 })
		for ep := matter.EndpointID(10); ep < 15; ep++ {
			sw := newSwitch()
			sw.invoke = func(_ *Request, _ matter.CommandID, _ tlv.Element, w *tlv.Writer) error {
				w.Text(tag0, strings.Repeat("r", size))
				return nil
			}
			n.AddEndpoint(Endpoint{ID: ep, Clusters: []Cluster{sw}})
		}
		var commands, want []string
		for k := range 5 {
			commands = append(commands, fmt.Sprintf("{0:<0:%d,1:6,2:1>,2:%d}", 10+k, k))
			want = append(want, fmt.Sprintf("{0:{0:<0:%d,1:6,2:9>,1:{0:%q},2:%d}}", 10+k, strings.Repeat("r", size), k))
		}
		i, c := n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:["+strings.Join(commands, ",")+"]}")
		for !c.closed {
			n.confirm(i)
		}
		var got []string
		for k, m := range c.sent {
			text, more := strings.CutSuffix(m.text, ",2:true,255:12}")
			text = strings.TrimSuffix(text, ",255:12}")
			if more != (k < len(c.sent)-1) {
				t.Errorf("size %d, message %d of %d: more %v", size, k, len(c.sent), more)
			}
			got = append(got, strings.TrimSuffix(strings.TrimPrefix(text, "{0:false,1:["), "]"))
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("size %d:\n got %q\nwant %q", size, got, want)
		}
		if size > 100 && len(c.sent) < 3 {
			t.Errorf("size %d: %d messages", size, len(c.sent))
		}
	}
}

func TestInvokeBatchEnds(t *testing.T) {
	const request = `{0:false,1:false,2:[{0:<0:0,1:6,2:1>,1:{0:"0123456789012345678901234567890123456789"},2:1},{0:<0:2,1:6,2:1>,1:{0:"0123456789012345678901234567890123456789"},2:2}]}`
	n := newNode(t, func(o *Options) { o.MaxPathsPerInvoke, o.MaxPayload = 2, 128 })
	i, c := n.ask(pase(1), OpcodeInvokeRequest, request)
	n.send(i, OpcodeStatusResponse, "{0:1}")
	if len(c.sent) != 1 || !c.closed || n.Stats().Waiting != 0 {
		t.Errorf("%d messages, closed %v", len(c.sent), c.closed)
	}
	// A batch is not executed if its responses cannot be delivered.
	for range waitingPerFabric {
		n.ask(pase(1), OpcodeTimedRequest, "{0:1000}")
	}
	n.sw0.invokes = nil
	_, c = n.ask(pase(1), OpcodeInvokeRequest, request)
	wantStatus(t, c, matter.StatusBusy)
	if len(n.sw0.invokes) != 0 {
		t.Errorf("invokes %q", n.sw0.invokes)
	}
	if _, c = n.ask(pase(1), OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<0:0,1:6,2:0>}]}`); c.last().opcode != OpcodeInvokeResponse {
		t.Error("one command is refused too")
	}
}

func TestResponseTooLarge(t *testing.T) {
	n := newNode(t, nil)
	n.sw0.invoke = func(_ *Request, _ matter.CommandID, _ tlv.Element, w *tlv.Writer) error {
		w.Text(tag0, strings.Repeat("r", 1200))
		return nil
	}
	_, c := n.ask(pase(1), OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<0:0,1:6,2:1>}]}`)
	wantLast(t, c, OpcodeInvokeResponse, "{0:false,1:["+outcome(0, 6, 1, matter.StatusResourceExhausted)+"],255:12}")
	if !strings.Contains(n.log.String(), "too large") {
		t.Error("not logged")
	}
}

func TestTimed(t *testing.T) {
	const (
		invoke = `{0:false,1:true,2:[{0:<0:0,1:6,2:3>}]}`
		write  = `{1:true,2:[{1:<2:0,3:6,4:7>,2:8}]}`
	)
	tests := []struct {
		name   string
		after  time.Duration
		opcode uint8
		text   string
		want   string // text of the answer
		calls  int
	}{
		{"invoke", 0, OpcodeInvokeRequest, invoke, "{0:false,1:[" + response(0, 6, 4, "{}") + "],255:12}", 1},
		{"write", 0, OpcodeWriteRequest, write, "{0:[" + written(0, 6, 7, 0) + "],255:12}", 1},
		{"at the last moment", 100 * time.Millisecond, OpcodeInvokeRequest, invoke, "{0:false,1:[" + response(0, 6, 4, "{}") + "],255:12}", 1},
		{"command that needs none", 0, OpcodeInvokeRequest, `{0:false,1:true,2:[{0:<0:0,1:6,2:0>}]}`, "{0:false,1:[" + outcome(0, 6, 0, 0) + "],255:12}", 1},
		{"late invoke", 101 * time.Millisecond, OpcodeInvokeRequest, invoke, "{0:148,255:12}", 0},
		{"late write", time.Hour, OpcodeWriteRequest, write, "{0:148,255:12}", 0},
		{"late and wrong", time.Hour, OpcodeReadRequest, "{}", "{0:148,255:12}", 0},
		{"invoke not timed", 0, OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<0:0,1:6,2:3>}]}`, "{0:201,255:12}", 0},
		{"write not timed", 0, OpcodeWriteRequest, `{1:false,2:[{1:<2:0,3:6,4:7>,2:8}]}`, "{0:201,255:12}", 0},
		{"chunked write", 0, OpcodeWriteRequest, `{1:true,2:[{1:<2:0,3:6,4:7>,2:8}],3:true}`, "{0:128,255:12}", 0},
		{"read", 0, OpcodeReadRequest, `{3:true}`, "{0:128,255:12}", 0},
		{"timed again", 0, OpcodeTimedRequest, `{0:100}`, "{0:128,255:12}", 0},
		{"malformed", 0, OpcodeInvokeRequest, `{}`, "{0:128,255:12}", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			i, c := n.ask(pase(1), OpcodeTimedRequest, "{0:100,255:12}")
			wantLast(t, c, OpcodeStatusResponse, ok)
			if c.closed || c.deadline.Before(start.Add(100*time.Millisecond)) {
				t.Fatalf("closed %v, deadline %v", c.closed, c.deadline)
			}
			n.now = n.now.Add(tt.after)
			n.send(i, tt.opcode, tt.text)
			if got := c.last().text; got != tt.want || !c.closed || len(c.sent) != 2 {
				t.Errorf("got %s, closed %v, %d messages", got, c.closed, len(c.sent))
			}
			if got := len(n.sw0.invokes) + len(n.sw0.writes); got != tt.calls || n.Stats().Waiting != 0 {
				t.Errorf("%d calls", got)
			}
			if n.outcomes[0] != "timed SUCCESS 0s" || len(n.outcomes) != 2 || !strings.HasSuffix(n.outcomes[1], " 0s") {
				t.Errorf("outcomes %q", n.outcomes)
			}
		})
	}
	for _, text := range []string{"{}", "{0:65536}", "{0:true}", "{0:1,0:2}", "[]"} {
		n := newNode(t, nil)
		_, c := n.ask(pase(1), OpcodeTimedRequest, text)
		wantStatus(t, c, matter.StatusInvalidAction)
	}
	t.Run("nothing", func(t *testing.T) {
		n := newNode(t, nil)
		i, _ := n.ask(pase(1), OpcodeTimedRequest, "{0:100}")
		i.Closed(n.now.Add(time.Minute), errTest)
		if want := []string{"timed SUCCESS 0s"}; !slices.Equal(n.outcomes, want) || n.Stats().Waiting != 0 {
			t.Errorf("outcomes %q", n.outcomes)
		}
	})
	t.Run("status instead", func(t *testing.T) {
		n := newNode(t, nil)
		i, c := n.ask(pase(1), OpcodeTimedRequest, "{0:100}")
		n.confirm(i)
		if len(c.sent) != 1 || !c.closed {
			t.Errorf("%d messages, closed %v", len(c.sent), c.closed)
		}
	})
}

func TestUnexpectedMessages(t *testing.T) {
	tests := []struct {
		opcode uint8
		text   string
		want   matter.Status
	}{
		{0, "{}", matter.StatusInvalidAction},
		{OpcodeSubscribeResponse, "{}", matter.StatusInvalidAction},
		{OpcodeWriteResponse, "{}", matter.StatusInvalidAction},
		{OpcodeInvokeResponse, "{}", matter.StatusInvalidAction},
		{11, "{}", matter.StatusInvalidAction},
		{255, "{}", matter.StatusInvalidAction},
		{OpcodeReportData, "{}", matter.StatusInvalidAction},
		{OpcodeReportData, "{0:[]}", matter.StatusInvalidAction},
		{OpcodeReportData, "{0:5}", matter.StatusInvalidSubscription},
		{OpcodeReportData, "{0:5,1:[],4:true}", matter.StatusInvalidSubscription},
	}
	for _, tt := range tests {
		n := newNode(t, nil)
		_, c := n.ask(pase(1), tt.opcode, tt.text)
		wantStatus(t, c, tt.want)
		if want := "other " + tt.want.String() + " 0s"; len(n.outcomes) != 1 || n.outcomes[0] != want {
			t.Errorf("outcomes %q", n.outcomes)
		}
	}
	for _, text := range []string{ok, "{0:1}", "{}", "[]"} {
		n := newNode(t, nil)
		_, c := n.ask(pase(1), OpcodeStatusResponse, text)
		if len(c.sent) != 0 || !c.closed {
			t.Errorf("%s: %d messages, closed %v", text, len(c.sent), c.closed)
		}
	}
}

func TestStats(t *testing.T) {
	n := newNode(t, nil)
	n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0,3:6,4:0>],3:false}")
	n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0,3:6,4:0>,<2:0,3:6,4:99>,<2:9,3:6,4:99>],3:false}")
	n.ask(pase(1), OpcodeReadRequest, "{}")
	n.ask(pase(1), OpcodeWriteRequest, "{1:false,2:[]}")
	n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:0,1:6,2:0>}]}")
	n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:0,1:6,2:0>}]}")
	got := n.Stats().Requests
	want := []RequestStats{
		{ActionRead, matter.StatusSuccess, 1},
		{ActionRead, matter.StatusInvalidAction, 1},
		{ActionRead, matter.StatusUnsupportedAttribute, 1},
		{ActionWrite, matter.StatusSuccess, 1},
		{ActionInvoke, matter.StatusSuccess, 2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	names := ""
	for a := range numActions {
		names += a.String() + " "
	}
	if names != "read subscribe write invoke timed other " {
		t.Error(names)
	}
}
