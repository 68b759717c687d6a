//go:build crash

package crash

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/store"
)

// TestPowerCut records the calls of a run, and opens every state of the disk that
// is possible after a power cut: with writes since the last sync dropped, torn
// between sectors, and reordered.
func TestPowerCut(t *testing.T) {
	overall(t, "power cut", func(t *testing.T, b *base, r *row) error {
		a, _, err := b.run(&plan{keeps: true})
		defer a.close()
		if err == nil {
			_, err = a.plan.recording()
		}
		if err != nil {
			return fmt.Errorf("recording: %w", err)
		}
		c := cutter{seen: map[known]bool{}, rand: rand.New(rand.NewPCG(1, 2))}
		each(func(yield func(cut) bool) {
			c.yield = yield
			err = c.all(a)
		}, func(x cut) {
			o, err := x.opens(a)
			r.add(t, x.String(), o, err)
		})
		return err
	})
}

// answerAt returns the position of the answer in the log. What it promised must
// survive a later cut.
func (a *attempt) answerAt() int {
	log := a.plan.log
	for i := a.plan.end - 1; i >= 0; i-- {
		if k := log[i].kind; a.s.answered != nil && k == prints || a.s.answered == nil && (k == sends || k == replies) {
			return i
		}
	}
	return len(log)
}

// cut is one possible state of the disk after a power cut.
type cut struct {
	*image
	at   string // the next call
	what string // what happened to the writes
	promise
}

func (c *cut) String() string { return fmt.Sprintf("power cut before %s, %s", c.at, c.what) }

// opens creates the state, reads it without changes, and then opens it as a start
// does.
func (c *cut) opens(a *attempt) (outcome, error) {
	home := filepath.Join(workDir, fmt.Sprintf("cut%d", attempts.Add(1)))
	defer os.RemoveAll(home)
	if err := c.write(home); err != nil {
		return before, err
	}
	dir := filepath.Join(home, stateName)
	s, err := readState(dir, store.Options{ReadOnly: true}) // as store check does
	if err != nil {
		return before, err
	}
	which, err := a.judge(&s, c.promise)
	if err == nil {
		err = a.hasKept(dir, which)
	}
	if err != nil {
		return which, err
	}
	left, err := readState(dir, store.Options{}) // as a start does
	if err != nil {
		return which, err
	}
	if s.schema != 0 {
		s.schema = store.SchemaVersion
	}
	return which, left.is(&s)
}

// cutter creates the states of a recorded run.
type cutter struct {
	seen  map[known]bool
	yield func(cut) bool
	rand  *rand.Rand
}

// all yields the states. It cuts before every call that makes something durable or
// renames a file, after the answer, and at the end. Earlier cuts would give no
// further states.
func (c *cutter) all(a *attempt) error {
	d, log := a.plan.disk, a.plan.log
	answer := a.answerAt()
	for i := range log {
		if i >= a.plan.start && (log[i].kind == syncs || log[i].kind == renames || i == answer+1) {
			c.cut(d, log[i].String(), promise{i >= a.plan.last, i > answer})
		}
		if err := d.take(log[i]); err != nil {
			return err
		}
	}
	c.cut(d, "the end", promise{true, len(log) > answer})
	return nil
}

// cut adds the states that are possible now.
func (c *cutter) cut(d *disk, at string, p promise) {
	files := map[uint64][]variant[[]byte]{}
	for ino, f := range d.files {
		if len(f.pending) > 0 {
			files[ino] = c.contents(f)
		}
	}
	dirs := map[string][]variant[map[string]uint64]{}
	for path, x := range d.dirs {
		if len(x.pending) > 0 {
			dirs[path] = c.names(x)
		}
	}
	add := func(what string, content map[uint64][]byte, names map[string]map[string]uint64) {
		c.add(cut{image: d.image(content, names), at: at, what: what, promise: p})
	}
	for _, rest := range []bool{false, true} { // of the others: none, or all
		content, names := map[uint64][]byte{}, map[string]map[string]uint64{}
		if rest {
			for ino, v := range files {
				content[ino] = v[len(v)-1].value
			}
			for path, v := range dirs {
				names[path] = v[len(v)-1].value
			}
		}
		add("nothing or all of it", content, names)
		for _, ino := range slices.Sorted(maps.Keys(files)) {
			one := maps.Clone(content)
			for _, v := range files[ino] {
				one[ino] = v.value
				add(v.what, one, names)
			}
		}
		for _, path := range slices.Sorted(maps.Keys(dirs)) {
			one := maps.Clone(names)
			for _, v := range dirs[path] {
				one[path] = v.value
				add(v.what, content, one)
			}
		}
	}
	if len(files)+len(dirs) < 2 {
		return
	}
	for range 6 * c.random() {
		content, names := map[uint64][]byte{}, map[string]map[string]uint64{}
		what := "together"
		for _, ino := range slices.Sorted(maps.Keys(files)) {
			v := files[ino][c.rand.IntN(len(files[ino]))]
			content[ino] = v.value
			what += ", " + v.what
		}
		for _, path := range slices.Sorted(maps.Keys(dirs)) {
			v := dirs[path][c.rand.IntN(len(dirs[path]))]
			names[path] = v.value
			what += ", " + v.what
		}
		add(what, content, names)
	}
}

// known identifies a state and its promise.
type known struct {
	sum uint64
	promise
}

// add yields a state unless it was seen with the same promise.
func (c *cutter) add(x cut) {
	k := known{x.sum(), x.promise}
	if !c.seen[k] {
		c.seen[k] = true
		c.yield(x)
	}
}
