package server_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// kill restarts the node without notifying anybody, with the store in its current
// state.
func (r *rig) kill() {
	r.t.Helper()
	r.net.SetTap(func(d simnet.Datagram) bool { return d.From != deviceAddr })
	defer r.net.SetTap(nil)
	r.crash()
}

// unplug disconnects the controller or connects it again.
func (s *subscriber) unplug(off bool) {
	s.r.net.SetTap(func(d simnet.Datagram) bool { return !off || d.From != s.at && d.To != s.at })
}

// After a restart the node calls its subscribers and resumes their subscriptions.
func TestSubscriptionOutlivesTheProcess(t *testing.T) {
	for name, tt := range map[string]struct {
		after, low, high time.Duration
		end              func(r *rig)
		resumed          bool
	}{
		"stopped":        {20 * time.Second, 8 * time.Second, 12 * time.Second, (*rig).restart, true},
		"killed":         {20 * time.Second, 0, 4 * time.Second, (*rig).kill, true},
		"killed at once": {0, 0, 4 * time.Second, (*rig).kill, false}, // the resumption record was not written yet
	} {
		t.Run(name, func(t *testing.T) {
			subscribers(t, clean, func(r *rig, b *phonebook) {
				c := r.subscriber(b)
				u := r.subscribe(c.done.CASE, 2, 60)
				r.setLabel(c.done.CASE, "before")
				r.wantNodeLabel(u, 3*time.Second, "before")
				time.Sleep(tt.after)
				began := time.Now()
				tt.end(r)
				if name == "stopped" {
					r.nextReport(u, time.Second) // the event ShutDown
				}
				rep := r.wantAll(u, 12*time.Second, "before")
				if after := rep.At.Sub(began); !rep.Called || after < tt.low || after > tt.high {
					t.Errorf("called %v, after %v", rep.Called, rep.At.Sub(began))
				}
				if len(rep.Events) == 0 || rep.Find(0, clBasic, 0xFFF0) == nil {
					t.Errorf("report %+v", rep)
				}
				calls := c.CallBacks()
				if len(calls) != 1 || calls[0].Node != c.node || calls[0].Resumed != tt.resumed {
					t.Fatalf("calls %+v", calls)
				}

				// From here on everything is as before.
				for range 3 {
					if k := r.nextReport(u, u.Max); len(k.Attributes)+len(k.Events) != 0 || !k.Called {
						t.Errorf("not a keep-alive: %+v", k)
					}
				}
				r.setLabel(c.session(), "after")
				r.wantNodeLabel(u, 3*time.Second, "after")
				if len(r.remembered()) != 1 || len(c.CallBacks()) != 1 {
					t.Errorf("%d stored, %d calls", len(r.remembered()), len(c.CallBacks()))
				}
				// The same again: this node has the record now, as it made the
				// call.
				time.Sleep(3 * time.Second)
				r.restart()
				r.nextReport(u, time.Second)
				r.wantAll(u, 12*time.Second, "after")
				if calls := c.CallBacks(); len(calls) != 2 || !calls[1].Resumed {
					t.Errorf("calls %+v", calls)
				}
			})
		})
	}
}

// A subscriber that the node has lost is called as soon as it can be found, at
// growing intervals, as long as it may still want the subscription.
func TestSubscriberAway(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 3600)
		c.unplug(true)
		b.set(c.name)
		r.setLabel(r.adminElsewhere(c), "x") // a report that is not confirmed
		lost := time.Now()
		time.Sleep(20 * time.Minute)
		asked := b.searches()
		pauses := 10 * time.Second
		for i, at := range asked {
			gap := at.Sub(lost)
			low, high := pauses*3/4, pauses*5/4+6*time.Second
			if i == 0 {
				low, high = time.Second, 15*time.Second // the retransmissions, then callSoon
			} else {
				pauses = min(2*pauses, 5*time.Minute)
			}
			if gap < low || gap > high {
				t.Errorf("search %d after %v, want %v to %v", i, gap, low, high)
			}
			lost = at
		}
		if len(asked) < 7 || len(asked) > 10 {
			t.Errorf("%d searches in 20 minutes", len(asked))
		}
		if i := r.inspect(); i.Subscriptions != 0 || len(r.remembered()) != 1 {
			t.Errorf("%d subscriptions, %d stored", i.Subscriptions, len(r.remembered()))
		}

		// It is connected again. It never missed the subscription.
		c.unplug(false)
		b.set(c.name, c.at)
		r.wantAll(u, 7*time.Minute, "x")
		if i := r.inspect(); i.Subscriptions != 1 {
			t.Errorf("%d subscriptions", i.Subscriptions)
		}
	})
}

