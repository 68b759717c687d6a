package server_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// burst sends commands at once on each session. Each must be answered with success,
// within limit.
func (r *rig) burst(sessions []*commissioner.Session, commands int, limit time.Duration) {
	r.t.Helper()
	const readAllIndices = 4 // of Group Key Management: it changes nothing
	begin := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	failed := make(map[string]int)
	for _, s := range sessions {
		for range commands {
			wg.Go(func() {
				_, err := s.Invoke(r.ctx, 0, clGroupKeys, readAllIndices, nil)
				mu.Lock()
				defer mu.Unlock()
				switch took := time.Since(begin); {
				case err != nil:
					failed[err.Error()]++
				case took > limit:
					failed[fmt.Sprintf("answered after %v", took)]++
				}
			})
		}
	}
	wg.Wait()
	for what, n := range failed {
		r.t.Errorf("%d of %d commands: %s", n, len(sessions)*commands, what)
	}
}

// The duration of a request is measured at its end. It includes the time that the
// cluster takes.
func TestDurationOfRequests(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		p := r.addPlug(plugID)
		p.onOff.set = func(bool) { time.Sleep(30 * time.Millisecond) }
		before := r.inspect().Took["invoke"]
		_, err := s.Invoke(r.ctx, plugID, clOnOff, datamodel.OnOffCmdOn, nil)
		r.must(err)
		if took := r.inspect().Took["invoke"] - before; took < 0.029 || took > 0.031 {
			t.Errorf("the command took %v s", took)
		}
	})
}

// A controller that switches a house sends a command for each lamp at once. All are
// answered, even if the network loses and reorders messages.
func TestBursts(t *testing.T) {
	slow := simnet.Conditions{Delay: 5 * time.Millisecond} // all are sent before the first is answered
	lossy := simnet.Conditions{Loss: 0.1, Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond, Reorder: 0.1}
	for name, tt := range map[string]struct {
		cond               simnet.Conditions
		sessions, commands int
		limit              time.Duration
	}{
		"500 on one session":                     {slow, 1, 500, time.Second},
		"50 on each of ten":                      {slow, 10, 50, time.Second},
		"150 with loss":                          {lossy, 1, 150, 10 * time.Second},
		"more than a session may have in flight": {slow, 1, 900, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
				p := r.commission(c, a)
				sessions := []*commissioner.Session{p.CASE}
				for len(sessions) < tt.sessions {
					sessions = append(sessions, r.session(c, a, p.Node))
				}
				r.net.SetConditions(tt.cond)
				r.burst(sessions, tt.commands, tt.limit)
				r.net.SetConditions(clean)
				r.wait(time.Minute)
				if n := r.inspect().Exchanges; n != 0 {
					t.Errorf("%d exchanges are left", n)
				}
			})
		})
	}
}
