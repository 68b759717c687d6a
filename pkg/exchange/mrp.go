package exchange

import (
	"math"
	"time"
)

// Parameters of MRP (section 4.12.8).
const (
	maxTransmissions     = 5
	backoffBase          = 1.6
	backoffJitter        = 0.25
	backoffMargin        = 1.1
	backoffThreshold     = 1
	standaloneAckTimeout = 200 * time.Millisecond

	// The acknowledgement that goes with a message that waits for room is sent by itself
	// after heldAckTimeout, if it is no more than heldAckSpan counters after the oldest
	// message on its way, which is tried again and again, and otherwise after
	// heldAckLatest: before the peer gives up.
	heldAckTimeout  = 500 * time.Millisecond
	heldAckInterval = 50 * time.Millisecond
	heldAckSpan     = peerWindow * 3 / 4
	heldAckLatest   = 2 * time.Second
)

// backoff returns the wait for an acknowledgement after the n-th retransmission; n
// is 0 after the first transmission. interval is the peer's active or idle
// interval, and random is uniform in [0, 1) (section 4.12.2.1).
func backoff(interval time.Duration, n int, random float64) time.Duration {
	t := float64(interval) * backoffMargin
	t *= math.Pow(backoffBase, float64(max(0, n-backoffThreshold)))
	return time.Duration(t * (1 + random*backoffJitter))
}

// WorstCase returns the longest time until a reliable message is acknowledged or
// given up, for a peer with the given retransmission interval (section 4.12.2.1).
// Response timeouts are based on it.
func WorstCase(interval time.Duration) time.Duration {
	var sum time.Duration
	for n := range maxTransmissions {
		sum += backoff(interval, n, 1)
	}
	return sum
}
