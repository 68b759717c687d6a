package bridge

import (
	"cmp"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// source is a source that is present, or was a moment ago.
type source struct {
	name    string
	streams int
	linger  time.Duration
	ends    time.Time // when it counts as lost; zero: it is present
}

// DefaultLinger is how long a source stays present without a stream.
const DefaultLinger = 30 * time.Second

// Stream is a connection on which a source receives commands. With an empty source
// it receives those of all.
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

// maxQueue limits the commands that wait for a slow reader of a stream.
const maxQueue = 1000

// Open opens a stream of the commands for the devices of a source. With an empty
// name it is for all sources at the local API. It begins with the remembered
// commands after number since; 0: none. linger is how long the source's devices
// stay reachable after the end of its last stream.
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

// MaxStreams is the number of streams that may be open.
const MaxStreams = 100

func (s *Stream) takes(c *device.Command) bool { return covers(s.source, SourceOf(c.Device)) }

// covers reports whether a stream of name includes the source.
func covers(name, source string) bool {
	return name == source || name == "" && Front(source) == "api"
}

// push adds a command. A reader that is too slow is disconnected.
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

// Ready returns a channel that is readable when Take has something to return.
func (s *Stream) Ready() <-chan struct{} { return s.wake }

// Take returns the commands since the last call, and whether the stream continues.
// It does not if it was closed or its reader was too slow.
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

// sourceUp records that a source is present.
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

// endLingering handles the sources that have been absent for too long.
func (r *Registry) endLingering(now time.Time) {
	for name, s := range r.sources {
		if !s.ends.IsZero() && !now.Before(s.ends) {
			delete(r.sources, name)
			r.log.Warn("a source of devices is gone", "source", cmp.Or(name, "all of the API"))
			r.setLost(now, name, true)
		}
	}
}

// setLost sets whether the source of its devices is lost.
func (r *Registry) setLost(now time.Time, name string, lost bool) {
	for _, e := range r.entries {
		if !covers(name, e.source()) || e.rec.Gone != nil || lost && r.streams(e.source()) {
			continue
		}
		e.lost = lost
		if !lost {
			e.silent = false
		}
		r.updateReachable(now, e)
	}
}

// Lost reports that a front has lost its source. The source's devices become
// unreachable, whether the front still receives commands or not. Found is the opposite.
// Devices about which the source has not reported since stay unreachable until it does.
func (r *Registry) Lost(name string) error {
	return r.do(func(now time.Time) error {
		r.setLost(now, name, true)
		return nil
	})
}

// Found reports that a front has its source again.
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

// SetIgnored replaces the list of what a source offers and is not shown.
func (r *Registry) SetIgnored(name string, all []device.Ignored) error {
	return r.do(func(now time.Time) error {
		if len(all) > maxIgnored {
			all = all[:maxIgnored]
		}
		r.ignored[name] = all
		return nil
	})
}

// maxIgnored limits that list.
const maxIgnored = 5000
