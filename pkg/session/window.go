package session

import "math/bits"

// windowSize is MSG_COUNTER_WINDOW_SIZE: how far below the largest counter a
// message is still accepted (section 4.6).
const windowSize = 32

// window records received message counters of a peer, except on secured sessions:
// the largest in max, and the counter max-1-i in bit i of seen.
type window struct {
	max  uint32
	seen uint32
	any  bool // false until the first counter, which is trusted
}

// acceptUnsecured records the counter of a message on an unsecured session and
// reports whether it is new. The first always is. Counters roll over. A counter
// below the window means that the peer was restarted, and resets the window.
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

// forget removes a counter that acceptUnsecured has just accepted.
func (w *window) forget(c uint32) {
	switch {
	case c != w.max:
		w.seen &^= 1 << (w.max - c - 1)
	case w.seen == 0:
		*w = window{}
	default: // the largest of the others replaces it
		n := bits.TrailingZeros32(w.seen) + 1
		w.max -= uint32(n)
		w.seen >>= n
	}
}

// acceptGroup records the counter of a message to a group and reports whether it is
// new. The first always is, and all before it count as received, as they might be
// replays. Counters roll over.
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

// advance moves the window up to c, which is ahead of max in serial number
// arithmetic.
func (w *window) advance(c uint32) {
	// In Go, shifts by 32 or more give 0: the window is then empty except for max.
	d := c - w.max
	w.seen = w.seen<<d | 1<<(d-1)
	w.max = c
}

// late checks and records a counter that is not ahead of max.
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
