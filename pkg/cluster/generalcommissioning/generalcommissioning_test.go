package generalcommissioning

import (
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

// rig is the cluster over a real window, fail-safe, fabric table and store.
type rig struct {
	t        *testing.T
	store    *store.Store
	table    *fabric.Table
	failSafe *failsafe.FailSafe
	window   *window.Window
	cluster  *Cluster

	country  string
	location error // the error of SetLocation
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, country: "XX"}
	var err error
	if r.store, err = store.Open(filepath.Join(t.TempDir(), "opcredsd.db"), store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.store.Check(), fabric.Check(r.store)); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("the store after the test: %v", err)
		}
		r.store.Close()
	})
	if r.table, err = fabric.Open(r.store, 5); err != nil {
		t.Fatal(err)
	}
	r.failSafe = failsafe.New(r.table, failsafe.Options{})
	r.window = window.New(window.Passcode{}, rand.Reader)
	r.cluster = New(Options{FailSafe: r.failSafe, Window: r.window, SetLocation: func(_ *im.Request, country string) error {
		if r.location == nil {
			r.country = country
		}
		return r.location
	}})
	return r
}

var (
	pase  = acl.Subject{AuthMode: matter.AuthModePASE}
	admin = acl.Subject{Fabric: 1, AuthMode: matter.AuthModeCASE, Node: 0x1234}
	other = acl.Subject{Fabric: 2, AuthMode: matter.AuthModeCASE, Node: 0x1234}
)

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

// invoke executes a command and returns the error code of its response.
func (r *rig) invoke(now time.Time, s acl.Subject, id matter.CommandID, write func(w *tlv.Writer)) (commissioningError, error) {
	r.t.Helper()
	fields := element(r.t, func(w *tlv.Writer) {
		w.StartStruct(tlv.Anonymous)
		if write != nil {
			write(w)
		}
		w.End()
	})
	q := &im.Request{Now: now, Subject: s, Session: im.Session{Serial: 7}, Cluster: ID}
	var err error
	response := element(r.t, func(w *tlv.Writer) {
		w.StartStruct(tlv.Anonymous)
		err = r.cluster.Invoke(q, id, fields, w)
		w.End()
	})
	if err != nil {
		return 0, err
	}
	code, text := commissioningError(0xFF), false
	rd := response.Reader()
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			code = commissioningError(rd.Uint8())
		case 1:
			text = len(rd.Text()) <= 128
		}
	}
	if err := rd.End(); err != nil || !text {
		r.t.Errorf("response without an error code or text: %v", err)
	}
	return code, nil
}

func (r *rig) arm(now time.Time, s acl.Subject, seconds, breadcrumb uint64) commissioningError {
	r.t.Helper()
	code, err := r.invoke(now, s, cmdArmFailSafe, armFields(seconds, breadcrumb))
	if err != nil {
		r.t.Fatalf("ArmFailSafe: %v", err)
	}
	return code
}

func armFields(seconds, breadcrumb uint64) func(w *tlv.Writer) {
	return func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), seconds)
		w.Uint(tlv.Context(1), breadcrumb)
	}
}

func (r *rig) openWindow() {
	r.t.Helper()
	if err := r.window.OpenBasic(start, window.MinTimeout, 1, 0xFFF1); err != nil {
		r.t.Fatal(err)
	}
}

