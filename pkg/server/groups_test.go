package server_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// clLamp is a manufacturer's cluster with an attribute and a command.
const clLamp matter.ClusterID = 0xFFF1_FC01

var lampSpec = im.Spec{
	ID: clLamp, Name: "Lamp", Revision: 1,
	Attributes: []im.Attribute{{ID: 0, Name: "Level", Read: matter.PrivilegeView, Write: matter.PrivilegeOperate}},
	Commands: []im.Command{
		{ID: 0, Name: "Toggle", Response: im.NoResponse, Privilege: matter.PrivilegeOperate},
		{ID: 1, Name: "Reset", Response: im.NoResponse, Privilege: matter.PrivilegeManage},
	},
}

// diary records the operations on the lamps.
type diary struct {
	mu   sync.Mutex
	list []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, fmt.Sprintf(format, args...))
}

func (d *diary) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.list)
}

// take returns what was recorded since the last call.
func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.list
	d.list = nil
	return list
}

// lamp is a cluster that records its operations.
type lamp struct {
	ep  matter.EndpointID
	did *diary
}

func (l lamp) Spec() *im.Spec { return &lampSpec }

func (l lamp) Read(_ *im.Request, _ matter.AttributeID, w *tlv.Writer, t tlv.Tag) error {
	w.Uint(t, 0)
	return nil
}

func (l lamp) Write(r *im.Request, _ matter.AttributeID, v tlv.Element) error {
	rd := v.Reader()
	l.did.add("%d/level %d", l.ep, rd.Uint())
	return im.WriteError(rd.End())
}

func (l lamp) Invoke(r *im.Request, id matter.CommandID, _ tlv.Element, _ *tlv.Writer) error {
	l.did.add("%d/%s by %d", l.ep, lampSpec.Commands[id].Name, r.Subject.Fabric)
	return nil
}

// Endpoints that the tests add.
const (
	hall    matter.EndpointID = 2
	kitchen matter.EndpointID = 3
)

// pause waits until everything that was sent has been received.
func pause() { time.Sleep(time.Second) }

// lamps is a commissioned node with two lamps that can belong to groups.
type lamps struct {
	*rig
	a    *commissioner.Authority
	c    *commissioner.Client
	s    *commissioner.Session
	done *commissioner.Commissioned
	did  diary
}

func (l *lamps) addLamps() {
	l.t.Helper()
	for _, ep := range []matter.EndpointID{hall, kitchen} {
		if err := l.srv.AddGroupEndpoint(ep, lamp{ep, &l.did}); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lamps) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// want checks the operations since the last call.
func (l *lamps) want(what string, did ...string) {
	l.t.Helper()
	synctest.Wait()
	if got := l.did.take(); !slices.Equal(got, did) {
		l.t.Errorf("%s: did %q, want %q", what, got, did)
	}
}

// setACL writes the administrator's entry, and Operate for groups.
func (l *lamps) setACL(groups ...entry) {
	l.t.Helper()
	list := append([]entry{{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(l.a.NodeID)}, nil}}, groups...)
	status, err := l.s.Write(l.ctx, 0, clAccess, 0, entries(list...))
	l.must(err)
	if status.Status != matter.StatusSuccess {
		l.t.Fatal(status)
	}
}

func groupEntry(id matter.GroupID, targets ...[3]*uint32) entry {
	return entry{matter.PrivilegeOperate, matter.AuthModeGroup, []uint64{uint64(id)}, targets}
}

