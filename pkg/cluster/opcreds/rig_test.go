package opcreds

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// epoch is start in seconds since 2000-01-01.
const epoch = 848750400

// rig is the cluster over a real fabric table and store.
type rig struct {
	t        testing.TB
	path     string
	store    *store.Store
	table    *fabric.Table
	failSafe *failsafe.FailSafe
	cluster  *Cluster
	now      time.Time

	credentials store.Attestation
	added       []added    // calls of EntryAdded
	executed    []executed // calls of Executed
}

type added struct {
	subject acl.Subject
	index   matter.FabricIndex
	entry   store.ACLEntry
}

type executed struct{ command, status string }

func newRig(t testing.TB, max int) *rig {
	t.Helper()
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "opcredsd.db"), now: start}
	var err error
	if r.credentials, err = attestation.Generate(rand.Reader, 0xFFF1, 0x8001, start); err != nil {
		t.Fatal(err)
	}
	r.open(max)
	t.Cleanup(func() {
		if err := errors.Join(r.store.Check(), fabric.Check(r.store)); err != nil {
			t.Errorf("the store after the test: %v", err)
		}
		r.store.Close()
	})
	return r
}

// open creates everything from the store, as the node does when it starts.
func (r *rig) open(max int) {
	r.t.Helper()
	var err error
	if r.store, err = store.Open(r.path, store.Options{}); err != nil {
		r.t.Fatal(err)
	}
	if r.table, err = fabric.Open(r.store, max); err != nil {
		r.t.Fatal(err)
	}
	credentials, err := attestation.Load(r.credentials, rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	r.failSafe = failsafe.New(r.table, failsafe.Options{})
	r.cluster = New(Options{
		Table: r.table, FailSafe: r.failSafe, Attestation: credentials, Rand: rand.Reader,
		EntryAdded: func(q *im.Request, i matter.FabricIndex, e store.ACLEntry) {
			r.added = append(r.added, added{q.Subject, i, e})
		},
		Executed: func(command, status string, cause error) {
			if cause == nil != (status == "SUCCESS") {
				r.t.Errorf("%s: status %s with cause %v", command, status, cause)
			}
			r.executed = append(r.executed, executed{command, status})
		},
	})
}

// reboot closes the store and starts again from its content.
func (r *rig) reboot() {
	r.t.Helper()
	max := r.table.Max()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open(max)
}

// settle does the part of the node's work after each event that these tests need, and
// returns the changed attributes.
func (r *rig) settle(sessions ...*session) map[matter.AttributeID]bool {
	for _, s := range sessions {
		if s.authMode == matter.AuthModePASE && s.fabric == matter.NoFabric && s.serial == r.failSafe.NOCSession() {
			s.fabric = r.failSafe.Fabric()
		}
	}
	r.failSafe.TakeEnded()
	changed := map[matter.AttributeID]bool{}
	r.cluster.Changes(func(id matter.AttributeID) { changed[id] = true })
	return changed
}

// session is a session of a peer with the node.
type session struct {
	rig      *rig
	serial   uint64
	authMode matter.AuthMode
	fabric   matter.FabricIndex
	node     matter.NodeID
}

var serials uint64

func (r *rig) pase() *session {
	serials++
	return &session{rig: r, serial: serials, authMode: matter.AuthModePASE}
}

func (r *rig) caseOf(i matter.FabricIndex) *session {
	serials++
	return &session{rig: r, serial: serials, authMode: matter.AuthModeCASE, fabric: i, node: adminNode}
}

func (s *session) challenge() [16]byte { return [16]byte{0: 0xAC, 15: byte(s.serial)} }

func (s *session) request(filtered bool) *im.Request {
	return &im.Request{
		Now:     s.rig.now,
		Subject: acl.Subject{Fabric: s.fabric, AuthMode: s.authMode, Node: s.node},
		Session: im.Session{Serial: s.serial, AttestationChallenge: s.challenge()},
		Cluster: ID, FabricFiltered: filtered,
	}
}

// arm arms the fail-safe as ArmFailSafe would.
func (s *session) arm() {
	s.rig.t.Helper()
	if !s.rig.failSafe.Arm(s.rig.now, s.fabric, time.Minute, s.serial) {
		s.rig.t.Fatal("the fail-safe was not armed")
	}
}

// element returns the output of write as an element.
func element(t testing.TB, write func(w *tlv.Writer)) tlv.Element {
	t.Helper()
	var w tlv.Writer
	write(&w)
	rd := tlv.NewReader(w.Bytes())
	e := rd.Element()
	if err := rd.End(); err != nil {
		t.Fatalf("what the test wrote: %v", err)
	}
	return e
}

// invoke executes a command with the fields that write writes, and returns the
// response, a structure.
func (s *session) invoke(id matter.CommandID, write func(w *tlv.Writer)) (tlv.Element, error) {
	s.rig.t.Helper()
	fields := element(s.rig.t, func(w *tlv.Writer) {
		w.StartStruct(tlv.Anonymous)
		if write != nil {
			write(w)
		}
		w.End()
	})
	return s.invokeFields(id, fields)
}

func (s *session) invokeFields(id matter.CommandID, fields tlv.Element) (tlv.Element, error) {
	s.rig.t.Helper()
	var err error
	response := element(s.rig.t, func(w *tlv.Writer) {
		w.StartStruct(tlv.Anonymous)
		m := w.Mark()
		if err = s.rig.cluster.Invoke(s.request(false), id, fields, w); err != nil {
			w.Rewind(m) // as the engine does
		}
		w.End()
	})
	return response, err
}

// noc invokes a command with a NOCResponse and returns the response.
func (s *session) noc(id matter.CommandID, write func(w *tlv.Writer)) (NOCStatus, matter.FabricIndex, error) {
	s.rig.t.Helper()
	response, err := s.invoke(id, write)
	if err != nil {
		return 0, 0, err
	}
	status, index := NOCStatus(0xFF), matter.NoFabric
	rd := response.Reader()
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			status = NOCStatus(rd.Uint8())
		case 1:
			index = matter.FabricIndex(rd.Uint8())
		default:
			s.rig.t.Errorf("NOCResponse with member %v", rd.Tag())
		}
	}
	if err := rd.End(); err != nil || (status == NOCStatusOK) != index.Valid() {
		s.rig.t.Errorf("NOCResponse{%v, %d}: %v", status, index, err)
	}
	return status, index, nil
}

