package server_test

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// load is DeviceLoadStatus by field number.
type load [5]uint64

func (r *rig) load(s *commissioner.Session) (l load) {
	r.t.Helper()
	rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{
		commissioner.Attr(0, datamodel.GeneralDiagnosticsID, datamodel.GeneralDiagnosticsAttrDeviceLoadStatus),
	}})
	r.must(err)
	v := rep.Attributes[0].Value()
	for v.EnterStruct(); v.Next(); {
		l[v.ContextTag()] = v.Uint()
	}
	v.Exit()
	r.must(v.End())
	return l
}

// Subscriptions and messages are counted, in total and for the requesting fabric. A
// subscription that replaces others counts again (section 11.12.5.7).
func TestDeviceLoadStatus(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		a, b := r.authority(commissioner.AuthorityOptions{}), r.authority(commissioner.AuthorityOptions{})
		first := r.commission(r.client(), a).CASE
		r.must(first.OpenBasicWindow(r.ctx, 180))
		second := r.commission(r.client(), b).CASE
		reboots := commissioner.ReadRequest{Attributes: []commissioner.Path{
			commissioner.Attr(0, datamodel.GeneralDiagnosticsID, datamodel.GeneralDiagnosticsAttrRebootCount),
		}}
		before := r.load(first)
		for _, subscribe := range []func() (*commissioner.Subscription, error){
			func() (*commissioner.Subscription, error) { return first.SubscribeAnew(r.ctx, reboots, 1, 30) },
			func() (*commissioner.Subscription, error) { return first.Subscribe(r.ctx, reboots, 1, 30) },
			func() (*commissioner.Subscription, error) { return second.SubscribeAnew(r.ctx, reboots, 1, 30) },
		} {
			_, err := subscribe()
			r.must(err)
		}
		now := r.load(first)
		for field, want := range [3]uint64{3, 2, 3} {
			if got := now[field] - before[field]; got != want {
				t.Errorf("field %d has grown by %d, want %d", field, got, want)
			}
		}
		// The node sends two messages per subscription and the answer to the first
		// of the two reads. It receives two messages per subscription and the
		// second read.
		if sent, received := now[3]-before[3], now[4]-before[4]; sent != 7 || received != 7 {
			t.Errorf("%d messages sent and %d received, want 7 each", sent, received)
		}
		_, err := first.SubscribeAnew(r.ctx, reboots, 1, 30)
		r.must(err)
		if got := r.load(second); got[0] != 2 || got[1] != 1 || got[2] != now[2]+1 {
			t.Errorf("after one in place of two: %v", got)
		}
	})
}
