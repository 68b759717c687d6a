package session

import "math/bits"

// windowSize is MSG_COUNTER_WINDOW_SIZE: how far below the largest counter a
// message may come late (section 4.6).
const windowSize = 32

// window remembers which message counters of a peer were seen, outside of secured
// sessions: the largest, and in bit i of seen the counter max-1-i.
type window struct {
	max  uint32
	seen uint32
	any  bool // false until a first counter was taken, for windows that trust the first
}

// acceptUnsecured takes the counter of a message of an unsecured session and
// reports whether it is new. The first is always; counters roll over; one from
// below the window is that of a peer that rebooted, and starts the window anew.
func (w *window) acceptUnsecured(c uint32) (fresh bool) {
	ahead := c - w.max
	switch {
	case !w.any:
		*w = window{max: c, any: true}
		return true
	case ahead == 0:
		return false
	case ahead < 1<<31:
		w.advance(c)
		return true
	case -ahead <= windowSize:
		return w.late(c)
	}
	*w = window{max: c, any: true}
	return true
}

// forget takes back a counter that acceptUnsecured has just accepted.
func (w *window) forget(c uint32) {
	switch {
	case c != w.max:
		w.seen &^= 1 << (w.max - c - 1)
	case w.seen == 0:
		*w = window{}
	default: // the largest of the others takes its place
		n := bits.TrailingZeros32(w.seen) + 1
		w.max -= uint32(n)
		w.seen >>= n
	}
}

// acceptGroup takes the counter of a message to a group and reports whether it
// is new. The first is always, and everything before it counts as seen: nobody
// could tell it from a replay. Counters roll over.
func (w *window) acceptGroup(c uint32) (fresh bool) {
	ahead := c - w.max
	switch {
	case !w.any:
		*w = window{max: c, seen: ^uint32(0), any: true}
		return true
	case ahead-1 < 1<<31-1:
		w.advance(c)
		return true
	}
	return w.late(c)
}

// advance moves the window up to c, which is ahead of max by serial arithmetic.
func (w *window) advance(c uint32) {
	// Shifts by 32 and more give 0 in Go: the window is then empty but for max.
	d := c - w.max
	w.seen = w.seen<<d | 1<<(d-1)
	w.max = c
}

// late takes a counter that is not ahead of max.
func (w *window) late(c uint32) (fresh bool) {
	back := w.max - c
	if back == 0 || back > windowSize {
		return false
	}
	bit := uint32(1) << (back - 1)
	fresh = w.seen&bit == 0
	w.seen |= bit
	return fresh
}
