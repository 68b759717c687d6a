package server_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// phonebook is a Resolver with fixed addresses.
type phonebook struct {
	mu    sync.Mutex
	at    map[string][]netip.AddrPort // by instance
	asked []time.Time
	most  int // maximum number of concurrent look-ups
	now   int
}

func (b *phonebook) Resolve(ctx context.Context, s mdns.Service) ([]netip.AddrPort, error) {
	b.mu.Lock()
	b.asked = append(b.asked, time.Now())
	b.now++
	b.most = max(b.most, b.now)
	found := slices.Clone(b.at[s.Instance])
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.now--
		b.mu.Unlock()
	}()
	if s.Type != "_matter._tcp" || len(found) == 0 {
		<-ctx.Done()
		return nil, mdns.ErrNotFound
	}
	time.Sleep(50 * time.Millisecond)
	return found, nil
}

func (b *phonebook) set(instance string, at ...netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at[instance] = at
}

// searches returns the times of the look-ups.
func (b *phonebook) searches() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

// subscribers is a bubble with a node that can look up its subscribers.
func subscribers(t *testing.T, cond simnet.Conditions, f func(r *rig, b *phonebook)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, b := newRig(t, dir), &phonebook{at: map[string][]netip.AddrPort{}}
		r.net = simnet.New(1, cond)
		r.opt.Resolver = b
		r.links = newCables("fd00:1::a/64")
		r.opt.Watcher = r.links
		r.start()
		f(r, b)
		r.finish()
	})
}

// subscriber is a controller that can be called.
type subscriber struct {
	*commissioner.Client
	r    *rig
	b    *phonebook
	a    *commissioner.Authority
	name string // its operational instance
	at   netip.AddrPort
	node matter.NodeID // of the device
	done *commissioner.Commissioned
}

// subscriber returns the administrator of a new fabric of the node.
func (r *rig) subscriber(b *phonebook) *subscriber {
	r.t.Helper()
	a := r.authority(commissioner.AuthorityOptions{})
	s := r.subscriberOf(b, a)
	if r.inspect().Fabrics == 0 {
		s.done = r.commission(s.Client, a)
	} else {
		r.t.Fatal("the node has a fabric: open a window first")
	}
	s.node = s.done.Node
	return s
}

// subscriberOf returns a controller with an administrator's credentials and adds it
// to the phone book.
func (r *rig) subscriberOf(b *phonebook, a *commissioner.Authority) *subscriber {
	r.t.Helper()
	r.host++
	s := &subscriber{r: r, b: b, a: a, at: netip.AddrPortFrom(netip.MustParseAddr("fe80::c:1"), uint16(40000+r.host))}
	s.name = fmt.Sprintf("%X-%v", a.CompressedFabricID(), a.NodeID)
	s.Client = commissioner.New(r.net.Listen(s.at))
	r.t.Cleanup(s.Close)
	s.Serve(a)
	b.set(s.name, s.at)
	return s
}

// another returns a controller with another node id on the same fabric, which may
// administer it.
func (s *subscriber) another() *subscriber {
	s.r.t.Helper()
	a, err := s.a.Admin(commissioner.RandomNodeID())
	s.r.must(err)
	o := s.r.subscriberOf(s.b, a)
	o.node = s.node
	return o
}

// session opens a session with the node.
func (s *subscriber) session() *commissioner.Session {
	s.r.t.Helper()
	return s.r.session(s.Client, s.a, s.node)
}

// labels are the attributes that these tests change, and one that does not exist.
var labels = commissioner.ReadRequest{
	Attributes:     []commissioner.Path{commissioner.Attr(0, clBasic, nodeLabel), commissioner.Attr(0, clOpCreds, 1), commissioner.Attr(0, clBasic, 0xFFF0)},
	Events:         []commissioner.Path{{}},
	FabricFiltered: true,
}

const nodeLabel matter.AttributeID = 5

// subscribe subscribes to labels.
func (r *rig) subscribe(s *commissioner.Session, min, max uint16) *commissioner.Subscription {
	r.t.Helper()
	u, err := s.Subscribe(r.ctx, labels, min, max)
	r.must(err)
	return u
}

// setLabel changes the node label.
func (r *rig) setLabel(s *commissioner.Session, label string) {
	r.t.Helper()
	st, err := s.Write(r.ctx, 0, clBasic, nodeLabel, func(w *tlv.Writer, t tlv.Tag) { w.Text(t, label) })
	r.must(err)
	if st.Status != matter.StatusSuccess {
		r.t.Fatal(st)
	}
}

