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

// eventNumbers returns the numbers of a report's events, and the report's
// statuses as endpoint/cluster/event=status.
func eventNumbers(t testing.TB, messages []message) string {
	t.Helper()
	var out []string
	for _, x := range assemble(t, messages).events {
		var ep, cl, id, number, st int
		if _, err := fmt.Sscanf(x, "{1:{0:<1:%d,2:%d,3:%d>,1:%d", &ep, &cl, &id, &number); err == nil {
			out = append(out, fmt.Sprint(number))
		} else if _, err := fmt.Sscanf(x, "{0:{0:<1:%d,2:%d,3:%d>,1:{0:%d}}}", &ep, &cl, &id, &st); err == nil {
			out = append(out, fmt.Sprintf("%d/%d/%d=%v", ep, cl, id, matter.Status(st)))
		} else {
			t.Fatalf("event report %s", x)
		}
	}
	return strings.Join(out, " ")
}

func TestEventReport(t *testing.T) {
	n := newNode(t, nil)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.now = n.now.Add(1500 * time.Millisecond)
	n.Emit(n.now, 2, 6, 1, 0, func(w *tlv.Writer) { w.Uint(tag0, 7) })
	n.Emit(time.Unix(100, 0), 2, 6, 3, 0, nil)
	ms := start.UnixMilli()
	c := n.readAll("{1:[<>],3:false}")
	wantLast(t, c, OpcodeReportData, fmt.Sprintf("{2:[{1:{0:<1:0,2:6,3:0>,1:1000,2:1,3:%d,7:{}}},{1:{0:<1:2,2:6,3:1>,1:1001,2:2,3:%d,7:{0:7}}},{1:{0:<1:2,2:6,3:3>,1:1002,2:0,4:0,7:{}}}],4:true,255:12}", ms, ms+1500))
}

func TestEventTimeSinceBoot(t *testing.T) {
	n := newNode(t, func(o *Options) { o.Boot = time.Unix(50, 0) })
	n.Emit(time.Unix(52, 5e6), 0, 6, 0, 0, nil)
	if got := n.readAll("{1:[<>],3:false}").last().text; !strings.Contains(got, "4:2005,") {
		t.Error(got)
	}
}

func TestEventPaths(t *testing.T) {
	tests := []struct {
		name, request string
		fabric        matter.FabricIndex
		want          string
	}{
		{"all", "{1:[<>],3:false}", 0, "1000 1001 1002 1005"},
		{"all of a fabric", "{1:[<>],3:false}", 1, "1000 1001 1002 1003 1005"},
		{"all of another", "{1:[<>],3:true}", 2, "1000 1001 1002 1004 1005"},
		{"endpoint", "{1:[<1:2>],3:false}", 1, "1001 1003"},
		{"cluster", "{1:[<2:6>],3:false}", 1, "1000 1001 1002 1003 1005"},
		{"event everywhere", "{1:[<2:6,3:0>],3:false}", 1, "1000 1001"},
		{"concrete", "{1:[<0:7,1:0,2:6,3:0,4:true>],3:false}", 1, "1000"},
		{"named twice, reported once", "{1:[<1:0>,<>],3:false}", 0, "1000 1001 1002 1005"},
		{"attributes only", "{0:[<2:0,3:6,4:0>],3:false}", 1, ""},
		{"no endpoint", "{1:[<1:9,2:6,3:0>],3:false}", 1, "9/6/0=UNSUPPORTED_ENDPOINT"},
		{"no cluster", "{1:[<1:0,2:9,3:0>],3:false}", 1, "0/9/0=UNSUPPORTED_CLUSTER"},
		{"no event", "{1:[<1:0,2:6,3:9>,<1:2>],3:false}", 1, "0/6/9=UNSUPPORTED_EVENT 1001 1003"},
		{"nothing by wildcard", "{1:[<1:9>,<2:9>,<1:0,2:6,3:3>],3:false}", 1, "1005"},
		{"from a number", "{1:[<>],2:[{1:1002}],3:false}", 0, "1002 1005"},
		{"from two numbers", "{1:[<>],2:[{1:1005},{0:3,1:1001}],3:false}", 0, "1005"},
		{"from a later number", "{1:[<>],2:[{1:5000}],3:false}", 0, ""},
		{"statuses despite the filter", "{1:[<1:0,2:6,3:9>],2:[{1:5000}],3:false}", 0, "0/6/9=UNSUPPORTED_EVENT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.Emit(n.now, 0, 6, 0, 0, nil)
			n.Emit(n.now, 2, 6, 0, 0, nil)
			n.Emit(n.now, 0, 6, 1, 0, nil)
			n.Emit(n.now, 2, 6, 2, 1, nil) // fabric-sensitive
			n.Emit(n.now, 0, 6, 2, 2, nil)
			n.Emit(n.now, 0, 6, 3, 0, nil)
			_, c := n.ask(pase(tt.fabric), OpcodeReadRequest, tt.request)
			if got := eventNumbers(t, c.sent); got != tt.want {
				t.Errorf("got %q", got)
			}
			wantSuccess := !strings.Contains(tt.want, "=")
			if got := strings.Contains(n.outcomes[0], "SUCCESS"); got != wantSuccess {
				t.Errorf("outcomes %q", n.outcomes)
			}
		})
	}
}