// adminElsewhere returns a session of another node with write access on c's fabric.
func (r *rig) adminElsewhere(c *subscriber) *commissioner.Session {
	r.t.Helper()
	o := c.another()
	c.r.net.SetTap(nil)
	defer c.unplug(true)
	r.want("the access control list", r.writeACL(c.done.CASE, administer(c, o)), "SUCCESS")
	return o.session()
}

// administer returns an access control entry for subscribers.
func administer(list ...*subscriber) entry {
	e := entry{privilege: matter.PrivilegeAdminister, mode: matter.AuthModeCASE}
	for _, s := range list {
		e.subjects = append(e.subjects, uint64(s.a.NodeID))
	}
	return e
}

// A subscriber that never returns is given up, and its records are removed.
func TestSubscriberGone(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		r.subscribe(c.done.CASE, 0, 60)
		r.subscribe(c.done.CASE, 0, 600)
		c.unplug(true)
		time.Sleep(time.Minute + 11*time.Minute)
		if list := r.remembered(); len(list) != 1 || list[0].MaxInterval != 600 {
			t.Errorf("stored %+v", list)
		}
		st, err := r.srv.Operator().Status(r.ctx)
		if err != nil || st.Subscriptions != 0 || st.Interrupted != 1 {
			t.Errorf("%d subscriptions, %d interrupted, %v", st.Subscriptions, st.Interrupted, err)
		}
		// Its session is there, and nothing came on it since.
		if f := st.Fabrics[0]; f.Sessions == 0 || f.LastHeard == nil || time.Since(*f.LastHeard).Round(time.Minute) != 12*time.Minute {
			t.Errorf("%d sessions, last heard %v", f.Sessions, f.LastHeard)
		}
		time.Sleep(20 * time.Minute)
		last := len(b.searches())
		time.Sleep(24 * time.Hour)
		if i := r.inspect(); i.Subscriptions != 0 || i.Interrupted != 0 || i.Exchanges != 0 || i.Unsecured != 0 || len(r.remembered()) != 0 || len(b.searches()) != last {
			t.Errorf("%+v, %d stored, %d searches after %d", i, len(r.remembered()), len(b.searches()), last)
		}
		if last > 12 {
			t.Errorf("%d searches", last)
		}
		r.kill()
		time.Sleep(time.Hour)
		if len(b.searches()) != last {
			t.Error("searched again after a restart")
		}
	})
}

// A subscriber that returns by itself is resumed on its own session.
func TestSubscriberComesFirst(t *testing.T) {
	away := func(r *rig, b *phonebook, c *subscriber) {
		b.set(c.name)
		r.kill()
		time.Sleep(30 * time.Second) // some look-ups have failed
	}
	t.Run("and subscribes again", func(t *testing.T) {
		subscribers(t, clean, func(r *rig, b *phonebook) {
			c := r.subscriber(b)
			old := r.subscribe(c.done.CASE, 0, 60)
			away(r, b, c)
			u, err := c.session().SubscribeAnew(r.ctx, labels, 0, 600)
			r.must(err)
			b.set(c.name, c.at)
			time.Sleep(time.Minute)
			if list := r.remembered(); len(list) != 1 || list[0].ID != u.ID || len(c.CallBacks()) != 0 {
				t.Errorf("stored %+v, %d calls", list, len(c.CallBacks()))
			}
			r.noReport(old, time.Minute)
			if i := r.inspect(); i.Subscriptions != 1 {
				t.Errorf("%d subscriptions", i.Subscriptions)
			}
		})
	})
	t.Run("and keeps its subscriptions", func(t *testing.T) {
		subscribers(t, clean, func(r *rig, b *phonebook) {
			c := r.subscriber(b)
			u := r.subscribe(c.done.CASE, 0, 60)
			away(r, b, c)
			s := c.session()
			if rep := r.wantAll(u, 5*time.Second, ""); rep.Called || len(c.CallBacks()) != 0 {
				t.Error("it was called, though it has a session")
			}
			r.setLabel(s, "x")
			r.wantNodeLabel(u, time.Second, "x")
		})
	})
	t.Run("and lets them end, as the node was stopped", func(t *testing.T) {
		subscribers(t, clean, func(r *rig, b *phonebook) {
			c := r.subscriber(b)
			old := r.subscribe(c.done.CASE, 0, 60)
			time.Sleep(2 * time.Second)
			r.restart()
			r.nextReport(old, time.Second) // the event ShutDown
			s := c.session()               // for example to send a command
			r.noReport(old, 5*time.Second)
			u, err := s.SubscribeAnew(r.ctx, labels, 0, 60)
			r.must(err)
			r.noReport(old, time.Minute)
			if list := r.remembered(); len(list) != 1 || list[0].ID != u.ID || len(c.CallBacks()) != 0 {
				t.Errorf("stored %+v, %d calls", list, len(c.CallBacks()))
			}
		})
	})
	t.Run("and has forgotten them", func(t *testing.T) {
		subscribers(t, clean, func(r *rig, b *phonebook) {
			c := r.subscriber(b)
			r.subscribe(c.done.CASE, 0, 60)
			c.ForgetAll()
			away(r, b, c)
			s := c.session()
			time.Sleep(10 * time.Second)
			if i := r.inspect(); i.Subscriptions != 0 || i.CASE != 1 || len(r.remembered()) != 0 {
				t.Errorf("%d subscriptions, %d sessions, %d stored", i.Subscriptions, i.CASE, len(r.remembered()))
			}
			r.setLabel(s, "x") // the session still works
		})
	})
}

