//go:build crash

package crash

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// variant is a possible state of a file, or of the names in a directory. The first
// in a list has no pending change, and the last has all.
type variant[T any] struct {
	value T
	what  string
}

// allSubsets is the number of pending changes up to which all combinations are
// tried. Beyond that only some are.
const allSubsets = 8

// subsets returns sets of n things: none, ..., all.
func (c *cutter) subsets(n int) (sets [][]bool) {
	of := func(has func(i int) bool) {
		set := make([]bool, n)
		for i := range set {
			set[i] = has(i)
		}
		sets = append(sets, set)
	}
	if n <= allSubsets {
		for bits := range 1 << n {
			of(func(i int) bool { return bits>>i&1 != 0 })
		}
		return sets
	}
	of(func(int) bool { return false })
	for k := range n {
		of(func(i int) bool { return i < k })
		of(func(i int) bool { return i > k })
		of(func(i int) bool { return i == k })
		of(func(i int) bool { return i != k })
	}
	for range 1 << allSubsets {
		of(func(int) bool { return c.rand.IntN(2) == 0 })
	}
	of(func(int) bool { return true })
	return sets
}

func (c *cutter) names(d *dir) (list []variant[map[string]uint64]) {
	for _, set := range c.subsets(len(d.pending)) {
		list = append(list, variant[map[string]uint64]{d.with(set), "names changed: " + chosen(set)})
	}
	return list
}

func chosen(set []bool) string {
	s := make([]byte, len(set))
	for i, yes := range set {
		if s[i] = '-'; yes {
			s[i] = '+'
		}
	}
	return string(s)
}

// contents returns the possible contents of a file.
func (c *cutter) contents(f *file) (list []variant[[]byte]) {
	add := func(data []byte, format string, args ...any) {
		list = append(list, variant[[]byte]{data, fmt.Sprintf(format, args...)})
	}
	sets := c.subsets(len(f.pending))
	for _, set := range sets[:len(sets)-1] {
		add(f.with(set, nil), "written: %s", chosen(set))
	}
	for i := range f.pending {
		if f.pending[i].kind == writes {
			c.torn(f, i, add)
		}
	}
	c.reordered(f, add)
	all := sets[len(sets)-1]
	add(f.with(all, nil), "written: %s", chosen(all))
	return list
}

// with returns the content after the pending changes selected by keep, in the given
// order; in the original order if order is nil.
func (f *file) with(keep []bool, order []int) []byte {
	data := slices.Clone(f.durable)
	for n := range f.pending {
		i := n
		if order != nil {
			i = order[n]
		}
		if keep[i] {
			data = f.pending[i].apply(data)
		}
	}
	return data
}

// torn adds the contents if one write is torn, and none of the others, the earlier
// ones, or all have reached the disk.
func (c *cutter) torn(f *file, which int, add func([]byte, string, ...any)) {
	o := &f.pending[which]
	sectors := (len(o.data) + sector - 1) / sector
	tears := map[string]func(int) bool{}
	for k := range sectors {
		if testing.Short() && k > 1 && k != sectors/2 && k != sectors-1 {
			continue
		}
		tears[fmt.Sprintf("first %d", k)] = func(i int) bool { return i < k }
		tears[fmt.Sprintf("last %d", k)] = func(i int) bool { return i >= sectors-k }
	}
	for n := range c.random() {
		mask := make([]bool, sectors)
		for i := range mask {
			mask[i] = c.rand.IntN(2) == 0
		}
		tears[fmt.Sprintf("random %d", n)] = func(i int) bool { return mask[i] }
	}
	others := map[string]func(int) bool{
		"no other":     func(int) bool { return false },
		"those before": func(i int) bool { return i < which },
		"all others":   func(int) bool { return true },
	}
	for _, other := range slices.Sorted(maps.Keys(others)) {
		for _, tear := range slices.Sorted(maps.Keys(tears)) {
			for lost, garbage := range [][]byte{nil, c.garbage(len(o.data))} {
				data := slices.Clone(f.durable)
				for i := range f.pending {
					switch {
					case i == which:
						data = o.tear(data, tears[tear], garbage)
					case others[other](i):
						data = f.pending[i].apply(data)
					}
				}
				add(data, "torn: write %d, %s of %d sectors, the rest %s, %s", which+1, tear, sectors, [...]string{"old", "garbage"}[lost], other)
			}
		}
	}
}

// garbage returns possible content of flash where a write was interrupted.
func (c *cutter) garbage(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(c.rand.Uint32())
	}
	return b
}

// random returns the number of random choices of each kind.
func (c *cutter) random() int {
	if testing.Short() {
		return 2
	}
	return 16
}

// reordered adds the contents if overlapping changes arrive in another order.
func (c *cutter) reordered(f *file, add func([]byte, string, ...any)) {
	matters := false
	for i := range f.pending {
		for j := range i {
			matters = matters || overlaps(&f.pending[j], &f.pending[i])
		}
	}
	if !matters {
		return
	}
	all := make([]bool, len(f.pending))
	for i := range all {
		all[i] = true
	}
	for range 2 * c.random() {
		order := c.rand.Perm(len(f.pending))
		add(f.with(all, order), "in the order %v", order)
	}
}
