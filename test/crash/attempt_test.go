//go:build crash

package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"golang.org/x/sys/unix"
)

// attemptLimit bounds one attempt. Nothing in it takes long, but the machine may
// be busy.
const attemptLimit = time.Minute

// base is the state that the attempts of a scenario begin with.
type base struct {
	s        *scenario
	home     string // its directory; of the state, home/state
	state    state
	passcode uint32
	members  []member
	backup   string            // file, of scenarios that restore one
	restored state             // that it holds, where that is not known otherwise
	material store.Attestation // of scenarios that import it

	// Of a run that nothing disturbed: how many calls can be struck, and which of
	// them are syncs.
	calls int
	syncs []int
}

// member is a fabric of the node and its administrator.
type member struct {
	*commissioner.Authority
	node  matter.NodeID
	index matter.FabricIndex
}

// attempt is one run of a scenario on a copy of its base.
type attempt struct {
	s       *scenario
	base    *base
	home    string
	node    *node
	plan    *plan
	client  *commissioner.Client
	conn    *countingConn
	members []member
	session *commissioner.Session // of the first member
	done    int                   // steps
	begun   bool                  // the last step was
	events  matter.EventNumber    // greatest that was seen

	codes string // that an earlier process of a first start has printed

	// What steps leave for later ones, and for the state after them.
	newest *commissioner.Authority
	noc    *cert.Certificate
	opened *commissioner.Session
}

var attempts atomic.Int64

// place makes an attempt on a copy of the base. Nothing runs yet. size, if not 0,
// gives it a disk of its own, of so many octets.
func (b *base) place(p *plan, size int) (*attempt, error) {
	a := &attempt{s: b.s, base: b, plan: p, members: append([]member(nil), b.members...)}
	a.home = filepath.Join(workDir, fmt.Sprintf("%d", attempts.Add(1)))
	if size > 0 {
		if err := os.Mkdir(a.home, 0o700); err != nil {
			return a, err
		}
		if err := unix.Mount("tmpfs", a.home, "tmpfs", 0, fmt.Sprintf("mode=700,size=%d", size)); err != nil {
			return a, fmt.Errorf("a small disk: %w", err)
		}
	}
	if err := copyTree(a.home, b.home); err != nil {
		return a, err
	}
	p.root = a.home
	if !p.keeps {
		return a, nil
	}
	var err error
	p.disk, err = readDisk(a.home)
	return a, err
}

// start starts the scenario's process; armed says that calls count from its first
// one on.
func (a *attempt) start(armed bool) (err error) {
	if armed {
		a.plan.arm()
	}
	name := a.s.command(a)
	if a.node, err = startNode(name, a.home, a.plan); err != nil || name != "run" {
		return err
	}
	if a.client, a.conn, err = newClient(); err != nil {
		return err
	}
	if a.s.fromStart {
		return nil // serving is its first step
	}
	return a.node.serving()
}

// try places and starts an attempt and does what comes before the steps.
func (b *base) try(p *plan) (*attempt, error) {
	a, err := b.place(p, 0)
	if err == nil {
		err = a.start(b.s.fromStart)
	}
	if err == nil {
		err = a.open()
	}
	if err == nil && !b.s.fromStart {
		p.arm()
	}
	return a, err
}

// close forgets the attempt. Its process is killed.
func (a *attempt) close() {
	if a.client != nil {
		a.client.Close()
	}
	if a.node != nil && a.node.process != nil {
		a.node.kill()
	}
	_ = unix.Unmount(a.home, unix.MNT_DETACH) // most have no disk of their own
	names, _ := filepath.Glob(a.home + ".*")
	for _, name := range append(names, a.home) {
		os.RemoveAll(name)
	}
}

// until returns a context that ends some time after the process: when everything
// that it sent has been received and had time to be understood.
func (a *attempt) until() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), attemptLimit)
	go func() {
		select {
		case <-a.node.dead:
		case <-ctx.Done():
			return
		}
		for end := time.Now().Add(time.Second); a.conn != nil && a.plan != nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
			if int(a.conn.received.Load()) >= a.plan.datagrams() {
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
		cancel()
	}()
	return ctx, cancel
}

// open does what comes before the steps.
func (a *attempt) open() error {
	if a.s.open == nil {
		return nil
	}
	ctx, cancel := a.until()
	defer cancel()
	if err := a.s.open(ctx, a); err != nil {
		return fmt.Errorf("before the first step: %w", err)
	}
	return nil
}

