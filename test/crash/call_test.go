//go:build crash

package crash

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// kind is the kind of a call.
type kind uint8

const (
	writes    kind = iota // octets into a file
	truncates             // the length of a file
	syncs                 // makes a file durable, or the names in a directory
	creates               // a file, if it is not there
	renames
	links
	unlinks
	makesDir
	changesMode // or the owner
	prints      // to standard output, for the operator
	sends       // a datagram
	replies     // on a stream
)

var kindNames = [...]string{"write", "truncate", "sync", "create", "rename", "link", "unlink", "mkdir", "chmod", "print", "send", "reply"}

func (k kind) String() string { return kindNames[k] }

// counted reports whether the call changes a file or makes a change durable.
func (k kind) counted() bool { return k < prints }

// call is one relevant system call.
type call struct {
	kind     kind
	fd       int // -1 if it has a path
	at       bool
	off      int64  // if at
	name, to string // absolute paths
}

func (c *call) String() string {
	switch {
	case c.to != "":
		return fmt.Sprintf("%v %s to %s", c.kind, filepath.Base(c.name), filepath.Base(c.to))
	case c.at:
		return fmt.Sprintf("%v %s at %d", c.kind, filepath.Base(c.name), c.off)
	default:
		return fmt.Sprintf("%v %s", c.kind, filepath.Base(c.name))
	}
}

// byDescriptor lists the calls with a file descriptor, and the position of that
// among the arguments.
var byDescriptor = map[uint64]struct {
	kind kind
	arg  int
}{
	unix.SYS_WRITE:           {writes, 0},
	unix.SYS_PWRITE64:        {writes, 0},
	unix.SYS_WRITEV:          {writes, 0},
	unix.SYS_PWRITEV:         {writes, 0},
	unix.SYS_PWRITEV2:        {writes, 0},
	unix.SYS_COPY_FILE_RANGE: {writes, 2},
	unix.SYS_SENDFILE:        {writes, 0},
	unix.SYS_SPLICE:          {writes, 2},
	unix.SYS_FTRUNCATE:       {truncates, 0},
	unix.SYS_FALLOCATE:       {truncates, 0},
	unix.SYS_FSYNC:           {syncs, 0},
	unix.SYS_FDATASYNC:       {syncs, 0},
	unix.SYS_SYNC_FILE_RANGE: {syncs, 0},
	unix.SYS_FCHMOD:          {changesMode, 0},
	unix.SYS_FCHOWN:          {changesMode, 0},
	unix.SYS_SENDMSG:         {sends, 0},
}

// byName lists the calls with a path.
var byName = map[uint64]struct {
	kind      kind
	arg, arg2 int // arg2: the new name, or 0
}{
	unix.SYS_OPENAT:    {creates, 1, 0},
	unix.SYS_RENAMEAT:  {renames, 1, 3},
	unix.SYS_RENAMEAT2: {renames, 1, 3},
	unix.SYS_LINKAT:    {links, 1, 3},
	unix.SYS_UNLINKAT:  {unlinks, 1, 0},
	unix.SYS_MKDIRAT:   {makesDir, 1, 0},
	unix.SYS_FCHMODAT:  {changesMode, 1, 0},
	unix.SYS_FCHOWNAT:  {changesMode, 1, 0},
	unix.SYS_TRUNCATE:  {truncates, 0, 0},
}

// classify returns the call, or nil if it does not concern files below root.
func classify(pid int, root string, number uint64, args [6]uint64) *call {
	if d, ok := byDescriptor[number]; ok {
		c := &call{kind: d.kind, fd: int(int32(args[d.arg]))}
		switch {
		case c.kind == sends:
			return c
		case number == unix.SYS_WRITE && c.fd == 1:
			c.kind = prints
			return c
		case number == unix.SYS_PWRITE64:
			c.at, c.off = true, int64(args[3])
		}
		c.name, _ = os.Readlink(descriptor(pid, c.fd)) // none: not a file
		if number == unix.SYS_WRITE && strings.HasPrefix(c.name, "socket:") {
			c.kind = replies
			return c
		}
		if !within(root, c.name) {
			return nil
		}
		return c
	}
	n, ok := byName[number]
	if !ok || number == unix.SYS_OPENAT && args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0 {
		return nil
	}
	c := &call{kind: n.kind, fd: -1, name: readString(pid, args[n.arg])}
	if n.arg2 != 0 {
		c.to = readString(pid, args[n.arg2])
	}
	if !within(root, c.name) {
		return nil
	}
	return c
}

func descriptor(pid, fd int) string { return fmt.Sprintf("/proc/%d/fd/%d", pid, fd) }

func within(root, path string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// readString reads a path from the memory of a stopped process.
func readString(pid int, at uint64) string {
	var s []byte
	for len(s) < unix.PathMax {
		var b [256]byte
		size := min(len(b), int(4096-at%4096)) // the next page may not be mapped
		n, err := unix.ProcessVMReadv(pid,
			[]unix.Iovec{{Base: &b[0], Len: uint64(size)}},
			[]unix.RemoteIovec{{Base: uintptr(at), Len: size}}, 0)
		if err != nil {
			return ""
		}
		part, _, end := bytes.Cut(b[:n], []byte{0})
		if s = append(s, part...); end {
			return string(s)
		}
		at += uint64(n)
	}
	return ""
}

// op is the effect of a call on a disk.
type op struct {
	kind     kind
	number   int // of the call, while the plan is armed
	ino      uint64
	dir      bool // the call concerns a directory
	name, to string
	off      int64
	data     []byte
	size     int64 // size after truncates
}

func (o *op) String() string {
	return (&call{kind: o.kind, name: o.name, to: o.to, at: o.kind == writes, off: o.off}).String()
}

// record returns the effect of a call that has just returned result.
func (c *call) record(pid int, result int64) (o op, err error) {
	o = op{kind: c.kind, name: strings.TrimSuffix(c.name, " (deleted)"), to: c.to}
	if c.kind == unlinks {
		return o, nil
	}
	path := c.name
	switch {
	case c.fd >= 0:
		path = descriptor(pid, c.fd)
	case c.to != "":
		path = c.to
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return o, fmt.Errorf("%v: %w", c, err)
	}
	o.ino, o.dir, o.size = st.Ino, st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Size
	if c.kind != writes {
		return o, nil
	}
	// The octets are read back from the file, since no one else writes to it.
	if o.off = c.off; !c.at {
		if o.off, err = position(pid, c.fd); err != nil {
			return o, err
		}
		o.off -= result
	}
	f, err := os.Open(path)
	if err != nil {
		return o, err
	}
	defer f.Close()
	o.data = make([]byte, result)
	_, err = f.ReadAt(o.data, o.off)
	return o, err
}

// position returns the offset of the next write to a descriptor.
func position(pid, fd int) (pos int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(string(b), "pos: %d", &pos)
	return pos, err
}
