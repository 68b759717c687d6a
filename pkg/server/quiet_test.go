package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/admin"
)

// Who tries passcodes cannot fill the log, and what it was spared is counted.
func TestWrongPasscodesFillNoLog(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		var log bytes.Buffer // written to by the loop, read when it is idle
		r.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.start()
		c := r.client()
		lines := func() int {
			time.Sleep(time.Second) // for what is on its way
			synctest.Wait()
			return strings.Count(log.String(), `msg="handshake failed"`)
		}
		for range 12 {
			if _, err := c.PASE(r.ctx, deviceAddr, passcode+1); err == nil {
				t.Fatal("a wrong passcode opens a session")
			}
		}
		if n := lines(); n != 5 {
			t.Errorf("%d lines for 12 attempts at once, want 5", n)
		}
		time.Sleep(time.Minute)
		if _, err := c.PASE(r.ctx, deviceAddr, passcode+1); err == nil {
			t.Fatal("a wrong passcode opens a session")
		}
		if n := lines(); n != 6 || !strings.Contains(log.String(), "not_logged_before=7") {
			t.Errorf("%d lines a minute later:\n%s", n, log.String())
		}
		r.finish()
	})
}

// safeBuffer is a log that the loop writes to while a test takes what is in it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.b.Reset()
	return s.b.String()
}

// The operator hears of every window: who opened it, and why it closed.
func TestWindowsAreLogged(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		var log safeBuffer
		r.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.start()
		said := func(what, want string) {
			t.Helper()
			time.Sleep(time.Second) // for what is on its way
			synctest.Wait()
			if text := log.take(); !strings.Contains(text, want) {
				t.Errorf("%s: no %s in\n%s", what, want, text)
			}
		}
		said("start", `msg="open for commissioning" for=15m0s`)
		time.Sleep(15 * time.Minute)
		said("its time is up", `level=INFO msg="commissioning window closed" kind=initial failed_attempts=0 open_again="opcredsd window open"`)
		if _, err := r.srv.Operator().OpenWindow(r.ctx, admin.WindowRequest{Seconds: 900}); err != nil {
			t.Fatal(err)
		}
		said("opened", `msg="commissioning window open" kind=basic by="the operator" until=2000-01-01T00:30:`)
		c := r.client()
		for range 20 {
			if _, err := c.PASE(r.ctx, deviceAddr, passcode+1); err == nil {
				t.Fatal("a wrong passcode opens a session")
			}
		}
		said("guessing", `level=WARN msg="commissioning window closed, as too many attempts failed" kind=basic failed_attempts=20`)
		if _, err := r.srv.Operator().OpenWindow(r.ctx, admin.WindowRequest{Seconds: 900}); err != nil {
			t.Fatal(err)
		}
		administrator := r.authority(commissioner.AuthorityOptions{})
		s := r.commission(c, administrator).CASE
		said("commissioned", "msg=\"commissioning window closed\" kind=basic failed_attempts=0\n")
		r.must(s.OpenEnhancedWindow(r.ctx, 900, otherPasscode, 1))
		said("opened by a controller", `msg="commissioning window open" kind=enhanced by="fabric 1" until=`)
		r.must(s.RemoveFabric(r.ctx, 1))
		said("left", fmt.Sprintf(`msg="fabric removed" fabric=1 label="" by="fabric 1" peer=%v`, administrator.NodeID))
		r.finish()
	})
}
