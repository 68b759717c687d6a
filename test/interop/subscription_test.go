//go:build interop

package interop

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

const (
	basicInformation = 0x28
	attrNodeLabel    = 5
	eventStartUp     = 0
	eventShutDown    = 1
)

// reported is one report of a subscription.
type reported struct {
	ID          integer
	MaxInterval int
	Attributes  []report
	Events      []struct {
		Endpoint       uint16
		Cluster, Event uint32
	}
	ByDevice bool // the device opened the session of the last message
}

func (p *reported) event(cluster, event uint32) bool {
	for _, e := range p.Events {
		if e.Cluster == cluster && e.Event == event {
			return true
		}
	}
	return false
}

// subscribe makes the controller subscribe to all of endpoint 0.
func (r *run) subscribe(controller string, min, max int) (first reported) {
	r.t.Helper()
	r.call("subscription of "+controller, "subscribe", args{"controller": controller, "min": min, "max": max}, &first, func() error {
		if first.MaxInterval != max || len(first.Attributes) < 90 {
			return fmt.Errorf("interval %d s, %d attributes", first.MaxInterval, len(first.Attributes))
		}
		return nil
	})
	return first
}

// report waits for the next report that is not empty.
func (r *run) report(text, controller string, within time.Duration, check func(p *reported) error) {
	r.t.Helper()
	var p *reported
	r.call(text, "report", args{"controller": controller, "timeoutMs": within.Milliseconds()}, &p, func() error {
		if p == nil {
			return fmt.Errorf("no report within %v", within)
		}
		return check(p)
	})
}

// noReport checks that nothing is reported.
func (r *run) noReport(controller string, d time.Duration) {
	r.t.Helper()
	var p *reported
	r.call("no report without a change", "report", args{"controller": controller, "timeoutMs": d.Milliseconds()}, &p, func() error {
		if p != nil {
			return fmt.Errorf("report %+v", p)
		}
		return nil
	})
}

// setLabel writes the node label.
func (r *run) setLabel(controller, label string) {
	r.t.Helper()
	var res struct{ Status int }
	r.call("NodeLabel "+label, "write", args{"controller": controller, "cluster": "BasicInformation", "attribute": "nodeLabel", "value": label}, &res, func() error {
		if res.Status != 0 {
			return fmt.Errorf("status %#x", res.Status)
		}
		return nil
	})
}

// labelled expects a report of the node label.
func labelled(want string) func(p *reported) error {
	return func(p *reported) error {
		var label string
		if err := value(p.Attributes, basicInformation, attrNodeLabel, &label); err != nil {
			return err
		}
		if label != want {
			return fmt.Errorf("node label %q", label)
		}
		return nil
	}
}

// alone expects that exactly n attributes are reported.
func alone(n int, check func(p *reported) error) func(p *reported) error {
	return func(p *reported) error {
		if len(p.Attributes) != n || len(p.Events) != 0 {
			return fmt.Errorf("%d attributes, %d events", len(p.Attributes), len(p.Events))
		}
		return check(p)
	}
}

// reportsAll expects a complete report on a session that the device opened.
func reportsAll(attributes int, check func(p *reported) error) func(p *reported) error {
	return func(p *reported) error {
		if len(p.Attributes) != attributes || !p.event(basicInformation, eventStartUp) {
			return fmt.Errorf("%d attributes, %d events; the first report had %d attributes", len(p.Attributes), len(p.Events), attributes)
		}
		if !p.ByDevice {
			return errors.New("it came by a session of the controller's")
		}
		return check(p)
	}
}

// TestSubscriptions subscribes to endpoint 0, and the controller does nothing else:
// the device sends every report by itself, also after a restart.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.startAll()
	r.openController("one", args{})
	r.begin("subscription")
	r.join("one")
	first := r.subscribe("one", 0, 60)
	if !first.event(basicInformation, eventStartUp) {
		r.fail("first report", errors.New("no event StartUp"))
	}

	r.nocResponse("UpdateFabricLabel", "one", command{name: "updateFabricLabel", fields: args{"label": "changed"}}, nocOK)
	r.report("report of Fabrics", "one", 2*time.Second, alone(1, func(p *reported) error {
		var fabrics []fabricEntry
		if err := value(p.Attributes, operationalCredentials, 1, &fabrics); err != nil {
			return err
		}
		if len(fabrics) != 1 || fabrics[0].Label != "changed" {
			return fmt.Errorf("fabrics %+v", fabrics)
		}
		return nil
	}))
	r.setLabel("one", "kitchen")
	r.report("report of NodeLabel", "one", 2*time.Second, alone(1, labelled("kitchen")))
	r.noReport("one", 1500*time.Millisecond)

	r.begin("subscription, SIGKILL")
	r.step("daemon killed", r.device.kill)
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	r.report("the device calls and reports everything", "one", 20*time.Second, reportsAll(len(first.Attributes), labelled("kitchen")))
	r.setLabel("one", "bath")
	r.report("report of NodeLabel", "one", 2*time.Second, alone(1, labelled("bath")))

	r.begin("subscription, SIGTERM")
	r.step("daemon stopped", r.device.stop)
	r.report("the event ShutDown", "one", 2*time.Second, func(p *reported) error {
		if !p.event(basicInformation, eventShutDown) {
			return fmt.Errorf("events %+v", p.Events)
		}
		return nil
	})
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	r.report("the device calls and reports everything", "one", 20*time.Second, reportsAll(len(first.Attributes), labelled("bath")))

	r.begin("subscription, keep-alive")
	r.subscribe("one", 0, 6)
	for range 2 {
		var k struct {
			MS      float64
			Reports int
		}
		r.call("keep-alive of 6 s", "keepAlive", args{"controller": "one", "timeoutMs": 6000}, &k, func() error {
			if k.MS < 3500 || k.MS > 5000 || k.Reports != 0 {
				return fmt.Errorf("after %.0f ms, %d reports with content", k.MS, k.Reports)
			}
			return nil
		})
	}
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}
