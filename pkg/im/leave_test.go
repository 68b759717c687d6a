package im

import (
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// fabricRemoved removes a fabric and sends no last events.
func (h *harness) fabricRemoved(f matter.FabricIndex) {
	h.FabricRemoved(h.now, f, h.events.next, h.opt.ACL)
}

// nobodyMay is the access control list of a fabric without entries.
var nobodyMay = acl.New(new(fabric.Table), func(matter.EndpointID) []matter.DeviceTypeID { return nil }).Former(&fabric.Fabric{})

func TestRemovedFabricHearsOfIt(t *testing.T) {
	n := newNode(t, nil)
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<2:0,3:6,4:0>],4:[<1:0,2:6>],7:true}")
	n.subscribe(pase(1), "{0:true,1:0,2:60,3:[<2:0,3:6,4:0>],7:true}") // not to events
	n.subscribe(pase(2), "{0:true,1:0,2:60,4:[<1:0,2:6>],7:true}")
	n.Settle(n.now)
	n.sessions.conns = nil

	n.Emit(n.now, 0, 6, 0, 0, nil)
	since := n.Stats().Events
	n.Emit(n.now, 0, 6, 0, 0, nil)
	sessions := n.FabricRemoved(n.now, 1, since, n.opt.ACL)
	if len(sessions) != 1 || sessions[0] != 7 || len(n.sessions.conns) != 1 {
		t.Fatalf("sessions %v, %d messages", sessions, len(n.sessions.conns))
	}
	c := n.sessions.conns[0]
	if got := c.last(); !c.closed || len(c.sent) != 1 || got.opcode != OpcodeReportData || eventNumbers(t, c.sent) != "1001" || strings.Contains(got.text, ",4:true") {
		t.Errorf("report %s, closed %v", got.text, c.closed)
	}
	if active, interrupted := n.phases(); active != 1 || interrupted != 0 {
		t.Errorf("%d subscriptions are left, %d interrupted", active, interrupted)
	}
	// The subscriber's answer changes nothing.
	n.confirm(c.opened)
	c.opened.Closed(n.now, nil)
	n.pass(time.Hour)
}

// Only subscribers that had access and can still be reached get a report.
func TestRemovedFabricDoesNotHear(t *testing.T) {
	for name, f := range map[string]func(n *node) *acl.List{
		"who had no access": func(n *node) *acl.List {
			n.subscriptions[0].subject.AuthMode = matter.AuthModeCASE
			return nobodyMay
		},
		"who is interrupted": func(n *node) *acl.List {
			n.interruptAll()
			return n.opt.ACL
		},
		"whose session is gone": func(n *node) *acl.List {
			n.sessions.gone[7] = true
			return n.opt.ACL
		},
		"whose session is full": func(n *node) *acl.List {
			n.sessions.busy[7] = true
			return n.opt.ACL
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			n.subscribe(pase(1), "{0:true,1:0,2:60,4:[<1:0,2:6>],7:true}")
			granted, access := n.opt.ACL, f(n)
			n.sessions.conns = nil
			since := n.Stats().Events
			n.Emit(n.now, 0, 6, 0, 0, nil)
			if sessions := n.FabricRemoved(n.now, 1, since, access); len(sessions) != 0 || len(n.sessions.conns) != 0 || len(n.subscriptions) != 0 {
				t.Errorf("sessions %v, %d messages, %d subscriptions left", sessions, len(n.sessions.conns), len(n.subscriptions))
			}
			if n.opt.ACL != granted {
				t.Error("access control is not what it was")
			}
		})
	}
}

func TestForgetEvents(t *testing.T) {
	n := newNode(t, nil)
	n.Emit(n.now, 0, 6, 0, 0, nil)
	n.Emit(n.now, 0, 6, 2, 1, nil)
	n.ForgetEvents()
	if got := eventNumbers(t, n.readAll("{1:[<>],3:false}").sent); got != "" {
		t.Errorf("events %s", got)
	}
	n.Emit(n.now, 0, 6, 0, 0, nil)
	if got := eventNumbers(t, n.readAll("{1:[<>],3:false}").sent); got != "1002" {
		t.Errorf("events %s, want those that came after", got)
	}
}
