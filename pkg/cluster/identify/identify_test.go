package identify

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	ep      matter.EndpointID = 2
	trigger                   = datamodel.IdentifyCmdTriggerEffect
)

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
	n, c := newNode(t, Options{Type: datamodel.IdentifyIdentifyTypeDisplay, Show: func(on bool) { shown += fmt.Sprint(on, " ") }})
	read := func(want string) {
		t.Helper()
		if got := n.Read(admin, ep, ID, datamodel.IdentifyAttrIdentifyTime); got != want {
			t.Errorf("IdentifyTime is %s, want %s", got, want)
		}
	}
	if got := n.Read(admin, ep, ID, datamodel.IdentifyAttrIdentifyType); got != "4" {
		t.Errorf("IdentifyType is %s", got)
	}
	read("0")
	version := n.Version(ep, ID, datamodel.IdentifyAttrIdentifyTime)
	if got := n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, "{0:10}"); got != "SUCCESS" {
		t.Fatal(got)
	}
	read("10")
	if next, ok := c.Deadline(); !ok || !next.Equal(n.Now.Add(10*time.Second)) || !c.Identifying() {
		t.Errorf("to be called at %v, %v", next, ok)
	}
	if now := n.Version(ep, ID, datamodel.IdentifyAttrIdentifyTime); now == version {
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
	if n.Version(ep, ID, datamodel.IdentifyAttrIdentifyTime) != version {
		t.Error("the countdown changes the data version")
	}
	// A new time while the device identifies itself.
	if got := n.Write(admin, ep, ID, datamodel.IdentifyAttrIdentifyTime, "2"); got != "SUCCESS" {
		t.Fatal(got)
	}
	n.Now = n.Now.Add(2*time.Second - 1)
	c.Advance(n.Now)
	read("1")
	n.Now = n.Now.Add(1)
	read("0")
	n.Advance(n.Now)
	if read("0"); c.ended {
		t.Error("the engine was not notified of the end")
	}
	if _, ok := c.Deadline(); ok || c.Identifying() {
		t.Error("it goes on")
	}
	version = n.Version(ep, ID, datamodel.IdentifyAttrIdentifyTime)
	c.ended = true
	n.Touch(ep)
	read("0") // then the engine asks for changes
	if n.Version(ep, ID, datamodel.IdentifyAttrIdentifyTime) == version || c.ended {
		t.Error("the end is not reported, or again and again")
	}
	// It ends by a command or by a reset. A second end has no effect.
	for _, stop := range []func(){
		func() { n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, "{0:0}") },
		func() { n.Write(admin, ep, ID, datamodel.IdentifyAttrIdentifyTime, "0") },
		func() { c.Follow(im.FactoryReset) },
	} {
		n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, "{0:65535}")
		stop()
		stop()
		read("0")
	}
	n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, "{0:1}")
	c.Follow(im.FactoryReset)
	n.Write(admin, ep, ID, datamodel.IdentifyAttrIdentifyTime, "1")
	n.RemoveEndpoint(ep)
	if next, ok := n.Deadline(); ok {
		t.Errorf("without the endpoint the engine is to be called at %v", next)
	}
	c.Follow(im.FactoryReset)
	if shown != "true false true false true false true false true false true false " {
		t.Errorf("shown %s", shown)
	}
}

