package session

// securedWindowSize is the number of counters of a secured session that are
// remembered, including the largest. The specification has 32
// (MSG_COUNTER_WINDOW_SIZE, section 4.6). That is too few for a peer that sends
// hundreds of requests at once: if one is lost, its retransmission would be below
// the window, and would be acknowledged as a duplicate but never answered. A larger
// window still accepts no message twice.
const securedWindowSize = 2048

// securedWindow records the received counters of a secured unicast session.
// Counters do not roll over; the session ends first. The window of a new session is
// empty, and all counters from 1 on are new.
type securedWindow struct {
	max  uint32                         // the largest
	seen [securedWindowSize / 64]uint64 // one bit for each counter above max-securedWindowSize
}

// verdict is the result of checking a counter.
type verdict uint8

const (
	fresh     verdict = iota // not received before
	duplicate                // received before
	late                     // below the window: not known
)

func (w *securedWindow) bit(c uint32) (word *uint64, mask uint64) {
	return &w.seen[c/64%uint32(len(w.seen))], 1 << (c % 64)
}

// accept checks and records a counter. It also reports whether it is the largest so
// far. A counter of 0 is never sent.
func (w *securedWindow) accept(c uint32) (v verdict, latest bool) {
	latest = c > w.max
	switch {
	case c == 0:
		return duplicate, false
	case latest && c-w.max >= securedWindowSize:
		w.seen = [len(w.seen)]uint64{}
		w.max = c
	case latest:
		for w.max < c {
			w.max++
			word, mask := w.bit(w.max)
			*word &^= mask
		}
	case w.max-c >= securedWindowSize:
		return late, false
	}
	word, mask := w.bit(c)
	if *word&mask != 0 {
		return duplicate, false
	}
	*word |= mask
	return fresh, latest
}

// forget removes a counter that was just accepted.
func (w *securedWindow) forget(c uint32) {
	word, mask := w.bit(c)
	*word &^= mask
}