// noReport checks that there is no report within d.
func (r *rig) noReport(u *commissioner.Subscription, d time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, d)
	defer cancel()
	if rep, err := u.Next(ctx); err == nil {
		r.t.Errorf("a report: %+v", rep)
	}
}

// wantNodeLabel reads the next report, which must contain only the label.
func (r *rig) wantNodeLabel(u *commissioner.Subscription, within time.Duration, label string) *commissioner.Report {
	r.t.Helper()
	rep := r.nextReport(u, within)
	if rep.SubscriptionID != u.ID || len(rep.Attributes) != 1 || text(rep.Find(0, clBasic, nodeLabel)) != label {
		r.t.Errorf("report %+v, want the label %q", rep, label)
	}
	return rep
}

// wantAll reads the next report, which must contain everything, as the first did.
func (r *rig) wantAll(u *commissioner.Subscription, within time.Duration, label string) *commissioner.Report {
	r.t.Helper()
	rep := r.nextReport(u, within)
	if rep.SubscriptionID != u.ID || len(rep.Attributes) != 3 || text(rep.Find(0, clBasic, nodeLabel)) != label || rep.Find(0, clOpCreds, 1) == nil {
		r.t.Errorf("report %+v, want all and the label %q", rep, label)
	}
	return rep
}

// nextReport returns the next report of a subscription, which must come in time.
func (r *rig) nextReport(u *commissioner.Subscription, within time.Duration) *commissioner.Report {
	r.t.Helper()
	rep := r.nextWithin(u, within)
	if rep == nil {
		r.t.Fatalf("no report within %v", within)
	}
	return rep
}

func text(a *commissioner.Attribute) string {
	if a == nil {
		return "(none)"
	}
	rd := a.Value()
	return rd.Text()
}

// remembered returns the subscriptions in the store of the running node.
func (r *rig) remembered() (list []store.Subscription) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, store.FileName))
	r.must(err)
	name := filepath.Join(r.t.TempDir(), store.FileName)
	r.must(os.WriteFile(name, b, 0o600))
	st, err := store.Open(name, store.Options{ReadOnly: true})
	r.must(err)
	defer st.Close()
	r.must(st.View(func(tx *store.Tx) (err error) {
		list, err = tx.Subscriptions()
		return err
	}))
	return list
}

func TestSubscription(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		s := c.done.CASE
		u := r.subscribe(s, 2, 60)
		if u.Max != time.Minute || len(u.Primed.Attributes) != 3 || len(u.Primed.Events) == 0 || u.Primed.Find(0, clBasic, 0xFFF0).Status.Status != matter.StatusUnsupportedAttribute {
			t.Fatalf("first report %+v", u.Primed)
		}

		// Without changes there are only keep-alives, early enough for all
		// retransmissions.
		last := time.Now()
		for range 5 {
			rep := r.nextReport(u, time.Minute)
			if len(rep.Attributes)+len(rep.Events) != 0 || rep.SubscriptionID != u.ID {
				t.Errorf("not a keep-alive: %+v", rep)
			}
			if gap := rep.At.Sub(last); gap > 51*time.Second {
				t.Errorf("a keep-alive after %v", gap)
			}
			last = rep.At
		}

		// A change is reported at once, or when the floor allows it.
		time.Sleep(3 * time.Second)
		r.setLabel(s, "one")
		first := r.wantNodeLabel(u, time.Second, "one")
		r.setLabel(s, "two")
		r.setLabel(s, "three")
		second := r.wantNodeLabel(u, 3*time.Second, "three")
		if gap := second.At.Sub(first.At); gap < 2*time.Second || gap > 3*time.Second {
			t.Errorf("%v between two reports", gap)
		}
		r.setLabel(s, "three") // no change
		r.noReport(u, 45*time.Second)

		time.Sleep(10 * time.Second)
		r.nextReport(u, time.Second)
		r.must(s.UpdateFabricLabel(r.ctx, "home"))
		if rep := r.nextReport(u, 3*time.Second); len(rep.Attributes) != 1 || label(t, rep.Find(0, clOpCreds, 1)) != "home" {
			t.Errorf("report %+v", rep)
		}
	})
}

// An empty report causes no write.
func TestReportsAreNotWritten(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 60)
		time.Sleep(40 * time.Second) // the writes after a start and for the session are done by then
		if list := r.remembered(); len(list) != 1 || list[0].ID != u.ID || list[0].MaxInterval != 60 || list[0].Peer != c.a.NodeID || len(list[0].Attributes) != 3 || len(list[0].Events) != 1 {
			t.Fatalf("stored %+v", list)
		}
		name := filepath.Join(r.dir, store.FileName)
		before, err := os.ReadFile(name)
		r.must(err)
		for range 30 {
			r.nextReport(u, time.Minute)
		}
		if after, err := os.ReadFile(name); err != nil || !slices.Equal(before, after) {
			t.Errorf("the store was written to, %v", err)
		}
	})
}