func TestBadInput(t *testing.T) {
	admin := clustertest.Admin(1)
	n, c := newNode(t, Options{Show: func(bool) { t.Error("shown") }})
	for _, tt := range []struct{ got, want string }{
		{n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, "{}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, "{0:null}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, "{0:65536}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, trigger, "{0:3,1:0}"), "CONSTRAINT_ERROR"},
		{n.Invoke(admin, ep, ID, trigger, "{0:0}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, trigger, "{1:0}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, trigger, "{0:0,1:256}"), "INVALID_COMMAND"},
		{n.Invoke(admin, ep, ID, 0x41, "{}"), "UNSUPPORTED_COMMAND"},
		{n.Write(admin, ep, ID, datamodel.IdentifyAttrIdentifyTime, "65536"), "CONSTRAINT_ERROR"},
		{n.Write(admin, ep, ID, datamodel.IdentifyAttrIdentifyTime, "null"), "INVALID_DATA_TYPE"},
		{n.Write(admin, ep, ID, datamodel.IdentifyAttrIdentifyType, "1"), "UNSUPPORTED_WRITE"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
	}
	c.Advance(n.Now.Add(time.Hour))
	if _, err := New(Options{Type: datamodel.IdentifyIdentifyTypeActuator + 1}); err == nil {
		t.Error("a type that there is not")
	}
}

// An effect ends after its duration, or by an effect that ends others (section 1.2.6.2).
func TestTriggerEffect(t *testing.T) {
	admin := clustertest.Admin(1)
	var shown []string
	n, c := newNode(t, Options{Show: func(on bool) { shown = append(shown, fmt.Sprint(on)) }})
	begin := n.Now
	do := func(e datamodel.IdentifyEffectIdentifier, want ...string) {
		t.Helper()
		// Variant 7 does not exist, so the default variant is used.
		if got := n.Invoke(admin, ep, ID, trigger, fmt.Sprintf("{0:%d,1:7}", e)); got != "SUCCESS" {
			t.Fatalf("effect %d: %s", e, got)
		}
		if !slices.Equal(shown, want) {
			t.Errorf("effect %d: shown %v, want %v", e, shown, want)
		}
		shown = nil
	}
	until := func(d time.Duration, want ...string) {
		t.Helper()
		n.Now = n.Now.Add(d)
		n.Advance(n.Now)
		if !slices.Equal(shown, want) {
			t.Errorf("%v after the beginning: shown %v, want %v", n.Now.Sub(begin), shown, want)
		}
		shown = nil
	}
	do(datamodel.IdentifyEffectIdentifierBlink, "true")
	until(time.Second - 1)
	until(1, "false")
	do(datamodel.IdentifyEffectIdentifierBreathe, "true")
	until(14 * time.Second)
	do(datamodel.IdentifyEffectIdentifierOkay) // replaces the breath
	until(time.Second, "false")
	do(datamodel.IdentifyEffectIdentifierChannelChange, "true")
	until(7 * time.Second)
	do(datamodel.IdentifyEffectIdentifierFinishEffect)
	until(time.Second, "false")
	do(datamodel.IdentifyEffectIdentifierBreathe, "true")
	do(datamodel.IdentifyEffectIdentifierFinishEffect)
	until(time.Second, "false") // with the breath
	do(datamodel.IdentifyEffectIdentifierBreathe, "true")
	do(datamodel.IdentifyEffectIdentifierStopEffect, "false")
	do(datamodel.IdentifyEffectIdentifierFinishEffect)
	do(datamodel.IdentifyEffectIdentifierStopEffect)

	// While the device identifies itself.
	identify := func(seconds int) {
		t.Helper()
		n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, fmt.Sprintf("{0:%d}", seconds))
		shown = nil
	}
	left := func(want string) {
		t.Helper()
		if got := n.Read(admin, ep, ID, datamodel.IdentifyAttrIdentifyTime); got != want {
			t.Errorf("IdentifyTime is %s, want %s", got, want)
		}
	}
	identify(10)
	do(datamodel.IdentifyEffectIdentifierFinishEffect)
	left("1")
	until(time.Second, "false")
	identify(10)
	do(datamodel.IdentifyEffectIdentifierStopEffect, "false")
	left("0")
	identify(10)
	version := n.Version(ep, ID, datamodel.IdentifyAttrIdentifyTime)
	do(datamodel.IdentifyEffectIdentifierBlink, "false", "true")
	left("0")
	if n.Version(ep, ID, datamodel.IdentifyAttrIdentifyTime) == version {
		t.Error("that the identification has ended is not reported")
	}
	if c.Identifying() {
		t.Error("an effect is taken for an identification")
	}
	identify(10)
	if next, ok := c.Deadline(); !ok || !next.Equal(n.Now.Add(time.Second)) {
		t.Errorf("to be called at %v, %v", next, ok) // for the end of the blink
	}
	until(time.Second)
	until(9*time.Second, "false")
	do(datamodel.IdentifyEffectIdentifierBreathe, "true")
	c.Follow(im.FactoryReset)
	if !slices.Equal(shown, []string{"false"}) {
		t.Errorf("reset: shown %v", shown)
	}
}

// A device with its own effects receives them unchanged.
func TestEffect(t *testing.T) {
	admin := clustertest.Admin(1)
	var got []datamodel.IdentifyEffectIdentifier
	n, c := newNode(t, Options{
		Show:   func(bool) { t.Error("shown") },
		Effect: func(e datamodel.IdentifyEffectIdentifier) { got = append(got, e) },
	})
	want := []datamodel.IdentifyEffectIdentifier{
		datamodel.IdentifyEffectIdentifierOkay, datamodel.IdentifyEffectIdentifierBreathe,
		datamodel.IdentifyEffectIdentifierFinishEffect, datamodel.IdentifyEffectIdentifierStopEffect,
	}
	for _, e := range want {
		n.Invoke(admin, ep, ID, trigger, fmt.Sprintf("{0:%d,1:0}", e))
	}
	if !slices.Equal(got, want) {
		t.Errorf("effects %v, want %v", got, want)
	}
	if _, ok := c.Deadline(); ok {
		t.Error("the cluster waits for the end of an effect that is the device's")
	}
}

// TestShowUntil: a device that ends an effect by itself receives the end time and its
// changes.
func TestShowUntil(t *testing.T) {
	admin := clustertest.Admin(1)
	var ends []time.Time
	n, _ := newNode(t, Options{ShowUntil: func(end time.Time) { ends = append(ends, end) }})
	for _, seconds := range []int{10, 20, 0} {
		n.Invoke(admin, ep, ID, datamodel.IdentifyCmdIdentify, fmt.Sprintf("{0:%d}", seconds))
	}
	n.Invoke(admin, ep, ID, trigger, "{0:0,1:0}")
	want := []time.Time{n.Now.Add(10 * time.Second), n.Now.Add(20 * time.Second), {}, n.Now.Add(time.Second)}
	if !slices.EqualFunc(ends, want, time.Time.Equal) {
		t.Errorf("shown until %v, want %v", ends, want)
	}
}