// INVALID_SUBSCRIPTION ends the subscription.
func TestSubscriberHasForgotten(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 60)
		kept := r.subscribe(c.done.CASE, 0, 60)
		u.Drop()
		r.kill()
		r.wantAll(kept, 10*time.Second, "")
		time.Sleep(time.Minute)
		if list := r.remembered(); len(list) != 1 || list[0].ID != kept.ID || len(c.CallBacks()) != 1 {
			t.Errorf("stored %+v, %d calls", list, len(c.CallBacks()))
		}
	})
}

// A subscriber that receives reports but does not confirm them is not called all
// the time, on any session.
func TestSubscriberDoesNotConfirm(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 60)
		u.Mute(true)
		r.kill()
		time.Sleep(4 * time.Minute)
		if calls := c.CallBacks(); len(calls) < 2 || len(calls) > 5 {
			t.Errorf("%d calls in 4 minutes", len(calls))
		}
		if i := r.inspect(); i.CASE > 6 {
			t.Errorf("%d sessions", i.CASE)
		}
		u.Mute(false)
		r.wantAll(u, 5*time.Minute, "")
	})
}

// One call is enough for all subscriptions of a subscriber. Only a few subscribers
// are called at a time.
func TestManySubscribers(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		var subs []*commissioner.Subscription
		for range 3 {
			subs = append(subs, r.subscribe(c.done.CASE, 0, 60))
		}
		everybody := entry{privilege: matter.PrivilegeView, mode: matter.AuthModeCASE}
		r.want("the access control list", r.writeACL(c.done.CASE, administer(c), everybody), "SUCCESS")
		for range 12 {
			u, err := c.another().session().Subscribe(r.ctx, labels, 0, 60)
			r.must(err)
			subs = append(subs, u)
		}
		time.Sleep(time.Second)
		r.kill()
		time.Sleep(2 * time.Minute)
		if calls := c.CallBacks(); len(calls) != 1 {
			t.Errorf("%d calls for the subscriptions of one subscriber", len(calls))
		}
		for i, u := range subs {
			if rep := r.nextReport(u, time.Second); !rep.Called {
				t.Errorf("subscription %d: %+v", i, rep)
			}
		}
		if b.most > 4 {
			t.Errorf("%d searches at a time", b.most)
		}
	})
}

// The addresses of a subscriber are tried in turn.
func TestSubscriberHasSeveralAddresses(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 600)
		var at []netip.AddrPort
		for i := range 7 { // the maximum number of addresses from mDNS, with the right one last
			at = append(at, netip.MustParseAddrPort(fmt.Sprintf("[fe80::dead:%d]:5540", i)))
		}
		b.set(c.name, append(at, c.at)...)
		r.kill()
		r.wantAll(u, 3*time.Minute, "")
		if len(b.searches()) != 1 {
			t.Errorf("%d searches", len(b.searches()))
		}
	})
}

