package session

// securedWindowSize is how many counters of a secured session are remembered, the
// largest included. The specification has 32 (MSG_COUNTER_WINDOW_SIZE, section 4.6):
// a peer that sends hundreds of requests at once, of which one is lost, would be past
// that before it sends the one again, which would then pass for a duplicate: it would
// be acknowledged and never answered. A larger window accepts no message twice.
const securedWindowSize = 2048

// securedWindow remembers which counters of a secured unicast session were received.
// Counters do not roll over there: the session ends first. A new session's window
// has received nothing, so that every counter from 1 on is new.
type securedWindow struct {
	max  uint32                         // the largest
	seen [securedWindowSize / 64]uint64 // a bit for each counter above max-securedWindowSize
}

// verdict is what a window says of a counter.
type verdict uint8

const (
	fresh     verdict = iota // it is new
	duplicate                // it was received before
	late                     // it is below the window: nobody knows
)

func (w *securedWindow) bit(c uint32) (word *uint64, mask uint64) {
	return &w.seen[c/64%uint32(len(w.seen))], 1 << (c % 64)
}

// accept takes a counter and says whether it is new, and whether it is the largest so
// far. 0 is never sent.
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

// forget takes back a counter that was just accepted.
func (w *securedWindow) forget(c uint32) {
	word, mask := w.bit(c)
	*word &^= mask
}
