package server_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// waiting returns the calls that wait for the node's goroutine.
func (r *rig) waiting() map[string]func() error {
	return map[string]func() error{
		"Do":              func() error { return r.srv.Do(func() error { return nil }) },
		"AddEndpoint":     func() error { return r.srv.AddEndpoints(r.batch(30)...) },
		"RemoveEndpoint":  func() error { return r.srv.RemoveEndpoint(plugID) },
		"Stop":            r.srv.Stop,
		"Operator.Status": func() error { _, err := r.srv.Operator().Status(r.ctx); return err },
		"Pairing":         func() error { _, err := r.srv.Pairing(); return err },
		"Probe":           func() error { return r.srv.Probe(r.ctx) },
	}
}

// Calls that wait for the node's goroutine return an error at once if they are made
// on that goroutine: before and after the start, in Do and by a cluster. Nothing
// blocks, and the node continues.
func TestOnTheLoop(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		errs := map[string]error{}
		try := func() {
			for name, call := range r.waiting() {
				errs[name] = call()
			}
		}
		check := func(where string) {
			t.Helper()
			for name := range r.waiting() {
				if !errors.Is(errs[name], server.ErrOnLoop) {
					t.Errorf("%s %s: %v", name, where, errs[name])
				}
			}
			clear(errs)
		}
		r.stop()
		r.prepare = func() {
			r.must(r.srv.Do(func() error { try(); return nil }))
			check("in Do before the start")
		}
		r.start()
		r.must(r.srv.Do(func() error { try(); return nil }))
		check("in Do")
		switched := &onOff{set: func(bool) { try() }}
		r.must(r.srv.AddEndpoint(server.Endpoint{ID: plugID, DeviceTypes: []server.DeviceType{{ID: 0x010A, Revision: 4}}, Clusters: []im.Cluster{switched}}))
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		_, err := s.Invoke(r.ctx, plugID, clOnOff, 1, nil)
		r.must(err)
		check("by a cluster")
		// On another goroutine all of them work.
		for name, call := range r.waiting() {
			if name == "Stop" {
				continue
			}
			if err := call(); err != nil {
				t.Errorf("%s from another goroutine: %v", name, err)
			}
		}
	})
}

// Stop returns even if a function blocks the node's goroutine.
func TestStopIsBounded(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		release := make(chan struct{})
		go func() {
			_ = r.srv.Do(func() error {
				<-release
				return nil
			})
		}()
		synctest.Wait()
		begun := time.Now()
		if err := r.srv.Stop(); err == nil {
			t.Error("stopped a node that something holds, and said nothing")
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("Stop took %v", d)
		}
		close(release)
		synctest.Wait()
		r.start()
	})
}