// inGroup runs f with a node whose two lamps belong to group 7, which has Operate.
func inGroup(t *testing.T, cond simnet.Conditions, f func(l *lamps, g *commissioner.Group)) {
	bubble(t, 1, cond, func(r *rig) {
		l := &lamps{rig: r, a: r.authority(commissioner.AuthorityOptions{}), c: r.client()}
		l.done = r.commission(l.c, l.a)
		l.s = l.done.CASE
		l.addLamps()
		g := &commissioner.Group{From: l.a, ID: 7, EpochKey: [16]byte{1: 0xAB}, Counter: 1000}
		l.must(l.s.KeySetWrite(l.ctx, 5, g.EpochKey, [16]byte{2: 0xCD}))
		l.must(l.s.MapGroups(l.ctx, 5, 7, 8))
		for _, ep := range []matter.EndpointID{hall, kitchen} {
			l.must(l.s.AddGroup(l.ctx, ep, 7, "lamps"))
		}
		l.setACL(groupEntry(7))
		pause() // until the last acknowledgements have arrived
		f(l, g)
	})
}

// silent checks that the node sends nothing, whatever is sent to a group.
func (l *lamps) silent(f func()) {
	l.t.Helper()
	synctest.Wait()
	said := 0
	l.net.SetTap(func(d simnet.Datagram) bool {
		if d.From == deviceAddr {
			said++
		}
		return true
	})
	f()
	synctest.Wait()
	l.net.SetTap(nil)
	if said != 0 {
		l.t.Errorf("the node sent %d datagrams", said)
	}
}

func toggled(fabric matter.FabricIndex, eps ...matter.EndpointID) (list []string) {
	for _, ep := range eps {
		list = append(list, fmt.Sprintf("%d/Toggle by %d", ep, fabric))
	}
	return list
}

func TestGroupMessages(t *testing.T) {
	inGroup(t, simnet.Conditions{}, func(l *lamps, g *commissioner.Group) {
		level := func(w *tlv.Writer, t tlv.Tag) { w.Uint(t, 9) }
		l.silent(func() {
			l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
			l.want("a command", toggled(1, hall, kitchen)...)
			l.must(l.c.WriteGroup(g, clLamp, 0, level))
			l.want("a write", "2/level 9", "3/level 9")
			g.Private = true
			l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
			l.want("a private command", toggled(1, hall, kitchen)...)
			g.Private = false

			l.must(l.c.InvokeGroup(g, clLamp, 1, nil))
			l.want("a command that needs more privilege")
			l.must(l.c.InvokeGroup(g, clLamp, 9, nil))
			l.want("no such command")
			l.must(l.c.InvokeGroup(g, 0x28, 0, nil))
			l.want("no such cluster")
			l.must(l.c.SendGroup(g, im.OpcodeReadRequest, []byte{0x15, 0x28, 3, 0x18}))
			l.must(l.c.SendGroup(g, im.OpcodeInvokeRequest, []byte{0x15}))
			l.must(l.c.SendGroup(g, im.OpcodeTimedRequest, []byte{0x15, 0x24, 0, 100, 0x18}))
			l.want("what has no place here")
			g.Control = true
			l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
			l.want("a control message")
			g.Control = false
			b, err := g.Seal(matter.ProtocolSecureChannel, message.OpcodeStatusReport, make([]byte, 8))
			l.must(err)
			l.must(l.c.SendDatagram(g.Addr(), b))
			l.want("another protocol")

			next := *g
			next.EpochKey = [16]byte{2: 0xCD}
			l.must(l.c.InvokeGroup(&next, clLamp, 0, nil))
			l.want("the next epoch's key", toggled(1, hall, kitchen)...)
			g.Counter = next.Counter - 1
			l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
			l.want("a counter that was used")
			wrong := next
			wrong.EpochKey = [16]byte{3: 1}
			l.must(l.c.InvokeGroup(&wrong, clLamp, 0, nil))
			l.want("a wrong key")
			empty := next
			empty.ID = 8
			l.must(l.c.InvokeGroup(&empty, clLamp, 0, nil))
			l.want("a group without members")
			unmapped := next
			unmapped.ID = 9
			b, err = unmapped.Seal(matter.ProtocolInteractionModel, im.OpcodeInvokeRequest, nil)
			l.must(err)
			l.must(l.c.SendDatagram(g.Addr(), b))
			l.want("a group without a key")
		})
		// The sessions are not affected.
		if err := l.s.UpdateFabricLabel(l.ctx, "home"); err != nil {
			t.Error(err)
		}
	})
}