// The decision table of ArmFailSafe.
func TestArmFailSafe(t *testing.T) {
	const crumb = 99
	for _, tt := range []struct {
		name       string
		before     *acl.Subject // the subject that has armed the fail-safe, for 60 s with breadcrumb 1
		window     bool
		who        acl.Subject
		seconds    uint64
		want       commissioningError
		armed      bool // afterwards
		deadline   time.Duration
		breadcrumb uint64
	}{
		{name: "arm over PASE", who: pase, seconds: 100, want: errorOK, armed: true, deadline: 100 * time.Second, breadcrumb: crumb},
		{name: "arm over PASE, window open", window: true, who: pase, seconds: 100, want: errorOK, armed: true, deadline: 100 * time.Second, breadcrumb: crumb},
		{name: "arm over CASE", who: admin, seconds: 100, want: errorOK, armed: true, deadline: 100 * time.Second, breadcrumb: crumb},
		{name: "arm over CASE, window open", window: true, who: admin, seconds: 100, want: errorBusyWithOtherAdmin},
		{name: "disarm over CASE, window open", window: true, who: admin, seconds: 0, want: errorBusyWithOtherAdmin},
		{name: "disarm what is not armed", who: admin, seconds: 0, want: errorOK, breadcrumb: crumb},
		{name: "arm again", before: &admin, who: admin, seconds: 200, want: errorOK, armed: true, deadline: 200 * time.Second, breadcrumb: crumb},
		{name: "arm again, window open", before: &admin, window: true, who: admin, seconds: 200, want: errorOK, armed: true, deadline: 200 * time.Second, breadcrumb: crumb},
		{name: "arm again over PASE", before: &pase, who: pase, seconds: 200, want: errorOK, armed: true, deadline: 200 * time.Second, breadcrumb: crumb},
		{name: "arm beyond the limit", before: &admin, who: admin, seconds: 65535, want: errorOK, armed: true, deadline: 900 * time.Second, breadcrumb: crumb},
		{name: "disarm", before: &admin, who: admin, seconds: 0, want: errorOK},
		{name: "disarm over PASE", before: &pase, who: pase, seconds: 0, want: errorOK},
		{name: "another fabric's", before: &admin, who: other, seconds: 100, want: errorBusyWithOtherAdmin, armed: true, deadline: 60 * time.Second, breadcrumb: 1},
		{name: "disarm another fabric's", before: &admin, who: other, seconds: 0, want: errorBusyWithOtherAdmin, armed: true, deadline: 60 * time.Second, breadcrumb: 1},
		{name: "a commissioner's", before: &pase, who: admin, seconds: 100, want: errorBusyWithOtherAdmin, armed: true, deadline: 60 * time.Second, breadcrumb: 1},
		{name: "an administrator's, over PASE", before: &admin, who: pase, seconds: 100, want: errorBusyWithOtherAdmin, armed: true, deadline: 60 * time.Second, breadcrumb: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			if tt.before != nil {
				if code := r.arm(start, *tt.before, 60, 1); code != errorOK {
					t.Fatalf("arming first: %d", code)
				}
			}
			if tt.window {
				r.openWindow()
			}
			if code := r.arm(start, tt.who, tt.seconds, crumb); code != tt.want {
				t.Errorf("ArmFailSafe = %d, want %d", code, tt.want)
			}
			deadline, armed := r.failSafe.Deadline()
			if armed != tt.armed || armed && deadline.Sub(start) != tt.deadline {
				t.Errorf("armed = %v until %v, want %v until %v", armed, deadline.Sub(start), tt.armed, tt.deadline)
			}
			if got := r.failSafe.Breadcrumb(); got != tt.breadcrumb {
				t.Errorf("breadcrumb %d, want %d", got, tt.breadcrumb)
			}
			if armed && tt.before == nil && (!r.failSafe.ArmedFor(tt.who.Fabric) || r.failSafe.Session() != 7) {
				t.Error("armed for another fabric or session")
			}
		})
	}
}

// The cumulative limit counts from the first time that the fail-safe was armed.
func TestArmFailSafeCumulative(t *testing.T) {
	r := newRig(t)
	r.arm(start, admin, 600, 1)
	r.arm(start.Add(500*time.Second), admin, 600, 1)
	if deadline, _ := r.failSafe.Deadline(); deadline.Sub(start) != 900*time.Second {
		t.Errorf("armed until %v, want 15 minutes", deadline.Sub(start))
	}
}

func TestArmFailSafeWhileEnding(t *testing.T) {
	r := newRig(t)
	r.arm(start, admin, 60, 1)
	r.failSafe.Advance(start.Add(time.Minute))
	for _, seconds := range []uint64{0, 60} {
		if code := r.arm(start.Add(time.Minute), admin, seconds, 5); code != errorBusyWithOtherAdmin {
			t.Errorf("ArmFailSafe(%d) = %d during the clean-up", seconds, code)
		}
	}
	r.failSafe.TakeEnded()
	if code := r.arm(start.Add(time.Minute), admin, 60, 5); code != errorOK {
		t.Errorf("ArmFailSafe = %d after the clean-up", code)
	}
}

