package im

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// assembler joins the attribute reports of several messages as a controller does,
// and checks the rules for parts of lists.
type assembler struct {
	t      testing.TB
	order  []string
	values map[string]string
	lists  map[string][]string
	last   string // path of the last report
	events []string
	parts  int // parts of lists after the first
}

func assemble(t testing.TB, messages []message) *assembler {
	t.Helper()
	a := &assembler{t: t, values: map[string]string{}, lists: map[string][]string{}}
	for n, m := range messages {
		if m.opcode != OpcodeReportData {
			t.Fatalf("message %d has opcode %d", n, m.opcode)
		}
		r := tlv.NewReader(m.raw)
		more, suppress := false, false
		for r.EnterStruct(); r.Next(); {
			switch r.ContextTag() {
			case 1:
				for r.EnterArray(); r.Next(); {
					a.report(r.Sub())
				}
				r.Exit()
			case 2:
				for r.EnterArray(); r.Next(); {
					a.events = append(a.events, elementText(r.Element()))
				}
				r.Exit()
			case 3:
				more = r.Bool()
			case 4:
				suppress = r.Bool()
			}
		}
		if err := r.End(); err != nil {
			t.Fatal(err)
		}
		if last := n == len(messages)-1; more == last || more && suppress {
			t.Fatalf("message %d of %d: more %v, suppress %v", n+1, len(messages), more, suppress)
		}
	}
	return a
}

// report adds one AttributeReportIB.
func (a *assembler) report(r tlv.Reader) {
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 0 {
			text := elementText(r.Element())
			a.order, a.last = append(a.order, text), text
			a.values[text] = "status"
			continue
		}
		var path string
		var value tlv.Element
		version, index := false, false
		for r.EnterStruct(); r.Next(); {
			switch r.ContextTag() {
			case 0:
				version = true
			case 1:
				path = elementText(r.Element())
				path, index = strings.CutSuffix(path, ",5:null>")
				path = strings.TrimSuffix(path, ">")
			case 2:
				value = r.Element()
			}
		}
		r.Exit()
		if !version {
			a.t.Errorf("%s without data version", path)
		}
		if index {
			if a.last != path {
				a.t.Fatalf("part of %s after %s", path, a.last)
			}
			a.parts++
			a.lists[path] = append(a.lists[path], elementText(value))
			continue
		}
		a.order, a.last = append(a.order, path), path
		if value.Type() != tlv.TypeArray {
			a.values[path] = elementText(value)
			continue
		}
		v := value.Reader()
		a.lists[path] = []string{}
		for v.EnterArray(); v.Next(); {
			a.lists[path] = append(a.lists[path], elementText(v.Element()))
		}
	}
}

func (a *assembler) String() string {
	var s strings.Builder
	for _, p := range a.order {
		fmt.Fprintf(&s, "%s=%s%q\n", p, a.values[p], a.lists[p])
	}
	fmt.Fprintf(&s, "events %s", a.events)
	return s.String()
}

// readAll reads until the last message.
func (n *node) readAll(request string) *fakeConn {
	n.t.Helper()
	i, c := n.ask(pase(1), OpcodeReadRequest, request)
	for range 10000 {
		if c.closed {
			return c
		}
		n.confirm(i)
	}
	n.t.Fatal("the report does not end")
	return nil
}

