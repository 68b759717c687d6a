package link

import (
	"slices"
	"sync"
)

// Bounds of what waits to be taken.
const (
	maxKeptTopics  = 20_000   // topics of subscriptions with Keep
	maxKeptBytes   = 64 << 20 // octets of their messages
	maxTopics      = 4096     // topics of other subscriptions
	maxBytes       = 16 << 20 // octets of their messages
	maxTopicQueue  = 64       // messages of one of them
	messageExpense = 128      // octets that a message takes besides topic and payload
)

// lane is a queue of topics, each with its messages. What is taken first is the topic
// that has waited longest, with all its messages: the order of a topic's messages
// stays, and a topic that floods takes one turn like any other.
type lane struct {
	topics    map[string][]Message
	order     []string
	bytes     int
	perTopic  int
	maxTopics int
	maxBytes  int
}

func (l *lane) size(m Message) int { return len(m.Topic) + len(m.Payload) + messageExpense }

// put adds a message. It returns how many older ones of the topic went for it, and
// false if it was not taken itself.
func (l *lane) put(m Message) (displaced int, taken bool) {
	waiting := l.topics[m.Topic]
	if len(waiting) == 0 && len(l.topics) >= l.maxTopics {
		return 0, false
	}
	kept := waiting
	for len(kept) >= l.perTopic || len(kept) > 0 && l.bytes+l.size(m) > l.maxBytes {
		l.bytes -= l.size(kept[0])
		kept[0] = Message{}
		kept = kept[1:]
	}
	if l.bytes+l.size(m) > l.maxBytes {
		l.forget(m.Topic)
		return len(waiting), false
	}
	if len(waiting) == 0 {
		l.order = append(l.order, m.Topic)
	}
	l.topics[m.Topic] = append(kept, m)
	l.bytes += l.size(m)
	return len(waiting) - len(kept), true
}

// forget removes a topic that has no messages any more.
func (l *lane) forget(topic string) {
	if _, ok := l.topics[topic]; ok {
		delete(l.topics, topic)
		i := slices.Index(l.order, topic)
		l.order = slices.Delete(l.order, i, i+1)
	}
}

// take returns the messages of the topic that has waited longest.
func (l *lane) take() []Message {
	if len(l.order) == 0 {
		return nil
	}
	m := l.topics[l.order[0]]
	delete(l.topics, l.order[0])
	l.order = l.order[1:]
	for i := range m {
		l.bytes -= l.size(m[i])
	}
	return m
}

// queue is what the reader of the socket fills and [Link.Take] empties.
type queue struct {
	mu       sync.Mutex
	kept     lane // taken first: what a device is comes before how it is
	other    lane
	signs    []Event // of the connection, in front of all messages
	settled  bool    // everything retained has been put, and Settled not been taken
	lost     bool    // a message of kept was not taken
	busy     bool    // what was taken last is being read, as far as is known
	ready    chan struct{}
	progress chan struct{} // something was put or taken; who waits for what has arrived
	room     chan struct{} // something was taken; who waits for room
}

func newQueue() *queue {
	return &queue{
		kept:     lane{topics: map[string][]Message{}, perTopic: 1, maxTopics: maxKeptTopics, maxBytes: maxKeptBytes},
		other:    lane{topics: map[string][]Message{}, perTopic: maxTopicQueue, maxTopics: maxTopics, maxBytes: maxBytes},
		ready:    make(chan struct{}, 1),
		progress: make(chan struct{}, 1),
		room:     make(chan struct{}, 1),
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds a message of which each counts, and returns how many were lost by that.
func (q *queue) put(m Message) (lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wake(q.ready)
	displaced, taken := q.other.put(m)
	if !taken {
		displaced++
	}
	return displaced
}

// keep adds a message of which the last of a topic counts. It reports false if there is
// no room.
func (q *queue) keep(m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	wake(q.ready)
	_, taken := q.kept.put(m)
	return taken
}

// lose notes that a message of kept was not taken.
func (q *queue) lose() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost = true
}

// sign adds what happened to the connection. What waits of a connection that is gone
// is taken all the same: it was said.
func (q *queue) sign(k Kind) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if k == Settled {
		q.settled = true
	} else {
		q.settled = false
		q.signs = append(q.signs, Event{Kind: k})
	}
	wake(q.ready)
}

// take returns what waits: signs, the messages of some topics, or that all is settled;
// nil if nothing does. Who takes has read what it took before, and is asked to come
// again for that to be known.
func (q *queue) take() (out []Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer func() {
		if q.busy = len(out) > 0; q.busy {
			wake(q.ready)
		}
		wake(q.progress)
		wake(q.room)
	}()
	if s := q.signs; len(s) > 0 {
		q.signs = nil
		return s
	}
	for _, l := range []*lane{&q.kept, &q.other} {
		for len(out) < atOnce {
			messages := l.take()
			if messages == nil {
				break
			}
			for _, m := range messages {
				out = append(out, Event{Kind: Received, Message: m})
			}
		}
	}
	if q.settled && len(q.kept.topics) == 0 {
		q.settled = false
		out = append(out, Event{Kind: Settled})
	}
	return out
}

// atOnce is about how many messages one take returns.
const atOnce = 64

// keptRead reports whether all of kept has been taken and read.
func (q *queue) keptRead() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.kept.topics) == 0 && !q.busy
}

// lostKept reports whether a message of kept was lost since forgetLost.
func (q *queue) lostKept() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

func (q *queue) forgetLost() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost = false
}