func TestDisarmTellsWhy(t *testing.T) {
	r := newRig(t)
	r.arm(start, pase, 60, 1)
	r.arm(start, pase, 0, 1)
	if e, ok := r.failSafe.TakeEnded(); !ok || e.Reason != failsafe.Disarmed || e.Session != 7 || e.Completed {
		t.Errorf("ended: %+v, %v", e, ok)
	}
}

func TestFields(t *testing.T) {
	for _, tt := range []struct {
		name  string
		id    matter.CommandID
		write func(w *tlv.Writer)
		want  matter.Status
	}{
		{"ArmFailSafe without fields", cmdArmFailSafe, nil, matter.StatusInvalidCommand},
		{"ArmFailSafe without a breadcrumb", cmdArmFailSafe, func(w *tlv.Writer) { w.Uint(tlv.Context(0), 60) }, matter.StatusInvalidCommand},
		{"ArmFailSafe without seconds", cmdArmFailSafe, func(w *tlv.Writer) { w.Uint(tlv.Context(1), 60) }, matter.StatusInvalidCommand},
		{"ArmFailSafe for 65536 s", cmdArmFailSafe, armFields(65536, 0), matter.StatusInvalidCommand},
		{"ArmFailSafe for a string", cmdArmFailSafe, func(w *tlv.Writer) { w.Text(tlv.Context(0), "60"); w.Uint(tlv.Context(1), 0) }, matter.StatusInvalidCommand},
		{"SetRegulatoryConfig without fields", cmdSetRegulatoryConfig, nil, matter.StatusInvalidCommand},
		{"SetRegulatoryConfig with octets", cmdSetRegulatoryConfig, func(w *tlv.Writer) {
			w.Uint(tlv.Context(0), 0)
			w.Octets(tlv.Context(1), []byte("DE"))
			w.Uint(tlv.Context(2), 0)
		}, matter.StatusInvalidCommand},
		{"country of 1 octet", cmdSetRegulatoryConfig, regulatory(0, "D", 5), matter.StatusConstraintError},
		{"country of 3 octets", cmdSetRegulatoryConfig, regulatory(0, "DEU", 5), matter.StatusConstraintError},
		{"no country", cmdSetRegulatoryConfig, regulatory(0, "", 5), matter.StatusConstraintError},
		{"unknown command", 6, nil, matter.StatusUnsupportedCommand},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			_, err := r.invoke(start, pase, tt.id, tt.write)
			if got := matter.StatusOf(err).Status; got != tt.want {
				t.Errorf("status %v (%v), want %v", got, err, tt.want)
			}
			if r.failSafe.Armed() || r.failSafe.Breadcrumb() != 0 || r.country != "XX" {
				t.Error("a refused command changed something")
			}
		})
	}
}

func regulatory(config uint64, country string, breadcrumb uint64) func(w *tlv.Writer) {
	return func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), config)
		w.Text(tlv.Context(1), country)
		w.Uint(tlv.Context(2), breadcrumb)
	}
}

func TestSetRegulatoryConfig(t *testing.T) {
	for _, s := range []acl.Subject{pase, admin} {
		for config := uint64(0); config <= 2; config++ {
			r := newRig(t)
			code, err := r.invoke(start, s, cmdSetRegulatoryConfig, regulatory(config, "DE", 5))
			if err != nil || code != errorOK || r.country != "DE" || r.failSafe.Breadcrumb() != 5 || r.readUint(attrRegulatoryConfig) != config {
				t.Errorf("config %d: %d, %v; country %q", config, code, err, r.country)
			}
		}
	}
	r := newRig(t)
	code, err := r.invoke(start, pase, cmdSetRegulatoryConfig, regulatory(3, "DE", 5))
	if err != nil || code != errorValueOutsideRange || r.country != "XX" || r.failSafe.Breadcrumb() != 0 || r.readUint(attrRegulatoryConfig) != 2 {
		t.Errorf("config 3: %d, %v; country %q", code, err, r.country)
	}
}

func TestSetRegulatoryConfigFails(t *testing.T) {
	r := newRig(t)
	r.location = errors.New("the disk is full")
	_, err := r.invoke(start, pase, cmdSetRegulatoryConfig, regulatory(0, "DE", 5))
	if !errors.Is(err, r.location) || matter.StatusOf(err).Status != matter.StatusFailure {
		t.Errorf("SetRegulatoryConfig = %v", err)
	}
	if r.readUint(attrRegulatoryConfig) != 2 || r.failSafe.Breadcrumb() != 0 {
		t.Error("a failure changed something")
	}
}

