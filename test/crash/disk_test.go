//go:build crash

package crash

import (
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// sector is the unit that a disk writes atomically.
const sector = 512

// disk models a directory tree after a power cut: everything that was synced, and
// any part of the rest, in any order. It guarantees only what POSIX does: a file's
// name is not durable before its directory is synced.
type disk struct {
	files map[uint64]*file // by inode
	dirs  map[string]*dir  // by path
	root  string
}

type file struct {
	durable []byte
	pending []op // writes and truncates
}

type dir struct {
	durable map[string]uint64 // name to inode; 0 for a directory
	pending []op
}

// readDisk returns a tree in which everything is durable.
func readDisk(root string) (*disk, error) {
	d := &disk{files: map[uint64]*file{}, dirs: map[string]*dir{}, root: root}
	return d, d.read(root)
}

func (d *disk) read(path string) error {
	here := &dir{durable: map[string]uint64{}}
	d.dirs[path] = here
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if e.IsDir() {
			here.durable[e.Name()] = 0
			if err := d.read(name); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			return err
		}
		here.durable[e.Name()] = st.Ino
		d.files[st.Ino] = &file{durable: data}
	}
	return nil
}

// take applies a call.
func (d *disk) take(o op) error {
	switch o.kind {
	case prints, sends, replies, changesMode:
		return nil
	case writes, truncates:
		f := d.files[o.ino]
		if f == nil {
			return fmt.Errorf("%v: unknown file", &o)
		}
		f.pending = append(f.pending, o)
		return nil
	case syncs:
		return d.sync(o)
	case makesDir:
		d.dirs[o.name] = &dir{durable: map[string]uint64{}}
	}
	parent := d.dirs[filepath.Dir(o.name)]
	if parent == nil || o.to != "" && filepath.Dir(o.to) != filepath.Dir(o.name) {
		return fmt.Errorf("%v: unknown directory", &o)
	}
	if o.kind == creates {
		if parent.with(nil)[filepath.Base(o.name)] == o.ino {
			return nil // it exists
		}
		d.files[o.ino] = &file{}
	}
	parent.pending = append(parent.pending, o)
	return nil
}

func (d *disk) sync(o op) error {
	if o.dir {
		here := d.dirs[o.name]
		if here == nil {
			return fmt.Errorf("%v: unknown directory", &o)
		}
		here.durable, here.pending = here.with(nil), nil
		return nil
	}
	f := d.files[o.ino]
	if f == nil {
		return fmt.Errorf("%v: unknown file", &o)
	}
	data := slices.Clone(f.durable) // images refer to the old data
	for _, p := range f.pending {
		data = p.apply(data)
	}
	f.durable, f.pending = data, nil
	return nil
}

// with returns the names after the pending changes selected by keep; all if keep is
// nil.
func (d *dir) with(keep []bool) map[string]uint64 {
	names := maps.Clone(d.durable)
	for i, o := range d.pending {
		if keep != nil && !keep[i] {
			continue
		}
		switch from, to := filepath.Base(o.name), filepath.Base(o.to); o.kind {
		case creates, makesDir:
			names[from] = o.ino
		case renames:
			delete(names, from)
			names[to] = o.ino
		case links:
			names[to] = o.ino
		case unlinks:
			delete(names, from)
		}
		if o.kind == makesDir {
			names[filepath.Base(o.name)] = 0
		}
	}
	return names
}

// apply returns data after a write or truncate. It may reuse data's memory.
func (o *op) apply(data []byte) []byte {
	if o.kind == truncates {
		return resize(data, int(o.size))
	}
	data = resize(data, max(len(data), int(o.off)+len(o.data)))
	copy(data[o.off:], o.data)
	return data
}

// tear is like apply, but only the sectors selected by keep reach the disk. The
// others keep their content or, if garbage is not nil, contain that. The file has
// its new length in any case.
func (o *op) tear(data []byte, keep func(sector int) bool, garbage []byte) []byte {
	data = resize(data, max(len(data), int(o.off)+len(o.data)))
	for from := 0; from < len(o.data); from += sector {
		to := min(from+sector, len(o.data))
		switch {
		case keep(from / sector):
			copy(data[int(o.off)+from:], o.data[from:to])
		case garbage != nil:
			copy(data[int(o.off)+from:], garbage[from:to])
		}
	}
	return data
}

func resize(data []byte, size int) []byte {
	if size <= len(data) {
		return data[:size]
	}
	return append(data, make([]byte, size-len(data))...)
}

// image is one state of a disk.
type image struct {
	dirs  []string
	files map[string][]byte // by path relative to the root
}

// image returns the tree with the given contents and names, and the synced state of
// everything else.
func (d *disk) image(content map[uint64][]byte, names map[string]map[string]uint64) *image {
	m := &image{files: map[string][]byte{}}
	var walk func(path, rel string)
	walk = func(path, rel string) {
		list, chosen := names[path]
		if !chosen {
			list = d.dirs[path].durable
		}
		for name, ino := range list {
			if ino == 0 {
				m.dirs = append(m.dirs, filepath.Join(rel, name))
				walk(filepath.Join(path, name), filepath.Join(rel, name))
				continue
			}
			data, chosen := content[ino]
			if !chosen {
				data = d.files[ino].durable
			}
			m.files[filepath.Join(rel, name)] = data
		}
	}
	walk(d.root, "")
	slices.Sort(m.dirs)
	return m
}

var seed = maphash.MakeSeed()

// sum identifies an image.
func (m *image) sum() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, name := range m.dirs {
		fmt.Fprintf(&h, "%q", name)
	}
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		fmt.Fprintf(&h, "%q%d", name, len(m.files[name]))
		h.Write(m.files[name])
	}
	return h.Sum64()
}

// write creates the image in a new directory.
func (m *image) write(root string) error {
	for _, name := range append([]string{""}, m.dirs...) {
		if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
			return err
		}
	}
	for name, data := range m.files {
		if err := writeSparse(filepath.Join(root, name), data); err != nil {
			return err
		}
	}
	return nil
}

// overlaps reports whether the order of two writes matters.
func overlaps(a, b *op) bool {
	return a.kind == truncates || b.kind == truncates || a.off < b.off+int64(len(b.data)) && b.off < a.off+int64(len(a.data))
}
