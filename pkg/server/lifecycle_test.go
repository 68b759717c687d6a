package server_test

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/operator"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	clNetwork     matter.ClusterID = 0x31
	clLogs        matter.ClusterID = 0x32
	clDiagnostics matter.ClusterID = 0x33
)

// attr reads an attribute of endpoint 0 as text.
func (r *rig) attr(s *commissioner.Session, cl matter.ClusterID, id matter.AttributeID) string {
	r.t.Helper()
	rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, cl, id)}, FabricFiltered: true})
	r.must(err)
	if len(rep.Attributes) != 1 || rep.Attributes[0].Status.Status != matter.StatusSuccess {
		r.t.Fatalf("attribute 0x%04X/%d: %+v", cl, id, rep.Attributes)
	}
	return clustertest.Text(r.t, rep.Attributes[0].Value())
}

// setAttr writes an attribute of endpoint 0.
func (r *rig) setAttr(s *commissioner.Session, cl matter.ClusterID, id matter.AttributeID, v commissioner.Value) {
	r.t.Helper()
	status, err := s.Write(r.ctx, 0, cl, id, v)
	r.must(err)
	r.want(fmt.Sprintf("writing 0x%04X/%d", cl, id), status.Status.String(), success)
}

// reopen returns a session with the restarted node.
func (r *rig) reopen(c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) *commissioner.Session {
	r.t.Helper()
	s, _, err := c.CASE(r.ctx, deviceAddr, a, done.Node, nil)
	r.must(err)
	return s
}

func textValue(s string) commissioner.Value { return func(w *tlv.Writer, t tlv.Tag) { w.Text(t, s) } }

// The settings of controllers and the unique id survive a restart. A factory reset
// removes them.
func TestBasicInformationLasts(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := done.CASE
		read := func() string {
			t.Helper()
			return strings.Join([]string{r.attr(s, clBasic, 5), r.attr(s, clBasic, 6), r.attr(s, clBasic, 16), r.attr(s, clBasic, 18)}, " ")
		}
		unique := r.attr(s, clBasic, 18)
		if len(unique) != 34 || unique == r.attr(s, clBasic, 1) {
			t.Errorf("UniqueID %s", unique)
		}
		r.want("at first", read(), `"" "XX" false `+unique)
		r.setAttr(s, clBasic, 5, textValue("hall"))
		r.setAttr(s, clBasic, 6, textValue("DE"))
		r.setAttr(s, clBasic, 16, func(w *tlv.Writer, t tlv.Tag) { w.Bool(t, true) })
		r.restart()
		s = r.reopen(c, a, done)
		r.want("after a restart", read(), `"hall" "DE" true `+unique)
		r.stop()
		off, err := operator.OpenOffline(r.dir, provision.Change, slog.New(slog.DiscardHandler))
		r.must(err)
		r.must(off.FactoryReset(r.ctx))
		r.must(off.Close())
		r.start()
		done = r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
		s = done.CASE
		if got := read(); !strings.HasPrefix(got, `"" "XX" false `) || strings.HasSuffix(got, unique) {
			t.Errorf("after a factory reset: %s", got)
		}
	})
}

// events returns the events of the node, as cluster, id and data.
func (r *rig) events(s *commissioner.Session) (list []string, numbers []matter.EventNumber) {
	r.t.Helper()
	rep, err := s.Read(r.ctx, commissioner.ReadRequest{Events: []commissioner.Path{{}}, FabricFiltered: true})
	r.must(err)
	for i := range rep.Events {
		e := &rep.Events[i]
		list = append(list, fmt.Sprintf("%02X/%d%s", uint32(e.Cluster), e.ID, clustertest.Text(r.t, e.Data())))
		numbers = append(numbers, e.Number)
	}
	return list, numbers
}

