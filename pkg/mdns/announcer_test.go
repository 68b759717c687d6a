package mdns

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A window that closes during a look-up is not an error. A record that stays and is
// not found is.
func TestSelfCheckWhileServicesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := &Announcer{log: slog.New(slog.NewTextHandler(&log, nil)), changed: make(chan struct{}, 1), ended: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		var withdrawn atomic.Bool
		go r.watch(ctx, func(ctx context.Context) map[int]error {
			if !withdrawn.Load() {
				return map[int]error{7: nil}
			}
			select {
			case <-ctx.Done():
				return map[int]error{7: ctx.Err()}
			case <-time.After(checkTimeout):
				return map[int]error{7: errors.New("no answer")}
			}
		})
		found := func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			err, ok := r.looked[7]
			return ok && err == nil
		}
		change := func(nowWithdrawn bool) {
			withdrawn.Store(nowWithdrawn)
			r.due()
		}
		change(true)
		time.Sleep(checkSettles + time.Second)
		change(false)
		time.Sleep(checkSettles + time.Second)
		synctest.Wait()
		if got := log.String(); !found() || strings.Contains(got, "WARN") {
			t.Errorf("found %v, log:\n%s", found(), got)
		}
		change(true)
		time.Sleep(checkSettles + checkTimeout + time.Second)
		synctest.Wait()
		if got := log.String(); found() || !strings.Contains(got, "no answer") {
			t.Errorf("found %v, log:\n%s", found(), got)
		}
		stop()
		<-r.ended
	})
}

func TestStatusFault(t *testing.T) {
	services := func(states ...State) (list []ServiceStatus) {
		for _, s := range states {
			v := ServiceStatus{Type: "_matter._tcp", Instance: "A-B", State: s}
			if s == Conflict {
				v.Rival = netip.MustParseAddr("fe80::99")
			}
			list = append(list, v)
		}
		return list
	}
	good := InterfaceStatus{Name: "eth0", Services: services(Announced, Announced), Found: true}
	asking := InterfaceStatus{Name: "eth1", Services: services(Announced, Probing)}
	contested := InterfaceStatus{Name: "eth1", Services: services(Conflict, Announced), Lookup: "no answer"}
	unseen := InterfaceStatus{Name: "eth1", Services: services(Announced), Lookup: "no answer"}
	down := InterfaceStatus{Name: "eth2", Reason: "it is down"}
	for what, tc := range map[string]struct {
		status       Status
		fault        string
		announced    bool
		discoverable bool
	}{
		"all is well":           {Status{Interfaces: []InterfaceStatus{good}}, "", true, true},
		"another is down":       {Status{Interfaces: []InterfaceStatus{good, down}}, "", true, true},
		"another comes up":      {Status{Interfaces: []InterfaceStatus{good, asking}}, "", true, false},
		"another is contested":  {Status{Interfaces: []InterfaceStatus{good, contested}}, "on eth1: A-B._matter._tcp is announced by another host, too (fe80::99)", true, false},
		"not found on another":  {Status{Interfaces: []InterfaceStatus{good, unseen}}, "", true, false},
		"the first comes up":    {Status{Interfaces: []InterfaceStatus{asking}}, "yet", false, false},
		"the only one is down":  {Status{Interfaces: []InterfaceStatus{down}}, "eth2: it is down", false, false},
		"no interface":          {Status{}, "no network interface", false, false},
		"what is wanted is new": {Status{Interfaces: []InterfaceStatus{good}, Pending: true}, "yet", false, true},
	} {
		s := tc.status
		if s.Announced() != tc.announced || s.Discoverable() != tc.discoverable {
			t.Errorf("%s: announced %v, discoverable %v", what, s.Announced(), s.Discoverable())
		}
		err := s.Fault()
		if (err == nil) != (tc.fault == "") || err != nil && (!errors.Is(err, ErrNotAnnounced) || !strings.Contains(err.Error(), tc.fault)) {
			t.Errorf("%s: fault %v, want %q", what, err, tc.fault)
		}
	}
	for what, tc := range map[string]struct {
		i    InterfaceStatus
		want string
	}{
		"good": {good, ""}, "down": {down, "it is down"}, "not found": {unseen, "no answer"},
		"many": {InterfaceStatus{Services: services(Conflict, Conflict, Conflict, Conflict)}, "(fe80::99); and 2 others are"},
	} {
		if got := tc.i.Problem(); !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
			t.Errorf("%s: problem %q, want %q", what, got, tc.want)
		}
	}
}
