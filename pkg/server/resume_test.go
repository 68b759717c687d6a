package server_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// crash restarts the node with the store in its current state.
func (r *rig) crash() {
	r.t.Helper()
	name := filepath.Join(r.dir, store.FileName)
	now, err := os.ReadFile(name)
	r.must(err)
	r.stop()
	r.must(os.WriteFile(name, now, 0o600))
	r.start()
}

// stored returns the number of resumption records in the store.
func (r *rig) stored() int {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, store.FileName))
	r.must(err)
	name := filepath.Join(r.t.TempDir(), store.FileName)
	r.must(os.WriteFile(name, b, 0o600))
	st, err := store.Open(name, store.Options{ReadOnly: true})
	r.must(err)
	defer st.Close()
	var list []store.Resumption
	r.must(st.View(func(tx *store.Tx) (err error) {
		list, err = tx.Resumptions()
		return err
	}))
	return len(list)
}

func (r *rig) wantStored(when string, want int) {
	r.t.Helper()
	if n := r.stored(); n != want {
		r.t.Errorf("%s: %d records stored, want %d", when, n, want)
	}
}

// resume opens a session with a record. It returns the next record, and reports
// whether the node had this one.
func (r *rig) resume(c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned, rec *casesession.Record) (casesession.Record, bool) {
	r.t.Helper()
	_, res, err := c.CASE(r.ctx, deviceAddr, a, done.Node, rec)
	r.must(err)
	return res.Record(), res.Resumed
}

// resumer runs f with a node on a's fabric whose resumption records are stored.
func resumer(t *testing.T, f func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned)) {
	t.Helper()
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		r.wait(time.Minute)
		f(r, c, a, done)
	})
}

func TestResumptionOutlivesAStop(t *testing.T) {
	resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
		rec, _ := r.resume(c, a, done, nil)
		for range 2 {
			r.restart()
			next, ok := r.resume(c, a, done, &rec)
			if !ok {
				t.Fatal("not resumed after an orderly restart")
			}
			if _, ok := r.resume(c, a, done, &rec); ok {
				t.Fatal("a used record was taken again")
			}
			// The full handshake has replaced next.
			if _, ok := r.resume(c, a, done, &next); ok {
				t.Fatal("a replaced record was taken")
			}
			rec, _ = r.resume(c, a, done, nil)
		}
	})
}

func TestResumptionOutlivesACrash(t *testing.T) {
	resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
		rec, _ := r.resume(c, a, done, nil)
		for range 3 {
			r.wait(5 * time.Second)
			r.crash()
			next, ok := r.resume(c, a, done, &rec)
			if !ok {
				t.Fatal("not resumed after a crash")
			}
			if _, ok := r.resume(c, a, done, &rec); ok {
				t.Fatal("a used record was taken again")
			}
			rec, _ = r.resume(c, a, done, &next)
		}
	})
}

// A record that was not stored in time costs a full handshake.
func TestResumptionOfARecordThatIsLost(t *testing.T) {
	resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
		rec, _ := r.resume(c, a, done, nil)
		r.wait(4 * time.Second)
		r.crash()
		if _, ok := r.resume(c, a, done, &rec); ok {
			t.Error("resumed by a record that is in no store")
		}
	})
}

// A record is valid in the run that created it and in the next; see
// securechannel.Records. A crash in between does not change that.
func TestResumptionRecordsServeOneMoreRun(t *testing.T) {
	for name, again := range map[string]func(*rig){"stopped": (*rig).restart, "crashed": (*rig).crash} {
		t.Run(name, func(t *testing.T) {
			resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
				rec, _ := r.resume(c, a, done, nil)
				r.wait(5 * time.Second)
				r.wantStored("written", 1)
				again(r)
				r.wantStored("taken out by the start", 0)
				other, err := a.Admin(commissioner.RandomNodeID())
				r.must(err)
				r.resume(c, other, done, nil) // causes a write
				r.wait(time.Minute)
				r.wantStored("another peer's is written", 1)
				again(r)
				if _, ok := r.resume(c, a, done, &rec); ok {
					t.Error("a record was taken in the third run")
				}
			})
		})
	}
}

// Handshakes do not wait for the disk, and cause few writes.
func TestResumptionRecordsAreWrittenLater(t *testing.T) {
	resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
		r.restart()
		r.wantStored("at the start", 0)
		begun := time.Now()
		for r.stored() == 0 {
			if time.Since(begun) > 31*time.Second {
				t.Fatal("nothing is written while there is always something new")
			}
			r.resume(c, a, done, nil)
			r.wait(4 * time.Second)
		}
		if d := time.Since(begun); d < 29*time.Second {
			t.Errorf("written after %v, while there was always something new", d)
		}
		r.restart()
		r.resume(c, a, done, nil)
		r.wait(4900 * time.Millisecond)
		r.wantStored("a moment later", 0)
		r.wait(200 * time.Millisecond)
		r.wantStored("after 5 seconds of quiet", 1)
	})
}

