package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

const (
	// compositionDelay is how long changes are collected, so that related ones
	// raise the version once.
	compositionDelay = time.Second
	// compositionGrace is how long after the start a program may take to add the
	// endpoints that it had before.
	compositionGrace = 30 * time.Second
	// compositionRetry is the time until the next attempt after an error of the store.
	compositionRetry = time.Minute
)

// composition maintains the version of the node's configuration. The version grows
// when an endpoint is added, removed or changed (section 9.2.11). A restart does
// not change it.
type composition struct {
	log   *slog.Logger
	write func(store.Composition) error // stores it
	raise func(version uint32)          // sets the version that the node reports

	kept    store.Composition
	digests map[matter.EndpointID][sha256.Size]byte
	sum     [sha256.Size]byte // of the digests, independent of their order
	changed bool              // since the last settle
	at      time.Time         // when sum is compared with the stored one; zero: it has not changed
	serving bool
	grace   bool // at is the end of compositionGrace
}

// newComposition reads the stored composition.
func newComposition(s *store.Store, log *slog.Logger) (*composition, error) {
	c := &composition{log: log, digests: map[matter.EndpointID][sha256.Size]byte{}}
	c.write = func(next store.Composition) error {
		return s.Update(func(tx *store.Tx) error { return tx.PutComposition(next) })
	}
	err := s.View(func(tx *store.Tx) (err error) {
		c.kept, err = tx.Composition()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the composition: %w", err)
	}
	c.kept.Version = max(c.kept.Version, 1)
	return c, nil
}

// version returns the version of the configuration.
func (c *composition) version() uint32 { return c.kept.Version }

// add adds an endpoint.
func (c *composition) add(ep im.Endpoint) {
	c.digests[ep.ID] = digest(ep)
	c.toggle(ep.ID)
}

// remove removes an endpoint.
func (c *composition) remove(id matter.EndpointID) {
	c.toggle(id)
	delete(c.digests, id)
}

func (c *composition) toggle(id matter.EndpointID) {
	for i, b := range c.digests[id] {
		c.sum[i] ^= b
	}
	c.changed = true
}

// digest returns a digest of an endpoint's types, clusters and features.
func digest(ep im.Endpoint) [sha256.Size]byte {
	var b []byte
	number := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	number(uint32(ep.ID))
	number(uint32(len(ep.DeviceTypes)))
	for _, d := range ep.DeviceTypes {
		number(uint32(d))
	}
	for _, cl := range ep.Clusters {
		b = cl.Spec().AppendElements(b)
	}
	return sha256.Sum256(b)
}

// start enables the comparison. A difference at the start counts only after
// compositionGrace: until then the program may add the missing endpoints.
func (c *composition) start(now time.Time) {
	c.serving, c.changed = true, false
	if !c.same() {
		c.at, c.grace = now.Add(compositionGrace), true
	}
}

func (c *composition) same() bool { return bytes.Equal(c.sum[:], c.kept.Digest) }

// settle schedules the comparison after a change, with compositionDelay.
func (c *composition) settle(now time.Time) {
	if c.changed && c.serving && c.at.IsZero() {
		c.at = now.Add(compositionDelay)
	}
	c.changed = false
}

func (c *composition) deadline() (time.Time, bool) { return c.at, !c.at.IsZero() }

func (c *composition) advance(now time.Time) {
	if !c.at.IsZero() && !now.Before(c.at) {
		c.compare(now)
	}
}

// stop compares at once, unless the grace period has not ended: endpoints may be
// missing.
func (c *composition) stop(now time.Time) {
	if !c.at.IsZero() && !c.grace {
		c.compare(now)
	}
}

// compare stores the composition and raises the version if it has changed. The
// version does not change if the store had no composition: the store is new, or it
// was restored, and a restore raises the version itself.
func (c *composition) compare(now time.Time) {
	c.at, c.grace = time.Time{}, false
	if c.same() {
		return
	}
	next := store.Composition{Version: c.kept.Version, Digest: bytes.Clone(c.sum[:])}
	if c.kept.Digest != nil && next.Version < math.MaxUint32 {
		next.Version++
	}
	if err := c.write(next); err != nil {
		c.log.Warn("the version of the configuration is not kept", "error", err)
		c.at = now.Add(compositionRetry)
		return
	}
	c.kept = next
	c.raise(next.Version)
}
