package server_test

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// settings are the settings of administrators that belong to no fabric.
type settings struct {
	label, location       string
	disabled              bool
	regulatory, breadcrum int64
}

var unset = settings{location: "XX", regulatory: 2}

func (r *rig) settings(s *commissioner.Session) (x settings) {
	r.t.Helper()
	label, location, disabled := r.attribute(s, clBasic, 5, false), r.attribute(s, clBasic, 6, false), r.attribute(s, clBasic, 0x10, false)
	x = settings{label.Text(), location.Text(), disabled.Bool(), r.number(s, clGeneral, 2), r.number(s, clGeneral, 0)}
	r.must(label.End())
	r.must(location.End())
	r.must(disabled.End())
	return x
}

// set sets all of them.
func (r *rig) set(s *commissioner.Session) settings {
	r.t.Helper()
	for id, v := range map[matter.AttributeID]commissioner.Value{
		5:    func(w *tlv.Writer, t tlv.Tag) { w.Text(t, "bedroom") },
		0x10: func(w *tlv.Writer, t tlv.Tag) { w.Bool(t, true) },
	} {
		status, err := s.Write(r.ctx, 0, clBasic, id, v)
		r.must(err)
		r.want("writing", outcome(status.Status), success)
	}
	r.want("location", r.command(s, clGeneral, cmdRegulatory, 0, 0, 1, "FR", 2, 7), ok)
	x := settings{"bedroom", "FR", true, 0, 7}
	if got := r.settings(s); got != x {
		r.t.Fatalf("settings %+v, want %+v", got, x)
	}
	return x
}

// The settings of administrators are removed with the last fabric, so that the next
// owner gets a node like new. The node's own state stays.
func TestLastFabricForgets(t *testing.T) {
	ways := map[string]func(r *rig, s *commissioner.Session){
		"by itself":       func(r *rig, s *commissioner.Session) { r.want("RemoveFabric", r.creds(s, cmdRemove, 0, 1), ok) },
		"by the operator": func(r *rig, _ *commissioner.Session) { r.must(r.srv.Operator().RemoveFabric(r.ctx, 1)) },
		"beside one that is never complete": func(r *rig, s *commissioner.Session) {
			_, err := s.Join(r.ctx, r.authority(commissioner.AuthorityOptions{}))
			r.must(err)
			r.want("RemoveFabric", r.creds(s, cmdRemove, 0, 1), ok)
			r.wait(time.Second)
			if n := len(r.announced.of("_matterc._udp")); n != 0 {
				r.t.Error("commissionable while a fabric is there")
			}
			r.wait(2 * time.Minute)
		},
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				c := r.client()
				s := r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
				r.set(s)
				_, seen := r.events(s)
				rd := r.attribute(s, clBasic, 0x12, false)
				id := rd.Text()
				end(r, s)
				r.eventually("commissionable", 5*time.Second, func() bool { return len(r.announced.of("_matterc._udp")) == 1 })

				p := r.pase(c)
				if got := r.settings(p); got != unset {
					t.Errorf("the next commissioner finds %+v", got)
				}
				if n := len(r.roots(p, false)); n != 0 {
					t.Errorf("%d roots", n)
				}
				if got, _ := r.events(p); len(got) != 0 {
					t.Errorf("events %q", got)
				}
				rd = r.attribute(p, clBasic, 0x12, false)
				if got := rd.Text(); got != id {
					t.Errorf("unique id %q, it was %q", got, id)
				}
				x := r.authority(commissioner.AuthorityOptions{})
				done := r.join(c, p, x)
				if _, got := r.events(done.CASE); len(got) == 0 || got[0] <= seen[len(seen)-1] {
					t.Errorf("event numbers %v, after %v", got, seen)
				}
				want := r.set(done.CASE)
				r.restart()
				want.regulatory, want.breadcrum = 2, 0 // not kept
				if got := r.settings(r.session(c, x, done.Node)); got != want {
					t.Errorf("after a restart: %+v, want %+v", got, want)
				}
			})
		})
	}
}

// A node without fabrics removes the settings of earlier owners at its start, as it
// may have stopped before it could.
func TestStartWithoutFabricForgets(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.stop()
		st, err := store.Open(r.dir+"/"+store.FileName, store.Options{})
		r.must(err)
		r.must(st.Update(func(tx *store.Tx) error {
			return tx.MutateNode(func(n *store.Node) error {
				n.NodeLabel, n.Location, n.LocalConfigDisabled = "bedroom", "FR", true
				return nil
			})
		}))
		r.must(st.Close())
		r.start()
		if got := r.settings(r.pase(r.client())); got != unset {
			t.Errorf("%+v", got)
		}
	})
}

// If its only fabric was never completed, the node has no former owner: its window
// stays open, and earlier settings stay.
func TestAttemptForgetsNothing(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		s := r.pase(c)
		before, _ := r.events(s)
		_, err := s.Join(r.ctx, r.authority(commissioner.AuthorityOptions{}))
		r.must(err)
		instance := func() string {
			for _, ad := range r.announced.of("_matterc._udp") {
				return ad.Instance
			}
			return ""
		}
		r.wait(2 * time.Minute)
		again := instance()
		if again == "" {
			t.Fatal("not commissionable")
		}
		s = r.pase(c)
		if now, _ := r.events(s); len(now) < len(before) {
			t.Errorf("events %q, they were %q", now, before)
		}
		s.Close()
		r.wait(time.Second)
		if got := instance(); got != again {
			t.Errorf("another window: %s, it was %s", got, again)
		}
	})
}
