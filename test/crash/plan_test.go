//go:build crash

package crash

import (
	"sync"

	"golang.org/x/sys/unix"
)

// verdict is what happens to a call, and to the process.
type verdict uint8

const (
	lives verdict = iota
	dies          // the process gets SIGKILL; a call that has not begun does not happen
	fails         // the call does not happen and returns an error
)

// strike is how a plan interferes.
type strike uint8

const (
	never strike = iota
	killBefore
	killAfter
	failOnce
	failFrom // also every later call
)

// action is what a plan does at a call, counted from 1.
type action struct {
	kind  strike
	at    int
	errno unix.Errno // of the failing calls
}

// plan decides about the calls of one process. It is shared with the thread that
// traces the process.
type plan struct {
	root string // of the relevant files

	mu     sync.Mutex
	action action
	armed  bool
	calls  int    // while armed
	hit    string // the call that it disturbed
	sent   int    // number of datagrams that were sent, or are about to be
	keeps  bool   // record the calls
	disk   *disk  // state before the first call
	log    []op
	err    error // of recording
	start  int   // length of log when it was armed
	last   int   // when the last step began
	end    int   // when it was done
}

func (p *plan) set(a action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.action = a
}

// arm starts counting; further calls have no effect.
func (p *plan) arm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.start = true, len(p.log)
}

// disarm lets all later calls happen.
func (p *plan) disarm() { p.set(action{}) }

func (p *plan) errno() unix.Errno {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.action.errno
}

// struck returns the first call that the plan has disturbed, or "".
func (p *plan) struck() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hit
}

func (p *plan) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *plan) datagrams() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

func (p *plan) classify(pid int, number uint64, args [6]uint64) *call {
	return classify(pid, p.root, number, args)
}

// enter decides about a call before it happens.
func (p *plan) enter(c *call) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.kind.counted() {
		// This is recorded before the call happens: its receiver may continue
		// before it returns.
		if c.kind == sends {
			p.sent++
		}
		if p.keeps {
			p.log = append(p.log, op{kind: c.kind})
		}
		return lives
	}
	if !p.armed {
		return lives
	}
	p.calls++
	a := p.action
	switch {
	case a.kind == killBefore && p.calls == a.at:
		p.hit = "before " + c.String()
		return dies
	case a.kind == failOnce && p.calls == a.at, a.kind == failFrom && p.calls >= a.at:
		if p.hit == "" {
			p.hit = c.String()
		}
		return fails
	}
	return lives
}

// leave is called when a call has returned.
func (p *plan) leave(pid int, c *call, result int64) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keeps && c.kind.counted() && result >= 0 && p.err == nil {
		var o op
		if o, p.err = c.record(pid, result); p.err == nil {
			o.number = p.calls
			p.log = append(p.log, o)
		}
	}
	if p.armed && c.kind.counted() && p.action.kind == killAfter && p.calls == p.action.at {
		p.hit = "after " + c.String()
		return dies
	}
	return lives
}

// lastStep records that the last step begins.
func (p *plan) lastStep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = len(p.log)
}

// finished records that the last step was answered by now.
func (p *plan) finished() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = len(p.log)
}

// recording returns the recorded calls.
func (p *plan) recording() ([]op, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log, p.err
}
