package device

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// counted counts the calls that the engine makes to the endpoint of a lamp.
type counted struct {
	*Endpoint
	calls int
}

func (c *counted) Settle(now time.Time, r *im.Changes) { c.calls++; c.Endpoint.Settle(now, r) }
func (c *counted) Advance(now time.Time)               { c.calls++; c.Endpoint.Advance(now) }

// TestCostOfFades checks that lamps that fade together cost in proportion to their
// number, however many others there are, and that each is reported at most once a
// second.
func TestCostOfFades(t *testing.T) {
	const all, seconds = 300, 60
	for _, fading := range []int{1, 10, 100} {
		n := clustertest.New(t, 1)
		var lamps []*counted
		for i := range all {
			e, err := New("test:1", &Part{ID: "main", Type: "extended_color_light"}, func(time.Time, Command) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			e.Report(n.Now, Values{"on": Bool(true), "brightness_percent": Number(1)})
			lamps = append(lamps, &counted{Endpoint: e})
			n.AddEndpoint(im.Endpoint{ID: matter.EndpointID(i + 2), Clusters: e.Clusters(), Model: lamps[i]})
		}
		n.Settle(n.Now)
		n.Subscribe(clustertest.Admin(1), clustertest.Everywhere, 0)
		for i := range fading {
			n.Invoke(clustertest.Admin(1), matter.EndpointID(i+2), level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:600,2:0,3:0}")
			n.Invoke(clustertest.Admin(1), matter.EndpointID(i+2), color, datamodel.ColorControlCmdMoveToColor, "{0:20000,1:20000,2:600,3:0,4:0}")
		}
		n.Reported()
		for _, l := range lamps {
			l.calls = 0
		}
		reports := map[string]int{}
		for end := n.Now.Add(seconds * time.Second); ; {
			at, ok := n.Deadline()
			if !ok || at.After(end) {
				break
			}
			n.Now = at
			n.Advance(n.Now)
			for _, r := range n.Reported() {
				path, _, _ := strings.Cut(r, "=")
				reports[path]++
			}
		}
		for i, l := range lamps {
			switch {
			case i >= fading && l.calls > 0:
				t.Fatalf("%d fade: lamp %d does not, and is called %d times", fading, i, l.calls)
			case i < fading && (l.calls == 0 || l.calls > 3*seconds):
				t.Errorf("%d fade: one of them is called %d times in a minute", fading, l.calls)
			}
		}
		for _, id := range []matter.AttributeID{currentX, currentY} {
			if got := reports[fmt.Sprintf("%d/%d", color, id)]; got > fading*seconds || got < fading*seconds/3 {
				t.Errorf("%d fade: attribute %d of the color is reported %d times in a minute", fading, id, got)
			}
		}
		if got := reports[fmt.Sprintf("%d/%d", level, currentLevel)]; got > fading*seconds || got < fading*seconds/3 {
			t.Errorf("%d fade: the level is reported %d times in a minute", fading, got)
		}
	}
}
