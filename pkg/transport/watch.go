package transport

import (
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// together is how long changes are collected: an interface that comes up
	// makes a dozen of them.
	together = 100 * time.Millisecond
	// rescan is when a change is supposed that nobody told of: netlink may lose
	// messages.
	rescan = time.Minute
	// retry is the wait after netlink failed.
	retry = time.Second
)

// Watch calls changed whenever links or addresses of the host have changed, and
// once a minute in case that the kernel's word of it got lost. It returns when
// done is closed.
func Watch(done <-chan struct{}, changed func()) {
	var w linkWatch
	w.subscribe()
	defer func() { w.unsubscribe() }()
	timer := time.NewTimer(rescan)
	defer timer.Stop()
	for {
		ok := true
		select {
		case <-done:
			return
		case _, ok = <-w.links:
			if !ok {
				w.links = nil
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
			changed()
			timer.Reset(rescan)
			continue
		}
		if ok {
			timer.Reset(together)
		} else {
			timer.Reset(retry)
		}
	}
}

// linkWatch is what the kernel tells by; a nil channel has failed.
type linkWatch struct {
	links chan netlink.LinkUpdate
	addrs chan netlink.AddrUpdate
	end   chan struct{}
}

func (w *linkWatch) subscribe() {
	w.end = make(chan struct{})
	w.links, w.addrs = make(chan netlink.LinkUpdate), make(chan netlink.AddrUpdate)
	if netlink.LinkSubscribe(w.links, w.end) != nil {
		w.links = nil
	}
	if netlink.AddrSubscribe(w.addrs, w.end) != nil {
		w.addrs = nil
	}
}

// unsubscribe ends both subscriptions and waits for them.
func (w *linkWatch) unsubscribe() {
	close(w.end)
	if w.links != nil {
		for range w.links { // its sender may be waiting for us
		}
	}
	if w.addrs != nil {
		for range w.addrs {
		}
	}
}
