package mdns

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A window that closes while the node looks for its record is no reason for alarm; a
// record that stays and is not found is.
func TestSelfCheckWhileServicesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := &Announcer{log: slog.New(slog.NewTextHandler(&log, nil)), changed: make(chan struct{}, 1), ended: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		var withdrawn atomic.Bool
		go r.watch(ctx, func(ctx context.Context) error {
			if !withdrawn.Load() {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(checkTimeout):
				return errors.New("no answer")
			}
		})
		change := func(nowWithdrawn bool) {
			withdrawn.Store(nowWithdrawn)
			r.changed <- struct{}{}
		}
		change(true)
		time.Sleep(checkSettles + time.Second)
		change(false)
		time.Sleep(checkSettles + time.Second)
		synctest.Wait()
		if got := log.String(); !r.found.Load() || strings.Contains(got, "WARN") {
			t.Errorf("found %v, log:\n%s", r.found.Load(), got)
		}
		change(true)
		time.Sleep(checkSettles + checkTimeout + time.Second)
		synctest.Wait()
		if got := log.String(); r.found.Load() || !strings.Contains(got, "no answer") {
			t.Errorf("found %v, log:\n%s", r.found.Load(), got)
		}
		stop()
		<-r.ended
	})
}
