package logs

import "time"

// A stranger can make the node write lines of a kind: burst at once, and one
// more each every.
const (
	burst = 5
	every = 12 * time.Second
)

// Limit bounds the lines of one kind. Its zero value allows burst lines at once. It
// belongs to one goroutine.
type Limit struct {
	used   int       // lines that have not been made up for
	since  time.Time // when the last of them began to be
	missed int
}

// Allow reports whether a line may be written, and how many were not since the
// last.
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
