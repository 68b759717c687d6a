package cluster

import (
	"math"
	"time"
)

// Quiet decides when a change of a numeric attribute is reported. It returns 0 for
// a report at once, and otherwise the delay, unless another change is reported
// before. was is the value that was reported last. A delay is never extended, and
// the last value is always reported.
type Quiet func(was, is Number, at Moment) time.Duration

// Moment is the time of a decision of a Quiet.
type Moment struct {
	Now    time.Time
	Age    time.Duration // since the last report; [Never] if there was none
	Moving bool          // the state expects further changes by itself
}

// Never is the Age of a value that was never reported.
const Never time.Duration = 1 << 62

// EachSecond reports a moving value at most once a second. It reports at once when
// the value stops moving, and when it changes to or from null (quieter reporting of
// levels and colors).
func EachSecond(was, is Number, at Moment) time.Duration {
	if !at.Moving || was.Null != is.Null {
		return 0
	}
	return time.Second - min(at.Age, time.Second)
}

const (
	// SlowTick is the interval between the times at which slow values are reported.
	// The times are the same for all endpoints, so that a node with many sensors
	// sends one report at each of them and nothing in between: Apple's hubs store
	// no values of a node that reports more often.
	SlowTick = 15 * time.Second

	// slowLeast is the shortest time between two reports of a value.
	slowLeast = 5 * time.Second

	// slowMost is the longest delay of a change within the band (sections 2.12.6
	// and 2.13.6 of the application clusters for power and energy; used here for
	// all).
	slowMost = time.Minute
)

// Step is a change of a value, by at least Abs and at least Percent of the old
// value. The zero Step is never reached.
type Step struct {
	Abs, Percent int64
}

func (s Step) reached(was, is Number) bool {
	if s == (Step{}) {
		return false
	}
	change := math.Abs(float64(is.V) - float64(was.V))
	return change >= float64(s.Abs) && change >= math.Abs(float64(was.V))*float64(s.Percent)/100
}

// Slow is for measurements of sensors. The first value, null, and a value after
// null are reported at once. So is a change of at least big, but not within five
// seconds of the last report. A change of at least band is reported at the next
// tick (see [SlowTick]), and a smaller one at the last tick within a minute of the
// last report.
func Slow(band, big Step) Quiet {
	return func(was, is Number, at Moment) time.Duration {
		switch {
		case at.Age == Never || was.Null != is.Null:
			return 0
		case big.reached(was, is):
			return max(0, slowLeast-at.Age)
		case band.reached(was, is):
			return tick(at.Now.Add(max(0, slowLeast-at.Age))).Sub(at.Now)
		}
		last := at.Now.Add(slowMost - at.Age).Truncate(SlowTick)
		return max(tick(at.Now).Sub(at.Now), last.Sub(at.Now))
	}
}

// tick returns the first tick at or after t.
func tick(t time.Time) time.Time {
	if last := t.Truncate(SlowTick); !last.Equal(t) {
		return last.Add(SlowTick)
	}
	return t
}
