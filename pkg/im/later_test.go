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

// desk collects the postponed work of commands.
type desk struct {
	work []func()
	done []func(time.Time)
}

func (d *desk) background(work func(), done func(time.Time)) {
	d.work, d.done = append(d.work, work), append(d.done, done)
}

// finish does the first piece of work.
func (d *desk) finish(now time.Time) {
	d.work[0]()
	done := d.done[0]
	d.work, d.done = d.work[1:], d.done[1:]
	done(now)
}

// newWaiting returns a node whose command 1 of cluster 6 on endpoint 0 waits for
// work and then returns its result.
func newWaiting(t *testing.T, opt func(*Options)) (*node, *desk, *[]string) {
	d, did := &desk{}, &[]string{}
	n := newNode(t, func(o *Options) {
		o.Background = d.background
		if opt != nil {
			opt(o)
		}
	})
	n.sw0.invoke = func(r *Request, id matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
		if id != 1 {
			*did = append(*did, fmt.Sprint("command ", id))
			return nil
		}
		w.Text(tag0, "what a command that waits has written must not stay")
		made := ""
		return r.Later(w, func() {
			made = "done"
			*did = append(*did, "work")
		}, func(r *Request, w *tlv.Writer) error {
			*did = append(*did, fmt.Sprint("finish for fabric ", r.Subject.Fabric))
			w.Text(tag0, made)
			return nil
		})
	}
	return n, d, did
}

const echoCommand = "{0:<0:0,1:6,2:1>,2:2}"

// A command waits for its work and is answered when it is done. Other requests do
// not wait.
func TestLater(t *testing.T) {
	n, d, did := newWaiting(t, nil)
	_, c := n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:["+echoCommand+"]}")
	if len(c.sent) != 0 || len(*did) != 0 || c.closed || c.deadline.IsZero() {
		t.Fatalf("before the work: sent %v, did %q, deadline %v", c.sent, *did, c.deadline)
	}
	_, other := n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0,3:6,4:0>],3:false}")
	if len(other.sent) != 1 {
		t.Error("another request waits as well")
	}
	d.finish(n.now)
	wantLast(t, c, OpcodeInvokeResponse, `{0:false,1:[{0:{0:<0:0,1:6,2:9>,1:{0:"done"},2:2}}],255:12}`)
	if !c.closed || !slices.Equal(*did, []string{"work", "finish for fabric 1"}) || len(c.sent) != 1 {
		t.Errorf("did %q, closed %v, %d messages", *did, c.closed, len(c.sent))
	}
}

// The commands after it in a batch are executed later, and the order of the answers
// is kept.
func TestLaterInABatch(t *testing.T) {
	n, d, did := newWaiting(t, func(o *Options) { o.MaxPathsPerInvoke = 9 })
	before, after := "{0:<0:0,1:6,2:0>,2:1}", "{0:<0:0,1:6,2:2>,2:3}"
	_, c := n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:["+before+","+echoCommand+","+after+"]}")
	if len(c.sent) != 0 || !slices.Equal(*did, []string{"command 0"}) {
		t.Fatalf("before the work: sent %v, did %q", c.sent, *did)
	}
	n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:[{0:<0:2,1:6,2:0>}]}") // reuses the engine's scratch buffers
	d.finish(n.now)
	if got := c.last().text; !strings.HasPrefix(got, "{0:false,1:[{1:{0:<0:0,1:6,2:0>,1:{0:0},2:1}},{0:{0:<0:0,1:6,2:9>") || !strings.Contains(got, ",2:3}}],255:12}") {
		t.Errorf("answer %s", got)
	}
	if !slices.Equal(*did, []string{"command 0", "work", "finish for fabric 1", "command 2"}) {
		t.Errorf("did %q", *did)
	}
}

// If the peer has gone or has lost its access in the meantime, there is no answer
// and no effect.
func TestLaterAndGone(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(n *node, i *Interaction)
		want      string
	}{
		"the exchange has ended": {func(n *node, i *Interaction) { i.Closed(n.now, errTest) }, ""},
		"another message":        {func(n *node, i *Interaction) { i.Receive(n.now, OpcodeReadRequest, nil) }, "{0:128,255:12}"},
		"the endpoint has gone":  {func(n *node, _ *Interaction) { n.RemoveEndpoint(0) }, "{0:false,1:[{1:{0:<0:0,1:6,2:1>,1:{0:127},2:2}}],255:12}"},
	} {
		t.Run(name, func(t *testing.T) {
			n, d, did := newWaiting(t, nil)
			i, c := n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:["+echoCommand+"]}")
			tc.meanwhile(n, i)
			d.finish(n.now)
			if !slices.Equal(*did, []string{"work"}) {
				t.Errorf("did %q", *did)
			}
			got := ""
			if len(c.sent) > 0 {
				got = c.last().text
			}
			if got != tc.want || len(c.sent) > 1 {
				t.Errorf("answer %q, want %q", got, tc.want)
			}
		})
	}
}

// The number of waiting commands is limited. A place becomes free when the work is
// done, even if the peer has gone.
func TestLaterIsBounded(t *testing.T) {
	n, d, _ := newWaiting(t, nil)
	ask := func() (*Interaction, *fakeConn) {
		return n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:["+echoCommand+"]}")
	}
	first, _ := ask()
	for range MaxLater - 1 {
		ask()
	}
	busy := "{0:false,1:[{1:{0:<0:0,1:6,2:1>,1:{0:156},2:2}}],255:12}"
	if _, c := ask(); c.last().text != busy {
		t.Errorf("one too many: %s", c.last().text)
	}
	first.Closed(n.now, errTest)
	if _, c := ask(); c.last().text != busy {
		t.Errorf("the work of one who has gone is not done yet: %s", c.last().text)
	}
	d.finish(n.now)
	if _, c := ask(); len(c.sent) != 0 {
		t.Errorf("there is room: %s", c.last().text)
	}
	for len(d.work) > 0 {
		d.finish(n.now)
	}
	if n.waitingLater != 0 {
		t.Errorf("%d wait", n.waitingLater)
	}
}

// The work is done at once if nothing can wait.
func TestLaterAtOnce(t *testing.T) {
	n, _, did := newWaiting(t, func(o *Options) { o.Background = nil })
	_, c := n.ask(pase(1), OpcodeInvokeRequest, "{0:false,1:false,2:["+echoCommand+"]}")
	if len(*did) != 2 || !strings.Contains(c.last().text, `0:"done"`) {
		t.Errorf("did %q, answer %s", *did, c.last().text)
	}
}
