package server

import "time"

// A stranger can make the node write lines of a kind: logBurst at once, and one
// more each logEvery.
const (
	logBurst = 5
	logEvery = 12 * time.Second
)

// logLimit bounds the lines of one kind. Its zero value allows logBurst.
type logLimit struct {
	used   int       // lines that have not been made up for
	since  time.Time // when the last of them began to be
	missed int
}

// allow reports whether a line may be written, and how many were not since the
// last.
func (l *logLimit) allow(now time.Time) (missed int, ok bool) {
	if n := int(now.Sub(l.since) / logEvery); l.used > 0 && n > 0 {
		l.used = max(0, l.used-n)
		l.since = l.since.Add(time.Duration(n) * logEvery)
	}
	if l.used >= logBurst {
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
