package server_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
)

// lossSeeds is the number of networks in TestCommissionOverBadNetworks.
var lossSeeds = flag.Int("seeds", 25, "networks that are lossy in their own way")

// maxTries is the number of attempts after which a commissioner gives up.
const maxTries = 12

// attempt commissions the node over a network that may be bad. Only
// CommissioningComplete cannot be undone: if its answer is lost, the commissioner
// asks the node.
func (r *rig) attempt(c *commissioner.Client, a *commissioner.Authority) (*commissioner.Commissioned, error) {
	p, err := c.PASE(r.ctx, deviceAddr, passcode)
	if err != nil {
		return nil, fmt.Errorf("PASE: %w", err)
	}
	done, err := p.Join(r.ctx, a)
	if err != nil {
		return nil, err
	}
	if done.CASE, _, err = c.CASE(r.ctx, deviceAddr, a, done.Node, nil); err != nil {
		return nil, fmt.Errorf("CASE: %w", err)
	}
	if err := done.CASE.CommissioningComplete(r.ctx); err != nil {
		for range 5 {
			if s, _, again := c.CASE(r.ctx, deviceAddr, a, done.Node, nil); again == nil {
				if again = s.CommissioningComplete(r.ctx); again == nil || outcome(again) == noFailSafe {
					done.CASE = s
					return done, nil // only the answer was lost
				}
			}
		}
		return nil, fmt.Errorf("CommissioningComplete: %w", err)
	}
	return done, nil
}

// persist repeats the commissioning until it succeeds, and returns the steps that
// failed. After a failure everything must be as before.
func (r *rig) persist(c *commissioner.Client, a *commissioner.Authority) (done *commissioner.Commissioned, failures []string) {
	r.t.Helper()
	for range maxTries {
		done, err := r.attempt(c, a)
		if err == nil {
			return done, failures
		}
		step, _, _ := strings.Cut(err.Error(), ":")
		failures = append(failures, step)
		// The fail-safe ends by itself and everything is rolled back.
		time.Sleep(150 * time.Second)
		synctest.Wait()
		if i := r.inspect(); i.Fabrics != 0 || i.PASE != 0 || i.CASE != 0 || i.Exchanges != 0 || !i.WindowOpen {
			r.t.Fatalf("after a failure at %s: %+v", step, i)
		}
		if n := len(r.announced.of("_matterc._udp")); n != 1 || len(r.announced.of("_matter._tcp")) != 0 {
			r.t.Fatalf("after a failure at %s: %v", step, r.announced.services)
		}
	}
	r.t.Fatalf("given up after failures at %v", failures)
	return nil, nil
}

// over commissions a node over a network and checks that it works.
func over(t *testing.T, seed uint64, cond simnet.Conditions) (failures []string) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.net = simnet.New(seed, cond)
		r.opt.CommissioningTimeout = 24 * time.Hour
		r.start()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{ICAC: seed%2 == 0})
		var done *commissioner.Commissioned
		done, failures = r.persist(c, a)
		r.net.SetConditions(clean)
		time.Sleep(time.Minute) // messages in transit arrive or time out
		s := r.session(c, a, done.Node)
		if !r.alive(s) {
			t.Error("the node does not answer")
		}
		if i := r.inspect(); i.Fabrics != 1 || i.PASE != 0 {
			t.Errorf("%d fabrics, %d PASE sessions", i.Fabrics, i.PASE)
		}
		r.wantBounded()
		r.finish()
	})
	return failures
}

// Even if the network loses, duplicates, reorders or delays up to 40 % of the
// datagrams, a commissioning succeeds or leaves nothing behind, and one of the next
// attempts succeeds. With up to 10 % loss the first one does.
func TestCommissionOverBadNetworks(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(*lossSeeds), 7))
	type row struct{ networks, first, attempts int }
	rows := map[int]*row{}
	steps := map[string]int{}
	for seed := range uint64(*lossSeeds) {
		worst := int(seed % 5)
		at := func() float64 { return r.Float64() * 0.4 }
		cond := simnet.Conditions{
			Loss:      float64(worst) / 10,
			Duplicate: at(), Reorder: at(),
			Delay:  time.Duration(r.Int64N(int64(50 * time.Millisecond))),
			Jitter: time.Duration(r.Int64N(int64(100 * time.Millisecond))),
		}
		t.Run(fmt.Sprintf("%d: %.0f%% lost, %.0f%% doubled, %.0f%% reordered", seed, 100*cond.Loss, 100*cond.Duplicate, 100*cond.Reorder), func(t *testing.T) {
			failures := over(t, seed, cond)
			w := rows[worst]
			if w == nil {
				w = &row{}
				rows[worst] = w
			}
			w.networks++
			w.attempts += 1 + len(failures)
			if len(failures) == 0 {
				w.first++
			} else if worst <= 1 {
				t.Errorf("failed at %v", failures)
			}
			for _, step := range failures {
				steps[fmt.Sprintf("%d0 %%: %s", worst, step)]++
			}
		})
	}
	for worst := range 5 {
		if w := rows[worst]; w != nil {
			t.Logf("| %d0 %% | %d | %d | %.2f |", worst, w.networks, w.first, float64(w.attempts)/float64(w.networks))
		}
	}
	var list []string
	for step, n := range steps {
		list = append(list, fmt.Sprintf("%s: %d", step, n))
	}
	slices.Sort(list)
	t.Logf("failures by loss and step: %s", strings.Join(list, ", "))
}
