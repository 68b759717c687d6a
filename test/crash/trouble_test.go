//go:build crash

package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// trouble is a disk that takes no more, for a while.
type trouble struct {
	name  string
	size  int // of the disk that the attempt gets for its own; 0: none
	begin func(a *attempt) error
	end   func(a *attempt) error
}

// smallDisk is room for a state and some more.
const smallDisk = 4 << 20

// fullDisk leaves so many pages of a disk free. The database could do with what it
// has for long, as it uses its free pages again; so these are given back to the
// disk, as if they had never been used.
func fullDisk(free int) trouble {
	filler := func(a *attempt) string { return filepath.Join(a.home, "filler") }
	return trouble{
		name: fmt.Sprintf("disk with %d free pages", free),
		size: smallDisk,
		begin: func(a *attempt) error {
			if err := punch(filepath.Join(a.home, stateName, store.FileName)); err != nil {
				return err
			}
			var fs unix.Statfs_t
			if err := unix.Statfs(a.home, &fs); err != nil {
				return err
			}
			return os.WriteFile(filler(a), make([]byte, (int(fs.Bfree)-free)*int(fs.Bsize)), 0o600)
		},
		end: func(a *attempt) error { return os.Remove(filler(a)) },
	}
}

// punch makes holes of the free pages of a database.
func punch(name string) error {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The process under test has locked the file: look at a copy.
	spare := filepath.Join(workDir, fmt.Sprintf("pages%d", attempts.Add(1)))
	defer os.Remove(spare)
	if err := os.WriteFile(spare, data, 0o600); err != nil {
		return err
	}
	db, err := bbolt.Open(spare, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return err
	}
	defer db.Close()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(db.Info().PageSize)
	return db.View(func(tx *bbolt.Tx) error {
		for id := int64(0); ; id++ {
			p, err := tx.Page(int(id))
			if err != nil || p == nil {
				return err
			}
			if p.Type != "free" {
				continue
			}
			if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, id*size, size); err != nil {
				return err
			}
		}
	})
}

// mountedReadOnly is a file system that is read-only from the start.
func mountedReadOnly() trouble {
	mount := func(flags uintptr) func(*attempt) error {
		return func(a *attempt) (err error) {
			// A process that is being started for another attempt has our files open
			// for writing, until its execve.
			for end := time.Now().Add(stopLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
				if err = unix.Mount("", a.home, "", unix.MS_REMOUNT|flags, ""); err != unix.EBUSY {
					break
				}
			}
			return err
		}
	}
	return trouble{name: "read-only file system", size: smallDisk, begin: mount(unix.MS_RDONLY), end: mount(0)}
}

// failingCalls lets calls fail: the one with this number, or also all after it. A
// file system that turned read-only under a running process, as one does after an
// error, behaves so with EROFS from the first call on. It cannot be had by a mount:
// the kernel remounts none on which a file is open for writing.
func failingCalls(kind strike, at int, errno unix.Errno) trouble {
	act := action{kind: kind, at: at, errno: errno}
	return trouble{
		name: fmt.Sprintf("%v (%s)", act, unix.ErrnoName(errno)),
		begin: func(a *attempt) error {
			a.plan.set(act)
			a.plan.arm()
			return nil
		},
		end: func(a *attempt) error {
			a.plan.disarm()
			return nil
		},
	}
}

// TestDiskFull fills the disk up to every number of pages that a scenario does
// not get by with. In the short form every other refusal is tried again, else each
// both is and is not.
func TestDiskFull(t *testing.T) {
	overall(t, "disk full", func(t *testing.T, b *base, r *row) error {
		lots := []int{0, 1}
		if testing.Short() {
			lots = lots[:1]
		}
		each(slices.Values(lots), func(lot int) {
			for free, refused := 0, true; refused; free++ {
				refused = r.trouble(t, b, fullDisk(free), (free+lot)%2 == 0)
			}
		})
		return nil
	})
}

// TestReadOnly makes the file system read-only, before the start or under the
// running daemon.
func TestReadOnly(t *testing.T) {
	overall(t, "read-only", func(t *testing.T, b *base, r *row) error {
		list := []trouble{failingCalls(failFrom, 1, unix.EROFS)}
		if b.s.fromStart {
			list = append(list, mountedReadOnly())
		}
		each(slices.Values(list), func(x trouble) {
			r.trouble(t, b, x, false)
			r.trouble(t, b, x, true)
		})
		return nil
	})
}

// TestFailingDisk lets each call fail once, and from each on every one. In the
// short form it does so with the first one and the syncs, and tries half of the
// refusals again.
func TestFailingDisk(t *testing.T) {
	overall(t, "failing disk", func(t *testing.T, b *base, r *row) error {
		each(func(yield func(int) bool) {
			for at := 1; at <= b.calls; at++ {
				if !testing.Short() || at == 1 || slices.Contains(b.syncs, at) {
					yield(at)
				}
			}
		}, func(at int) {
			for i, kind := range []strike{failOnce, failFrom} {
				x := failingCalls(kind, at, unix.EIO)
				r.trouble(t, b, x, (at+i)%2 == 0)
				if !testing.Short() {
					r.trouble(t, b, x, (at+i)%2 != 0)
				}
			}
		})
		return nil
	})
}