func TestEventsInChunks(t *testing.T) {
	n := newNode(t, func(o *Options) { o.MaxPayload = 256 })
	for k := range 40 {
		n.Emit(n.now, 0, 6, 0, 0, func(w *tlv.Writer) { w.Text(tag0, strings.Repeat("e", k*4)) })
	}
	i, c := n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0,3:6,4:0>],1:[<1:9,2:9,3:9>,<>],3:false}")
	for !c.closed {
		if len(c.sent) == 3 {
			n.Emit(n.now, 0, 6, 0, 0, nil) // too late for this report
		}
		n.confirm(i)
	}
	want := "9/9/9=UNSUPPORTED_ENDPOINT"
	for k := range 40 {
		want += fmt.Sprint(" ", 1000+k)
	}
	if got := eventNumbers(t, c.sent); got != want || len(c.sent) < 10 {
		t.Errorf("%d messages: %s", len(c.sent), got)
	}
}

func TestEventStatusesInChunks(t *testing.T) {
	n := newNode(t, func(o *Options) { o.MaxPayload = 128 })
	n.Emit(n.now, 0, 6, 0, 0, nil)
	var paths, want string
	for k := range 20 {
		paths += fmt.Sprintf("<1:%d,2:6,3:0>,", 10+k)
		want += fmt.Sprintf("%d/6/0=UNSUPPORTED_ENDPOINT ", 10+k)
	}
	c := n.readAll("{1:[" + paths + "<>],3:false}")
	if got := eventNumbers(t, c.sent); got != want+"1000" || len(c.sent) < 5 {
		t.Errorf("%d messages: %s", len(c.sent), got)
	}
	if want := []string{"read UNSUPPORTED_ENDPOINT 0s"}; !slices.Equal(n.outcomes, want) {
		t.Errorf("outcomes %q", n.outcomes)
	}
}

func TestEventLogIsBounded(t *testing.T) {
	n := newNode(t, nil)
	n.Emit(n.now, 0, 6, 1, 0, nil)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	for range 10 * eventsPerPriority {
		n.Emit(n.now, 0, 6, 3, 0, nil)
	}
	got := strings.Fields(eventNumbers(t, n.readAll("{1:[<>],3:false}").sent))
	if len(got) != eventsPerPriority+2 || got[0] != "1000" || got[1] != "1001" || got[2] != fmt.Sprint(1002+9*eventsPerPriority) {
		t.Errorf("%d events: %s", len(got), got)
	}
	if !slices.IsSorted(got) {
		t.Errorf("not ascending: %s", got)
	}
}

func TestEventNumbers(t *testing.T) {
	n := newNode(t, nil)
	emit := func(block uint64) string {
		n.block = block
		n.Emit(n.now, 0, 6, 0, 0, nil)
		return eventNumbers(t, n.readAll("{1:[<>],3:false}").sent)
	}
	for range 99 {
		n.Emit(n.now, 0, 6, 3, 0, nil)
	}
	n.dropAll()
	if got := emit(2000); got != "1099" {
		t.Errorf("got %s: the block is not used up", got)
	}
	if got := emit(2000); got != "1099 2000" {
		t.Errorf("got %s: the next block is not reserved", got)
	}
	n.events.next = n.events.end
	if got := emit(1000); got != "1099 2000" || !strings.Contains(n.log.String(), "do not follow") {
		t.Errorf("got %s: a number came twice", got)
	}
	if got := emit(1<<64 - 50); got != "1099 2000" {
		t.Errorf("got %s: the block runs over", got)
	}
	n.noEvents = errTest
	if got := emit(3000); got != "1099 2000" || !strings.Contains(n.log.String(), errTest.Error()) {
		t.Errorf("got %s: no number could be had", got)
	}
	n.noEvents = nil
	if got := emit(3000); got != "1099 2000 3000" {
		t.Errorf("got %s", got)
	}
	if got := n.Stats().Events; got != 3001 {
		t.Errorf("next number %d", got)
	}
}

func (n *node) dropAll() {
	for p := range n.events.kept {
		n.events.kept[p] = nil
	}
}

func TestEventTooLarge(t *testing.T) {
	n := newNode(t, nil)
	for size := range 200 {
		n.Emit(n.now, 0, 6, 0, 0, func(w *tlv.Writer) { w.Text(tag0, strings.Repeat("e", 1000+size)) })
	}
	got := strings.Fields(eventNumbers(t, n.readAll("{1:[<>],3:false}").sent))
	if len(got) < eventsPerPriority || !strings.Contains(n.log.String(), "too large") {
		t.Errorf("%d events", len(got))
	}
}

func TestRequestEmits(t *testing.T) {
	n := newNode(t, nil)
	n.sw2.invoke = func(r *Request, _ matter.CommandID, _ tlv.Element, w *tlv.Writer) error {
		w.Uint(tag0, 1)
		r.Emit(0, 0, func(w *tlv.Writer) { w.Text(tag1, "x") })
		w.Uint(tag2, 3)
		return nil
	}
	_, c := n.ask(pase(1), OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<0:2,1:6,2:1>}]}`)
	wantLast(t, c, OpcodeInvokeResponse, "{0:false,1:["+response(2, 6, 9, "{0:1,2:3}")+"],255:12}")
	if got := n.readAll("{1:[<>],3:false}").last().text; !strings.Contains(got, `0:<1:2,2:6,3:0>,1:1000`) || !strings.Contains(got, `7:{1:"x"}`) {
		t.Error(got)
	}
}

func TestFabricRemovedForgetsItsEvents(t *testing.T) {
	n := newNode(t, nil)
	n.Emit(n.now, 0, 6, 2, 1, nil)
	n.Emit(n.now, 0, 6, 2, 2, nil)
	n.Emit(n.now, 0, 6, 0, 1, nil)
	n.fabricRemoved(1)
	if got := eventNumbers(t, n.readAll("{1:[<>],3:false}").sent); got != "1002" {
		t.Errorf("the next owner of the index sees %s", got)
	}
}
