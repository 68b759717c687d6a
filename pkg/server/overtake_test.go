package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
)

// A report never overtakes the SubscribeResponse, even if the network delays it. A
// subscriber that does not know the subscription yet would reject the report and
// end the subscription, while it still expects reports.
func TestNoReportOvertakesTheSubscribeResponse(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		p := r.commission(c, a)
		other := r.client()
		changer := r.session(other, a, p.Node)
		subscriber := r.client()
		s := r.session(subscriber, a, p.Node)
		r.net.SetConditions(simnet.Conditions{Delay: time.Millisecond})

		// The node would send a report before the SubscribeResponse arrives, whose
		// first transmission is lost.
		sent := 0
		dropped := r.dropOnce(func(d simnet.Datagram) bool {
			if int(d.To.Port()) != 40000+r.host {
				return false
			}
			sent++
			return sent == 2
		})
		var u *commissioner.Subscription
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			u, err = s.Subscribe(r.ctx, labels, 0, 3600)
		}()
		time.Sleep(10 * time.Millisecond)
		r.want("a change", r.creds(changer, cmdLabel, 0, "changed"), ok)
		<-done
		r.must(err)
		if !dropped() {
			t.Fatal("nothing was lost")
		}
		ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
		defer cancel()
		rep, err := u.Next(ctx)
		r.must(err)
		if len(rep.Attributes) != 1 {
			t.Errorf("report of %d attributes", len(rep.Attributes))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.inspect().Subscriptions; n != 1 {
			t.Errorf("%d subscriptions", n)
		}
	})
}