// StartUp is the first event of a process, and event numbers never decrease.
func TestEventsOfStarts(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.opt.Version = "1.2.3"
		r.restart()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		list, before := r.events(done.CASE)
		want := []string{"28/0{0:1002003}", "33/3{0:6}"}
		if len(list) < 2 || !slices.Equal(list[:2], want) {
			t.Errorf("events %q, want %q first", list, want)
		}
		r.restart()
		s := r.reopen(c, a, done)
		list, numbers := r.events(s)
		if !slices.Equal(list, want) {
			t.Errorf("events after a restart %q, want %q", list, want)
		}
		if !slices.IsSorted(numbers) || numbers[0] <= before[len(before)-1] {
			t.Errorf("numbers %v after %v", numbers, before)
		}
		r.want("SoftwareVersion", r.attr(s, clBasic, 9), "1002003")
		r.want("SoftwareVersionString", r.attr(s, clBasic, 10), `"1.2.3"`)
	})
}

// ShutDown is the last event, and subscribers get a report of it.
func TestShutDownEvent(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		cl := clBasic
		sub, err := s.Subscribe(r.ctx, commissioner.ReadRequest{Events: []commissioner.Path{{Cluster: &cl}}}, 0, 600)
		r.must(err)
		r.wait(time.Millisecond) // until the subscription is active
		go func() { _ = r.srv.Stop() }()
		for {
			rep := r.nextWithin(sub, time.Minute)
			if rep == nil {
				t.Fatal("a subscriber did not hear of it")
			}
			if n := len(rep.Events); n > 0 {
				if last := rep.Events[n-1]; last.Cluster != clBasic || last.ID != 1 || clustertest.Text(t, last.Data()) != "{}" {
					t.Errorf("the last event is %+v", last)
				}
				break
			}
		}
	})
}

// The node counts its starts and its hours.
func TestDiagnosticsLast(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := done.CASE
		r.want("RebootCount", r.attr(s, clDiagnostics, 1), "1")
		r.want("TotalOperationalHours", r.attr(s, clDiagnostics, 3), "0")
		time.Sleep(5*time.Hour + 10*time.Minute)
		s = r.reopen(c, a, done)
		r.want("TotalOperationalHours", r.attr(s, clDiagnostics, 3), "5")
		if up := r.attr(s, clDiagnostics, 2); up != "18600" {
			t.Errorf("UpTime %s", up)
		}
		r.restart()
		s = r.reopen(c, a, done)
		r.want("RebootCount after a restart", r.attr(s, clDiagnostics, 1), "2")
		r.want("TotalOperationalHours after a restart", r.attr(s, clDiagnostics, 3), "5")
		r.want("UpTime after a restart", r.attr(s, clDiagnostics, 2), "0")
		// The process was restarted, but not the host.
		r.want("BootReason after a restart", r.attr(s, clDiagnostics, 4), "6")
	})
}

// The node keeps the capabilities that it announces to each fabric.
func TestCapabilities(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := done.CASE
		r.want("CapabilityMinima", r.attr(s, clBasic, 19), fmt.Sprintf("{0:%d,1:%d,2:%[3]d,3:%[3]d,4:%[4]d,5:%[4]d}", server.CASESessionsPerFabric, server.SubscriptionsPerFabric, exchange.Guaranteed, im.MaxPaths))
		r.want("MaxPathsPerInvoke", r.attr(s, clBasic, 22), fmt.Sprint(s.Peer().MaxPathsPerInvoke))
		r.want("DataModelRevision", r.attr(s, clBasic, 0), fmt.Sprint(s.Peer().DataModelRevision))
		r.want("SpecificationVersion", r.attr(s, clBasic, 21), fmt.Sprint(s.Peer().SpecificationVersion))
		// As many sessions of one fabric, all in use, and as many subscriptions.
		var all []*commissioner.Session
		for range server.CASESessionsPerFabric {
			b, err := a.Admin(commissioner.RandomNodeID())
			r.must(err)
			all = append(all, r.session(c, b, done.Node))
		}
		r.want("ACL", r.writeACL(s, administers(a), entry{matter.PrivilegeView, matter.AuthModeCASE, nil, nil}), success)
		for i, x := range all {
			if got := r.attr(x, clBasic, 0); got == "" {
				t.Errorf("session %d is gone", i)
			}
		}
		for range server.SubscriptionsPerFabric {
			_, err := all[0].Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, clBasic, 5)}}, 0, 60)
			r.must(err)
		}
	})
}

