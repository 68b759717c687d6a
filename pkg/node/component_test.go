package node

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/logs"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/stats"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// newNode returns a node with components on a network without others. It must be
// called in a bubble, with a dir from outside of it.
func newNode(t *testing.T, dir string, components ...Component) *Node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(filepath.Join(dir, store.FileName), store.Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	start, err := provision.Begin(st, provision.Options{Rand: rand.Reader, Log: log}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	port := simnet.New(1, simnet.Conditions{}).Listen(netip.MustParseAddrPort("[fe80::1]:5540"))
	commits := stats.NewHistogram(1)
	n, err := New(Options{
		Store: st, Start: start, Ports: []transport.PacketConn{port}, Host: host.New(nil), Announce: func([]Service) {},
		Product: Product{VendorID: 0xFFF1, ProductID: 0x8001, VendorName: "ACME", ProductName: "Bridge"}, CommissioningTimeout: 15 * time.Minute, MaxFabrics: 5,
		Version: "1.0.0", Log: log, Lines: logs.NewRing(log.Handler()), Rand: rand.Reader, Synchronised: func() bool { return true },
		Commits: &commits, Components: components,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		_ = port.Close()
		n.Wait()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// diary is a Component that records its calls.
type diary struct {
	n        *Node
	due      time.Time
	advanced []time.Time
	settled  int
	add      []Endpoint // at the next Settle
}

func (d *diary) Advance(now time.Time) {
	if !d.due.IsZero() && !now.Before(d.due) {
		d.due = time.Time{}
		d.advanced = append(d.advanced, now)
	}
}

func (d *diary) Deadline() (time.Time, bool) { return d.due, !d.due.IsZero() }

func (d *diary) Settle(time.Time) {
	d.settled++
	if d.add != nil {
		if err := d.n.AddEndpoints(d.add...); err != nil {
			panic(err)
		}
		d.add = nil
	}
}

// A component takes part in the loop from the start: at its deadline and after
// every event.
func TestComponent(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		d.n = newNode(t, dir, d)
		ask := func(f func()) {
			t.Helper()
			if err := d.n.Do(func(time.Time) error { f(); return nil }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		begun := time.Now()
		ask(func() { d.due = begun.Add(time.Minute) })
		time.Sleep(2 * time.Minute)
		if d.settled != 0 || len(d.advanced) != 0 {
			t.Errorf("called before the start: %+v", d)
		}
		if err := d.n.Start(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d.settled == 0 || len(d.advanced) != 1 {
			t.Errorf("at the start: %+v", d)
		}
		at := time.Now().Add(5 * time.Second)
		ask(func() { d.due = at })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(d.advanced) != 2 || !d.advanced[1].Equal(at) {
			t.Errorf("advanced at %v, wanted %v", d.advanced, at)
		}
		id, err := identify.New(identify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		before, there := d.settled, 0
		ask(func() {
			d.add = []Endpoint{{ID: 2, DeviceTypes: []DeviceType{{ID: 0x0100, Revision: 3}}, Clusters: []im.Cluster{id}}}
		})
		ask(func() { there = len(d.n.Endpoints()) })
		if d.settled == before || there != 3 {
			t.Errorf("settled %d times more, %d endpoints", d.settled-before, there)
		}
	})
}
