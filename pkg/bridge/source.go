package bridge

import (
	"cmp"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// source is one source that is there, or was a moment ago.
type source struct {
	name    string
	streams int
	linger  time.Duration
	ends    time.Time // when it counts as lost; zero: it is there
}

// DefaultLinger is how long a source may be without a stream.
const DefaultLinger = 30 * time.Second

// Stream is one connection through which a source, or with an empty source whoever
// listens to all, takes commands.
type Stream struct {
	registry *Registry
	source   string
	wake     chan struct{}
	queue    []Delivered
	overrun  bool
	closed   bool
}

// Delivered is a command with its number.
type Delivered struct {
	ID      uint64
	Command device.Command
}

// maxQueue bounds the commands that wait for a slow reader of a stream.
const maxQueue = 1000

// Open opens a stream of the commands for the devices of a source; an empty name: of all
// sources at the local API. Commands after the one numbered since, as
// far as they are remembered, come first; 0: none. linger is how long after the end of
// its last stream the source's devices stay reachable.
func (r *Registry) Open(name string, since uint64, linger time.Duration) (*Stream, error) {
	s := &Stream{registry: r, source: name, wake: make(chan struct{}, 1)}
	err := r.do(func(now time.Time) error {
		if len(r.commands.streams) >= MaxStreams {
			return &Error{Kind: Full, Detail: "too many streams are open"}
		}
		r.commands.streams[s] = struct{}{}
		if since > 0 {
			for _, d := range r.commands.recent {
				if d.ID > since && s.takes(&d.Command) {
					s.push(d)
				}
			}
		}
		r.sourceUp(now, name, linger)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// MaxStreams bounds the streams that are open at a time.
const MaxStreams = 100

func (s *Stream) takes(c *device.Command) bool { return covers(s.source, SourceOf(c.Device)) }

// covers reports whether a stream of name is one of the source.
func covers(name, source string) bool {
	return name == source || name == "" && Front(source) == "api"
}

// push adds a command. A reader that is too slow is cut off and not waited for.
func (s *Stream) push(d Delivered) {
	if len(s.queue) >= maxQueue {
		s.overrun = true
	} else {
		s.queue = append(s.queue, d)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Ready is readable when Take has something to return.
func (s *Stream) Ready() <-chan struct{} { return s.wake }

// Take returns the commands that have come since the last call, and whether the stream
// goes on: not if it has been closed, or its reader was too slow.
func (s *Stream) Take() (all []Delivered, ok bool) {
	err := s.registry.do(func(time.Time) error {
		all, s.queue = s.queue, nil
		ok = !s.overrun && !s.closed
		return nil
	})
	return all, ok && err == nil
}

// Close closes the stream.
func (s *Stream) Close() {
	r := s.registry
	r.do(func(now time.Time) error {
		if s.closed {
			return nil
		}
		s.closed = true
		delete(r.commands.streams, s)
		r.sourceDown(now, s.source)
		return nil
	})
}

// sourceUp notes that a source is there.
func (r *Registry) sourceUp(now time.Time, name string, linger time.Duration) {
	s := r.sources[name]
	if s == nil {
		s = &source{name: name}
		r.sources[name] = s
	}
	s.streams++
	s.linger, s.ends = linger, time.Time{}
	r.setLost(now, name, false)
}

func (r *Registry) sourceDown(now time.Time, name string) {
	s := r.sources[name]
	if s == nil {
		return
	}
	if s.streams--; s.streams == 0 {
		s.ends = now.Add(s.linger)
	}
}

// endLingering loses the sources that have been away for too long.
func (r *Registry) endLingering(now time.Time) {
	for name, s := range r.sources {
		if !s.ends.IsZero() && !now.Before(s.ends) {
			delete(r.sources, name)
			r.log.Warn("a source of devices is gone", "source", cmp.Or(name, "all at the API"))
			r.setLost(now, name, true)
		}
	}
}

// setLost notes of all devices of a source whether the source is lost.
func (r *Registry) setLost(now time.Time, name string, lost bool) {
	for _, e := range r.entries {
		if !covers(name, e.source()) || e.rec.Gone != nil || lost && r.listens(e.source()) {
			continue
		}
		e.lost = lost
		if !lost {
			e.silent = false
		}
		r.updateReachable(now, e)
	}
}

// Lost notes that a front has lost its source: its devices become unreachable. Found is
// the other way round; devices of which the source has not spoken since stay unreachable
// until it does.
func (r *Registry) Lost(name string) error {
	return r.do(func(now time.Time) error {
		r.setLost(now, name, true)
		return nil
	})
}

// Found notes that a front has its source again.
func (r *Registry) Found(name string) error {
	return r.do(func(now time.Time) error {
		for _, e := range r.entries {
			if e.source() == name && e.rec.Gone == nil {
				e.lost = false
				r.updateReachable(now, e)
			}
		}
		return nil
	})
}

// SetIgnored replaces what a source offers and is not shown.
func (r *Registry) SetIgnored(name string, all []device.Ignored) error {
	return r.do(func(now time.Time) error {
		if len(all) > maxIgnored {
			all = all[:maxIgnored]
		}
		r.ignored[name] = all
		return nil
	})
}

// maxIgnored bounds what is remembered of what a source offers in vain.
const maxIgnored = 5000