// The log can be read and contains nothing about other fabrics.
func TestDiagnosticLogs(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		r.must(s.UpdateFabricLabel(r.ctx, "kitchen"))
		rsp, err := s.Invoke(r.ctx, 0, clLogs, 0, args(0, 0, 1, 0))
		r.must(err)
		var status uint64
		var content string
		rd := rsp.Fields()
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 0:
				status = rd.Uint()
			case 1:
				content = string(rd.Octets())
			}
		}
		r.must(rd.End())
		if status != 0 || len(content) > 1024 || !strings.Contains(content, "commissioning complete") {
			t.Errorf("status %d, content %q", status, content)
		}
		for _, secret := range []string{"kitchen", "passcode=", "fabric=", "peer=", fmt.Sprint(passcode)} {
			if strings.Contains(content, secret) {
				t.Errorf("the log contains %q: %q", secret, content)
			}
		}
	})
}

// There is always a network interface, even on a host without one.
func TestNetworkOfNoHost(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		r.want("Networks", r.attr(s, clNetwork, 1), `[{0:x"65746865726e6574",1:false}]`)
		r.want("NetworkInterfaces", r.attr(s, clDiagnostics, 0), "[]")
	})
}

// added returns when each fabric was added as the operator sees it.
func (r *rig) added() (all []*time.Time) {
	r.t.Helper()
	st, err := r.srv.Operator().Status(r.ctx)
	r.must(err)
	list, err := r.srv.Operator().Fabrics(r.ctx)
	r.must(err)
	for i, f := range st.Fabrics {
		all = append(all, f.Added)
		if !reflect.DeepEqual(f.Fabric, list[i]) {
			r.t.Errorf("status has %+v, fabrics list %+v", f.Fabric, list[i])
		}
	}
	return all
}

// The operator sees when a fabric was added, also after restarts and new certificates.
func TestFabricAdded(t *testing.T) {
	clockBubble(t, func(r *rig) {
		r.startIn(2035)
		c, a := r.client(), r.valid(2030, 2040)
		at := time.Now()
		done := r.commission(c, a)
		want := func(when string) {
			t.Helper()
			if got := r.added(); len(got) != 1 || got[0] == nil || at.Sub(*got[0]).Abs() > time.Minute {
				t.Errorf("%s: added at %v, which was %v", when, got, at)
			}
		}
		time.Sleep(time.Hour)
		want("in the same run")
		r.restart()
		want("in the next run")
		s := r.session(c, a, done.Node)
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		n := r.noc(a, r.csr(s, true))
		r.want("UpdateNOC", r.updateNOC(s, n.Raw(), nil), ok)
		r.must(r.session(c, a, n.NodeID()).CommissioningComplete(r.ctx))
		want("after UpdateNOC")
		r.stop()
		offline, err := operator.OpenOffline(r.dir, provision.Read, slog.New(slog.DiscardHandler))
		r.must(err)
		list, err := offline.Fabrics(r.ctx)
		r.must(err)
		r.must(offline.Close())
		if len(list) != 1 || list[0].Added == nil || at.Sub(*list[0].Added).Abs() > time.Minute {
			t.Errorf("without a daemon: %+v", list)
		}
		r.start()
		r.finish()
	})
}

// A date by a clock that is wrong is not kept; it is kept as soon as the clock is right.
func TestFabricAddedWithAWrongClock(t *testing.T) {
	clockBubble(t, func(r *rig) { // in the year 2000
		r.start()
		r.commission(r.client(), r.valid(2030, 2040))
		r.restart()
		if got := r.added(); len(got) != 1 || got[0] != nil {
			t.Errorf("added at %v by a clock before the program was built", got)
		}
		r.finish()
	})
	for _, set := range []bool{false, true} {
		clockBubble(t, func(r *rig) {
			synchronised := false
			r.opt.Synchronised = func() bool { return synchronised }
			r.startIn(2035)
			at := time.Now()
			r.commission(r.client(), r.valid(2036, 2040)) // the node's clock is behind
			r.wait(time.Minute)
			synchronised = set
			r.restart()
			if got := r.added(); len(got) != 1 || (got[0] != nil) != set || set && at.Sub(*got[0]).Abs() > time.Minute {
				t.Errorf("clock set %v: added at %v, which was %v", set, got, at)
			}
			r.finish()
		})
	}
}
