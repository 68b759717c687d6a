package mdns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// queue is the number of packets that may wait for the engine. More wait in the
// kernel, which drops those that do not fit its buffer.
const queue = 16

// readPause is the wait after a socket reported an error.
const readPause = 50 * time.Millisecond

// Options of New. All are required.
type Options struct {
	// Watcher says which interfaces are served. It must not be closed before the
	// Responder.
	Watcher *host.Watcher
	Log     *slog.Logger
	// Rand is crypto/rand.Reader, except in tests.
	Rand io.Reader
}

// Responder announces services and answers questions about them.
type Responder struct {
	log      *slog.Logger
	engine   *engine // used by loop only, as is taken
	taken    uint64  // number of calls of Set that the engine knows of
	watcher  *host.Watcher
	links    follower // used by loop only
	wake     chan struct{}
	closing  chan struct{}
	once     sync.Once
	ended    chan struct{} // closed when loop has returned
	status   atomic.Pointer[Status]
	relinked func() // called when interfaces come, go, or have other addresses

	wanted wanted
	input  input
}

// input receives packets.
type input struct {
	sockets *sockets
	unicast *unicastSockets // used by loop only; nil while another program receives unicast, or no link is in use
	packets chan packet
	free    sync.Pool // of packet buffers
	readers sync.WaitGroup
}

// wanted passes services from Set to the loop.
type wanted struct {
	sync.Mutex
	list *[]Service // nil: no call since the loop took the last list
	set  uint64     // number of calls of Set
}

// New opens the sockets and starts to follow the interfaces. An interface that comes
// later is used, too. Close ends the Responder.
func New(opt Options) (*Responder, error) { return newResponder(opt, func() {}) }

// newResponder is New with a function that is called when interfaces come, go, or have
// other addresses. It must not block.
func newResponder(opt Options, relinked func()) (*Responder, error) {
	if opt.Watcher == nil || opt.Log == nil || opt.Rand == nil {
		panic("BUG: mdns.New without Watcher, Log or Rand")
	}
	var seed [32]byte
	if _, err := io.ReadFull(opt.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("read random octets: %w", err)
	}
	sockets, err := openSockets()
	if err != nil {
		return nil, err
	}
	r := &Responder{
		log:      opt.Log,
		engine:   newEngine(sockets, opt.Log, rand.New(rand.NewChaCha8(seed))),
		watcher:  opt.Watcher,
		wake:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		ended:    make(chan struct{}),
		relinked: relinked,
		input: input{
			sockets: sockets,
			packets: make(chan packet, queue),
			free:    sync.Pool{New: func() any { return new([maxPacket + 1]byte) }},
		},
	}
	changed, cancel := opt.Watcher.Subscribe()
	r.engine.setLinks(time.Now(), r.links.links(opt.Watcher.Interfaces()))
	r.publish()
	r.input.readers.Go(func() { r.read(func(b []byte) (packet, error) { return read6(sockets.v6, b) }) })
	if sockets.v4 != nil {
		r.input.readers.Go(func() { r.read(func(b []byte) (packet, error) { return read4(sockets.v4, b) }) })
	}
	r.followUnicast()
	go r.loop(changed, cancel)
	return r, nil
}

// Set replaces the services that are announced. A new service is announced, and one
// that is no longer among them is withdrawn. A service for which Validate returns an
// error is logged and left out. Set may be called from any goroutine and does not block.
func (r *Responder) Set(services []Service) {
	list := make([]Service, len(services))
	for i, s := range services {
		list[i] = s.clone()
	}
	r.wanted.Lock()
	r.wanted.list = &list
	r.wanted.set++
	r.wanted.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Status returns a snapshot, whose slices must not be changed. It does not block.
func (r *Responder) Status() Status {
	r.wanted.Lock()
	set := r.wanted.set
	r.wanted.Unlock()
	s := *r.status.Load()
	s.Interfaces = slices.Clone(s.Interfaces)
	s.Pending = s.set < set
	s.Stats = r.engine.stats.snapshot()
	return s
}

// Close withdraws all services and ends the Responder. It returns an error if that takes
// longer than ctx. It may be called again.
func (r *Responder) Close(ctx context.Context) error {
	r.once.Do(func() { close(r.closing) })
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the mDNS responder: %w", ctx.Err())
	}
}

// read passes the packets of one socket to the loop.
func (r *Responder) read(next func([]byte) (packet, error)) {
	for {
		buf := r.input.free.Get().(*[maxPacket + 1]byte)
		p, err := next(buf[:])
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// The kernel reports errors of earlier packets here. The pause keeps an
			// error that stays from using all of the processor.
			r.log.Debug("error of an mDNS socket", "error", err)
			select {
			case <-time.After(readPause):
			case <-r.closing:
				return
			}
			continue
		}
		select {
		case r.input.packets <- p:
		case <-r.closing:
			return
		}
	}
}

// loop owns the engine. changed is ready after changes of the interfaces, until cancel
// is called.
func (r *Responder) loop(changed <-chan struct{}, cancel func()) {
	defer close(r.ended)
	defer cancel()
	e := r.engine
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case p := <-r.input.packets:
			concerns := e.receive(time.Now(), p)
			r.input.free.Put((*[maxPacket + 1]byte)(p.data[:maxPacket+1]))
			if !concerns {
				continue
			}
		case <-changed:
			e.setLinks(time.Now(), r.links.links(r.watcher.Interfaces()))
			r.followUnicast()
		case <-r.wake:
			r.take()
		case <-timer.C:
		case <-r.closing:
			r.take() // the last call of Set counts
			e.shutdown(time.Now())
			r.publish()
			r.input.sockets.close()
			if r.input.unicast != nil {
				r.input.unicast.close()
			}
			r.input.readers.Wait()
			return
		}
		now := time.Now()
		e.advance(now)
		if d := e.deadline(); !d.IsZero() {
			timer.Reset(d.Sub(now))
		}
		if e.dirty {
			r.publish()
		}
		if e.relinked {
			e.relinked = false
			r.relinked()
		}
	}
}

// take passes the services of the last Set to the engine.
func (r *Responder) take() {
	r.wanted.Lock()
	list := r.wanted.list
	r.wanted.list, r.taken = nil, r.wanted.set
	r.wanted.Unlock()
	if list != nil {
		r.engine.setServices(time.Now(), *list)
	}
}

// publish stores a snapshot of the engine's state.
func (r *Responder) publish() {
	s := r.engine.status()
	s.set = r.taken
	r.engine.dirty = false
	r.status.Store(&s)
}
