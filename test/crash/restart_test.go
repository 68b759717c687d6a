//go:build crash

package crash

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPowerCutAtRestart kills the daemon around each of its syncs, starts it again,
// and cuts the power while it starts. The disk may then have any part of the writes
// of both processes that no sync has confirmed. In short mode there is one kill of
// one scenario.
func TestPowerCutAtRestart(t *testing.T) {
	running := slices.DeleteFunc(slices.Clone(scenarios), func(s *scenario) bool {
		return s.fromStart || s.fabrics > 2 || testing.Short() && s.name != "UpdateFabricLabel"
	})
	overallOf(t, "power cut at restart", running, func(t *testing.T, b *base, r *row) error {
		if len(b.syncs) == 0 {
			return errors.New("nothing is synced")
		}
		about := map[int]bool{}
		for _, at := range b.syncs {
			about[at], about[max(at-1, 1)] = true, true
		}
		points := slices.Sorted(maps.Keys(about))
		if testing.Short() {
			points = b.syncs[:1]
		}
		for _, at := range points {
			if err := b.cutAtRestart(t, r, at); err != nil {
				return fmt.Errorf("killed before call %d: %w", at, err)
			}
		}
		return nil
	})
}

// cutAtRestart kills the scenario once and tries the states of the following start.
func (b *base) cutAtRestart(t *testing.T, r *row, at int) error {
	p := &plan{keeps: true}
	p.set(action{kind: killBefore, at: at})
	a, answered, err := b.run(p)
	defer a.close()
	if err != nil {
		return err
	}
	before, err := p.recording()
	if err != nil {
		return err
	}
	for _, o := range before {
		if err := p.disk.take(o); err != nil {
			return err
		}
	}
	again := &plan{root: a.home, keeps: true}
	again.arm()
	n, err := startNode("run", a.home, again)
	if err != nil {
		return err
	}
	defer n.kill()
	if err := n.serving(); err != nil {
		return err
	}
	n.kill()
	log, err := again.recording()
	if err != nil {
		return err
	}
	c := cutter{seen: map[known]bool{}, rand: rand.New(rand.NewPCG(3, uint64(at)))}
	each(func(yield func(cut) bool) {
		c.yield = yield
		err = c.during(p.disk, log, promise{a.begun, answered})
	}, func(x cut) {
		o, err := x.opens(a)
		r.add(t, fmt.Sprintf("killed before call %d, %v", at, &x), o, err)
	})
	return err
}

// during yields the states during calls that do not change what is promised.
func (c *cutter) during(d *disk, log []op, p promise) error {
	for i := range log {
		if log[i].kind == syncs || log[i].kind == renames {
			c.cut(d, log[i].String(), p)
		}
		if err := d.take(log[i]); err != nil {
			return err
		}
	}
	c.cut(d, "the end", p)
	return nil
}