func TestChunkedReadEqualsUnchunked(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(limit int) string { return fmt.Sprintf("%q", strings.Repeat("x", rng.IntN(limit+1))) }
	list := func(n, limit int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = text(limit)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	chunked, parts := 0, 0
	for round := range 500 {
		payload := 160 + rng.IntN(300)
		if round%10 == 0 {
			payload = DefaultMaxPayload
		}
		fits := payload - 60 // an element of this length and its headers fit into a message
		n0, n2 := rng.IntN(14), rng.IntN(6)
		values := map[matter.AttributeID]string{
			0: text(fits), 1: text(fits), 3: list(n0, fits), 5: text(40), 6: text(fits), 7: list(n2, 4), 8: list(n2*20, 3),
		}
		var want string
		for _, limit := range []int{1 << 17, payload, payload + 1 + round%7, payload + 50 + rng.IntN(50)} {
			n := newNode(t, func(o *Options) { o.MaxPayload = limit })
			for id, v := range values {
				n.sw0.values[id] = v
			}
			n.sw2.values[3] = values[3]
			for k := range round % 5 {
				n.Emit(n.now, 0, 6, 0, 0, func(w *tlv.Writer) { w.Text(tag0, strings.Repeat("e", k*10)) })
			}
			n.block = 1000
			c := n.readAll("{0:[<2:0>,<2:2,3:6>,<2:9,3:9,4:9>],1:[<>],3:false}")
			a := assemble(t, c.sent)
			if limit == 1<<17 {
				want = a.String()
				if len(c.sent) != 1 {
					t.Fatal("not in one message")
				}
				continue
			}
			if got := a.String(); got != want {
				t.Fatalf("payload %d:\n%s\nwant\n%s", limit, got, want)
			}
			chunked += len(c.sent) - 1
			parts += a.parts
		}
	}
	if chunked < 3000 || parts < 3000 {
		t.Errorf("only %d further messages and %d parts of lists", chunked, parts)
	}
}

func TestListBoundaries(t *testing.T) {
	// A list next to one value, with every length around the size of a message.
	for size := range 400 {
		n := newNode(t, func(o *Options) { o.MaxPayload = 200 })
		n.sw0.values[0] = fmt.Sprintf("%q", strings.Repeat("v", size%130))
		element := fmt.Sprintf("%q", strings.Repeat("x", size/3))
		n.sw0.values[3] = "[" + element + "," + element + ",1,2,3]"
		a := assemble(t, n.readAll("{0:[<2:0,3:6,4:0>,<2:0,3:6,4:3>,<2:0,3:6,4:6>],3:false}").sent)
		if got := len(a.lists["<2:0,3:6,4:3"]); got != 5 || len(a.order) != 3 {
			t.Fatalf("size %d: %d elements: %s", size, got, a)
		}
	}
}

func TestLongListAlone(t *testing.T) {
	// The parts of the list come from its value when the first part was made.
	n := newNode(t, func(o *Options) { o.MaxPayload = 128 })
	n.sw0.values[3] = "[" + strings.Repeat(`"0123456789",`, 30) + "]"
	i, c := n.ask(pase(0), OpcodeReadRequest, "{0:[<2:0,3:6,4:3>,<2:0,3:6,4:0>],3:false}")
	n.sw0.values[3] = `["changed"]`
	n.Changed(0, 6, 3)
	for !c.closed {
		n.confirm(i)
	}
	a := assemble(t, c.sent)
	if got := a.lists["<2:0,3:6,4:3"]; len(got) != 30 || got[29] != `"0123456789"` {
		t.Errorf("got %s", got)
	}
	for k, m := range c.sent[:len(c.sent)-1] {
		if strings.Contains(m.text, "0:6,1:<2:0,3:6,4:3") {
			t.Errorf("message %d has the later version: %s", k, m.text)
		}
	}
	// The rest is sent with another data version than the current one, as the
	// reader does not have the current list.
	if !strings.Contains(c.last().text, "{0:5,1:<2:0,3:6,4:0>") {
		t.Errorf("last message: %s", c.last().text)
	}
}

func TestTooLargeForAMessage(t *testing.T) {
	long := fmt.Sprintf("%q", strings.Repeat("x", 300))
	tests := []struct {
		name, value string
		id          uint32
	}{
		{"value", long, 0},
		{"list element", `["a",` + long + `]`, 3},
		{"first element", `[` + long + `]`, 3},
		{"list that is none", long, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, func(o *Options) { o.MaxPayload = 200 })
			n.sw0.values[matter.AttributeID(tt.id)] = tt.value
			path := fmt.Sprintf("<2:0,3:6,4:%d>", tt.id)
			c := n.readAll("{0:[<2:0,3:7,4:0>," + path + ",<2:0,3:6,4:6>],3:false}")
			var all strings.Builder
			for _, m := range c.sent {
				all.WriteString(m.text)
			}
			got := all.String()
			for _, want := range []string{fault(0, 6, tt.id, matter.StatusResourceExhausted), data(0, 7, 0, "7"), data(0, 6, 6, `"S1"`)} {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in %s", want, got)
				}
			}
			if !strings.Contains(n.log.String(), "too large") {
				t.Error("not logged")
			}
		})
	}
}

