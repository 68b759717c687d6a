package administratorcommissioning

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"github.com/opcredsd/opcredsd/pkg/window"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rig is the cluster over a real window, fail-safe, fabric table and store, with
// fabric 1.
type rig struct {
	t        *testing.T
	table    *fabric.Table
	failSafe *failsafe.FailSafe
	window   *window.Window
	cluster  *Cluster
}

var (
	pase  = acl.Subject{AuthMode: matter.AuthModePASE}
	admin = acl.Subject{Fabric: 1, AuthMode: matter.AuthModeCASE, Node: 0x1234}
)

func newRig(t *testing.T) *rig {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "opcredsd.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(st.Check(), fabric.Check(st)); err != nil {
			t.Errorf("the store after the test: %v", err)
		}
		st.Close()
	})
	r := &rig{t: t}
	if r.table, err = fabric.Open(st, 5); err != nil {
		t.Fatal(err)
	}
	r.failSafe = failsafe.New(r.table, failsafe.Options{})
	r.window = window.New(window.Passcode{Discriminator: 3840}, rand.Reader)
	r.commission()
	r.cluster = New(r.window, r.failSafe, r.table)
	return r
}

func (r *rig) key() *mcrypto.PrivateKey {
	r.t.Helper()
	k, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

// commission adds a fabric of vendor 0xFFF2.
func (r *rig) commission() {
	r.t.Helper()
	a, err := cert.NewRoot(rand.Reader, r.key(), 1, 0, cert.Validity{NotBefore: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	own := r.key()
	noc, err := a.IssueNOC(own.Public(), 0x10, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	r.failSafe.Arm(start, matter.NoFabric, time.Minute, 1)
	r.failSafe.SetCSR(own, false, 1)
	r.failSafe.SetRoot(a.Certificate)
	if _, err := r.failSafe.AddNOC(store.Fabric{
		FabricID: 1, NodeID: 0x10, VendorID: 0xFFF2, NOC: noc.Raw(),
		ACL:     []store.ACLEntry{{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{1}}},
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: make([]byte, 16)}}}},
	}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.failSafe.Complete(); err != nil {
		r.t.Fatal(err)
	}
	r.failSafe.TakeEnded()
}

func element(t *testing.T, write func(w *tlv.Writer)) tlv.Element {
	t.Helper()
	var w tlv.Writer
	write(&w)
	rd := tlv.NewReader(w.Bytes())
	e := rd.Element()
	if err := rd.End(); err != nil {
		t.Fatal(err)
	}
	return e
}

func (r *rig) invoke(s acl.Subject, id matter.CommandID, write func(w *tlv.Writer)) error {
	r.t.Helper()
	fields := element(r.t, func(w *tlv.Writer) {
		w.StartStruct(tlv.Anonymous)
		if write != nil {
			write(w)
		}
		w.End()
	})
	return r.cluster.Invoke(&im.Request{Now: start, Subject: s, Cluster: ID}, id, fields, nil)
}

// open are the fields of OpenCommissioningWindow; nil leaves an octet string out.
type open struct {
	timeout, discriminator, iterations uint64
	verifier, salt                     []byte
}

func (o open) write(w *tlv.Writer) {
	w.Uint(tlv.Context(0), o.timeout)
	if o.verifier != nil {
		w.Octets(tlv.Context(1), o.verifier)
	}
	w.Uint(tlv.Context(2), o.discriminator)
	w.Uint(tlv.Context(3), o.iterations)
	if o.salt != nil {
		w.Octets(tlv.Context(4), o.salt)
	}
}

func timeout(seconds uint64) func(w *tlv.Writer) {
	return func(w *tlv.Writer) { w.Uint(tlv.Context(0), seconds) }
}

var salt = bytes.Repeat([]byte{0x5A}, 16)

func goodOpen(t *testing.T) open {
	t.Helper()
	v, err := mcrypto.NewVerifier(20202021, salt, 1000)
	if err != nil {
		t.Fatal(err)
	}
	b := v.Bytes()
	return open{timeout: 180, discriminator: 77, iterations: 1000, verifier: b[:], salt: bytes.Clone(salt)}
}

var success = matter.ClusterStatus{}

var invalid = matter.ClusterStatus{Status: matter.StatusInvalidCommand}

func (r *rig) want(what string, err error, want matter.ClusterStatus) {
	r.t.Helper()
	if got := matter.StatusOf(err); got != want {
		r.t.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
}

// readNullable returns an attribute, -1 for null.
func (r *rig) readNullable(id matter.AttributeID) int {
	r.t.Helper()
	rd := element(r.t, func(w *tlv.Writer) {
		if err := r.cluster.Read(&im.Request{}, id, w, tlv.Anonymous); err != nil {
			r.t.Fatal(err)
		}
	}).Reader()
	if rd.Null() {
		return -1
	}
	v := rd.Uint()
	if err := rd.End(); err != nil {
		r.t.Fatal(err)
	}
	return int(v)
}

func (r *rig) wantAttributes(what string, status, fabric, vendor int) {
	r.t.Helper()
	s, f, v := r.readNullable(attrWindowStatus), r.readNullable(attrAdminFabricIndex), r.readNullable(attrAdminVendorID)
	if s != status || f != fabric || v != vendor {
		r.t.Errorf("%s: status %d, fabric %d, vendor %d, want %d, %d, %d", what, s, f, v, status, fabric, vendor)
	}
}

func TestOpenEnhanced(t *testing.T) {
	r := newRig(t)
	r.wantAttributes("closed", 0, -1, -1)
	o := goodOpen(t)
	r.want("OpenCommissioningWindow", r.invoke(admin, cmdOpenCommissioningWindow, o.write), success)
	r.wantAttributes("open", 1, 1, 0xFFF2)
	p, ok := r.window.Offer()
	verifier := p.Verifier.Bytes()
	if !ok || !bytes.Equal(verifier[:], o.verifier) || !bytes.Equal(p.Salt, o.salt) || p.Iterations != 1000 || p.Discriminator != 77 {
		t.Errorf("Offer = %+v, %v", p, ok)
	}
	if end, _ := r.window.Deadline(); end.Sub(start) != 180*time.Second {
		t.Errorf("open for %v", end.Sub(start))
	}
	r.window.Advance(start.Add(180 * time.Second))
	r.wantAttributes("after its time", 0, -1, -1)
}

func TestOpenBasic(t *testing.T) {
	r := newRig(t)
	r.want("OpenBasicCommissioningWindow", r.invoke(admin, cmdOpenBasicCommissioningWindow, timeout(900)), success)
	r.wantAttributes("open", 2, 1, 0xFFF2)
	if end, _ := r.window.Deadline(); end.Sub(start) != 900*time.Second {
		t.Errorf("open for %v", end.Sub(start))
	}
}

// In each case, everything that is checked after the fault is faulty too. So the test
// detects a different order of the checks.
func TestOpenEnhancedFaults(t *testing.T) {
	bad := func(change func(o *open)) func(t *testing.T) open {
		return func(t *testing.T) open {
			o := goodOpen(t)
			change(&o)
			return o
		}
	}
	offCurve := func(o *open) { o.verifier = bytes.Clone(o.verifier); o.verifier[60] ^= 1 }
	for _, tt := range []struct {
		name   string
		who    acl.Subject
		before func(r *rig)
		fields func(t *testing.T) open
		want   matter.ClusterStatus
	}{
		{"no verifier", admin, nil, bad(func(o *open) { o.verifier = nil }), invalid},
		{"no salt", admin, nil, bad(func(o *open) { o.salt = nil }), invalid},
		{"timeout of 17 bits", admin, nil, bad(func(o *open) { o.timeout = 0x10000 }), invalid},
		{"over PASE without a fabric", pase, func(r *rig) { r.failSafe.Arm(start, matter.NoFabric, time.Minute, 1) },
			bad(func(o *open) { o.iterations = 1; o.timeout = 1; offCurve(o) }), errPAKEParameter},
		{"fail-safe armed", admin, func(r *rig) { r.failSafe.Arm(start, 1, time.Minute, 1) },
			bad(func(o *open) { o.iterations = 1; o.timeout = 1; offCurve(o) }), errBusy},
		{"fail-safe armed for another fabric", admin, func(r *rig) { r.failSafe.Arm(start, 2, time.Minute, 1) }, goodOpen, errBusy},
		{"fail-safe not cleaned up", admin, func(r *rig) {
			r.failSafe.Arm(start, 1, time.Minute, 1)
			r.failSafe.Expire(failsafe.Timeout)
		}, goodOpen, errBusy},
		{"basic window open", admin, func(r *rig) { r.open(r.window.OpenBasic(start, window.MinTimeout, 1, 1)) },
			bad(func(o *open) { o.iterations = 1; o.timeout = 1 }), errBusy},
		{"initial window open", admin, func(r *rig) { r.open(r.window.OpenInitial(start, window.DefaultInitial)) }, goodOpen, errBusy},
		{"999 iterations", admin, nil, bad(func(o *open) { o.iterations = 999; o.timeout = 1; offCurve(o) }), errPAKEParameter},
		{"100001 iterations", admin, nil, bad(func(o *open) { o.iterations = 100001; o.timeout = 1 }), errPAKEParameter},
		{"salt of 15 octets", admin, nil, bad(func(o *open) { o.salt = salt[1:]; o.timeout = 1 }), errPAKEParameter},
		{"salt of 33 octets", admin, nil, bad(func(o *open) { o.salt = make([]byte, 33); o.timeout = 1 }), errPAKEParameter},
		{"179 s", admin, nil, bad(func(o *open) { o.timeout = 179; offCurve(o) }), invalid},
		{"901 s", admin, nil, bad(func(o *open) { o.timeout = 901; offCurve(o) }), invalid},
		{"discriminator of 13 bits", admin, nil, bad(func(o *open) { o.discriminator = 0x1000; offCurve(o) }), invalid},
		{"verifier of 96 octets", admin, nil, bad(func(o *open) { o.verifier = o.verifier[1:] }), errPAKEParameter},
		{"verifier of 98 octets", admin, nil, bad(func(o *open) { o.verifier = append(bytes.Clone(o.verifier), 0) }), errPAKEParameter},
		{"verifier off the curve", admin, nil, bad(offCurve), errPAKEParameter},
		{"verifier with w0 = 0", admin, nil, bad(func(o *open) { o.verifier = bytes.Clone(o.verifier); clear(o.verifier[:32]) }), errPAKEParameter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			if tt.before != nil {
				tt.before(r)
			}
			kind := r.window.Kind()
			r.want("OpenCommissioningWindow", r.invoke(tt.who, cmdOpenCommissioningWindow, tt.fields(t).write), tt.want)
			if r.window.Kind() != kind {
				t.Errorf("the window is %v now", r.window.Kind())
			}
		})
	}
}

func (r *rig) open(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestOpenBasicFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		who    acl.Subject
		before func(r *rig)
		fields func(w *tlv.Writer)
		want   matter.ClusterStatus
	}{
		{"no timeout", admin, nil, nil, invalid},
		{"a string", admin, nil, func(w *tlv.Writer) { w.Text(tlv.Context(0), "180") }, invalid},
		{"over PASE without a fabric", pase, nil, timeout(1), errPAKEParameter},
		{"fail-safe armed", admin, func(r *rig) { r.failSafe.Arm(start, 1, time.Minute, 1) }, timeout(1), errBusy},
		{"enhanced window open", admin, func(r *rig) {
			r.open(r.window.OpenEnhanced(start, window.MinTimeout, window.Passcode{}, 1, 1))
		}, timeout(1), errBusy},
		{"179 s", admin, nil, timeout(179), invalid},
		{"901 s", admin, nil, timeout(901), invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			if tt.before != nil {
				tt.before(r)
			}
			kind := r.window.Kind()
			r.want("OpenBasicCommissioningWindow", r.invoke(tt.who, cmdOpenBasicCommissioningWindow, tt.fields), tt.want)
			if r.window.Kind() != kind {
				t.Errorf("the window is %v now", r.window.Kind())
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	r := newRig(t)
	r.want("no window", r.invoke(admin, cmdRevokeCommissioning, nil), errWindowNotOpen)
	r.want("open", r.invoke(admin, cmdOpenCommissioningWindow, goodOpen(t).write), success)
	r.want("revoke", r.invoke(admin, cmdRevokeCommissioning, nil), success)
	r.wantAttributes("after it", 0, -1, -1)
	if _, ok := r.failSafe.TakeEnded(); ok {
		t.Error("a fail-safe that was not armed ended")
	}
	r.want("revoke again", r.invoke(admin, cmdRevokeCommissioning, nil), errWindowNotOpen)
}

// A commissioner that uses the window loses it, and the changes that it has staged.
func TestRevokeDuringCommissioning(t *testing.T) {
	r := newRig(t)
	r.want("open", r.invoke(admin, cmdOpenCommissioningWindow, goodOpen(t).write), success)
	r.window.Begin()
	r.window.Succeeded()
	r.failSafe.Arm(start, matter.NoFabric, time.Minute, 55)
	r.failSafe.SetCSR(r.key(), false, 55)
	r.want("revoke", r.invoke(admin, cmdRevokeCommissioning, nil), success)
	if e, ok := r.failSafe.TakeEnded(); !ok || e.Reason != failsafe.Revoked || e.Session != 55 {
		t.Errorf("ended: %+v, %v", e, ok)
	}
	if r.failSafe.Armed() || r.window.Open() {
		t.Error("the fail-safe is armed or the window open")
	}
}

func TestRevokeLeavesTheInitialWindow(t *testing.T) {
	r := newRig(t)
	r.open(r.window.OpenInitial(start, window.DefaultInitial))
	r.failSafe.Arm(start, matter.NoFabric, time.Minute, 5)
	r.want("revoke", r.invoke(admin, cmdRevokeCommissioning, nil), errWindowNotOpen)
	if !r.window.Open() || !r.failSafe.Armed() {
		t.Error("the first commissioning has ended")
	}
}

func TestRevokeWithoutWindowLeavesTheFailSafe(t *testing.T) {
	r := newRig(t)
	r.failSafe.Arm(start, 1, time.Minute, 5)
	r.want("revoke", r.invoke(admin, cmdRevokeCommissioning, nil), errWindowNotOpen)
	if !r.failSafe.Armed() {
		t.Error("the fail-safe of an administrator was ended")
	}
}

func TestAttributes(t *testing.T) {
	r := newRig(t)
	r.open(r.window.OpenInitial(start, window.DefaultInitial))
	r.wantAttributes("initial window", 0, -1, -1)
	r.window.Close()
	r.open(r.window.OpenBasic(start, window.MinTimeout, matter.NoFabric, 0))
	r.wantAttributes("opened by the operator", 2, -1, -1)
	r.window.Close()
	r.want("open", r.invoke(admin, cmdOpenBasicCommissioningWindow, timeout(180)), success)
	r.window.FabricRemoved(1)
	r.wantAttributes("the fabric is gone", 2, -1, 0xFFF2)
	if err := r.cluster.Read(&im.Request{}, 3, new(tlv.Writer), tlv.Anonymous); err != matter.StatusUnsupportedAttribute {
		t.Errorf("Read of attribute 3 = %v", err)
	}
	if err := r.cluster.Write(&im.Request{}, attrWindowStatus, tlv.Element{}); err != matter.StatusUnsupportedWrite {
		t.Errorf("Write = %v", err)
	}
	r.want("unknown command", r.invoke(admin, 3, nil), matter.ClusterStatus{Status: matter.StatusUnsupportedCommand})
}

func TestChanges(t *testing.T) {
	r := newRig(t)
	want := func(what string, ids ...matter.AttributeID) {
		t.Helper()
		got := map[matter.AttributeID]bool{}
		r.cluster.Changes(func(id matter.AttributeID) { got[id] = true })
		for _, id := range ids {
			if !got[id] {
				t.Errorf("%s: attribute %d is not reported", what, id)
			}
		}
		if len(got) != len(ids) {
			t.Errorf("%s: %v", what, got)
		}
	}
	want("nothing happened")
	r.want("open", r.invoke(admin, cmdOpenBasicCommissioningWindow, timeout(180)), success)
	want("opened", attrWindowStatus, attrAdminFabricIndex, attrAdminVendorID)
	r.window.FabricRemoved(1)
	want("fabric removed", attrAdminFabricIndex)
	r.window.Advance(start.Add(time.Hour))
	want("its time is up", attrWindowStatus, attrAdminVendorID)
	r.open(r.window.OpenInitial(start, window.DefaultInitial))
	want("initial window")
}

func TestSpec(t *testing.T) {
	s := newRig(t).cluster.Spec()
	if s.ID != 0x3C || s.Revision != 1 || s.Features != 1 || len(s.Attributes) != 3 || len(s.Commands) != 3 {
		t.Errorf("%+v", s)
	}
	for _, c := range s.Commands {
		if !c.Quality.Has(im.Timed) || c.Privilege != matter.PrivilegeAdminister || c.Response != im.NoResponse {
			t.Errorf("command %+v", c)
		}
	}
}
