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

// attemptLimit bounds one attempt. An attempt is short, but the machine may be
// busy.
const attemptLimit = time.Minute

// base is the initial state of the attempts of a scenario.
type base struct {
	s        *scenario
	home     string // its directory; of the state, home/state
	state    state
	passcode uint32
	members  []member
	backup   string            // file, of scenarios that restore one
	restored state             // that it contains, if that differs
	material store.Attestation // of scenarios that import it

	// From the undisturbed run: the number of calls that can be disturbed, and
	// which of them are syncs.
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
	done    int                   // number of completed steps
	begun   bool                  // the last step has begun
	events  matter.EventNumber    // highest number that was seen

	codes string // printed by an earlier process of a first start

	// Results of steps that later steps and the expected state use.
	newest *commissioner.Authority
	noc    *cert.Certificate
	opened *commissioner.Session
}

var attempts atomic.Int64

// place creates an attempt on a copy of the base, without starting a process. If
// size is not 0, the attempt gets its own disk of that many octets.
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

// start starts the scenario's process. If armed is true, its calls count from the
// first one.
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

// try creates and starts an attempt and does what comes before the steps.
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

// close kills the process and removes the attempt.
func (a *attempt) close() {
	if a.client != nil {
		a.client.Close()
	}
	if a.node != nil && a.node.process != nil {
		a.node.kill()
	}
	_ = unix.Unmount(a.home, unix.MNT_DETACH) // most attempts have no disk of their own
	names, _ := filepath.Glob(a.home + ".*")
	for _, name := range append(names, a.home) {
		os.RemoveAll(name)
	}
}

// until returns a context that ends some time after the process, so that everything
// it has sent can be received and handled.
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

// steps executes the steps that are left. answered reports whether the last one was
// answered, so that its effect is guaranteed.
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

// settled waits until the daemon has handled everything that it was sent, or has
// ended.
func (a *attempt) settled() {
	if a.s.command(a) == "run" {
		_ = a.node.serving()
	} else {
		<-a.node.dead
	}
}

// survives checks the state that a killed or refusing process has left: the store,
// the restarted node, and the store after that.
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
		found.bridged = a.s.bridged
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

// hasKept checks the file in which the scenario keeps the previous state.
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

// restarts starts the daemon on the state and checks it: the administrator of each
// fabric can connect and finds all fabrics. A node without fabrics accepts a
// commissioner.
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

// finds opens a session as the administrator of f and compares the fabrics that it
// reads.
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

// authority returns the administrator of a fabric.
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