// outcomeOf names the outcome of a command with a NOCResponse.
func outcomeOf(status NOCStatus, err error) string {
	if err != nil {
		return matter.StatusOf(err).Status.String()
	}
	return status.Error()
}

// read returns an attribute's value.
func (s *session) read(id matter.AttributeID, filtered bool) tlv.Element {
	s.rig.t.Helper()
	return element(s.rig.t, func(w *tlv.Writer) {
		if err := s.rig.cluster.Read(s.request(filtered), id, w, tlv.Anonymous); err != nil {
			s.rig.t.Fatalf("reading attribute %d: %v", id, err)
		}
	})
}

func (s *session) readUint(id matter.AttributeID) uint64 {
	s.rig.t.Helper()
	rd := s.read(id, false).Reader()
	v := rd.Uint()
	if err := rd.End(); err != nil {
		s.rig.t.Fatal(err)
	}
	return v
}

// entry is the NOCStruct and the FabricDescriptorStruct of one fabric, and the members
// that they do not have.
type entry struct {
	noc, icac, vvsc, root, statement []byte
	icacNull, hasVVSC, hasStatement  bool
	vendor                           matter.VendorID
	fabric                           matter.FabricID
	node                             matter.NodeID
	label                            string
	index                            matter.FabricIndex
}

func (s *session) nocs(filtered bool) []entry {
	s.rig.t.Helper()
	var list []entry
	rd := s.read(attrNOCs, filtered).Reader()
	for rd.EnterArray(); rd.Next(); {
		var e entry
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				e.noc = rd.Octets()
			case 2:
				if e.icacNull = rd.Null(); !e.icacNull {
					e.icac = rd.Octets()
				}
			case 3:
				e.vvsc, e.hasVVSC = rd.Octets(), true
			case 0xFE:
				e.index = matter.FabricIndex(rd.Uint8())
			}
		}
		rd.Exit()
		list = append(list, e)
	}
	if err := rd.End(); err != nil {
		s.rig.t.Fatal(err)
	}
	return list
}

func (s *session) fabrics(filtered bool) []entry {
	s.rig.t.Helper()
	var list []entry
	rd := s.read(attrFabrics, filtered).Reader()
	for rd.EnterArray(); rd.Next(); {
		var e entry
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				e.root = rd.Octets()
			case 2:
				e.vendor = matter.VendorID(rd.Uint16())
			case 3:
				e.fabric = matter.FabricID(rd.Uint())
			case 4:
				e.node = matter.NodeID(rd.Uint())
			case 5:
				e.label = rd.Text()
			case 6:
				e.statement, e.hasStatement = rd.Octets(), true
			case 0xFE:
				e.index = matter.FabricIndex(rd.Uint8())
			}
		}
		rd.Exit()
		list = append(list, e)
	}
	if err := rd.End(); err != nil {
		s.rig.t.Fatal(err)
	}
	return list
}

func (s *session) roots() [][]byte {
	s.rig.t.Helper()
	var list [][]byte
	rd := s.read(attrTrustedRootCertificates, true).Reader()
	for rd.EnterArray(); rd.Next(); {
		list = append(list, bytes.Clone(rd.Octets()))
	}
	if err := rd.End(); err != nil {
		s.rig.t.Fatal(err)
	}
	return list
}

func wantStatus(t testing.TB, what string, err error, want matter.Status) {
	t.Helper()
	if got := matter.StatusOf(err).Status; got != want {
		t.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
	if want != matter.StatusSuccess && err != nil && !errors.Is(err, want) {
		t.Errorf("%s: %v does not wrap %v", what, err, want)
	}
}
