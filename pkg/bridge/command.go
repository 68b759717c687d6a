package bridge

import (
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	// gatherCommands is how long the changes of a part are collected into one
	// command.
	gatherCommands = 25 * time.Millisecond

	// confirmTime is how long a requested value is shown without a confirmation by
	// the source.
	confirmTime = 5 * time.Second

	// rememberedCommands is the number of commands that an interrupted stream can
	// get again.
	rememberedCommands = 1000
)

// target is a part of a device.
type target struct{ device, part string }

// commands holds the commands in transit from controllers to sources.
type commands struct {
	last      uint64 // number of the last one
	streams   map[*Stream]struct{}
	recent    []Delivered
	gathering map[target]*gathered
	waiting   map[target]*awaited
	handlers  map[string]func(device.Command) // of the daemon's own fronts, by source; nil: commands fail
}

// gathered is a command that is being collected.
type gathered struct {
	command device.Command
	due     time.Time
}

// awaited is a command whose confirmation by the source is awaited.
type awaited struct {
	want     device.Values
	older    map[string][]device.Value // what was wanted before want, and not confirmed
	answered map[string]bool
	sent     time.Time
	until    time.Time
}

func (c *commands) init() {
	c.streams = map[*Stream]struct{}{}
	c.gathering = map[target]*gathered{}
	c.waiting = map[target]*awaited{}
	c.handlers = map[string]func(device.Command){}
}

// Handle sets the function that receives the commands for the devices of a front's
// source. f is called on the node's goroutine and must not block. Before Handle, and
// after it was called with nil, commands fail at once. A front calls it when it starts: from
// then on the statistics contain its source.
func (r *Registry) Handle(name string, f func(device.Command)) error {
	return r.do(func(now time.Time) error {
		r.commands.handlers[name] = f
		return nil
	})
}

// sender returns the function that receives the commands for the endpoints of a
// device.
func (r *Registry) sender(e *entry) device.Send {
	return func(now time.Time, c device.Command) error {
		if !e.canBeReached() || !r.listens(e.source()) {
			r.counts.command(e.source(), resultFailed)
			return matter.StatusFailure
		}
		r.gather(now, c)
		return nil
	}
}

// Identify makes a device identify itself for a number of seconds, at the
// operator's request. The error is an [*Error].
func (r *Registry) Identify(id string, seconds int) error {
	if seconds < 0 || seconds > math.MaxUint16 {
		return invalid("/seconds", "seconds: %d is not between 0 and %d", seconds, math.MaxUint16)
	}
	return r.do(func(now time.Time) error {
		e := r.entries[id]
		switch {
		case e == nil || e.rec.Gone != nil:
			return notFound(id)
		case !e.canBeReached() || !r.listens(e.source()):
			return &Error{Kind: Conflict, Detail: "device " + id + " cannot be reached"}
		}
		r.send(now, device.Command{Device: id, Part: e.rec.Device.Parts[0].ID, Do: device.Identify, Seconds: seconds})
		return nil
	})
}

// listens reports whether somebody receives the commands of a source.
func (r *Registry) listens(name string) bool {
	return r.commands.handlers[name] != nil || r.streams(name)
}

// streams reports whether a stream receives the commands of a source.
func (r *Registry) streams(name string) bool {
	return r.sources[name] != nil || r.sources[""] != nil && covers("", name)
}

// gather adds a command. Requests for a part within a short time become one
// command, in which the newest of the same kind replaces earlier ones.
func (r *Registry) gather(now time.Time, c device.Command) {
	t := target{c.Device, c.Part}
	g := r.commands.gathering[t]
	if c.Do != "" {
		if g != nil {
			r.deliver(now, t, g)
		}
		r.send(now, c)
		return
	}
	if g == nil {
		r.commands.gathering[t] = &gathered{command: c, due: now.Add(gatherCommands)}
		return
	}
	r.replace(t, g.command.Set, c.Set)
	if c.Transition != nil {
		g.command.Transition = c.Transition
	}
	g.command.Fabric, g.command.Node = c.Fabric, c.Node
}

// deliver sends the collected command and waits for the source's confirmation.
func (r *Registry) deliver(now time.Time, t target, g *gathered) {
	delete(r.commands.gathering, t)
	r.send(now, g.command)
	a := r.commands.waiting[t]
	if a == nil {
		a = &awaited{want: device.Values{}, older: map[string][]device.Value{}, answered: map[string]bool{}}
		r.commands.waiting[t] = a
	}
	for name := range g.command.Set {
		if was, ok := a.want[name]; ok && len(a.older[name]) < echoes {
			a.older[name] = append(a.older[name], was)
		}
		delete(a.answered, name)
	}
	r.replace(t, a.want, g.command.Set)
	a.sent, a.until = now, now.Add(r.patience(t, g.command.Set))
	if d := g.command.Transition; d != nil {
		a.until = a.until.Add(*d)
	}
}

// replace adds newer requests to earlier ones. It removes requests that express the
// same in another way, so that a color is one of those requested and never a
// mixture. It also removes requests that no longer make sense: many lamps switch on
// if they get a brightness.
func (r *Registry) replace(t target, wishes, newer device.Values) {
	off := newer["on"] == device.Bool(false)
	groups := r.groups(t, maps.Keys(newer))
	maps.DeleteFunc(wishes, func(name string, _ device.Value) bool {
		p := r.property(t, name)
		return p != nil && (groups[p.Group] || off && p.OnlyOn)
	})
	maps.Copy(wishes, newer)
}

