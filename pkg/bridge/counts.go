package bridge

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/stats"
)

// result is the result of a command.
type result string

const (
	resultConfirmed result = "confirmed" // by the source
	resultReverted  result = "reverted"  // not confirmed in time
	resultFailed    result = "failed"    // nobody received it
)

// counts are what has happened since the start.
type counts struct {
	updates  stats.Counters[string]
	commands stats.Counters[CommandKey]
	confirm  stats.Histogram
}

func (c *counts) init() {
	c.updates, c.commands = stats.Counters[string]{}, stats.Counters[CommandKey]{}
	c.confirm = stats.NewHistogram(.01, .025, .05, .1, .25, .5, 1, 2.5, 5)
}

func (c *counts) update(source string) { c.updates[Front(source)]++ }

func (c *counts) command(source string, res result) {
	c.commands[CommandKey{Front(source), string(res)}]++
}

func (c *counts) confirmed(d time.Duration) { c.confirm.Observe(d) }

// Keys of Stats. Source is the front, see [Front].
type (
	DeviceKey struct {
		Source    string
		Reachable bool
	}
	IgnoredKey struct {
		Source string
		Reason device.IgnoredKind
	}
	CommandKey struct{ Source, Result string }
)

// Stats are statistics of the bridge.
type Stats struct {
	Devices  map[DeviceKey]int // shown devices
	Parts    map[string]int    // parts of shown devices, by type
	Ignored  map[IgnoredKey]int
	Updates  stats.Counters[string] // reports of sources, by front
	Commands stats.Counters[CommandKey]
	Confirm  stats.Histogram // from a command to its confirmation by the source
	Streams  int
}

// Stats returns the statistics. It must be called on the loop.
func (r *Registry) Stats() *Stats {
	s := &Stats{
		Devices:  map[DeviceKey]int{},
		Parts:    map[string]int{},
		Ignored:  map[IgnoredKey]int{},
		Updates:  r.counts.updates.Clone(),
		Commands: r.counts.commands.Clone(),
		Confirm:  r.counts.confirm.Clone(),
		Streams:  len(r.commands.streams),
	}
	s.zero("api")
	for name := range r.commands.handlers {
		s.zero(Front(name))
	}
	for _, t := range device.Types() {
		s.Parts[t] = 0
	}
	for _, e := range r.entries {
		if !e.present() || e.rec.Gone != nil {
			continue
		}
		front := Front(e.source())
		if _, there := s.Devices[DeviceKey{front, true}]; !there {
			s.zero(front)
		}
		s.Devices[DeviceKey{front, e.reachable}]++
		for i := range e.rec.Device.Parts {
			if p := &e.rec.Device.Parts[i]; e.shown[p.ID] {
				s.Parts[p.Type]++
			}
		}
	}
	for source, all := range r.ignored {
		for _, i := range all {
			s.Ignored[IgnoredKey{Front(source), i.Kind}]++
		}
	}
	return s
}

// zero adds every key of a front, because a rate needs an initial value, and a number that
// drops to none should show 0.
func (s *Stats) zero(front string) {
	for _, reachable := range []bool{true, false} {
		s.Devices[DeviceKey{front, reachable}] += 0
	}
	s.Ignored[IgnoredKey{Source: front}] += 0
	s.Updates[front] += 0
	for _, res := range []result{resultConfirmed, resultReverted, resultFailed} {
		s.Commands[CommandKey{front, string(res)}] += 0
	}
}
