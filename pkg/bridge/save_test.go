package bridge

import (
	"errors"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// A slow disk does not stop the node: values are stored off the loop. What is stored at
// once waits for them, and neither overwrites the other.
func TestSlowDisk(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:lamp"))
	g.put(lamp("api:other"))
	g.node.slow = true
	on := device.Values{"on": device.Bool(true)}
	if err := g.Report("api:lamp", "main", on); err != nil {
		t.Fatal(err)
	}
	g.pass(2 * saveValues) // returns although nothing is stored
	if len(g.node.later) != 2 {
		t.Fatalf("%d functions for the background", len(g.node.later))
	}
	if err := g.Report("api:other", "main", on); err != nil {
		t.Fatal(err)
	}
	g.pass(2 * saveValues) // a second save does not begin
	if len(g.node.later) != 2 {
		t.Fatalf("%d functions for the background", len(g.node.later))
	}
	go g.node.later[0]()
	if err := g.Rename("api:lamp", "", "Reading lamp"); err != nil {
		t.Fatal(err)
	}
	g.node.later[1]()
	g.node.slow = false
	g.pass(2 * time.Second)
	g.kill()
	g.start()
	for _, id := range []string{"api:lamp", "api:other"} {
		if v := g.get(id).Parts[0].State["on"]; v != device.Bool(true) {
			t.Errorf("%s: on is %v", id, v)
		}
	}
	if v := g.get("api:lamp"); v.Name != "Reading lamp" {
		t.Errorf("the name is %q", v.Name)
	}
}

// Values that could not be stored are stored later, at the latest when the node stops.
func TestSaveFails(t *testing.T) {
	for _, end := range []string{"later", "at the end"} {
		t.Run(end, func(t *testing.T) {
			g := newRig(t)
			g.put(lamp("api:lamp"))
			g.node.slow = true
			if err := g.Report("api:lamp", "main", device.Values{"on": device.Bool(true)}); err != nil {
				t.Fatal(err)
			}
			g.pass(2 * saveValues)
			w := g.saving.now
			w.err = errors.New("the disk is full")
			close(w.done)
			if end == "later" {
				g.node.later[1]()
				g.node.slow = false
				g.pass(2 * saveValues)
				g.kill()
			} else {
				g.stop()
			}
			g.start()
			if v := g.get("api:lamp").Parts[0].State["on"]; v != device.Bool(true) {
				t.Errorf("on is %v", v)
			}
		})
	}
}
