package server_test

import (
	"errors"
	"fmt"
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

// valid returns an authority whose certificates are valid from one year to another.
func (r *rig) valid(from, to int) *commissioner.Authority {
	r.t.Helper()
	return r.authority(commissioner.AuthorityOptions{Validity: cert.Validity{NotBefore: year(from), NotAfter: year(to)}})
}

// clockBubble runs f with a node that is not started. Fake time begins in the year
// 2000, long before the program was built, as on a board without a battery-backed
// clock.
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

// clockTrusted reports whether the node considers the clock plausible.
func (r *rig) clockTrusted() bool {
	r.t.Helper()
	return r.inspect().ClockTrusted
}

func refusedCASE(err error) bool {
	var report commissioner.StatusError
	return errors.As(err, &report) && report.Code == message.CodeInvalidParameter
}

// A board whose clock shows 2000 accepts certificates that begin and end later.
func TestClockNotSet(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.start()
		c, a := r.client(), r.valid(2030, 2040)
		done := r.commission(c, a)
		if r.clockTrusted() {
			t.Error("the node trusts the clock")
		}
		r.restart()
		r.session(c, a, done.Node)
		r.finish()
	})
}

// An administrator's certificates may have any dates: its issuer's clock may be
// ahead of the node's, and neither may be right. A certificate without a beginning
// is valid already.
func TestAnyDatesAreTaken(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprint("synchronised ", sync), func(t *testing.T) {
			clockBubble(t, func(r *rig) {
				r.opt.Synchronised = func() bool { return sync }
				r.startIn(2035)
				c := r.client()
				s := r.pase(c)
				now := year(2035)
				for name, v := range map[string]cert.Validity{
					"over":                                  {NotBefore: year(2030), NotAfter: year(2034)},
					"begins next year":                      {NotBefore: year(2036), NotAfter: year(2040)},
					"begins in a minute":                    {NotBefore: now + 60, NotAfter: year(2040)},
					"ends before it begins, when it begins": {NotBefore: year(2036), NotAfter: year(2036)},
				} {
					a := r.authority(commissioner.AuthorityOptions{Validity: v})
					r.must(s.ArmFailSafe(r.ctx, 900, 0))
					r.must(s.AddRoot(r.ctx, a.Root()))
					r.want(name, r.addNOC(s, fields(a, r.noc(a, r.csr(s, false)))), ok)
					r.must(s.ArmFailSafe(r.ctx, 0, 0))
					time.Sleep(time.Second)
					s = r.pase(c)
				}
				a := r.valid(2030, 2040)
				r.must(s.ArmFailSafe(r.ctx, 900, 0))
				r.must(s.AddRoot(r.ctx, a.Root()))
				n := r.noc(a, r.csr(s, false))
				r.want("no beginning", r.addNOC(s, fields(a, r.reissue(a, n, func(c *cert.Certificate) { c.NotBefore = 0 }))), ok)
				admin := r.session(c, a, n.NodeID())
				r.must(admin.CommissioningComplete(r.ctx))

				r.must(admin.ArmFailSafe(r.ctx, 60, 0))
				n = r.noc(a, r.csr(admin, true))
				n = r.reissue(a, n, func(c *cert.Certificate) { c.NotBefore = now + 3600 })
				r.want("UpdateNOC", r.updateNOC(admin, n.Raw(), nil), ok)
				r.must(r.session(c, a, n.NodeID()).CommissioningComplete(r.ctx))
				r.finish()
			})
		})
	}
}

