package filter

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// rig is a filter on endpoint 2 of a node.
type rig struct {
	*clustertest.Node
	*cluster.Unit[Filter]
	endpoint cluster.Endpoint
	resets   int
	refuse   error
}

func newRig(t *testing.T, c *cluster.Cluster[Filter]) *rig {
	r := &rig{Node: clustertest.New(t, 1)}
	r.Unit = cluster.NewUnit(&r.endpoint, Filter{}, cluster.Rules[Filter]{Apply: func(c *cluster.Context, _, _ *Filter) error {
		if c.Wanted(WantReset) && r.refuse == nil {
			r.resets++
		}
		return r.refuse
	}})
	r.Serve(c, Selection)
	r.AddEndpoint(im.Endpoint{ID: 2, Clusters: r.endpoint.Clusters(), Model: &r.endpoint})
	r.Settle(r.Now)
	return r
}

func (r *rig) set(percent uint8) {
	r.Report(r.Now, func(_ *cluster.Context, s *Filter) error { s.Set(percent); return nil })
	r.Touch(2)
	r.Settle(r.Now)
}

func TestFilter(t *testing.T) { // section 2.8.6
	for _, c := range []*cluster.Cluster[Filter]{HEPA, Carbon} {
		r := newRig(t, c)
		id := r.endpoint.Clusters()[0].Spec().ID
		read := func(a uint32) string {
			return r.Read(clustertest.Admin(1), 2, id, matter.AttributeID(a))
		}
		for _, tt := range []struct {
			percent           uint8
			shown, indication string
		}{{100, "100", "0"}, {10, "10", "0"}, {9, "9", "1"}, {1, "1", "1"}, {0, "0", "2"}, {50, "50", "0"}} {
			r.set(tt.percent)
			if got := read(0); got != tt.shown {
				t.Errorf("Condition %s, want %s", got, tt.shown)
			}
			if got := read(2); got != tt.indication {
				t.Errorf("at %d %%: ChangeIndication %s, want %s", tt.percent, got, tt.indication)
			}
		}
		if features, direction := read(0xFFFC), read(1); features != "3" || direction != "1" {
			t.Errorf("FeatureMap %s, DegradationDirection %s", features, direction)
		}
	}
}

func TestResetCondition(t *testing.T) { // section 2.8.7.1
	r := newRig(t, HEPA)
	r.set(3)
	reset := func() string {
		return r.Invoke(clustertest.Admin(1), 2, datamodel.HEPAFilterMonitoringID, datamodel.HEPAFilterMonitoringCmdResetCondition, "{}")
	}
	read := func(a uint32) string {
		return r.Read(clustertest.Admin(1), 2, datamodel.HEPAFilterMonitoringID, matter.AttributeID(a))
	}
	r.refuse = errors.New("offline")
	if got := reset(); got != "FAILURE" || read(0) != "3" {
		t.Errorf("a device that cannot be reached: %s, Condition %s", got, read(0))
	}
	r.refuse = nil
	if got := reset(); got != "SUCCESS" || r.resets != 1 {
		t.Errorf("%s, %d resets of the device", got, r.resets)
	}
	if condition, indication, changed := read(0), read(2), read(4); condition != "100" || indication != "0" || changed != "831211200" {
		t.Errorf("Condition %s, ChangeIndication %s, LastChangedTime %s", condition, indication, changed)
	}
	r.Now = time.Unix(0, 0) // the clock was never set
	reset()
	if got := read(4); got != "null" {
		t.Errorf("LastChangedTime %s", got)
	}
}

// A new filter is reported at once. Wear is reported at intervals (section 2.8.6.1).
func TestConditionReports(t *testing.T) {
	r := newRig(t, HEPA)
	r.set(60)
	r.Subscribe(clustertest.Admin(1), 2, datamodel.HEPAFilterMonitoringID)
	r.Reported()
	r.Now = r.Now.Add(10 * time.Minute)
	r.set(59)
	r.Reported()
	r.set(58)
	if got := r.Reported(); len(got) != 0 {
		t.Errorf("worn by one percent: reported %v at once", got)
	}
	r.Invoke(clustertest.Admin(1), 2, datamodel.HEPAFilterMonitoringID, datamodel.HEPAFilterMonitoringCmdResetCondition, "{}")
	r.Touch(2)
	if got := r.Reported(); !slices.Contains(got, "113/0=100") {
		t.Errorf("a new filter: reported %v", got)
	}
}
