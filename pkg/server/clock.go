package server

import (
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// A board without a battery-backed clock wakes up in 1970, at the date of its image,
// or at that of its last shutdown. It must neither keep an administrator out whose
// certificates began since then, nor take one in whose time was up before this
// program was built. So a certificate is refused as not yet valid only by a clock that
// is kept right; as expired also by another one, which stands still at times and does
// not run ahead, and by the times that have certainly come.

// commissionValidity is what a chain is held against that an administrator brings:
// the clock, but not less than the last known good time (section 3.5.6.1).
func (s *Server) commissionValidity(now time.Time) cert.VerifyOptions {
	return s.validity(now, s.trust.fabrics.LastKnownGoodTime())
}

// sessionValidity is what a peer's chain is held against in CASE. One fabric's
// certificates, by their beginning, do not end the sessions of another.
func (s *Server) sessionValidity(now time.Time) cert.VerifyOptions {
	return s.validity(now, 0)
}

func (s *Server) validity(now time.Time, known uint32) cert.VerifyOptions {
	t := epoch(now)
	if t != 0 && s.opt.Synchronised() {
		return cert.VerifyOptions{Now: t, Exact: true}
	}
	return cert.VerifyOptions{Now: max(t, known, uint32(host.Built()-matter.EpochOffset))}
}

// clockTrusted reports whether the clock can be right.
func (s *Server) clockTrusted(now time.Time) bool {
	t := epoch(now)
	return t != 0 && (t >= s.trust.fabrics.LastKnownGoodTime() || s.opt.Synchronised())
}

// epoch returns now in seconds since 2000-01-01, or 0 where the clock is plainly
// wrong: the program was not built yet.
func epoch(now time.Time) uint32 {
	s := now.Unix() - matter.EpochOffset
	if !host.ClockPlausible(now) || s > math.MaxUint32 {
		return 0
	}
	return uint32(s)
}