// The subscriptions of a removed fabric are not resumed, even if a call is in
// progress.
func TestFabricRemovedWhileCalling(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		r.subscribe(c.done.CASE, 0, 60)
		b.set(c.name, netip.MustParseAddrPort("[fe80::dead]:5540"))
		r.kill()
		time.Sleep(3 * time.Second) // a call is in progress
		if err := c.session().RemoveFabric(r.ctx, c.done.Fabric); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if i := r.inspect(); i.Subscriptions != 0 || i.Exchanges != 0 || i.CASE != 0 || len(r.remembered()) != 0 {
			t.Errorf("%+v, %d stored", i, len(r.remembered()))
		}
	})
}

// The sessions in a full table are kept: calls of this node wait.
func TestCallsTakeNobodysSession(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		r.stop()
		r.opt.MaxFabrics = 5
		r.start()
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 600)
		b.set(c.name)
		r.kill()
		var sessions []*commissioner.Session
		for range 3*5 + 16 {
			sessions = append(sessions, c.another().session())
		}
		b.set(c.name, c.at)
		time.Sleep(5 * time.Minute)
		if n := len(c.CallBacks()); n != 0 {
			t.Errorf("%d calls", n)
		}
		for i, s := range sessions {
			if s.Gone() {
				t.Errorf("session %d was evicted", i)
			}
		}
		sessions[0].Close()
		r.wantAll(u, 7*time.Minute, "")
	})
}

// A restart during a restart.
func TestKilledAgainAndAgain(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 600)
		for i := range 30 {
			r.kill()
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
		}
		r.wantAll(u, 10*time.Second, "")
		if list := r.remembered(); len(list) != 1 || list[0].ID != u.ID {
			t.Errorf("stored %+v", list)
		}
	})
}

// Many restarts on a bad network, with a change in each run: the subscriber gets
// the last value soon.
func TestRestartsOnABadNetwork(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriber(b)
		u := r.subscribe(c.done.CASE, 0, 600)
		for _, value := range []string{"a", "b", "c", "d", "e", "f"} {
			r.net.SetConditions(simnet.Conditions{Delay: 2 * time.Millisecond, Loss: 0.2, Duplicate: 0.1, Reorder: 0.1})
			r.kill()
			time.Sleep(5 * time.Second)
			r.net.SetConditions(clean)
			s := c.session()
			r.net.SetConditions(simnet.Conditions{Delay: 2 * time.Millisecond, Loss: 0.2})
			r.setLabel(s, value)
			end := time.Now().Add(2 * time.Minute)
			for {
				rep := r.nextReport(u, time.Until(end))
				if text(rep.Find(0, clBasic, nodeLabel)) == value {
					break
				}
			}
		}
	})
}

// A change of the node's certificate ends its sessions but not its subscriptions.
// The same holds when the change is rolled back.
func TestSubscriptionOutlivesUpdateNOC(t *testing.T) {
	for _, completed := range []bool{true, false} {
		subscribers(t, clean, func(r *rig, b *phonebook) {
			c := r.subscriber(b)
			other := c.another()
			r.want("the access control list", r.writeACL(c.done.CASE, administer(c, other)), "SUCCESS")
			u, err := other.session().Subscribe(r.ctx, labels, 0, 60)
			r.must(err)
			s := c.done.CASE
			r.must(s.ArmFailSafe(r.ctx, 20, 1))
			noc, err := c.a.IssueNOC(r.csr(s, true), c.node)
			r.must(err)
			_, err = s.UpdateNOC(r.ctx, noc.Raw(), nil)
			r.must(err)
			if completed {
				r.must(c.session().CommissioningComplete(r.ctx))
			} else {
				r.wantAll(u, 10*time.Second, "") // with the staged certificate
				time.Sleep(20 * time.Second)
			}
			r.wantAll(u, 20*time.Second, "")
			r.setLabel(c.session(), "x")
			r.wantNodeLabel(u, time.Second, "x")
			if list := r.remembered(); len(list) != 1 || list[0].ID != u.ID {
				t.Errorf("stored %+v", list)
			}
			r.kill()
			r.wantAll(u, 10*time.Second, "x")
		})
	}
}

