package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
)

// fade is the gradual change of a value from one number to another. The zero value
// is at rest.
type fade struct {
	start  time.Time
	length time.Duration
}

// moving reports whether a change is in progress.
func (f *fade) moving() bool { return f.length > 0 }

// at returns the value at now.
func (f *fade) at(now time.Time, from, to int32) int32 {
	passed := min(max(now.Sub(f.start), 0), f.length)
	if f.length == 0 || passed == f.length {
		return to
	}
	return from + int32(int64(to-from)*int64(passed)/int64(f.length))
}

// over reports whether the change is over.
func (f *fade) over(now time.Time) bool { return now.Sub(f.start) >= f.length }

// left returns the remaining time in tenths of a second, rounded up so that 0 means
// over.
func (f *fade) left(now time.Time) uint16 {
	if !f.moving() {
		return 0
	}
	left := f.length - now.Sub(f.start)
	return uint16(min((max(left, 0)+tenth-1)/tenth, maxTenths))
}

// maxTenths is the maximum time of an attribute.
const maxTenths = 0xFFFE

// looks is the approximate number of updates in a long fade.
const looks = 40

// next returns the time of the next update: each second, less often in a long fade,
// and at the end.
func (f *fade) next(now time.Time) time.Time {
	step := max(time.Second, f.length/looks)
	passed := max(now.Sub(f.start), 0)
	return f.start.Add(min((passed/step+1)*step, f.length))
}

// reported returns the number by which a RemainingTime is compared: its end, in
// tenths of a second since 1970; negative for a fade that is too short to be
// reported, 0 at rest.
func (f *fade) reported() cluster.Number {
	if !f.moving() {
		return cluster.Number{}
	}
	end := f.start.Add(f.length).UnixMilli() / tenth.Milliseconds()
	if f.length <= time.Second {
		end = -end
	}
	return cluster.Number{V: end}
}

// quietRemaining reports a RemainingTime when a fade of more than a second begins, when its
// end moves by more than a second, and when it is over (sections 1.6.6.3 and 3.2.7.4).
func quietRemaining(was, is cluster.Number, _ cluster.Moment) time.Duration {
	switch moved := abs(abs(is.V) - abs(was.V)); {
	case is.V == 0, was.V == 0 && is.V > 0, was.V != 0 && moved > 10:
		return 0
	}
	return cluster.Never
}

// slowReport is how long after the end of a fade a device may still report values
// from within it.
const slowReport = 5 * time.Second

// late is the last report of a device during a fade. The zero value is none.
type late[T any] struct {
	value T
	some  bool
	at    time.Time // when to use the value; zero: not known yet
}

func (l *late[T]) heard(v T) { l.value, l.some = v, true }

// wait is called when the fade is over.
func (l *late[T]) wait(now time.Time) {
	if l.some {
		l.at = now.Add(slowReport)
	}
}

// due returns the value once, if it is to be used at now.
func (l *late[T]) due(now time.Time) (v T, ok bool) {
	if l.at.IsZero() || now.Before(l.at) {
		return v, false
	}
	v = l.value
	*l = late[T]{}
	return v, true
}

func abs(v int64) int64 { return max(v, -v) }
