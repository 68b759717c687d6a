package bridge

import (
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Notice is a notification for a [Watcher]: a device that has changed, a gesture,
// or a command.
type Notice struct {
	At      time.Time       `json:"at"`
	Device  *View           `json:"device,omitempty"`
	Removed string          `json:"removed,omitempty"`
	Event   *EventNotice    `json:"event,omitempty"`
	Command *device.Command `json:"command,omitempty"`
}

// EventNotice is a gesture.
type EventNotice struct {
	Device  string         `json:"device"`
	Part    string         `json:"part"`
	Gesture device.Gesture `json:"event"`
}

// Watcher receives notices about devices. A slow one misses some.
type Watcher struct {
	C        <-chan Notice
	c        chan Notice
	missed   atomic.Bool
	registry *Registry
}

// Missed reports whether the watcher has missed a notice since the last call.
func (w *Watcher) Missed() bool { return w.missed.Swap(false) }

// watcherQueue is the number of notices that wait for a watcher.
const watcherQueue = 256

// MaxWatchers is the number of watchers that may exist.
const MaxWatchers = 50

// Watch returns a new watcher.
func (r *Registry) Watch() (*Watcher, error) {
	w := &Watcher{c: make(chan Notice, watcherQueue), registry: r}
	w.C = w.c
	err := r.do(func(time.Time) error {
		if len(r.watchers) >= MaxWatchers {
			return &Error{Kind: Full, Detail: "too many are watching"}
		}
		r.watchers[w] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Close ends the watcher.
func (w *Watcher) Close() {
	w.registry.do(func(time.Time) error {
		delete(w.registry.watchers, w)
		return nil
	})
}

func (r *Registry) publish(n Notice) {
	for w := range r.watchers {
		select {
		case w.c <- n:
		default:
			w.missed.Store(true)
		}
	}
}

// notify sends watchers the state of a device.
func (r *Registry) notify(now time.Time, e *entry) {
	if len(r.watchers) == 0 {
		return
	}
	if e.rec.Gone != nil {
		r.publish(Notice{At: now, Removed: e.id})
		return
	}
	v := r.view(now, e)
	r.publish(Notice{At: now, Device: &v})
}

// shownNow returns the number of endpoints on the node for each device, or nil if
// there are no watchers.
func (r *Registry) shownNow() map[*entry]int {
	if len(r.watchers) == 0 {
		return nil
	}
	all := make(map[*entry]int, len(r.entries))
	for _, e := range r.entries {
		all[e] = len(e.shown)
	}
	return all
}

// notifyShown sends watchers the devices whose visibility has changed.
func (r *Registry) notifyShown(now time.Time, before map[*entry]int) {
	for e, n := range before {
		if len(e.shown) != n {
			r.notify(now, e)
		}
	}
}

func (r *Registry) notifyEvent(now time.Time, e *entry, part string, g device.Gesture) {
	r.publish(Notice{At: now, Event: &EventNotice{Device: e.id, Part: part, Gesture: g}})
}

func (r *Registry) notifyCommand(now time.Time, c device.Command) {
	r.publish(Notice{At: now, Command: &c})
}
