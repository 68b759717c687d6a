package host

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// collect is the pause after a change, as an interface that comes up causes a dozen.
	collect = 50 * time.Millisecond
	// rescan is the interval at which the interfaces are read without a change, as
	// netlink may lose messages.
	rescan = time.Minute
	// retry is the wait after netlink failed.
	retry = time.Second
)

// Watcher follows the interfaces and addresses of the host.
type Watcher struct {
	names []string
	log   *slog.Logger

	mu          sync.Mutex
	list        []Interface
	subscribers map[chan struct{}]struct{}

	closing, ended chan struct{}
	once           sync.Once

	// Used by run only. A nil channel has failed.
	links chan netlink.LinkUpdate
	addrs chan netlink.AddrUpdate
	end   chan struct{}  // of the two subscriptions
	downs map[int]uint64 // how often an interface went down
}

// NewWatcher reads the interfaces, logs which of them are served and why, and starts to
// follow them. It does not log later changes. names are those of the interfaces to serve,
// as for Choose. Close ends the Watcher.
func NewWatcher(names []string, log *slog.Logger) (*Watcher, error) {
	w := &Watcher{
		names: slices.Clone(names), log: log, subscribers: make(map[chan struct{}]struct{}),
		closing: make(chan struct{}), ended: make(chan struct{}), downs: make(map[int]uint64),
	}
	var err error
	if w.list, err = Interfaces(w.names); err != nil {
		return nil, err
	}
	w.logServed()
	go w.run()
	return w, nil
}

// Interfaces returns the interfaces as they were read last, in the order of their
// indices. The slices in it must not be changed.
func (w *Watcher) Interfaces() []Interface {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// Subscribe returns a channel that becomes ready after each change, and at least once a
// minute; several changes may make it ready once. cancel ends that.
func (w *Watcher) Subscribe() (changed <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subscribers[c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subscribers, c)
	}
}

// Close ends the Watcher and waits until it has ended. It may be called again.
func (w *Watcher) Close() {
	w.once.Do(func() { close(w.closing) })
	<-w.ended
}

func (w *Watcher) run() {
	defer close(w.ended)
	w.subscribe()
	defer func() { w.unsubscribe() }()
	timer := time.NewTimer(collect) // what changed before the subscription
	defer timer.Stop()
	for {
		ok := true
		select {
		case <-w.closing:
			return
		case u, open := <-w.links:
			if ok = open; !ok {
				w.links = nil
			} else if u.Header.Type == unix.RTM_DELLINK || !running(u.Link.Attrs()) {
				w.downs[u.Link.Attrs().Index]++
			}
		case _, ok = <-w.addrs:
			if !ok {
				w.addrs = nil
			}
		case <-timer.C:
			if w.links == nil || w.addrs == nil {
				w.unsubscribe()
				w.subscribe()
			}
			timer.Reset(w.read())
			continue
		}
		if ok {
			timer.Reset(collect)
		} else {
			timer.Reset(retry)
		}
	}
}

// read reads the interfaces and notifies the subscribers. It returns the time until they
// are read again without a change.
func (w *Watcher) read() time.Duration {
	list, err := Interfaces(w.names)
	if err != nil {
		w.log.Error("the network interfaces cannot be listed", "error", err)
		return retry
	}
	downs := make(map[int]uint64, len(list))
	for n := range list {
		i := &list[n]
		i.Downs = w.downs[i.Index]
		downs[i.Index] = i.Downs
	}
	w.downs = downs
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = list
	for c := range w.subscribers {
		select {
		case c <- struct{}{}:
		default: // it has not received the last one yet
		}
	}
	return rescan
}

func (w *Watcher) subscribe() {
	w.end = make(chan struct{})
	w.links, w.addrs = make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	lost := func(err error) { w.log.Debug("netlink", "error", err) }
	if err := netlink.LinkSubscribeWithOptions(w.links, w.end, netlink.LinkSubscribeOptions{ErrorCallback: lost}); err != nil {
		w.log.Error("changes of the network interfaces are not reported", "error", err)
		w.links = nil
	}
	if err := netlink.AddrSubscribeWithOptions(w.addrs, w.end, netlink.AddrSubscribeOptions{ErrorCallback: lost}); err != nil {
		w.log.Error("changes of the network addresses are not reported", "error", err)
		w.addrs = nil
	}
}

// unsubscribe ends both subscriptions and waits for them.
func (w *Watcher) unsubscribe() {
	close(w.end)
	if w.links != nil {
		for range w.links { // its sender may be waiting
		}
	}
	if w.addrs != nil {
		for range w.addrs {
		}
	}
}

func running(a *netlink.LinkAttrs) bool {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	return a.RawFlags&up == up
}