func TestGroupReplay(t *testing.T) {
	for _, private := range []bool{false, true} {
		inGroup(t, simnet.Conditions{}, func(l *lamps, g *commissioner.Group) {
			var recorded []byte
			l.net.SetTap(func(d simnet.Datagram) bool {
				if d.To == g.Addr() {
					recorded = slices.Clone(d.Payload)
				}
				return true
			})
			g.Private = private
			l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
			l.want("first", toggled(1, hall, kitchen)...)
			l.net.SetTap(nil)
			l.must(l.c.SendDatagram(g.Addr(), recorded))
			l.must(l.c.SendDatagram(deviceAddr, recorded))
			l.must(l.client().SendDatagram(g.Addr(), recorded))
			l.want("replayed")
		})
	}
}

// If the network duplicates and reorders messages, each has its effect once.
func TestGroupBadNetwork(t *testing.T) {
	inGroup(t, clean, func(l *lamps, g *commissioner.Group) {
		l.net.SetConditions(simnet.Conditions{Duplicate: 0.5, Reorder: 0.5})
		l.must(l.c.InvokeGroup(g, clLamp, 0, nil)) // messages before the first one are not trusted
		l.eventually("the first message", time.Second, func() bool { return l.did.len() == 2 })
		for range 20 {
			l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
		}
		pause()
		if n := l.did.len(); n != 2*21 {
			t.Errorf("%d commands were carried out, want %d", n, 2*21)
		}
	})
}

func TestGroupAccess(t *testing.T) {
	admin := uint32(clLamp)
	two := uint32(hall)
	tests := []struct {
		name   string
		groups []entry
		want   []string
	}{
		{"none", nil, nil},
		{"another group", []entry{groupEntry(8)}, nil},
		{"every group", []entry{{matter.PrivilegeOperate, matter.AuthModeGroup, nil, nil}}, toggled(1, hall, kitchen)},
		{"one endpoint", []entry{groupEntry(7, [3]*uint32{nil, &two})}, toggled(1, hall)},
		{"the cluster", []entry{groupEntry(7, [3]*uint32{&admin})}, toggled(1, hall, kitchen)},
		{"another cluster", []entry{groupEntry(7, [3]*uint32{num(6)})}, nil},
		{"the device type", []entry{groupEntry(7, [3]*uint32{2: num(0x0100)})}, toggled(1, hall, kitchen)},
		{"view", []entry{{matter.PrivilegeView, matter.AuthModeGroup, []uint64{7}, nil}}, nil},
		{"for nodes", []entry{{matter.PrivilegeAdminister, matter.AuthModeCASE, nil, nil}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inGroup(t, simnet.Conditions{}, func(l *lamps, g *commissioner.Group) {
				l.setACL(tt.groups...)
				l.silent(func() { l.must(l.c.InvokeGroup(g, clLamp, 0, nil)) })
				l.want("a command", tt.want...)
			})
		})
	}
}

