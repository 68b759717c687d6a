package mqtt

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/homeassistant"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
	"github.com/opcredsd/opcredsd/pkg/mqtt/tasmota"
	"github.com/opcredsd/opcredsd/pkg/mqtt/zigbee2mqtt"
)

// Options select what is read.
type Options struct {
	Link link.Options

	Zigbee2MQTT []string // base topics; empty: off
	Discovery   string   // prefix of Home Assistant's discovery; empty: off
	Tasmota     string   // topic of Tasmota's discovery; empty: off
	// Birth publishes "online" to the status topic of Discovery after each connect.
	// Publishers that wait for Home Assistant then send everything again.
	Birth bool
	// Own are devices that the operator describes.
	Own homeassistant.Own
	Log *slog.Logger
}

// Registry is the part of the bridge that the front uses.
type Registry interface {
	PutAll([]device.Device) []error
	Remove(id string, now bool) error
	IDs(source string) ([]string, error)
	Report(id, part string, v device.Values) error
	Battery(id string, b device.Battery) error
	Reachable(id string, reachable bool) error
	Away(id string) error
	Event(id, part string, g device.Gesture) error
	SetIgnored(source string, all []device.Ignored) error
	Lost(source string) error
	Found(source string) error
	Handle(source string, f func(device.Command)) error
	Device(id string) (bridge.View, error)
}

// Bounds and times of the front.
const (
	maxCommands  = 1000             // commands that wait for the front
	lostAfter    = 10 * time.Second // a shorter interruption is not reported
	ignoredEvery = time.Second      // between reports of what is not shown
)

// Front is the MQTT side of a bridge.
type Front struct {
	o   Options
	log *slog.Logger

	link     atomic.Pointer[link.Link]
	own      chan homeassistant.Own // the operator's latest descriptions
	failures failures
	sources  []string
}

// Check returns an error if an option is invalid.
func (o *Options) Check() error {
	for _, topic := range append([]string{cmp.Or(o.Tasmota, "x"), cmp.Or(o.Discovery, "x")}, o.Zigbee2MQTT...) {
		if !reader.PublishableTopic(topic) {
			return fmt.Errorf("%q is no topic that devices can be below", topic)
		}
	}
	if err := o.Own.Check(); err != nil {
		return fmt.Errorf("the operator's devices: %w", err)
	}
	_, err := link.New(o.Link)
	return err
}

// SetOwn replaces the operator's descriptions. If it returns an error, which names
// what cannot be shown, nothing was changed.
func (f *Front) SetOwn(own homeassistant.Own) error {
	if err := own.Check(); err != nil {
		return fmt.Errorf("the operator's devices: %w", err)
	}
	for {
		select {
		case f.own <- own:
			return nil
		case <-f.own: // not yet received by Run
		}
	}
}