// A subscription of a fabric that is only staged is stored with the fabric.
func TestSubscriptionToAStagedFabric(t *testing.T) {
	subscribers(t, clean, func(r *rig, b *phonebook) {
		c := r.subscriberOf(b, r.authority(commissioner.AuthorityOptions{}))
		done, err := r.pase(c.Client).Join(r.ctx, c.a)
		r.must(err)
		c.node = done.Node
		s := c.session()
		u := r.subscribe(s, 0, 60)
		time.Sleep(time.Second)
		if n := len(r.remembered()); n != 0 {
			t.Errorf("%d stored before the fabric is", n)
		}
		r.must(s.CommissioningComplete(r.ctx))
		time.Sleep(time.Second)
		if list := r.remembered(); len(list) != 1 || list[0].ID != u.ID {
			t.Errorf("stored %+v", list)
		}
		r.kill()
		r.wantAll(u, 20*time.Second, "")
	})
}

// cables is a host with one interface, which is connected or not.
type cables struct {
	mu      sync.Mutex
	addrs   []string
	plugged bool
	downs   uint64
	changed chan struct{}
}

func newCables(addrs ...string) *cables {
	return &cables{addrs: addrs, plugged: true, changed: make(chan struct{}, 1)}
}

func (c *cables) Interfaces() []host.Interface {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := host.Interface{Name: "eth0", Index: 2, Candidate: true, Use: c.plugged, Downs: c.downs}
	for _, a := range c.addrs {
		i.Addrs = append(i.Addrs, host.Address{Prefix: netip.MustParsePrefix(a)})
	}
	return []host.Interface{i}
}

func (c *cables) Subscribe() (<-chan struct{}, func()) { return c.changed, func() {} }

// change changes the interface and notifies the node.
func (c *cables) change(f func()) {
	c.mu.Lock()
	f()
	c.mu.Unlock()
	c.changed <- struct{}{}
	synctest.Wait()
}

func (c *cables) plug(in bool) {
	c.change(func() {
		if c.plugged = in; !in {
			c.downs++
		}
	})
}

// While there is no network no subscriber is called, and the time does not count.
// When the network is up again, subscribers are called at once.
func TestSubscriberAwayWithTheNetwork(t *testing.T) {
	for _, away := range []time.Duration{30 * time.Second, 90 * time.Second, 40 * time.Minute} {
		subscribers(t, clean, func(r *rig, b *phonebook) {
			c := r.subscriber(b)
			u := r.subscribe(c.done.CASE, 0, 3600)
			admin := r.adminElsewhere(c)
			r.links.plug(false)
			c.unplug(true)
			b.set(c.name)
			r.setLabel(admin, "x") // a report that is not confirmed
			time.Sleep(away)
			if n := len(b.searches()); n != 0 {
				t.Errorf("away for %v: %d searches without a network", away, n)
			}
			back := time.Now()
			c.unplug(false)
			b.set(c.name, c.at)
			r.links.plug(true)
			if rep := r.wantAll(u, 10*time.Second, "x"); rep.At.Sub(back) > 3*time.Second {
				t.Errorf("away for %v: called %v after the network was back", away, rep.At.Sub(back))
			}
		})
	}
}

// If the network comes up during a call, the next call is due soon as well. The
// same holds for an address with another prefix.
func TestNetworkChangesWhileASubscriberIsAway(t *testing.T) {
	for what, change := range map[string]func(r *rig){
		"the link blinks": func(r *rig) { r.links.plug(false); r.links.plug(true) },
		"a new prefix":    func(r *rig) { r.links.change(func() { r.links.addrs = append(r.links.addrs, "fd00:2::a/64") }) },
	} {
		for _, after := range []time.Duration{2 * time.Second, 20 * time.Minute} { // during a look-up, and between two
			subscribers(t, clean, func(r *rig, b *phonebook) {
				c := r.subscriber(b)
				u := r.subscribe(c.done.CASE, 0, 3600)
				c.unplug(true)
				b.set(c.name)
				r.setLabel(r.adminElsewhere(c), "x")
				r.eventually("a search", time.Minute, func() bool { return len(b.searches()) > 0 })
				time.Sleep(after)
				c.unplug(false)
				b.set(c.name, c.at)
				change(r)
				changed := time.Now()
				if rep := r.wantAll(u, time.Minute, "x"); rep.At.Sub(changed) > 10*time.Second {
					t.Errorf("%s, %v after the first search: called after %v", what, after, rep.At.Sub(changed))
				}
			})
		}
	}
}
