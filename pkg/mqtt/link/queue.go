package link

import (
	"slices"
	"sync"
)

// Bounds of the queue.
const (
	maxKeptTopics  = 20_000   // topics of subscriptions with Keep
	maxKeptBytes   = 64 << 20 // octets of their messages
	maxTopics      = 4096     // topics of other subscriptions
	maxBytes       = 16 << 20 // octets of their messages
	maxTopicQueue  = 64       // messages of one of them
	messageExpense = 128      // octets of overhead per message
)

// lane is a queue of topics, each with its messages. It returns first the topic
// that has waited longest, with all its messages. So the messages of a topic stay
// in order, and a topic with many messages does not delay the others.
type lane struct {
	topics    map[string][]Message
	order     []string
	bytes     int
	perTopic  int
	maxTopics int
	maxBytes  int
}

func (l *lane) size(m Message) int { return len(m.Topic) + len(m.Payload) + messageExpense }

// put adds a message. It returns how many older ones of the topic were dropped for
// it, and whether it was added.
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

// forget removes a topic that has no messages left.
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

// queue is filled by the reader of the socket and emptied by [Link.Take].
type queue struct {
	mu       sync.Mutex
	kept     lane // taken first: descriptions come before states
	other    lane
	signs    []Event // changes of the connection; taken before all messages
	settled  bool    // all retained messages were put, and Settled was not taken
	lost     bool    // a message of kept was dropped
	busy     bool    // the last batch may not be handled yet
	ready    chan struct{}
	progress chan struct{} // something was put or taken; for arrived
	room     chan struct{} // something was taken; for keep
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

// put adds a message that does not replace others, and returns how many messages
// were dropped.
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

// keep adds a message that replaces an older one of its topic. It returns false if
// there is no room.
func (q *queue) keep(m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	wake(q.ready)
	_, taken := q.kept.put(m)
	return taken
}

// lose records that a message of kept was dropped.
func (q *queue) lose() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost = true
}

// sign adds a change of the connection. Messages that wait from a lost connection
// are still delivered.
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

// take returns the next batch: signs, the messages of some topics, or Settled; nil
// if there is nothing. A call means that the last batch has been handled, so take
// makes ready receive once more after each batch.
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

// atOnce is about the number of messages per batch.
const atOnce = 64

// keptRead reports whether all of kept has been taken and handled.
func (q *queue) keptRead() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.kept.topics) == 0 && !q.busy
}

// lostKept reports whether a message of kept was dropped since forgetLost.
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