// New returns a front.
func New(o Options) (*Front, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	f := &Front{o: o, log: o.Log, own: make(chan homeassistant.Own, 1), failures: failures{counts: map[string]uint64{}}}
	for _, reason := range failureReasons {
		f.failures.counts[reason] = 0
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.o.Link.Log = f.log
	for _, s := range []struct {
		name string
		on   bool
	}{{zigbee2mqtt.Source, len(o.Zigbee2MQTT) > 0}, {tasmota.Source, o.Tasmota != ""}, {homeassistant.Source, o.Discovery != ""}, {homeassistant.OwnSource, true}} {
		if s.on {
			f.sources = append(f.sources, s.name)
		}
	}
	return f, nil
}

// Name is the name of the front, for the log.
func (f *Front) Name() string { return "mqtt" }

// Stats returns the counters of the connection, and the number of failed messages
// by reason.
func (f *Front) Stats() (link.Stats, map[string]uint64) {
	if l := f.link.Load(); l != nil {
		return l.Stats(), f.failures.get()
	}
	return link.Stats{}, f.failures.get()
}

// Status returns the state of the connection.
func (f *Front) Status() link.Status {
	if l := f.link.Load(); l != nil {
		return l.Status()
	}
	return link.Status{}
}

// Run serves the front until ctx ends.
func (f *Front) Run(ctx context.Context, r *bridge.Registry) error { return f.run(ctx, r) }

func (f *Front) run(ctx context.Context, r Registry) error {
	l, err := link.New(f.o.Link)
	if err != nil {
		return err
	}
	f.link.Store(l)
	ctx, cancel := context.WithCancel(ctx)
	var linked sync.WaitGroup
	linked.Go(func() {
		if err := l.Run(ctx); err != nil {
			f.log.Error("the connection to the MQTT broker ended", "error", err)
			cancel()
		}
	})
	defer linked.Wait()
	defer cancel()
	w := &worker{front: f, link: l, registry: r, log: f.log, commands: make(chan device.Command, maxCommands)}
	w.listen(false) // until there is a connection
	defer w.listen(false)
	w.begin()
	for ctx.Err() == nil {
		w.turn(ctx)
	}
	return nil
}

// worker is one run of the front.
type worker struct {
	front    *Front
	link     *link.Link
	registry Registry
	log      *slog.Logger
	commands chan device.Command

	sinks []*sink // one per reader

	downAt time.Time // when the connection was lost; zero: it is up, or the loss was reported
	lost   bool      // the loss was reported
}

// listen sets whether commands are taken. Without a connection they fail at once: one that
// is sent late is no longer wanted.
func (w *worker) listen(on bool) {
	var f func(device.Command)
	if on {
		f = w.take
	}
	for _, source := range w.front.sources {
		w.check(w.registry.Handle(source, f))
	}
}

// begin creates the readers.
func (w *worker) begin() {
	readers := Readers(w.front.o, func(source string) reader.Sink { return w.sink(source) }, w.known)
	for i, r := range readers {
		w.sinks[i].reader = r
		w.link.Subscribe(r.Subscriptions()...)
	}
	w.define(w.front.o.Own)
}

// define passes the operator's descriptions to their reader.
func (w *worker) define(own homeassistant.Own) {
	for _, s := range w.sinks {
		if r, ok := s.reader.(*homeassistant.Reader); ok && s.source == homeassistant.OwnSource {
			r.Define(time.Now(), own)
		}
	}
}

// known returns the description of a device that the bridge has.
func (w *worker) known(id string) (device.Device, bool) {
	v, err := w.registry.Device(id)
	if err != nil {
		return device.Device{}, false
	}
	d := v.Device
	d.Parts = nil
	for _, p := range v.Parts {
		d.Parts = append(d.Parts, p.Part)
	}
	return d, true
}

// take queues a command. It is called by the node's goroutine.
func (w *worker) take(c device.Command) {
	select {
	case w.commands <- c:
	default:
		w.front.failures.add("command_queue")
	}
}

// turn waits for the next event and handles it.
func (w *worker) turn(ctx context.Context) {
	timer := time.NewTimer(w.wait(time.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-w.link.Ready():
		for _, e := range w.link.Take() {
			w.guard(e.Message.Topic, func() { w.event(e) })
		}
	case own := <-w.front.own:
		w.guard("", func() { w.define(own) })
	case c := <-w.commands:
		w.guard(c.Device, func() { w.command(c) })
	case <-timer.C:
		w.guard("", func() { w.advance(time.Now()) })
	}
	for _, s := range w.sinks {
		w.guard("", s.flush)
	}
}

// guard runs f. It recovers from a panic and logs it, so that only what f was about
// is lost.
func (w *worker) guard(about string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			w.front.failures.add("panic")
			w.log.Error("a message could not be handled", "about", about, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// wait returns the time until the next deadline.
func (w *worker) wait(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if !w.downAt.IsZero() {
		sooner(w.downAt.Add(lostAfter))
	}
	for _, s := range w.sinks {
		sooner(s.reader.Deadline())
		sooner(s.ignoredAt)
	}
	return max(0, next.Sub(now))
}

func (w *worker) event(e link.Event) {
	now := time.Now()
	switch e.Kind {
	case link.Up:
		w.downAt = time.Time{}
		w.listen(true)
		for _, s := range w.sinks {
			s.reader.Up()
		}
	case link.Settled:
		for _, s := range w.sinks {
			s.reader.Settled(now)
			s.flush()
		}
		w.found()
		if w.front.o.Birth && w.front.o.Discovery != "" {
			if err := w.link.Publish(link.Publish{Topic: w.front.o.Discovery + "/status", Payload: []byte("online")}); err != nil {
				w.log.Warn("the birth message was not sent", "error", err)
			}
		}
	case link.Down:
		w.downAt = now
		w.listen(false)
	case link.Received:
		for _, s := range w.sinks {
			s.reader.Message(now, e.Message)
		}
	}
}

// found reports that the broker is back, if its loss was reported.
func (w *worker) found() {
	if !w.lost {
		return
	}
	w.lost = false
	for _, source := range w.front.sources {
		w.check(w.registry.Found(source))
	}
}

func (w *worker) advance(now time.Time) {
	if !w.downAt.IsZero() && now.Sub(w.downAt) >= lostAfter {
		w.downAt, w.lost = time.Time{}, true
		for _, source := range w.front.sources {
			w.check(w.registry.Lost(source))
		}
	}
	for _, s := range w.sinks {
		if at := s.reader.Deadline(); !at.IsZero() && !now.Before(at) {
			s.reader.Advance(now)
		}
	}
}

func (w *worker) command(c device.Command) {
	for _, s := range w.sinks {
		if s.reader.Owns(c.Device) {
			if err := s.reader.Command(time.Now(), c); err != nil {
				w.front.failures.add("command")
				w.log.Debug("a command was not sent", "device", c.Device, "part", c.Part, "error", err)
			}
			return
		}
	}
}

// check logs an error of the registry. The only error that is expected is that the
// node has ended.
func (w *worker) check(err error) {
	if err != nil {
		w.log.Debug("the bridge rejected a report", "error", err)
	}
}

// failureReasons are the reasons why messages and commands fail, besides those of
// the link.
var failureReasons = []string{"json", "schema", "entry", "template", "value", "command", "command_queue", "ignored", "panic"}

// failures counts what could not be read or done, by reason. The set of reasons is
// fixed.
type failures struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (f *failures) add(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[reason]++
}

func (f *failures) get() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]uint64, len(f.counts))
	for k, n := range f.counts {
		out[k] = n
	}
	return out
}