func (r *rig) read(id matter.AttributeID) tlv.Element {
	r.t.Helper()
	return element(r.t, func(w *tlv.Writer) {
		if err := r.cluster.Read(&im.Request{}, id, w, tlv.Anonymous); err != nil {
			r.t.Fatal(err)
		}
	})
}

func (r *rig) readUint(id matter.AttributeID) uint64 {
	r.t.Helper()
	rd := r.read(id).Reader()
	v := rd.Uint()
	if err := rd.End(); err != nil {
		r.t.Fatal(err)
	}
	return v
}

// join stages a fabric over PASE, as the Operational Credentials cluster would.
func (r *rig) join() *fabric.Fabric {
	r.t.Helper()
	key := func() *mcrypto.PrivateKey {
		k, err := mcrypto.GenerateKey(rand.Reader)
		if err != nil {
			r.t.Fatal(err)
		}
		return k
	}
	a, err := cert.NewRoot(rand.Reader, key(), 1, 0, cert.Validity{NotBefore: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	own := key()
	noc, err := a.IssueNOC(own.Public(), 0x10, 1)
	if err != nil {
		r.t.Fatal(err)
	}
	r.failSafe.SetCSR(own, false, 7)
	r.failSafe.SetRoot(a.Certificate)
	f, err := r.failSafe.AddNOC(store.Fabric{
		FabricID: 1, NodeID: 0x10, VendorID: 0xFFF1, NOC: noc.Raw(),
		ACL:     []store.ACLEntry{{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{1}}},
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: make([]byte, 16)}}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

func TestCommissioningComplete(t *testing.T) {
	r := newRig(t)
	if err := r.window.OpenInitial(start, window.DefaultInitial); err != nil {
		t.Fatal(err)
	}
	complete := func(s acl.Subject) commissioningError {
		t.Helper()
		code, err := r.invoke(start, s, cmdCommissioningComplete, nil)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	if code := complete(admin); code != errorNoFailSafe {
		t.Errorf("not armed: %d, want NoFailSafe", code)
	}
	r.arm(start, pase, 60, 42)
	f := r.join()
	overPASE := acl.Subject{Fabric: f.Index, AuthMode: matter.AuthModePASE}
	group := acl.Subject{Fabric: f.Index, AuthMode: matter.AuthModeGroup}
	for name, s := range map[string]acl.Subject{"PASE": overPASE, "another fabric": other, "a group": group} {
		if code := complete(s); code != errorInvalidAuthentication {
			t.Errorf("%s: %d, want InvalidAuthentication", name, code)
		}
	}
	if !r.failSafe.Armed() || r.failSafe.Breadcrumb() != 42 || !r.window.Open() || !r.table.Get(f.Index).Pending {
		t.Error("a refused command changed something")
	}
	if code := complete(admin); code != errorOK {
		t.Fatalf("CommissioningComplete = %d", code)
	}
	if r.failSafe.Armed() || r.failSafe.Breadcrumb() != 0 || r.window.Open() || r.table.Get(f.Index).Pending {
		t.Error("armed, window open, breadcrumb kept or fabric pending after it")
	}
	if e, ok := r.failSafe.TakeEnded(); !ok || !e.Completed || e.NOC != failsafe.Added || e.Fabric != f.Index {
		t.Errorf("ended: %+v, %v", e, ok)
	}
	if code := complete(admin); code != errorNoFailSafe {
		t.Errorf("a second time: %d, want NoFailSafe", code)
	}
}

// CommissioningComplete does not succeed before the fabric is in the store.
func TestCommissioningCompleteFails(t *testing.T) {
	r := newRig(t)
	r.openWindow()
	r.arm(start, pase, 60, 42)
	f := r.join()
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := r.invoke(start, admin, cmdCommissioningComplete, nil)
	if matter.StatusOf(err).Status != matter.StatusFailure {
		t.Errorf("CommissioningComplete = %v, want FAILURE", err)
	}
	if !r.failSafe.ArmedFor(f.Index) || !r.window.Open() || r.failSafe.Breadcrumb() != 42 {
		t.Error("the failure ended something")
	}
}

func TestAttributes(t *testing.T) {
	r := newRig(t)
	rd := r.read(attrBasicCommissioningInfo).Reader()
	rd.EnterStruct()
	rd.Next()
	expiry := rd.Uint16()
	rd.Next()
	if limit := rd.Uint16(); expiry != 60 || limit != 900 || rd.End() != nil {
		t.Errorf("BasicCommissioningInfo {%d, %d}", expiry, limit)
	}
	if r.readUint(attrRegulatoryConfig) != 2 || r.readUint(attrLocationCapability) != 2 || r.readUint(attrBreadcrumb) != 0 {
		t.Error("RegulatoryConfig, LocationCapability or Breadcrumb")
	}
	concurrent := r.read(attrSupportsConcurrentConnection).Reader()
	if !concurrent.Bool() {
		t.Error("SupportsConcurrentConnection is false")
	}
	if err := r.cluster.Read(&im.Request{}, 5, new(tlv.Writer), tlv.Anonymous); err != matter.StatusUnsupportedAttribute {
		t.Errorf("Read of attribute 5 = %v", err)
	}
}

func TestWriteBreadcrumb(t *testing.T) {
	r := newRig(t)
	write := func(id matter.AttributeID, write func(w *tlv.Writer)) error {
		return r.cluster.Write(&im.Request{}, id, element(t, write))
	}
	if err := write(attrBreadcrumb, func(w *tlv.Writer) { w.Uint(tlv.Anonymous, 1<<63) }); err != nil || r.readUint(attrBreadcrumb) != 1<<63 {
		t.Errorf("Write = %v", err)
	}
	if err := write(attrBreadcrumb, func(w *tlv.Writer) { w.Text(tlv.Anonymous, "x") }); err != matter.StatusInvalidDataType {
		t.Errorf("a string: %v, want INVALID_DATA_TYPE", err)
	}
	if err := write(attrRegulatoryConfig, func(w *tlv.Writer) { w.Uint(tlv.Anonymous, 1) }); err != matter.StatusUnsupportedWrite {
		t.Errorf("RegulatoryConfig: %v, want UNSUPPORTED_WRITE", err)
	}
	if r.readUint(attrBreadcrumb) != 1<<63 {
		t.Error("a refused write changed the breadcrumb")
	}
}

func TestChanges(t *testing.T) {
	r := newRig(t)
	changes := func() (list []matter.AttributeID) {
		r.cluster.Changes(func(id matter.AttributeID) { list = append(list, id) })
		return list
	}
	if got := changes(); len(got) != 0 {
		t.Errorf("nothing happened: %v", got)
	}
	r.arm(start, pase, 60, 3)
	if got := changes(); len(got) != 1 || got[0] != attrBreadcrumb {
		t.Errorf("after ArmFailSafe: %v", got)
	}
	r.failSafe.Advance(start.Add(time.Minute))
	if got := changes(); len(got) != 1 || got[0] != attrBreadcrumb {
		t.Errorf("after the expiry: %v", got)
	}
	if _, err := r.invoke(start, pase, cmdSetRegulatoryConfig, regulatory(1, "DE", 4)); err != nil {
		t.Fatal(err)
	}
	if got := changes(); len(got) != 2 || got[0] != attrBreadcrumb || got[1] != attrRegulatoryConfig {
		t.Errorf("after SetRegulatoryConfig: %v", got)
	}
	if got := changes(); len(got) != 0 {
		t.Errorf("reported twice: %v", got)
	}
}

func TestSpec(t *testing.T) {
	s := newRig(t).cluster.Spec()
	if s.ID != 0x30 || s.Revision != 2 || s.Features != 0 || len(s.Attributes) != 5 || len(s.Commands) != 3 {
		t.Errorf("%+v", s)
	}
	for i, c := range s.Commands {
		if c.ID != matter.CommandID(2*i) || c.Response != c.ID+1 || c.Privilege != matter.PrivilegeAdminister {
			t.Errorf("command %+v", c)
		}
	}
	if !s.Commands[2].Quality.Has(im.FabricScoped) {
		t.Error("CommissioningComplete is not fabric-scoped")
	}
}