// A session is opened according to the clock, if it is synchronized. A certificate
// counts as valid from a day before it begins, as its issuer's clock may be ahead.
func TestClockSet(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.startIn(2035)
		c, a := r.client(), r.valid(2030, 2040)
		done := r.commission(c, a)
		if !r.clockTrusted() {
			t.Error("the node does not trust the clock")
		}
		for name, tt := range map[string]struct {
			valid cert.Validity
			taken bool
		}{
			"in time":           {cert.Validity{NotBefore: year(2030), NotAfter: year(2040)}, true},
			"no end":            {cert.Validity{NotBefore: year(2030)}, true},
			"begins in an hour": {cert.Validity{NotBefore: year(2035) + 3600}, true},
			"begins next year":  {cert.Validity{NotBefore: year(2036)}, false},
			"over":              {cert.Validity{NotBefore: year(2030), NotAfter: year(2034)}, false},
		} {
			b := r.authority(commissioner.AuthorityOptions{Validity: tt.valid})
			r.must(done.CASE.OpenBasicWindow(r.ctx, 180))
			s := r.pase(c)
			join, err := s.Join(r.ctx, b)
			r.must(err)
			if _, _, err := c.CASE(r.ctx, deviceAddr, b, join.Node, nil); (err == nil) != tt.taken || err != nil && !refusedCASE(err) {
				t.Errorf("%s: %v", name, err)
			}
			r.must(s.ArmFailSafe(r.ctx, 0, 0))
			time.Sleep(time.Second)
			r.must(done.CASE.RevokeWindow(r.ctx))
		}

		r.stop()
		r.startIn(2041)
		if _, _, err := c.CASE(r.ctx, deviceAddr, a, done.Node, nil); !refusedCASE(err) {
			t.Errorf("CASE of an administrator whose time is up: %v", err)
		}
		r.finish()
	})
}

// A clock that is not synchronized locks nobody out, whether it is behind or ahead.
func TestClockNotKeptRight(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.opt.Synchronised = func() bool { return false }
		r.startIn(2030)
		c, a, b := r.client(), r.valid(2029, 2034), r.valid(2031, 2034)
		done := r.commission(c, a)
		if !r.clockTrusted() {
			t.Error("the node does not trust the clock")
		}
		other := r.join(c, done.CASE, b) // begins in the clock's future and so corrects it
		if r.clockTrusted() {
			t.Error("a clock is trusted that is a year late")
		}
		r.restart()
		r.session(c, a, done.Node)
		r.session(c, b, other.Node)

		r.stop()
		r.startIn(2040) // six years ahead
		r.session(c, a, done.Node)
		r.join(c, r.session(c, b, other.Node), r.valid(2031, 2035))
		r.finish()
	})
}

// A certificate that ended before this program was built has expired by any clock.
func TestOverByAnyClock(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.opt.Synchronised = func() bool { return false }
		r.startIn(2030)
		c, a := r.client(), r.valid(2001, 2002)
		s := r.pase(c)
		done, err := s.Join(r.ctx, a)
		r.must(err)
		if _, _, err := c.CASE(r.ctx, deviceAddr, a, done.Node, nil); !refusedCASE(err) {
			t.Errorf("CASE of an administrator whose time was up when this was built: %v", err)
		}
		r.finish()
	})
}

// An accepted certificate proves that its beginning has passed. A clock that shows
// an earlier time is not trusted, even after its fabric was removed.
func TestLastKnownGoodTime(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.opt.Synchronised = func() bool { return false }
		r.start()
		c, a, b := r.client(), r.valid(2035, 2040), r.valid(2027, 2036)
		done := r.commission(c, a)
		r.stop()
		r.startIn(2030)
		s := r.session(c, a, done.Node)
		if r.clockTrusted() {
			t.Error("a clock is trusted that is five years late")
		}
		other := r.join(c, s, b)
		r.want("RemoveFabric", r.creds(other.CASE, cmdRemove, 0, 1), ok)
		r.stop()
		r.startIn(2034)
		r.session(c, b, other.Node)
		if r.clockTrusted() {
			t.Error("a clock is trusted that is one year late")
		}
		r.stop()
		r.startIn(2036)
		r.session(c, b, other.Node)
		if !r.clockTrusted() {
			t.Error("a clock that can be right is not trusted")
		}
		r.finish()
	})
}

// A time that came with a rolled back fabric does not count.
func TestLastKnownGoodTimeTakenBack(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.opt.Synchronised = func() bool { return false }
		r.start()
		c := r.client()
		s := r.pase(c)
		_, err := s.Join(r.ctx, r.valid(2035, 2040))
		r.must(err)
		if r.clockTrusted() {
			t.Error("a clock is trusted that is decades late")
		}
		time.Sleep(121 * time.Second)
		r.stop()
		r.startIn(2030)
		if !r.clockTrusted() {
			t.Error("the rolled back time counts")
		}
		r.finish()
	})
}