func TestChunkedReadEnds(t *testing.T) {
	open := func(t *testing.T) (*node, *Interaction, *fakeConn) {
		n := newNode(t, func(o *Options) { o.MaxPayload = 200 })
		i, c := n.ask(pase(1), OpcodeReadRequest, "{0:[<>],3:false}")
		if c.closed || len(c.sent) != 1 || !c.deadline.Equal(start.Add(responseTimeout)) {
			t.Fatalf("closed %v, %d messages, deadline %v", c.closed, len(c.sent), c.deadline)
		}
		if got := n.Stats().Waiting; got != 1 {
			t.Fatalf("%d wait", got)
		}
		return n, i, c
	}
	check := func(t *testing.T, n *node, c *fakeConn, messages int, outcome string) {
		t.Helper()
		if len(c.sent) != messages || n.Stats().Waiting != 0 || len(n.outcomes) != 1 || n.outcomes[0] != outcome {
			t.Errorf("%d messages, %v wait, outcomes %q", len(c.sent), n.Stats().Waiting, n.outcomes)
		}
	}
	t.Run("refused by the peer", func(t *testing.T) {
		n, i, c := open(t)
		n.send(i, OpcodeStatusResponse, "{0:1}")
		check(t, n, c, 1, "read FAILURE 0s")
		n.confirm(i)
		check(t, n, c, 1, "read FAILURE 0s")
		if !c.closed {
			t.Error("not closed")
		}
	})
	t.Run("malformed status", func(t *testing.T) {
		n, i, c := open(t)
		n.send(i, OpcodeStatusResponse, "{}")
		check(t, n, c, 1, "read FAILURE 0s")
	})
	t.Run("something else", func(t *testing.T) {
		n, i, c := open(t)
		n.send(i, OpcodeReadRequest, "{3:false}")
		wantStatus(t, c, matter.StatusInvalidAction)
		check(t, n, c, 2, "read INVALID_ACTION 0s")
	})
	t.Run("closed by the exchange", func(t *testing.T) {
		n, i, c := open(t)
		n.now = n.now.Add(responseTimeout)
		i.Closed(n.now, errTest)
		check(t, n, c, 1, "read TIMEOUT 30s")
		i.Closed(n.now, nil)
		n.confirm(i)
		check(t, n, c, 1, "read TIMEOUT 30s")
	})
	t.Run("not sent", func(t *testing.T) {
		n, i, c := open(t)
		c.sendErr = errTest
		n.confirm(i)
		check(t, n, c, 1, "read FAILURE 0s")
	})
}

func TestReadsWaitingAreLimited(t *testing.T) {
	n := newNode(t, func(o *Options) { o.MaxPayload = 200 })
	var all []*Interaction
	for range waitingPerFabric {
		i, c := n.ask(pase(1), OpcodeReadRequest, "{0:[<>],3:false}")
		if c.last().opcode != OpcodeReportData {
			t.Fatal("refused")
		}
		all = append(all, i)
	}
	_, c := n.ask(pase(1), OpcodeReadRequest, "{0:[<>],3:false}")
	wantStatus(t, c, matter.StatusResourceExhausted)
	_, c = n.ask(pase(1), OpcodeTimedRequest, "{0:100}")
	wantStatus(t, c, matter.StatusBusy)
	_, c = n.ask(pase(1), OpcodeWriteRequest, "{1:false,2:[],3:true}")
	wantStatus(t, c, matter.StatusBusy)
	_, c = n.ask(pase(1), OpcodeSubscribeRequest, "{0:true,1:0,2:9,3:[<>],7:false}")
	wantStatus(t, c, matter.StatusResourceExhausted)
	_, c = n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0,3:6,4:0>],3:false}")
	wantLast(t, c, OpcodeReportData, "{1:["+data(0, 6, 0, "1")+"],4:true,255:12}")
	if _, c = n.ask(pase(2), OpcodeReadRequest, "{0:[<>],3:false}"); c.last().opcode != OpcodeReportData {
		t.Error("another fabric is refused")
	}
	all[3].Closed(n.now, errTest)
	if _, c = n.ask(pase(1), OpcodeReadRequest, "{0:[<>],3:false}"); c.last().opcode != OpcodeReportData {
		t.Error("still refused")
	}
}

func TestEndpointAddedDuringRead(t *testing.T) {
	n := newNode(t, func(o *Options) { o.MaxPayload = 200 })
	i, c := n.ask(pase(1), OpcodeReadRequest, "{0:[<3:6>],3:false}")
	added := false
	for !c.closed {
		if !added && strings.Contains(c.last().text, "<2:2,") {
			n.AddEndpoint(Endpoint{ID: 1, Clusters: []Cluster{newSwitch()}})
			n.AddEndpoint(Endpoint{ID: 3, Clusters: []Cluster{newSwitch()}})
			added = true
		}
		n.confirm(i)
	}
	var got strings.Builder
	for _, p := range assemble(t, c.sent).order {
		fmt.Fprintf(&got, "%c", p[3])
	}
	if want := strings.Repeat("0", 14) + strings.Repeat("2", 14) + strings.Repeat("3", 14); got.String() != want {
		t.Errorf("endpoints %s, want %s", got.String(), want)
	}
}
