package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// TestSlowReader: the stream of a reader that does not read is closed. It does not
// delay other readers.
func TestSlowReader(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	slow, quick := g.listen("api"), g.listen("api")
	g.pass(time.Minute)
	got := 0
	for range maxQueue + 1 {
		if err := g.switchOn("api:a"); err != nil {
			t.Fatal(err)
		}
		g.pass(time.Second)
		got += len(taken(t, quick))
	}
	if got != maxQueue+1 {
		t.Errorf("a reader that is quick got %d commands", got)
	}
	all, ok := slow.Take()
	if ok || len(all) != maxQueue {
		t.Errorf("a reader that is slow got %d commands, and goes on: %v", len(all), ok)
	}
	slow.Close()
	if v := g.get("api:a"); !v.Reachable {
		t.Error("a stream that was cut off took the source with it")
	}
}

// TestResumedStream: an interrupted stream continues after the last command that it
// delivered.
func TestResumedStream(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	s := g.listen("api")
	g.pass(time.Minute)
	press := func() {
		t.Helper()
		if err := g.switchOn("api:a"); err != nil {
			t.Fatal(err)
		}
		g.pass(time.Second)
	}
	press()
	first, _ := s.Take()
	s.Close()
	press() // in the time in which the source may come back
	press()
	again, err := g.Open("api", first[0].ID, DefaultLinger)
	if err != nil {
		t.Fatal(err)
	}
	missed, ok := again.Take()
	if !ok || len(missed) != 2 || missed[0].ID <= first[0].ID {
		t.Errorf("after %d came %+v", first[0].ID, missed)
	}
}

// TestTooManyStreams: the number of streams is bounded, and one that ends makes
// room.
func TestTooManyStreams(t *testing.T) {
	g := newRig(t)
	var last *Stream
	for range MaxStreams {
		last = g.listen("api")
	}
	var e *Error
	if _, err := g.Open("api", 0, DefaultLinger); !errors.As(err, &e) || e.Kind != Full {
		t.Errorf("%v", err)
	}
	last.Close()
	g.listen("api")
}

// TestAllOrNothingOfAPatch: a patch with an error changes nothing.
func TestAllOrNothingOfAPatch(t *testing.T) {
	g := newRig(t)
	before := g.put(lamp("api:a"))
	name, no := "Other", false
	for what, p := range map[string]Patch{
		"a value":        {Name: &name, Reachable: &no, States: []PartState{{State: device.Values{"on": device.Number(1)}}}},
		"a second value": {Name: &name, States: []PartState{{State: device.Values{"on": device.Bool(true)}}, {Part: "2"}}},
		"the battery":    {Name: &name, Battery: &device.Battery{Percent: device.Number(101)}},
		"a version":      {Name: &name, HardwareVersion: text("a\x00")},
	} {
		if err := g.Patch("api:a", p); err == nil {
			t.Errorf("%s was taken", what)
		}
		if v := g.get("api:a"); v.Name != before.Name || !v.Reachable || on(v) || v.Battery != nil {
			t.Errorf("%s is wrong, and some of it was done: %+v", what, v)
		}
	}
}
