package logs

import "time"

// The rate limit for lines that strangers can cause: burst lines at once, and one
// more after each interval of every.
const (
	burst = 5
	every = 12 * time.Second
)

// Limit limits the lines of one kind. The zero value allows burst lines at once.
// One goroutine owns it.
type Limit struct {
	used   int       // lines of the burst that were used
	since  time.Time // when the first of them becomes available again
	missed int
}

// Allow reports whether a line may be written. If so, missed is the number of lines
// that were suppressed since the last one.
func (l *Limit) Allow(now time.Time) (missed int, ok bool) {
	if n := int(now.Sub(l.since) / every); l.used > 0 && n > 0 {
		l.used = max(0, l.used-n)
		l.since = l.since.Add(time.Duration(n) * every)
	}
	if l.used >= burst {
		l.missed++
		return 0, false
	}
	if l.used == 0 {
		l.since = now
	}
	l.used++
	missed, l.missed = l.missed, 0
	return missed, true
}