// The subscriber loses single datagrams, but never waits longer than agreed.
func TestKeepAliveLost(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 60)
		last := time.Now()
		for range 10 {
			dropped := r.dropOnce(func(d simnet.Datagram) bool { return d.From == deviceAddr })
			rep := r.nextReport(u, 2*time.Minute)
			if gap := rep.At.Sub(last); gap > u.Max || !dropped() {
				t.Errorf("dropped %v, a keep-alive after %v", dropped(), gap)
			}
			last = rep.At
		}
		if calls := c.CallBacks(); len(calls) != 0 {
			t.Errorf("calls %v", calls)
		}
	})
}

// A bad network for hours. Sometimes all transmissions of a message are lost, and
// the subscription is resumed on another session.
func TestSubscriptionOnABadNetwork(t *testing.T) {
	for _, loss := range []float64{0.2, 0.3} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			subscribers(t, clean, func(r *rig, b *phonebook) {
				c := r.subscriber(b)
				u := r.subscribe(c.done.CASE, 0, 60)
				r.net.SetConditions(simnet.Conditions{Delay: 2 * time.Millisecond, Loss: loss})
				last, longest := time.Now(), time.Duration(0)
				for end := time.Now().Add(12 * time.Hour); time.Now().Before(end); {
					rep := r.nextReport(u, time.Hour)
					longest = max(longest, rep.At.Sub(last))
					last = rep.At
				}
				calls := c.CallBacks()
				t.Logf("the longest silence was %v, with %d calls", longest, len(calls))
				if longest > u.Max+2*time.Minute {
					t.Errorf("silent for %v", longest)
				}
				r.net.SetConditions(clean)
				if len(r.remembered()) != 1 {
					t.Error("not stored any more")
				}
			})
		})
	}
}

func TestSubscriptionsPerFabric(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		s := c.done.CASE
		const n = 3 + 64
		for range n + 10 {
			r.subscribe(s, 0, 600)
		}
		// The oldest were ended.
		if i := r.inspect(); i.Subscriptions != n {
			t.Errorf("%d subscriptions of one fabric", i.Subscriptions)
		}
		// The session and the subscriptions still work.
		r.setLabel(s, "x")
		if i := r.inspect(); i.Subscriptions != n || i.CASE != 1 {
			t.Errorf("%d subscriptions, %d sessions", i.Subscriptions, i.CASE)
		}
		// Another fabric has its own places.
		r.must(s.OpenBasicWindow(r.ctx, 180))
		second := r.subscriberOf(b, r.authority(commissioner.AuthorityOptions{}))
		done := r.commission(second.Client, second.a)
		for range 5 {
			r.subscribe(done.CASE, 0, 600)
		}
		if i := r.inspect(); i.Subscriptions != n+3 {
			t.Errorf("%d subscriptions of two fabrics", i.Subscriptions)
		}
		// A subscriber that replaces its own subscription succeeds.
		_, err := s.SubscribeAnew(r.ctx, labels, 0, 600)
		r.must(err)
		if i := r.inspect(); i.Subscriptions != 1+3 {
			t.Errorf("%d subscriptions", i.Subscriptions)
		}
		if list := r.remembered(); len(list) != 4 {
			t.Errorf("%d stored", len(list))
		}
	})
}

// A session that its subscriber closes ends the subscription, unless the subscriber
// has another session.
func TestSubscriberClosesItsSession(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 60)
		other := c.session()
		c.done.CASE.Close()
		if rep := r.wantAll(u, 10*time.Second, ""); rep.Called {
			t.Error("the subscriber was called, though it has a session")
		}
		r.setLabel(other, "x")
		r.wantNodeLabel(u, time.Second, "x")
		other.Close()
		time.Sleep(10 * time.Minute)
		if i := r.inspect(); i.Subscriptions != 0 || i.CASE != 0 || len(r.remembered()) != 0 || len(b.searches()) != 0 {
			t.Errorf("%d subscriptions, %d sessions, %d stored, %d searches", i.Subscriptions, i.CASE, len(r.remembered()), len(b.searches()))
		}
	})
}

// Sessions with subscriptions are not evicted first.
func TestSubscribedSessionIsKept(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		r.stop()
		r.opt.MaxFabrics = 5
		r.start()
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 600)
		for range 3*5 + 16 + 10 {
			o := c.another()
			o.session()
		}
		r.setLabel(c.session(), "x")
		r.wantNodeLabel(u, time.Second, "x")
	})
}
