package server_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
