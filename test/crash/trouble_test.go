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

// trouble is a disk that rejects writes for a while.
type trouble struct {
	name  string
	size  int // size of the attempt's own disk; 0: none
	begin func(a *attempt) error
	end   func(a *attempt) error
}

// smallDisk has room for a state and a little more.
const smallDisk = 4 << 20

// fullDisk leaves a number of pages of a disk free. The database would reuse its
// free pages for a long time, so they are returned to the disk first.
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

// punch punches holes for the free pages of a database.
func punch(name string) error {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// The process under test has locked the file, so use a copy.
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
			// A process that is being started for another attempt has our files
			// open for writing until its execve.
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

// failingCalls makes calls fail: one call, or also all later ones. With EROFS from
// the first call on it simulates a file system that turns read-only under a running
// process, as after an error. A mount cannot do that, since the kernel does not
// remount a file system read-only while a file is open for writing.
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

// TestDiskFull leaves every number of free pages with which a scenario fails. In
// short mode every second failure is retried; otherwise each one is tested with and
// without a retry.
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

// TestReadOnly makes the file system read-only, before the start or while the
// daemon runs.
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

// TestFailingDisk makes each call fail, once and from then on. In short mode it
// uses only the first call and the syncs, and retries half of the failures.
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

// trouble tests one point. refused reports whether the trouble caused a correct
// refusal.
func (r *row) trouble(t *testing.T, b *base, x trouble, retry bool) (refused bool) {
	o, refused, err := b.endures(x, retry)
	r.add(t, fmt.Sprintf("%s, tried again: %v", x.name, retry), o, err)
	return refused && err == nil
}

// endures runs a scenario in trouble. A request that fails must return the right
// status, and the node must continue to work. When the trouble is over, the same
// request must succeed if retry is true. At the end the process is killed.
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

// meets runs the steps with the trouble, and ends the trouble.
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
		err = a.node.failure() // it was expected to end
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

// rightStatus reports whether err is the right answer of a node that cannot store
// something. The admin socket uses text instead of a status.
func rightStatus(err error) bool {
	var st matter.Status
	var cs matter.ClusterStatus
	switch {
	case errors.As(err, &st):
	case errors.As(err, &cs):
		st = cs.Status
	default:
		// From store.Update, or from the bridge API, whose log says it.
		return strings.Contains(err.Error(), "write to ") || strings.Contains(err.Error(), "500 Internal Server Error")
	}
	return st == matter.StatusFailure || st == matter.StatusResourceExhausted
}

// storeGaveUp reports whether the store rejects everything until a restart, as it
// does when the disk may or may not have a commit.
func (a *attempt) storeGaveUp() bool {
	return strings.Contains(printed(a.node.err), store.ErrFailed.Error())
}

// uncertain reports whether the state of the disk is unknown, as after a command
// that ended at a failed sync.
func (a *attempt) uncertain() bool {
	return a.storeGaveUp() || a.s.process != "" && strings.HasPrefix(a.plan.struck(), syncs.String())
}

// logged reports whether the process has logged that the new state exists.
func (a *attempt) logged() bool {
	return a.s.says != "" && strings.Contains(printed(a.node.err), a.s.says)
}

// works checks what needs no disk: open sessions, new CASE sessions, and reads.
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
