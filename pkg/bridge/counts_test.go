package bridge

import "testing"

// TestStatsShowNone: a count that falls to none is shown as 0 for every front that runs or
// has devices. For an alert, a missing series looks like one that never existed.
func TestStatsShowNone(t *testing.T) {
	g := newRig(t)
	g.put(lamp("z2m:0x01"))
	g.pass(gatherMost)
	s := g.Stats()
	for _, front := range []string{"api", "z2m"} {
		want := map[bool]int{true: 0, false: 0}
		if front == "z2m" {
			want[true] = 1
		}
		for reachable, n := range want {
			if got, there := s.Devices[DeviceKey{front, reachable}]; !there || got != n {
				t.Errorf("devices of %s, reachable %v: %d, there: %v; want %d", front, reachable, got, there, n)
			}
		}
		for _, result := range []string{"confirmed", "reverted", "failed"} {
			if _, there := s.Commands[CommandKey{front, result}]; !there {
				t.Errorf("no commands of %s with the result %s", front, result)
			}
		}
	}
	if _, there := s.Devices[DeviceKey{"ha", true}]; there {
		t.Error("there are no devices of ha")
	}
	if err := g.Handle("ha", nil); err != nil { // it runs, and has no connection yet
		t.Fatal(err)
	}
	s = g.Stats()
	if _, there := s.Updates["ha"]; !there {
		t.Error("no count of the reports of a front that runs")
	}
	if _, there := s.Updates["tasmota"]; there {
		t.Error("a count of a front that does not run")
	}
}
