package node

import (
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// issuerSkew is how many seconds the clock of a certificate's issuer may be ahead of
// a synchronized clock: a day, for an issuer that takes local time for UTC.
const issuerSkew = 24 * 60 * 60

// sessionValidity returns what a peer's chain is checked against in CASE.
//
// A board without a battery-backed clock starts in 1970, at the date of its image, or at
// the time of its last shutdown. Other clocks are set by hand, to any date. A clock that
// is not synchronized may be behind or ahead, and must not lock an administrator out, so
// it is ignored. A certificate that expired before this program was built has expired by
// any clock.
func (n *Node) sessionValidity(now time.Time) cert.VerifyOptions {
	if t := epoch(now); t != 0 && n.opt.Synchronised() {
		return cert.VerifyOptions{Now: t, Exact: true, Skew: issuerSkew}
	}
	return cert.VerifyOptions{Now: uint32(host.Built() - matter.EpochOffset)}
}

// clockTrusted reports whether the clock can be right.
func (n *Node) clockTrusted(now time.Time) bool {
	t := epoch(now)
	return t != 0 && (t >= n.trust.fabrics.LastKnownGoodTime() || n.opt.Synchronised())
}

// dateFabrics keeps when the fabrics of this run were added. A date by a clock that must be
// wrong is not kept: it is called again once an hour and at an orderly stop, when the clock
// may have been set.
func (n *Node) dateFabrics(now time.Time) {
	if len(n.settled.joined) == 0 || !n.clockTrusted(now) {
		return
	}
	for i, at := range n.settled.joined {
		f := n.trust.fabrics.Get(i)
		if f == nil || f.Added != 0 {
			continue
		}
		err := n.trust.fabrics.Mutate(i, func(f *store.Fabric) error {
			f.Added = epoch(now.Add(-now.Sub(at))) // by the clock as it is now
			return nil
		})
		if err != nil {
			n.log.Warn("when the fabric was added is not kept", "fabric", i, "error", err)
		}
	}
}

// epoch returns now in seconds since 2000-01-01, or 0 if the clock is certainly wrong:
// before the program was built.
func epoch(now time.Time) uint32 {
	s := now.Unix() - matter.EpochOffset
	if !host.ClockPlausible(now) || s > math.MaxUint32 {
		return 0
	}
	return uint32(s)
}