// The store contains no record of a staged identity or of a removed fabric.
func TestResumptionRecordsFollowTheFabric(t *testing.T) {
	resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
		r.wantStored("one fabric", 1)
		b := r.authority(commissioner.AuthorityOptions{})
		r.want("ArmFailSafe", r.arm(done.CASE, 120, 1), ok)
		two, err := done.CASE.Join(r.ctx, b)
		r.must(err)
		two.CASE = r.session(c, b, two.Node)
		r.wait(time.Minute)
		r.wantStored("the other is staged", 1)
		r.must(two.CASE.CommissioningComplete(r.ctx))
		r.wait(time.Minute)
		r.wantStored("the other is complete", 2)
		r.must(done.CASE.RemoveFabric(r.ctx, two.Fabric))
		r.wantStored("the other is removed", 1)
		r.wait(time.Minute)
		r.wantStored("a minute later", 1)
	})
}

// A recorded session can be opened again after a crash if the store still had the
// record with which it was resumed. But its messages cannot be replayed.
func TestRecordedSessionIsWorthlessAfterACrash(t *testing.T) {
	resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
		rec, _ := r.resume(c, a, done, nil)
		r.wait(time.Minute)
		var recorded []simnet.Datagram
		r.net.SetTap(func(d simnet.Datagram) bool {
			if d.To == deviceAddr {
				d.Payload = bytes.Clone(d.Payload)
				recorded = append(recorded, d)
			}
			return true
		})
		s, res, err := c.CASE(r.ctx, deviceAddr, a, done.Node, &rec)
		r.must(err)
		if !res.Resumed {
			t.Fatal("not resumed")
		}
		r.must(s.UpdateFabricLabel(r.ctx, "recorded"))
		r.net.SetTap(nil)
		r.must(s.UpdateFabricLabel(r.ctx, "later"))
		before := sessionOf(recorded[len(recorded)-1].Payload)
		r.crash()

		var opened uint16
		r.net.SetTap(func(d simnet.Datagram) bool {
			if opcode, at := handshakeMessage(d.Payload); d.From == deviceAddr && opcode == message.OpcodeSigma2Resume {
				opened = sessionInResume(d.Payload[at:])
			}
			return true
		})
		thief := netip.MustParseAddrPort("[fe80::bad]:40000")
		for _, d := range recorded {
			r.net.Inject(thief, deviceAddr, bytes.Clone(d.Payload))
			if id := sessionOf(d.Payload); id != 0 && opened != 0 {
				binary.LittleEndian.PutUint16(d.Payload[1:], opened)
				r.net.Inject(thief, deviceAddr, d.Payload)
			}
			r.wait(time.Second)
		}
		r.net.SetTap(nil)
		if opened == 0 || opened%2 == before%2 {
			t.Fatalf("session %d opened, %d before: the test shows nothing", opened, before)
		}
		r.wantLabel("repeated", r.session(c, a, done.Node), "later")
	})
}

// sessionOf returns the session id in a message header.
func sessionOf(datagram []byte) uint16 { return binary.LittleEndian.Uint16(datagram[1:]) }

// sessionInResume returns the responder's session id in Sigma2_Resume.
func sessionInResume(payload []byte) (id uint16) {
	rd := tlv.NewReader(payload)
	for rd.EnterStruct(); rd.Next(); {
		if rd.ContextTag() == 3 {
			id = rd.Uint16()
		}
	}
	return id
}

// For that reason, the session ids of one run are never used in the next.
func TestSessionIDsOfARunAreNotThoseOfTheNext(t *testing.T) {
	resumer(t, func(r *rig, c *commissioner.Client, a *commissioner.Authority, done *commissioner.Commissioned) {
		parity := uint16(2)
		for run := range 8 {
			seen := map[uint16]bool{}
			r.net.SetTap(func(d simnet.Datagram) bool {
				if id := sessionOf(d.Payload); d.To == deviceAddr && id != 0 {
					seen[id%2] = true
				}
				return true
			})
			for range 3 {
				r.setLabel(r.session(c, a, done.Node), "x")
			}
			r.net.SetTap(nil)
			if len(seen) != 1 || seen[parity] {
				t.Fatalf("run %d: the ids' parities are %v, %d in the run before", run, seen, parity)
			}
			parity = 0
			if seen[1] {
				parity = 1
			}
			if run == 3 { // it resets the reboot count
				r.must(r.srv.Operator().FactoryReset(r.ctx))
				done = r.commission(c, a)
				r.wait(time.Minute)
			}
			if run%2 == 0 {
				r.crash()
			} else {
				r.restart()
			}
		}
	})
}

func TestResumptionRecordsAreBounded(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.stop()
		r.opt.MaxFabrics = 5
		r.start()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		const max = 3*5 + 16
		first, _ := r.resume(c, a, done, nil)
		for range max {
			other, err := a.Admin(commissioner.RandomNodeID())
			r.must(err)
			r.resume(c, other, done, nil)
		}
		if _, ok := r.resume(c, a, done, &first); ok {
			t.Errorf("the record of the peer that came first is kept after %d others", max)
		}
		r.stop()
		r.wantStored("at the end", max)
		r.start()
	})
}
