//go:build crash

package crash

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestKill kills the process before and after each call that changes a file or
// syncs one. In short mode it kills the process before every third call, before
// every sync, and after the last call.
func TestKill(t *testing.T) {
	overall(t, "kill", func(t *testing.T, b *base, r *row) error {
		each(slices.Values(b.killPoints()), func(p action) {
			o, err := b.killed(p)
			r.add(t, p.String(), o, err)
		})
		if b.s.changes() && (r.found[before] == 0 || r.found[after] == 0) {
			return fmt.Errorf("%d times the state before and %d times the one after: that shows nothing", r.found[before], r.found[after])
		}
		return nil
	})
}

// killPoints returns where to kill. The point beyond the last call kills the
// process after everything is done.
func (b *base) killPoints() (points []action) {
	if testing.Short() {
		for at := 1; at <= b.calls+1; at++ {
			if at%3 == 1 || at > b.calls || slices.Contains(b.syncs, at) {
				points = append(points, action{kind: killBefore, at: at})
			}
		}
		return points
	}
	for at := 1; at <= b.calls+1; at++ {
		points = append(points, action{kind: killBefore, at: at}, action{kind: killAfter, at: at})
	}
	return points
}

func (a action) String() string {
	return fmt.Sprintf("%s call %d", [...]string{"never", "killed before", "killed after", "failing", "failing from"}[a.kind], a.at)
}

// killed tests one point.
func (b *base) killed(at action) (o outcome, err error) {
	p := &plan{}
	p.set(at)
	o, err = b.play(p)
	if err != nil {
		err = fmt.Errorf("(%s) %w", p.struck(), err)
	}
	return o, err
}

// play runs the scenario under a plan, kills the process at the end at the latest,
// and checks the state.
func (b *base) play(p *plan) (o outcome, err error) {
	a, answered, err := b.run(p)
	defer a.close()
	if err != nil {
		return before, err
	}
	return a.survives(answered)
}

// run is play without the check.
func (b *base) run(p *plan) (a *attempt, answered bool, err error) {
	a, err = b.try(p)
	if err != nil {
		return a, false, err
	}
	answered, err = a.steps()
	if answered {
		a.settled()
	}
	if p.struck() == "" && err != nil {
		return a, false, err // a failure of the test itself
	}
	if p.struck() != "" {
		select {
		case <-a.node.dead:
		case <-time.After(stopLimit):
			return a, false, errors.New("was not killed")
		}
	}
	a.node.kill()
	return a, answered, nil
}

// TestKillTwice kills the process, and then kills the daemon that starts on the
// result, before each of its calls. In short mode there is only one first kill, and
// every third call of the start.
func TestKillTwice(t *testing.T) {
	overall(t, "kill twice", func(t *testing.T, b *base, r *row) error {
		first, last := 1, b.calls
		if testing.Short() {
			first, last = (last+1)/2, (last+1)/2
		}
		each(func(yield func(int) bool) {
			for at := first; at <= last && yield(at); at++ {
			}
		}, func(at int) {
			b.killedTwice(at, func(second int, o outcome, err error) {
				r.add(t, fmt.Sprintf("killed before call %d, and before call %d of the next start", at, second), o, err)
			})
		})
		return nil
	})
}

// killedTwice kills the scenario once, and the following start at every call.
func (b *base) killedTwice(at int, report func(second int, o outcome, err error)) {
	p := &plan{}
	p.set(action{kind: killBefore, at: at})
	a, answered, err := b.run(p)
	defer a.close()
	if err != nil {
		report(0, before, err)
		return
	}
	stride := 1
	if testing.Short() {
		stride = 3
	}
	for second := 1; ; second += stride {
		struck, o, err := a.killedAgain(second, answered)
		report(second, o, err)
		if !struck {
			return
		}
	}
}

// killedAgain starts the daemon on a copy of the state of a killed one and kills it
// at a call. struck reports whether there was such a call.
func (a *attempt) killedAgain(at int, answered bool) (struck bool, o outcome, err error) {
	p := &plan{}
	p.set(action{kind: killBefore, at: at})
	c := *a
	c.client, c.conn, c.plan = nil, nil, p
	c.codes = a.node.codes()
	c.home = filepath.Join(workDir, fmt.Sprintf("%d", attempts.Add(1)))
	defer c.close()
	if err := copyTree(c.home, a.home); err != nil {
		return false, before, err
	}
	p.root = c.home
	p.arm()
	if c.node, err = startNode("run", c.home, p); err != nil {
		return false, before, err
	}
	if err := c.node.serving(); err != nil && !errors.Is(err, errDead) {
		return false, before, err
	}
	c.node.kill()
	if c.s.answered != nil && c.s.process == "" {
		answered = answered || hasPrinted(&c)
	}
	o, err = c.survives(answered)
	if err != nil {
		err = fmt.Errorf("(%s) %w", p.struck(), err)
	}
	return p.struck() != "", o, err
}
