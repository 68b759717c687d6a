package bridge

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// TestIdentify: a device gets the time for which to identify itself, and a request
// to stop. An unreachable device does not delay anything.
func TestIdentify(t *testing.T) {
	g := newRig(t)
	g.put(lamp("api:a"))
	s := g.listen("api")
	g.pass(time.Minute)
	identify := g.endpoint("api:a").Identify
	if identify == nil {
		t.Fatal("a lamp does not identify itself")
	}
	identify.ShowUntil(time.Now().Add(10 * time.Second))
	identify.ShowUntil(time.Time{})
	got := taken(t, s)
	if len(got) != 2 || got[0].Do != device.Identify || got[0].Seconds != 10 || got[1].Seconds != 0 || got[0].Part != "main" {
		t.Errorf("commands: %+v", got)
	}
	s.Close()
	g.pass(time.Hour)
	identify.ShowUntil(time.Now().Add(10 * time.Second))
}
