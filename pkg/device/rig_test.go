package device

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/cluster/groups"
	"github.com/opcredsd/opcredsd/pkg/cluster/scenes"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// rig is one part of a device on endpoint 2 of a node, with the commands that it
// received.
type rig struct {
	*clustertest.Node
	t    testing.TB
	e    *Endpoint
	sent []Command
	fail bool // the source cannot be reached
}

func newRig(t testing.TB, p Part) *rig {
	t.Helper()
	r := newBareRig(t, p)
	r.add()
	return r
}

// newBareRig is newRig before the endpoint is added to the node.
func newBareRig(t testing.TB, p Part) *rig {
	t.Helper()
	r := &rig{Node: clustertest.New(t, 2), t: t}
	r.make(p)
	return r
}

// make creates the endpoint of a part.
func (r *rig) make(p Part) {
	r.t.Helper()
	p.ID = "main"
	e, err := New("test:1", &p, func(_ time.Time, c Command) error {
		if r.fail {
			return errors.New("no source")
		}
		r.sent = append(r.sent, c)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.e = e
}

// renew replaces the endpoint by that of another part without a state.
func (r *rig) renew(p Part) {
	r.t.Helper()
	r.RemoveEndpoint(2)
	r.make(p)
	r.add()
}

// add adds the endpoint to the node, with the clusters that the node adds itself.
func (r *rig) add() {
	r.t.Helper()
	clusters := slices.Clone(r.e.Clusters())
	group := groups.Options{Fabrics: r.Table, Max: 8, Identifying: func() bool { return false }}
	if r.e.Scenes {
		c, err := scenes.New(scenes.Options{Fabrics: r.Table, Endpoint: &r.e.Endpoint})
		if err != nil {
			r.t.Fatal(err)
		}
		clusters, group.Left = append(clusters, c), c.Left
	}
	if r.e.Groups {
		clusters = append(clusters, groups.New(group))
	}
	r.AddEndpoint(im.Endpoint{ID: 2, Clusters: clusters, Model: r.e})
	r.Settle(r.Now)
}

// restart replaces the endpoint by one that is loaded from the stored state.
func (r *rig) restart(p Part) {
	r.t.Helper()
	kept := r.e.Save()
	r.RemoveEndpoint(2)
	p.ID = "main"
	e, err := New("test:1", &p, r.e.send)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := e.Load(kept); err != nil {
		r.t.Fatal(err)
	}
	r.e = e
	r.add()
}

// invoke executes a command as fabric 1's administrator and returns the status.
func (r *rig) invoke(cl matter.ClusterID, id matter.CommandID, fields string) string {
	r.t.Helper()
	return r.Invoke(clustertest.Admin(1), 2, cl, id, fields)
}

func (r *rig) read(cl matter.ClusterID, id matter.AttributeID) string {
	r.t.Helper()
	return r.Read(clustertest.Admin(1), 2, cl, id)
}

// do executes a command, which must succeed.
func (r *rig) do(cl matter.ClusterID, id matter.CommandID, fields string) {
	r.t.Helper()
	if got := r.invoke(cl, id, fields); got != "SUCCESS" {
		r.t.Fatalf("command 0x%02X of cluster 0x%04X with %s: %s", uint32(id), uint32(cl), fields, got)
	}
}

// write writes an attribute, which must succeed.
func (r *rig) write(cl matter.ClusterID, id matter.AttributeID, value string) {
	r.t.Helper()
	if got := r.Write(clustertest.Admin(1), 2, cl, id, value); got != "SUCCESS" {
		r.t.Fatalf("attribute 0x%04X of cluster 0x%04X = %s: %s", uint32(id), uint32(cl), value, got)
	}
}

// wantRead compares an attribute.
func (r *rig) wantRead(what string, cl matter.ClusterID, id matter.AttributeID, want string) {
	r.t.Helper()
	if got := r.read(cl, id); got != want {
		r.t.Errorf("%s: attribute 0x%04X of cluster 0x%04X is %s, want %s", what, uint32(id), uint32(cl), got, want)
	}
}

// report reports values as the source.
func (r *rig) report(v Values) {
	r.t.Helper()
	if err := r.e.Report(r.Now, v); err != nil {
		r.t.Fatal(err)
	}
	r.Touch(2)
	r.Settle(r.Now)
}

// after advances the time, and returns what a subscriber has received meanwhile.
func (r *rig) after(d time.Duration) (reported []string) {
	reported = r.Reported()
	for end := r.Now.Add(d); ; {
		at, ok := r.Deadline()
		if !ok || at.After(end) {
			r.Now = end
			return reported
		}
		r.Now = at
		r.Advance(r.Now)
		reported = append(reported, r.Reported()...)
	}
}

// request is a command that the device received, with its transition time.
type request struct {
	set    Values
	tenths int // of a second; -1: none
}

// wantSent compares the commands for the device since the last call, without times.
func (r *rig) wantSent(what string, want ...Values) {
	r.t.Helper()
	var all []request
	for _, v := range want {
		all = append(all, request{v, anyTime})
	}
	r.wantRequests(what, all...)
}

const (
	anyTime = -2
	noTime  = -1
)

// wantRequests compares the commands for the device since the last call.
func (r *rig) wantRequests(what string, want ...request) {
	r.t.Helper()
	ok := len(r.sent) == len(want)
	for i := range min(len(r.sent), len(want)) {
		tenths := noTime
		if d := r.sent[i].Transition; d != nil {
			tenths = int(*d / (100 * time.Millisecond))
		}
		ok = ok && maps.Equal(r.sent[i].Set, want[i].set) && (want[i].tenths == anyTime || want[i].tenths == tenths)
	}
	if !ok {
		r.t.Errorf("%s: the device was asked for %s, want %+v", what, r.asked(), want)
	}
	r.sent = nil
}

func (r *rig) asked() string {
	var b strings.Builder
	for _, c := range r.sent {
		fmt.Fprintf(&b, "%v", c.Set)
		if c.Transition != nil {
			fmt.Fprintf(&b, " in %v", *c.Transition)
		}
		b.WriteString("; ")
	}
	return b.String()
}
