package bridge

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// TestLeft: a device that has left its network for good emits Leave (section 9.13.7.1),
// and is removed after the grace time, in which it may come back as the same one.
func TestLeft(t *testing.T) {
	g := newServedRig(t)
	events := func() []string {
		g.node.engine.Now = g.node.now
		g.node.engine.Settle(g.node.now)
		return g.node.engine.Events(clustertest.Admin(1), datamodel.BridgedDeviceBasicInformationID)
	}
	leave := fmt.Sprintf("%d{}", datamodel.BridgedDeviceBasicInformationEventLeave)
	g.put(lamp("api:stays"))
	before := g.put(lamp("api:a")).Endpoint
	g.pass(time.Minute)
	seen := len(events())
	if err := g.Left("api:a"); err != nil {
		t.Fatal(err)
	}
	if got := events()[seen:]; !slices.Contains(got, leave) || len(got) > 2 {
		t.Errorf("events %v, want %s once and perhaps a change of Reachable", got, leave)
	}
	if g.information(g.node.endpoints[before]).Reachable() {
		t.Error("it is reachable")
	}
	g.put(lamp("api:a"))
	g.pass(time.Hour)
	if v := g.get("api:a"); v.Endpoint != before || len(g.node.list()) != 2 {
		t.Errorf("back in the grace time as %d, not %d", v.Endpoint, before)
	}
	if err := g.Left("api:a"); err != nil {
		t.Fatal(err)
	}
	g.pass(GraceTime + gatherMost)
	if got := g.node.list(); len(got) != 1 {
		t.Errorf("after the grace time: %v", got)
	}
	var e *Error
	for _, id := range []string{"api:a", "api:none"} {
		if err := g.Left(id); !errors.As(err, &e) || e.Kind != NotFound {
			t.Errorf("%s: %v", id, err)
		}
	}
}