// A lamp that leaves the group, or whose key is removed, receives nothing any more.
func TestGroupEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(l *lamps)
		want []string
	}{
		{"an endpoint leaves", func(l *lamps) {
			_, err := l.s.Invoke(l.ctx, hall, commissioner.ClusterGroups, 3, func(w *tlv.Writer) { w.Uint(tlv.Context(0), 7) })
			l.must(err)
		}, toggled(1, kitchen)},
		{"an endpoint leaves all", func(l *lamps) {
			_, err := l.s.Invoke(l.ctx, kitchen, commissioner.ClusterGroups, 4, nil)
			l.must(err)
		}, toggled(1, hall)},
		{"the group is not mapped any more", func(l *lamps) { l.must(l.s.MapGroups(l.ctx, 5, 8)) }, nil},
		{"the group gets another key set", func(l *lamps) { l.must(l.s.MapGroups(l.ctx, 6, 7)) }, nil},
		{"the key set gets other keys", func(l *lamps) { l.must(l.s.KeySetWrite(l.ctx, 5, [16]byte{9: 9})) }, nil},
		{"the key set goes", func(l *lamps) {
			_, err := l.s.Invoke(l.ctx, 0, clGroupKeys, 3, func(w *tlv.Writer) { w.Uint(tlv.Context(0), 5) })
			l.must(err)
		}, nil},
		{"the fabric goes", func(l *lamps) { l.must(l.s.RemoveFabric(l.ctx, 1)) }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inGroup(t, clean, func(l *lamps, g *commissioner.Group) {
				tt.end(l)
				l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
				pause()
				l.want("a command", tt.want...)
			})
		})
	}
}

// Groups, their keys and their members belong to one fabric.
func TestGroupsOfTwoFabrics(t *testing.T) {
	inGroup(t, clean, func(l *lamps, g *commissioner.Group) {
		other := l.authority(commissioner.AuthorityOptions{})
		l.must(l.s.OpenBasicWindow(l.ctx, 180))
		s := l.commission(l.client(), other).CASE
		g2 := &commissioner.Group{From: other, ID: 7, EpochKey: g.EpochKey, Counter: 5}
		send := func(what string, g *commissioner.Group, want ...string) {
			l.t.Helper()
			l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
			pause()
			l.want(what, want...)
		}
		send("the other fabric has no groups", g2)
		l.must(s.KeySetWrite(l.ctx, 5, g2.EpochKey))
		l.must(s.MapGroups(l.ctx, 5, 7))
		l.must(s.AddGroup(l.ctx, kitchen, 7, ""))
		send("the other fabric's group may do nothing", g2)
		status, err := s.Write(l.ctx, 0, clAccess, 0, entries(
			entry{matter.PrivilegeAdminister, matter.AuthModeCASE, []uint64{uint64(other.NodeID)}, nil}, groupEntry(7)))
		l.must(err)
		if status.Status != matter.StatusSuccess {
			t.Fatal(status)
		}
		send("the other fabric's group", g2, toggled(2, kitchen)...)
		send("the first one's", g, toggled(1, hall, kitchen)...)
		l.must(s.RemoveFabric(l.ctx, 2))
		pause()
		send("the other fabric has gone", g2)
		send("the first one has not", g, toggled(1, hall, kitchen)...)
	})
}

// Groups survive a restart, counters do not: the first message is trusted again.
func TestGroupsAfterRestart(t *testing.T) {
	inGroup(t, clean, func(l *lamps, g *commissioner.Group) {
		l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
		pause()
		l.want("before", toggled(1, hall, kitchen)...)
		l.restart()
		l.addLamps()
		l.must(l.c.InvokeGroup(g, clLamp, 0, nil))
		pause()
		l.want("after", toggled(1, hall, kitchen)...)
	})
}

// A node whose endpoints cannot belong to groups reports that it supports none.
func TestNoGroups(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		max := func() uint64 {
			t.Helper()
			rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, clGroupKeys, 2)}})
			if err != nil || len(rep.Attributes) != 1 {
				t.Fatalf("%+v, %v", rep, err)
			}
			v := rep.Attributes[0].Value()
			return v.Uint()
		}
		if n := max(); n != 0 {
			t.Errorf("MaxGroupsPerFabric is %d", n)
		}
		if err := s.MapGroups(r.ctx, 5, 7); err == nil || !strings.Contains(err.Error(), resourceExhausted) {
			t.Errorf("a group: %v", err)
		}
		if err := r.srv.AddGroupEndpoint(hall); err != nil {
			t.Fatal(err)
		}
		if n := max(); n < 4 {
			t.Errorf("MaxGroupsPerFabric is %d where groups are possible", n)
		}
	})
}
