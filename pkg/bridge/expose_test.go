package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

func TestFilter(t *testing.T) {
	kitchen := lamp("z2m:0x01")
	kitchen.Name, kitchen.Room, kitchen.Vendor = "Kitchen lamp", "Kitchen", "ACME"
	hall := lamp("api:hall")
	hall.Name = "Hall"
	for _, tt := range []struct {
		patterns      string
		kitchen, hall bool
	}{
		{"", true, true},
		{"z2m:*", true, false},
		{"!z2m:*", false, true},
		{"room=kitchen", true, false},
		{"* !name=Hall", true, false},
		{"!* vendor=acme", true, false},
		{"!* type=on_off_light", true, true},
		{"name=*lamp !*", false, false},
	} {
		f, err := ParseFilter(strings.Fields(tt.patterns))
		if err != nil {
			t.Fatalf("%s: %v", tt.patterns, err)
		}
		k, _ := f.Shows(&kitchen)
		h, _ := f.Shows(&hall)
		if k != tt.kitchen || h != tt.hall {
			t.Errorf("%q shows the kitchen %v, the hall %v", tt.patterns, k, h)
		}
	}
	floors := lamp("api:floors")
	floors.Room = "Ground floor/Kitchen"
	for _, pattern := range []string{"room=Ground*/Kit*", "room=Ground*", "room=Ground floor/Kitchen"} {
		if f, err := ParseFilter([]string{pattern}); err != nil {
			t.Error(err)
		} else if is, _ := f.Shows(&floors); !is {
			t.Errorf("%q does not match a room with a slash", pattern)
		}
	}
	for _, bad := range []string{"", "!", "colour=red", "[", "name="} {
		if _, err := ParseFilter([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// TestExposeLater: a hidden device is removed, with a reason, and comes back with
// its identity.
func TestExposeLater(t *testing.T) {
	g := newRig(t)
	before := g.put(lamp("api:a"))
	g.put(lamp("api:b"))
	g.pass(time.Minute)
	f, err := ParseFilter([]string{"!api:a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.SetExposed(f); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	if v := g.get("api:a"); v.Exposed || !strings.Contains(v.Reason, "!api:a") || len(g.node.list()) != 1 {
		t.Fatalf("exposed %v, %q, list %v", v.Exposed, v.Reason, g.node.list())
	}
	if err := g.SetExposed(Filter{}); err != nil {
		t.Fatal(err)
	}
	if err := g.Hide("api:b", true); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	if v := g.get("api:a"); !v.Exposed || v.Endpoint != before.Endpoint {
		t.Fatalf("back as %d, exposed %v", v.Endpoint, v.Exposed)
	}
	g.kill()
	g.start()
	if v := g.get("api:b"); v.Exposed || !strings.Contains(v.Reason, "operator") {
		t.Fatalf("hidden before a restart: exposed %v, %q", v.Exposed, v.Reason)
	}
}

// TestProfileLimit: an ecosystem with a limit of 50 devices gets the first 50, also
// after a restart. The others have a reason.
func TestProfileLimit(t *testing.T) {
	g := newRig(t)
	g.kill()
	alexa := func(o *Options) { o.Profile, _ = device.ProfileNamed("alexa") }
	g.start(alexa)
	for i := range 60 {
		g.put(lamp(fmt.Sprintf("api:%02d", i)))
		g.node.now = g.node.now.Add(time.Millisecond)
	}
	g.pass(time.Minute)
	check := func(what string) {
		t.Helper()
		if got := len(g.node.list()); got != 50 {
			t.Fatalf("%s: %d are shown", what, got)
		}
		if v := g.get("api:49"); !v.Exposed {
			t.Errorf("%s: the 50th is not shown: %s", what, v.Reason)
		}
		if v := g.get("api:50"); v.Exposed || !strings.Contains(v.Reason, "alexa takes 50 devices") {
			t.Errorf("%s: the 51st: %v, %q", what, v.Exposed, v.Reason)
		}
	}
	check("at first")
	g.kill()
	g.start(alexa)
	check("after a restart")
	if err := g.Registry.Remove("api:10", true); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	if v := g.get("api:50"); !v.Exposed {
		t.Errorf("when one has gone the 51st is not shown: %s", v.Reason)
	}
}
