package server_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// year returns the beginning of a year in seconds since 2000.
func year(y int) uint32 {
	return uint32(time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - matter.EpochOffset)
}

// valid makes an authority whose certificates are valid from one year to another.
func (r *rig) valid(from, to int) *commissioner.Authority {
	r.t.Helper()
	return r.authority(commissioner.AuthorityOptions{Validity: cert.Validity{NotBefore: year(from), NotAfter: year(to)}})
}

// clockBubble runs f with a node that is not started. Fake time begins in the year
// 2000, long before the program was built: the clock of a board without one.
func clockBubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { f(newRig(t, dir)) })
}

// startIn starts the node with the clock at the beginning of a year.
func (r *rig) startIn(y int) {
	r.t.Helper()
	time.Sleep(time.Until(time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)))
	r.start()
}

// clockTrusted asks the node whether the time of day can be right.
func (r *rig) clockTrusted() (trusted bool) {
	r.t.Helper()
	r.must(r.srv.Do(func() error {
		trusted = r.srv.ClockTrusted()
		return nil
	}))
	return trusted
}

func refusedCASE(err error) bool {
	var report commissioner.StatusError
	return errors.As(err, &report) && report.Code == message.CodeInvalidParameter
}

// A board that thinks it is 2000 takes certificates that begin and end later.
func TestClockNotSet(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.start()
		c, a := r.client(), r.valid(2030, 2040)
		done := r.commission(c, a)
		if r.clockTrusted() {
			t.Error("the node tells the time")
		}
		r.restart()
		r.session(c, a, done.Node)
		r.finish()
	})
}

// A clock that something keeps right judges both ends of validity.
func TestClockSet(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.startIn(2035)
		c := r.client()
		s := r.pase(c)
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		pub := r.csr(s, false)
		try := func(a *commissioner.Authority) string {
			r.must(s.AddRoot(r.ctx, a.Root())) // whose time does not matter yet
			word := r.addNOC(s, fields(a, r.noc(a, pub)))
			if word != ok {
				r.must(s.ArmFailSafe(r.ctx, 0, 0))
				time.Sleep(time.Second)
				s = r.pase(c)
				pub = r.csr(s, false)
			}
			return word
		}
		r.want("expired", try(r.valid(2030, 2034)), invalidNOC)
		r.want("not yet valid", try(r.valid(2036, 2040)), invalidNOC)
		a := r.valid(2030, 2040)
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		r.must(s.AddRoot(r.ctx, a.Root()))
		n := r.noc(a, pub)
		r.want("expired NOC", r.addNOC(s, fields(a, r.reissue(a, n, func(c *cert.Certificate) { c.NotAfter = year(2034) }))), invalidNOC)
		r.want("valid without end", r.addNOC(s, fields(a, r.reissue(a, n, func(c *cert.Certificate) { c.NotAfter = 0 }))), ok)
		node := n.NodeID()
		admin := r.session(c, a, node)
		r.must(admin.CommissioningComplete(r.ctx))
		if !r.clockTrusted() {
			t.Error("the node does not tell the time")
		}

		r.stop()
		r.startIn(2041)
		if _, _, err := c.CASE(r.ctx, deviceAddr, a, node, nil); !refusedCASE(err) {
			t.Errorf("CASE of an administrator whose time is up: %v", err)
		}
		r.finish()
	})
}

// A clock that was set once and stood still since then, as a board's without a battery
// does while it is off, is behind: it keeps out nobody whose time has begun meanwhile.
func TestClockBehind(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.opt.Synchronised = func() bool { return false }
		r.startIn(2030)
		c, a, b := r.client(), r.valid(2029, 2040), r.valid(2031, 2040)
		done := r.commission(c, a)
		if !r.clockTrusted() {
			t.Error("the node does not tell the time")
		}
		other := r.join(c, done.CASE, b) // begins in the clock's future, and teaches it better
		if r.clockTrusted() {
			t.Error("a clock is trusted that is a year late")
		}
		r.restart()
		r.session(c, a, done.Node)
		r.session(c, b, other.Node)

		s := r.session(c, a, done.Node)
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		old := r.valid(2026, 2029)
		pub := r.csr(s, false)
		r.must(s.AddRoot(r.ctx, old.Root()))
		r.want("expired by any clock", r.addNOC(s, fields(old, r.noc(old, pub))), invalidNOC)
		r.finish()
	})
}

// An accepted certificate says that its beginning has come: by a clock before that
// nobody is refused as too early, and what ended before then has expired.
func TestLastKnownGoodTime(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.opt.Synchronised = func() bool { return false }
		r.start()
		c, a := r.client(), r.valid(2035, 2040)
		done := r.commission(c, a)
		r.stop()
		r.startIn(2030)
		s := r.session(c, a, done.Node)
		if r.clockTrusted() {
			t.Error("a clock is trusted that is five years late")
		}
		r.must(s.ArmFailSafe(r.ctx, 900, 0))
		gone := r.valid(2027, 2034) // expired by what is known, though not by the clock
		pub := r.csr(s, false)
		r.must(s.AddRoot(r.ctx, gone.Root()))
		r.want("expired", r.addNOC(s, fields(gone, r.noc(gone, pub))), invalidNOC)
		r.must(s.ArmFailSafe(r.ctx, 0, 0))
		b := r.valid(2027, 2036)
		other := r.join(c, s, b)
		// What is known stays known without the fabric that taught it.
		r.want("RemoveFabric", r.creds(other.CASE, cmdRemove, 0, 1), ok)
		r.stop()
		r.startIn(2034)
		r.session(c, b, other.Node)
		if r.clockTrusted() {
			t.Error("a clock is trusted that is one year late")
		}
		r.stop()
		r.startIn(2037)
		if _, _, err := c.CASE(r.ctx, deviceAddr, b, other.Node, nil); !refusedCASE(err) {
			t.Errorf("CASE of an administrator whose time is up: %v", err)
		}
		r.finish()
	})
}

// What the fail-safe takes back does not count as known.
func TestLastKnownGoodTimeTakenBack(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.start()
		c := r.client()
		s := r.pase(c)
		a := r.valid(2035, 2040)
		_, err := s.Join(r.ctx, a)
		r.must(err)
		time.Sleep(121 * time.Second)
		r.stop()
		r.startIn(2030)
		s = r.pase(c)
		pub := r.csr(s, false)
		r.must(s.AddRoot(r.ctx, a.Root()))
		r.want("not yet valid", r.addNOC(s, fields(a, r.noc(a, pub))), invalidNOC)
		r.finish()
	})
}