// steps takes the steps that are not done yet. answered says that the last one
// was: what it brings about is promised.
func (a *attempt) steps() (answered bool, err error) {
	ctx, cancel := a.until()
	defer cancel()
	for _, s := range a.s.steps[a.done:] {
		if a.done == len(a.s.steps)-1 && !a.begun {
			a.begun = true
			a.plan.lastStep()
		}
		if err := s.do(ctx, a); err != nil {
			if !a.node.alive() && a.s.answered != nil && a.s.answered(a) {
				return true, nil
			}
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
		a.done++
	}
	a.plan.finished()
	return true, nil
}

// settled waits until the daemon has dealt with all that it was sent; or until
// its end.
func (a *attempt) settled() {
	if a.s.command(a) == "run" {
		_ = a.node.serving()
	} else {
		<-a.node.dead
	}
}

// survives looks at what a killed or refusing process has left: at the store as it
// lies there, at the node when it is started again, and at the store after that.
func (a *attempt) survives(answered bool) (outcome, error) {
	if err := a.node.failure(); err != nil {
		return before, err
	}
	found, err := readState(a.node.dir, store.Options{ReadOnly: true})
	if err != nil {
		return before, fmt.Errorf("before a restart: %w", err)
	}
	which, err := a.judge(&found, promise{a.begun, answered})
	if err == nil {
		err = a.hasKept(a.node.dir, which)
	}
	if err != nil {
		return which, fmt.Errorf("before a restart: %w", err)
	}
	n, err := a.restarts(&found)
	if err != nil {
		return which, fmt.Errorf("after a restart: %w", err)
	}
	left, err := readState(n.dir, store.Options{})
	if err == nil {
		if found.codes == "" {
			found.codes = anyCodes
		}
		if found.schema = store.SchemaVersion; len(found.fabrics) == 0 {
			found.label = ""
		}
		err = left.is(&found)
	}
	if err != nil {
		return which, fmt.Errorf("after a restart and a stop: %w", err)
	}
	return which, nil
}

// hasKept looks at the file in which the scenario keeps the state before.
func (a *attempt) hasKept(dir string, found outcome) error {
	if a.s.keeps == "" || found == before {
		return nil
	}
	kept, err := readFile(filepath.Join(dir, a.s.keeps), store.Options{ReadOnly: true})
	if err == nil {
		err = kept.is(&a.base.state)
	}
	if err != nil {
		return fmt.Errorf("what was kept of the state before: %w", err)
	}
	return nil
}

// restarts starts the daemon on what is there and asks it whether it is what it
// was: each fabric's administrator comes in and finds all fabrics; a node without
// any lets a commissioner in.
func (a *attempt) restarts(s *state) (n *node, err error) {
	if n, err = startNode("run", a.home, nil); err != nil {
		return n, err
	}
	defer func() {
		if err != nil {
			n.kill()
			err = fmt.Errorf("%w\nthe daemon says:\n%s", err, printed(n.err))
		}
	}()
	if err := n.serving(); err != nil {
		return n, err
	}
	client, _, err := newClient()
	if err != nil {
		return n, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), attemptLimit)
	defer cancel()
	if len(s.fabrics) == 0 {
		p, err := operator(n).Pairing(ctx)
		if err != nil {
			return n, err
		}
		x, err := client.PASE(ctx, n.addr(), p.Passcode)
		if err != nil {
			return n, fmt.Errorf("PASE: %w", err)
		}
		x.Close()
	}
	for _, f := range s.fabrics {
		if err := a.finds(ctx, client, n, s, &f); err != nil {
			return n, fmt.Errorf("fabric %d: %w", f.Index, err)
		}
	}
	return n, n.stop()
}

// finds opens a session as the administrator of f and compares the fabrics that it reads.
func (a *attempt) finds(ctx context.Context, c *commissioner.Client, n *node, s *state, f *store.Fabric) error {
	by := a.authority(f)
	if by == nil {
		return errors.New("a fabric of nobody")
	}
	x, _, err := c.CASE(ctx, n.addr(), by, f.NodeID, nil)
	if err != nil {
		return fmt.Errorf("CASE: %w", err)
	}
	defer x.Close()
	start, err := lastEvent(ctx, x, true)
	if err != nil {
		return err
	}
	if start <= a.events {
		return fmt.Errorf("the restart has event number %d, and there was %d before it", start, a.events)
	}
	shown, err := fabricsOf(ctx, x, false)
	if err != nil {
		return err
	}
	return sameFabrics(shown, s.fabrics)
}

// authority returns who administers a fabric.
func (a *attempt) authority(f *store.Fabric) *commissioner.Authority {
	for _, m := range a.members {
		if string(m.Root()) == string(f.Root) {
			return m.Authority
		}
	}
	if a.newest != nil && string(a.newest.Root()) == string(f.Root) {
		return a.newest
	}
	return nil
}

// operator returns a client of the daemon's admin socket.
func operator(n *node) *admin.Client { return admin.NewClient(filepath.Join(n.dir, "admin.sock")) }