// trouble is one point. refused says that the trouble was enough for a refusal,
// and all was as it should be.
func (r *row) trouble(t *testing.T, b *base, x trouble, retry bool) (refused bool) {
	o, refused, err := b.endures(x, retry)
	r.add(t, fmt.Sprintf("%s, tried again: %v", x.name, retry), o, err)
	return refused && err == nil
}

// endures runs a scenario in trouble. A request that is not carried out is refused
// with the right status, and the node goes on working; when the trouble is over
// the same request succeeds, if it is tried again. In the end the process is
// killed.
func (b *base) endures(x trouble, retry bool) (o outcome, refused bool, err error) {
	p := &plan{}
	a, err := b.place(p, x.size)
	defer a.close()
	if err != nil {
		return before, false, err
	}
	defer func() {
		if err != nil && a.node != nil {
			err = fmt.Errorf("(at %q) %w\nthe process says:\n%s", p.struck(), err, printed(a.node.err))
		}
	}()
	answered, err := a.meets(x)
	refused = !answered
	if err != nil {
		return before, refused, err
	}
	if retry && refused && a.node.alive() {
		if answered, err = a.steps(); err != nil && !a.storeGaveUp() {
			return before, refused, fmt.Errorf("when the trouble is over: %w", err)
		}
	}
	if answered {
		a.settled()
	}
	a.node.kill()
	o, err = a.survives(answered)
	if err == nil && !answered && o == after && b.s.changes() && !a.uncertain() && !a.logged() {
		err = errors.New("the state after, though the command was refused")
	}
	return o, refused, err
}

// meets goes to the steps and into trouble, and out of that again.
func (a *attempt) meets(x trouble) (answered bool, err error) {
	if a.s.fromStart {
		if err := x.begin(a); err != nil {
			return false, err
		}
	}
	if err = a.start(false); err == nil {
		err = a.open()
	}
	if err == nil && !a.s.fromStart {
		err = x.begin(a)
	}
	if err != nil {
		return false, err
	}
	answered, refusal := a.steps()
	switch {
	case answered && a.node.alive():
		a.settled()
		err = a.works()
	case answered:
	case a.s.fromStart:
		err = a.refuses()
	case !a.node.alive():
		err = a.node.failure() // it was to end
	case !rightStatus(refusal):
		err = fmt.Errorf("refused with %w, want FAILURE or RESOURCE_EXHAUSTED", refusal)
	default:
		err = a.works()
	}
	if err != nil {
		return answered, fmt.Errorf("in trouble: %w", err)
	}
	return answered, x.end(a)
}

// refuses waits for the end of a process that cannot start.
func (a *attempt) refuses() error {
	select {
	case <-a.node.dead:
		return a.node.refusal()
	case <-time.After(stopLimit):
		return errors.New("neither works nor ends")
	}
}

// rightStatus says whether err is what a node answers that cannot keep something.
// The admin socket has words in the place of a status.
func rightStatus(err error) bool {
	var st matter.Status
	var cs matter.ClusterStatus
	switch {
	case errors.As(err, &st):
	case errors.As(err, &cs):
		st = cs.Status
	default:
		return strings.Contains(err.Error(), "write to ") // from store.Update
	}
	return st == matter.StatusFailure || st == matter.StatusResourceExhausted
}

// storeGaveUp says whether the store takes nothing more before a restart, as it
// does when the disk may or may not have kept a commit.
func (a *attempt) storeGaveUp() bool {
	return strings.Contains(printed(a.node.err), store.ErrFailed.Error())
}

// uncertain says whether nobody can know what the disk has kept. Of a command that
// ends at a sync that failed, nobody does.
func (a *attempt) uncertain() bool {
	return a.storeGaveUp() || a.s.process != "" && strings.HasPrefix(a.plan.struck(), syncs.String())
}

// logged reports whether the process has logged that the state after is there.
func (a *attempt) logged() bool {
	return a.s.says != "" && strings.Contains(printed(a.node.err), a.s.says)
}

// works asks the node for what needs no disk: the sessions that are open, new ones
// by CASE, and reads.
func (a *attempt) works() error {
	ctx, cancel := context.WithTimeout(context.Background(), attemptLimit)
	defer cancel()
	if err := a.node.failure(); err != nil {
		return err
	}
	rows, err := operator(a.node).Fabrics(ctx)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	for _, m := range a.members {
		if !slices.ContainsFunc(rows, func(r admin.Fabric) bool { return r.Index == m.index }) {
			continue // removed
		}
		x, _, err := a.client.CASE(ctx, a.node.addr(), m.Authority, m.node, nil)
		if err != nil {
			return fmt.Errorf("CASE: %w", err)
		}
		list, err := fabricsOf(ctx, x, true)
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].index != m.index || list[0].node != m.node {
			return fmt.Errorf("fabric %d reads its own entry as %+v", m.index, list)
		}
		x.Close()
	}
	return nil
}
