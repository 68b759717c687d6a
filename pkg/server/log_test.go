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
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Wrong passcodes cannot fill the log. The suppressed lines are counted.
func TestWrongPasscodesFillNoLog(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		var log bytes.Buffer // written to by the loop, read when it is idle
		r.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.start()
		c := r.client()
		lines := func() int {
			time.Sleep(time.Second) // messages in transit arrive
			synctest.Wait()
			return strings.Count(log.String(), `msg="pairing failed: the commissioner used another code"`)
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

// safeBuffer is a log that can be read while the loop writes to it.
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

// The log contains who opened a window and why it closed.
func TestWindowsAreLogged(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		var log safeBuffer
		r.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.start()
		said := func(what, want string) {
			t.Helper()
			time.Sleep(time.Second) // messages in transit arrive
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

// Each line about a handshake contains the peer's address, and a wrong code is
// named as the reason.
func TestAnotherCodeIsSaidInWords(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		var log safeBuffer
		r.opt.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r.start()
		said := func(want string) {
			t.Helper()
			r.wait(time.Second)
			if text := log.take(); !strings.Contains(text, want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
		c := r.client()
		if _, err := c.PASE(r.ctx, deviceAddr, passcode+1); err == nil {
			t.Fatal("a wrong passcode opens a session")
		}
		said(`level=WARN msg="pairing failed: the commissioner used another code" address=[fe80::c:1]:40001 attempt="1 of 20"`)
		if _, err := r.client().PASE(r.ctx, deviceAddr, passcode+2); err == nil {
			t.Fatal("a wrong passcode opens a session")
		}
		said(`level=WARN msg="pairing failed: the commissioner used another code" address=[fe80::c:1]:40002 attempt="2 of 20"`)
		p := r.pase(c)
		said(`msg="a commissioner has opened a PASE session" address=[fe80::c:1]:40001`)
		a := r.authority(commissioner.AuthorityOptions{})
		r.join(c, p, a)
		said(`msg="CASE session opened" fabric=1 peer=`)
		if _, _, err := c.CASE(r.ctx, deviceAddr, r.authority(commissioner.AuthorityOptions{}), 1, nil); err == nil {
			t.Fatal("a stranger has a session")
		}
		said(`level=DEBUG msg="handshake failed" address=[fe80::c:1]:40001 result=no_shared_root`)
		r.finish()
	})
}

// A refusal is logged as a warning once per session, with the name of the fabric.
// If a fabric exists already, the line contains a remedy.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		var log safeBuffer
		r.opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		r.start()
		c, a, b := r.client(), r.authority(commissioner.AuthorityOptions{}), r.authority(commissioner.AuthorityOptions{})
		one := r.commission(c, a)
		r.must(one.CASE.UpdateFabricLabel(r.ctx, "Home"))
		two := r.join(c, one.CASE, b)
		guest, err := b.Admin(4711)
		r.must(err)
		said := func(what, want string, times int) {
			t.Helper()
			r.wait(time.Second)
			text := log.take()
			if n := strings.Count(text, want); n != times {
				t.Errorf("%s: %d times %s in\n%s", what, n, want, text)
			}
		}
		said("before", "refused", 0)

		status, err := two.CASE.Write(r.ctx, 0, clAccess, 0, entries(
			entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(b.NodeID)}, nil},
			entry{matter.PrivilegeView, matter.AuthModeCASE, []uint64{4711}, nil}))
		r.must(err)
		r.want("access", outcome(status.Status), success)
		for range 2 {
			s := r.session(c, guest, two.Node)
			for range 3 {
				r.want("the window", r.window(s, cmdOpenBasic, 0, 180), unsupportedAccess)
			}
			said("a guest", `level=WARN msg="request refused" fabric=2 label="" peer=0000000000001267 address=[fe80::c:1]:40001 action=invoke status=UNSUPPORTED_ACCESS`, 1)
		}

		s := one.CASE
		for range 3 {
			r.must(s.ArmFailSafe(r.ctx, 60, 0))
			r.must(s.AddRoot(r.ctx, a.Root()))
			r.want("AddNOC", r.addNOC(s, fields(a, r.noc(a, r.csr(s, false)))), fabricConflict)
			r.must(s.ArmFailSafe(r.ctx, 0, 0))
		}
		said("the fabric once more", `level=WARN msg="command refused" fabric=1 label=Home peer=`, 1)
		s = r.session(c, a, one.Node)
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		r.must(s.AddRoot(r.ctx, a.Root()))
		r.want("AddNOC", r.addNOC(s, fields(a, r.noc(a, r.csr(s, false)))), fabricConflict)
		said("what helps", `as fabric 1 (label \"Home\"): to commission it again, remove that with \"opcredsd fabrics remove 1\"`, 1)
		r.finish()
	})
}