// echoes bounds how many older wishes for a property are remembered.
const echoes = 64

// news returns the values of a report that are shown. Others are older than what a
// controller wants: the wish is not sent yet, or they are the echo of a wish before it.
// They are what the wish is taken back to.
func (r *Registry) news(t target, v device.Values) device.Values {
	g, a := r.commands.gathering[t], r.commands.waiting[t]
	if g == nil && a == nil {
		return v
	}
	var groups map[string]bool
	if g != nil {
		groups = r.groups(t, maps.Keys(g.command.Set))
	}
	shown := maps.Clone(v)
	maps.DeleteFunc(shown, func(name string, is device.Value) bool {
		if g != nil {
			_, wished := g.command.Set[name]
			if p := r.property(t, name); wished || p != nil && groups[p.Group] {
				return true
			}
		}
		return a != nil && a.want[name] != is && slices.Contains(a.older[name], is)
	})
	return shown
}

// groups returns the groups that properties of a part belong to. The empty group is never
// among them.
func (r *Registry) groups(t target, names iter.Seq[string]) map[string]bool {
	groups := map[string]bool{}
	for name := range names {
		if p := r.property(t, name); p != nil && p.Group != "" {
			groups[p.Group] = true
		}
	}
	return groups
}

// property returns a property of a part, or nil.
func (r *Registry) property(t target, name string) *device.Property {
	if e := r.entries[t.device]; e != nil {
		if n := e.node(t.part); n != nil {
			return n.Property(name)
		}
	}
	return nil
}

// patience returns how long the source may take to confirm the values.
func (r *Registry) patience(t target, set device.Values) time.Duration {
	most := confirmTime
	for name := range set {
		if p := r.property(t, name); p != nil {
			most = max(most, p.Slow)
		}
	}
	return most
}

// send passes a command to its receiver.
func (r *Registry) send(now time.Time, c device.Command) {
	r.commands.last++
	d := Delivered{ID: r.commands.last, Command: c}
	if len(r.commands.recent) >= rememberedCommands {
		r.commands.recent = append(r.commands.recent[:0], r.commands.recent[1:]...)
	}
	r.commands.recent = append(r.commands.recent, d)
	for s := range r.commands.streams {
		if s.takes(&c) {
			s.push(d)
		}
	}
	if f := r.commands.handlers[SourceOf(c.Device)]; f != nil {
		f(c)
	}
	r.notifyCommand(now, c)
}

func (c *commands) deadline() (first time.Time) {
	for _, g := range c.gathering {
		if first.IsZero() || g.due.Before(first) {
			first = g.due
		}
	}
	for _, a := range c.waiting {
		if first.IsZero() || a.until.Before(first) {
			first = a.until
		}
	}
	return first
}

func (c *commands) advance(now time.Time, r *Registry) {
	for t, g := range c.gathering {
		if !now.Before(g.due) {
			r.deliver(now, t, g)
		}
	}
	for t, a := range c.waiting {
		if !now.Before(a.until) {
			delete(c.waiting, t)
			r.takeBack(now, t, a)
		}
	}
}

// takeBack shows the values that the source reported last, if it has not confirmed
// the requested ones.
func (r *Registry) takeBack(now time.Time, t target, a *awaited) {
	e, n, err := r.part(t.device, t.part)
	if err != nil {
		return
	}
	back := device.Values{}
	state := e.part(n.Key).State
	var unanswered []string
	for name := range a.want {
		if a.answered[name] {
			continue
		}
		unanswered = append(unanswered, name)
		if v, ok := state[name]; ok {
			back[name] = v
		}
	}
	groups := r.groups(t, slices.Values(unanswered))
	for name, v := range state { // a color is reverted as a whole
		if p := r.property(t, name); p != nil && groups[p.Group] {
			back[name] = v
		}
	}
	r.counts.command(e.source(), resultReverted)
	r.log.Info("a device did not carry out a command", "device", t.device, "part", t.part)
	if len(back) > 0 {
		if err := n.Report(now, back); err != nil {
			r.log.Warn("a value is not reset", "device", t.device, "part", t.part, "error", err)
		}
		r.node.Touch(e.rec.Endpoints[n.Key].Number)
	}
	r.notify(now, e)
}

// reported records which requested values the source has confirmed.
func (c *commands) reported(now time.Time, r *Registry, e *entry, part string, v device.Values) {
	t := target{e.id, part}
	a := c.waiting[t]
	if a == nil {
		return
	}
	for name, is := range v {
		if want, ok := a.want[name]; ok {
			a.answered[name] = true
			if agrees(want, is) {
				delete(a.want, name)
			}
		}
	}
	if len(a.want) == 0 {
		delete(c.waiting, t)
		r.counts.command(e.source(), resultConfirmed)
		r.counts.confirmed(now.Sub(a.sent))
	}
}

// agrees reports whether a value is the requested one, except for rounding by the
// source: scales with 254 steps or whole mireds.
func agrees(want, is device.Value) bool {
	w, ok1 := want.Number()
	i, ok2 := is.Number()
	if !ok1 || !ok2 {
		return want == is
	}
	return math.Abs(w-i) <= max(1, math.Abs(w)*0.02)
}

// forget removes the commands for a device.
func (c *commands) forget(id string) {
	maps.DeleteFunc(c.gathering, func(t target, _ *gathered) bool { return t.device == id })
	maps.DeleteFunc(c.waiting, func(t target, _ *awaited) bool { return t.device == id })
}
