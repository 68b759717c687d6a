package node

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// described is a cluster that only has metadata.
type described struct {
	im.ReadOnly
	spec *im.Spec
}

func (d described) Spec() *im.Spec { return d.spec }
func (d described) Read(*im.Request, matter.AttributeID, *tlv.Writer, tlv.Tag) error {
	return nil
}

func lamp(id matter.EndpointID, features uint32) im.Endpoint {
	return im.Endpoint{
		ID: id, DeviceTypes: []matter.DeviceTypeID{datamodel.DeviceTypeOnOffLight},
		Clusters: []im.Cluster{described{spec: cluster.NewSpec(datamodel.OnOff, cluster.Selection{Features: features})}},
	}
}

// composed is the composition of a node that is started and stopped.
type composed struct {
	*composition
	t      *testing.T
	store  *store.Store
	now    time.Time
	raised []uint32
}

func newComposed(t *testing.T) *composed {
	st, err := store.Open(filepath.Join(t.TempDir(), store.FileName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return &composed{t: t, store: st, now: time.Unix(1e9, 0)}
}

// start starts the node with existing endpoints.
func (c *composed) start(before ...im.Endpoint) {
	c.t.Helper()
	var err error
	if c.composition, err = newComposition(c.store, slog.New(slog.DiscardHandler)); err != nil {
		c.t.Fatal(err)
	}
	c.raise = func(v uint32) { c.raised = append(c.raised, v) }
	for _, ep := range before {
		c.add(ep)
	}
	c.composition.start(c.now)
	c.settle(c.now)
}

// pass advances the time, as the loop would.
func (c *composed) pass(d time.Duration) {
	end := c.now.Add(d)
	for {
		c.settle(c.now)
		at, ok := c.deadline()
		if !ok || at.After(end) {
			break
		}
		c.now = at
		c.advance(c.now)
	}
	c.now = end
}

func (c *composed) want(when string, version uint32) {
	c.t.Helper()
	var kept store.Composition
	if err := c.store.View(func(tx *store.Tx) (err error) { kept, err = tx.Composition(); return err }); err != nil {
		c.t.Fatal(err)
	}
	if c.version() != version || max(kept.Version, 1) != version {
		c.t.Errorf("%s: version %d, kept %d, want %d", when, c.version(), kept.Version, version)
	}
}

// The version grows when the endpoints change, once for several changes, and does
// not change at a restart (section 9.2.11).
func TestConfigurationVersion(t *testing.T) {
	c := newComposed(t)
	one, two, other := lamp(2, 0), lamp(3, 0), lamp(3, datamodel.OnOffFeatureLighting)
	c.start(one)
	c.want("the first start", 1)
	c.pass(time.Hour)
	c.want("an hour later", 1)

	c.add(two)
	c.pass(compositionDelay)
	c.want("an endpoint more", 2)
	c.remove(3)
	c.pass(time.Second / 2)
	c.add(two)
	c.pass(time.Hour)
	c.want("the same came back at once", 2)
	c.remove(3)
	c.add(other)
	c.add(lamp(4, 0))
	c.add(lamp(5, 0))
	c.pass(time.Hour)
	c.want("four changes on one occasion", 3)
	c.remove(4)
	c.remove(5)
	c.pass(time.Hour)
	c.want("two less", 4)
	if !slices.Equal(c.raised, []uint32{1, 2, 3, 4}) {
		t.Errorf("shown %v", c.raised)
	}

	// Restarts with the same endpoints, in another order, and some of them late.
	c.raised = nil
	for _, before := range [][]im.Endpoint{{one, other}, {other, one}, {one}, {}} {
		c.start(before...)
		c.pass(10 * time.Second)
		for _, ep := range []im.Endpoint{one, other} {
			if !slices.ContainsFunc(before, func(x im.Endpoint) bool { return x.ID == ep.ID }) {
				c.add(ep)
			}
		}
		c.pass(time.Hour)
		c.want("a restart", 4)
	}
	c.start(one)
	c.pass(time.Second)
	c.stop(c.now)
	c.want("stopped before all was there", 4)
	c.start(one, other)
	c.pass(time.Hour)
	c.want("all is there again", 4)
	if c.raised != nil {
		t.Errorf("shown %v", c.raised)
	}

	// A change while the node was stopped.
	c.start(one)
	c.pass(compositionGrace - 1)
	c.want("one less, and perhaps it comes", 4)
	c.pass(1)
	c.want("it does not", 5)
	c.add(two)
	c.pass(0)
	c.stop(c.now)
	c.want("a change and then the end", 6)
}

// A restored store has a version that was never used, and no record of the
// endpoints that it counts.
func TestConfigurationVersionAfterRestore(t *testing.T) {
	c := newComposed(t)
	if err := c.store.Update(func(tx *store.Tx) error { return tx.PutComposition(store.Composition{Version: 40}) }); err != nil {
		t.Fatal(err)
	}
	c.start(lamp(2, 0))
	c.pass(time.Hour)
	c.want("restored", 40)
	c.add(lamp(3, 0))
	c.pass(time.Hour)
	c.want("an endpoint more", 41)
}

// A version that cannot be stored is not shown. The node tries again.
func TestConfigurationVersionNotKept(t *testing.T) {
	c := newComposed(t)
	c.start(lamp(2, 0))
	c.pass(time.Hour)
	write := c.write
	c.write = func(store.Composition) error { return errors.New("disk full") }
	c.add(lamp(3, 0))
	c.pass(time.Hour - time.Second)
	c.want("nothing can be written", 1)
	c.write = write
	c.pass(compositionRetry)
	c.want("it can again", 2)
}
