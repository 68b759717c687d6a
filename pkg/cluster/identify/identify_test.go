package identify

import (
	"fmt"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const ep matter.EndpointID = 2

func newNode(t *testing.T, opt Options) (*clustertest.Node, *Cluster) {
	t.Helper()
	c, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	n := clustertest.New(t, 1)
	n.Add(ep, c)
	return n, c
}

func TestIdentify(t *testing.T) {
	admin := clustertest.Admin(1)
	var shown string
	n, c := newNode(t, Options{Type: Display, Show: func(on bool) { shown += fmt.Sprint(on, " ") }})
	read := func(want string) {
		t.Helper()
		if got := n.Read(admin, ep, ID, identifyTime); got != want {
			t.Errorf("IdentifyTime is %s, want %s", got, want)
		}
	}
	if got := n.Read(admin, ep, ID, identifyType); got != "4" {
		t.Errorf("IdentifyType is %s", got)
	}
	read("0")
	version := n.Version(ep, ID, identifyTime)
	if got := n.Invoke(admin, ep, ID, cmdIdentify, "{0:10}"); got != "SUCCESS" {
		t.Fatal(got)
	}
	read("10")
	if next, ok := c.Deadline(); !ok || !next.Equal(n.Now.Add(10*time.Second)) || !c.Identifying() {
		t.Errorf("to be called at %v, %v", next, ok)
	}
	if now := n.Version(ep, ID, identifyTime); now == version {
		t.Error("the command leaves the data version")
	} else {
		version = now
	}
	if next, ok := n.Deadline(); !ok || !next.Equal(n.Now.Add(10*time.Second)) {
		t.Errorf("the engine is to be called at %v, %v", next, ok)
	}
	n.Now = n.Now.Add(3500 * time.Millisecond)
	n.Advance(n.Now)
	read("7")
	if n.Version(ep, ID, identifyTime) != version {
		t.Error("the countdown changes the data version")
	}
	// Another time, while it goes on.
	if got := n.Write(admin, ep, ID, identifyTime, "2"); got != "SUCCESS" {
		t.Fatal(got)
	}
	n.Now = n.Now.Add(2*time.Second - 1)
	c.Advance(n.Now)
	read("1")
	n.Now = n.Now.Add(1)
	read("0")
	n.Advance(n.Now)
	if read("0"); c.ended {
		t.Error("the engine was not told of the end")
	}
	if _, ok := c.Deadline(); ok || c.Identifying() {
		t.Error("it goes on")
	}
	version = n.Version(ep, ID, identifyTime)
	c.ended = true
	n.Touch(ep)
	read("0") // and then the engine asks what has changed
	if n.Version(ep, ID, identifyTime) == version || c.ended {
		t.Error("that it has ended is not told, or for ever")
	}
	// Ended by hand, and by a reset; for the second time nothing happens.
	for _, stop := range []func(){
		func() { n.Invoke(admin, ep, ID, cmdIdentify, "{0:0}") },
		func() { n.Write(admin, ep, ID, identifyTime, "0") },
		c.Reset,
	} {
		n.Invoke(admin, ep, ID, cmdIdentify, "{0:65535}")
		stop()
		stop()
		read("0")
	}
	n.Invoke(admin, ep, ID, cmdIdentify, "{0:1}")
	c.Reset()
	n.Write(admin, ep, ID, identifyTime, "1")
	n.RemoveEndpoint(ep)
	if next, ok := n.Deadline(); ok {
		t.Errorf("without the endpoint the engine is to be called at %v", next)
	}
	c.Reset()
	if shown != "true false true false true false true false true false true false " {
		t.Errorf("shown %s", shown)
	}
}

func TestBadInput(t *testing.T) {
	admin := clustertest.Admin(1)
	n, c := newNode(t, Options{Show: func(bool) { t.Error("shown") }})
	for _, tt := range []struct{ got, want string }{
		{n.Invoke(admin, ep, ID, cmdIdentify, "{}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, cmdIdentify, "{0:null}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, cmdIdentify, "{0:65536}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, 0x40, "{0:0,1:0}"), "UNSUPPORTED_COMMAND"},
		{n.Write(admin, ep, ID, identifyTime, "65536"), "CONSTRAINT_ERROR"},
		{n.Write(admin, ep, ID, identifyTime, "null"), "INVALID_DATA_TYPE"},
		{n.Write(admin, ep, ID, identifyType, "1"), "UNSUPPORTED_WRITE"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
	}
	c.Advance(n.Now.Add(time.Hour))
	if _, err := New(Options{Type: Actuator + 1}); err == nil {
		t.Error("a type that there is not")
	}
}
