package device

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// rig is one part of a device on endpoint 2 of a node, with what was asked of it.
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
	p.ID = "main"
	e, err := New("test:1", &p, func(_ time.Time, c Command) error {
		if r.fail {
			return errors.New("no source")
		}
		r.sent = append(r.sent, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.e = e
	return r
}

// add adds the endpoint to the node.
func (r *rig) add() {
	r.AddEndpoint(im.Endpoint{ID: 2, Clusters: r.e.Clusters(), Model: r.e})
	r.Settle(r.Now)
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

// report is what the source says.
func (r *rig) report(v Values) {
	r.t.Helper()
	if err := r.e.Report(r.Now, v); err != nil {
		r.t.Fatal(err)
	}
	r.Touch(2)
	r.Settle(r.Now)
}

// after lets time pass.
func (r *rig) after(d time.Duration) {
	for end := r.Now.Add(d); ; {
		at, ok := r.Deadline()
		if !ok || at.After(end) {
			r.Now = end
			return
		}
		r.Now = at
		r.Advance(r.Now)
		r.Settle(r.Now)
	}
}

// wantSent compares what was asked of the device since the last call.
func (r *rig) wantSent(what string, want ...Values) {
	r.t.Helper()
	ok := len(r.sent) == len(want)
	for i := range min(len(r.sent), len(want)) {
		ok = ok && maps.Equal(r.sent[i].Set, want[i])
	}
	if !ok {
		r.t.Errorf("%s: the device was asked for %v, want %v", what, r.sent, want)
	}
	r.sent = nil
}
