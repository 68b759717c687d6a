package opcreds

import (
	"bytes"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func label(s string) func(w *tlv.Writer) {
	return func(w *tlv.Writer) { w.Text(tlv.Context(0), s) }
}

func index(i matter.FabricIndex) func(w *tlv.Writer) {
	return func(w *tlv.Writer) { w.Uint(tlv.Context(0), uint64(i)) }
}

func TestUpdateFabricLabel(t *testing.T) {
	r := newRig(t, 5)
	a := r.commission(newAuthority(t, 1, false), 0x10)
	b := r.commission(newAuthority(t, 2, false), 0x10)
	r.settle()
	for _, tt := range []struct {
		name    string
		s       *session
		write   func(w *tlv.Writer)
		want    string
		changed bool
	}{
		{"a label", a, label("home"), "OK", true},
		{"the same again", a, label("home"), "OK", false},
		{"another fabric's label", b, label("home"), "LabelConflict", false},
		{"case matters", b, label("Home"), "OK", true},
		{"32 octets", b, label(strings.Repeat("é", 16)), "OK", true},
		{"33 octets", b, label(strings.Repeat("x", 33)), "CONSTRAINT_ERROR", false},
		{"empty", a, label(""), "OK", true},
		{"empty beside empty", b, label(""), "OK", true},
		{"no label", b, nil, "INVALID_COMMAND", false},
		{"a number", b, func(w *tlv.Writer) { w.Uint(tlv.Context(0), 1) }, "INVALID_COMMAND", false},
		{"not UTF-8", b, label("\xff"), "INVALID_COMMAND", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, i, err := tt.s.noc(cmdUpdateFabricLabel, tt.write)
			if got := outcomeOf(status, err); got != tt.want || got == "OK" && i != tt.s.fabric {
				t.Fatalf("UpdateFabricLabel = %s, %d (%v), want %s", got, i, err, tt.want)
			}
			changed := r.settle()
			if changed[attrFabrics] != tt.changed || len(changed) > 1 {
				t.Errorf("changed: %v, want Fabrics = %v", changed, tt.changed)
			}
		})
	}
}

func TestUpdateFabricLabelPersists(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, false)
	s := r.pase()
	s.join(a, 0x10)
	set := func(s *session, text string) {
		t.Helper()
		if status, _, err := s.noc(cmdUpdateFabricLabel, label(text)); outcomeOf(status, err) != "OK" {
			t.Fatal(status, err)
		}
	}
	set(s, "while pending")
	r.complete()
	r.reboot()
	admin := r.caseOf(1)
	if got := admin.fabrics(true)[0].label; got != "while pending" {
		t.Errorf("label %q after the commit", got)
	}
	set(admin, "at once")
	r.reboot()
	if got := admin.fabrics(true)[0].label; got != "at once" {
		t.Errorf("label %q without a fail-safe", got)
	}
	// A label that was set after UpdateNOC is rolled back with it.
	admin.arm()
	if status, _, err := admin.updateNOC(a.noc(admin.csr(true), 0x99), nil); outcomeOf(status, err) != "OK" {
		t.Fatal(status, err)
	}
	set(admin, "pending update")
	if got := admin.fabrics(true)[0].label; got != "pending update" {
		t.Errorf("label %q while pending", got)
	}
	r.failSafe.Expire(failsafe.Timeout)
	if got := admin.fabrics(true)[0].label; got != "at once" {
		t.Errorf("label %q after the roll-back", got)
	}
}

func TestRemoveFabric(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(w *tlv.Writer)
		want  string
	}{
		{"index 0", index(0), "CONSTRAINT_ERROR"},
		{"index 255", index(255), "CONSTRAINT_ERROR"},
		{"index 256", func(w *tlv.Writer) { w.Uint(tlv.Context(0), 256) }, "INVALID_COMMAND"},
		{"no index", nil, "INVALID_COMMAND"},
		{"unknown index", index(254), "InvalidFabricIndex"},
		{"the own fabric", index(1), "OK"},
		{"another fabric", index(2), "OK"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 5)
			admin := r.commission(newAuthority(t, 1, false), 0x10)
			r.commission(newAuthority(t, 2, false), 0x10)
			status, i, err := admin.noc(cmdRemoveFabric, tt.write)
			if got := outcomeOf(status, err); got != tt.want {
				t.Fatalf("RemoveFabric = %s (%v), want %s", got, err, tt.want)
			}
			changed := r.settle()
			if tt.want != "OK" {
				if r.table.Len() != 2 || len(changed) != 0 {
					t.Error("a refused command removed something")
				}
				return
			}
			if !changed[attrFabrics] || !changed[attrCommissionedFabrics] || !changed[attrNOCs] || !changed[attrTrustedRootCertificates] {
				t.Errorf("changed: %v", changed)
			}
			if r.table.Get(i) != nil || r.table.Len() != 1 || len(admin.roots()) != 1 || admin.readUint(attrCommissionedFabrics) != 1 {
				t.Error("something of the fabric is left")
			}
			r.reboot()
			if r.table.Get(i) != nil || r.table.Len() != 1 {
				t.Error("the fabric is in the store")
			}
		})
	}
}

func TestRemoveLastFabric(t *testing.T) {
	r := newRig(t, 5)
	admin := r.commission(newAuthority(t, 1, true), 0x10)
	if status, _, err := admin.noc(cmdRemoveFabric, index(1)); outcomeOf(status, err) != "OK" {
		t.Fatal(status, err)
	}
	if len(admin.roots()) != 0 || len(admin.nocs(false)) != 0 || len(admin.fabrics(false)) != 0 {
		t.Error("something is left")
	}
	_, err := admin.invoke(cmdSetVIDVerificationStatement, func(w *tlv.Writer) { w.Uint(tlv.Context(0), 0xFFF1) })
	wantStatus(t, "a command of the fabric that is gone", err, matter.StatusUnsupportedAccess)
	_, err = admin.invoke(cmdUpdateFabricLabel, label("ghost"))
	wantStatus(t, "its label", err, matter.StatusUnsupportedAccess)
}

// Removing a fabric ends the fail-safe of that fabric, and nothing is rolled back.
func TestRemoveFabricInFailSafe(t *testing.T) {
	t.Run("pending", func(t *testing.T) {
		r := newRig(t, 5)
		s := r.pase()
		i := s.join(newAuthority(t, 1, false), 0x10)
		if status, _, err := s.noc(cmdRemoveFabric, index(i)); outcomeOf(status, err) != "OK" {
			t.Fatal(status, err)
		}
		if e, ok := r.failSafe.TakeEnded(); !ok || e.Fabric != i || e.NOC != failsafe.Added || e.Completed || e.Reason != failsafe.FabricRemoved {
			t.Errorf("ended: %+v, %v", e, ok)
		}
		if r.failSafe.Armed() || r.table.Len() != 0 || len(s.roots()) != 0 {
			t.Error("something is left")
		}
	})
	t.Run("being updated", func(t *testing.T) {
		r := newRig(t, 5)
		a := newAuthority(t, 1, false)
		admin := r.commission(a, 0x10)
		admin.arm()
		if status, _, err := admin.updateNOC(a.noc(admin.csr(true), 0x99), nil); outcomeOf(status, err) != "OK" {
			t.Fatal(status, err)
		}
		if status, _, err := admin.noc(cmdRemoveFabric, index(1)); outcomeOf(status, err) != "OK" {
			t.Fatal(status, err)
		}
		if r.failSafe.Armed() || r.table.Len() != 0 {
			t.Error("something is left")
		}
		r.reboot()
		if r.table.Len() != 0 {
			t.Error("the fabric came back")
		}
	})
	t.Run("another's", func(t *testing.T) {
		r := newRig(t, 5)
		a := r.commission(newAuthority(t, 1, false), 0x10)
		b := r.commission(newAuthority(t, 2, false), 0x10)
		a.arm()
		pub := a.csr(false)
		if status, _, err := b.noc(cmdRemoveFabric, index(2)); outcomeOf(status, err) != "OK" {
			t.Fatal(status, err)
		}
		if key, _, _, ok := r.failSafe.CSR(); !ok || key.Public() != pub {
			t.Error("the fail-safe of another fabric was disturbed")
		}
	})
}

func TestAttributes(t *testing.T) {
	r := newRig(t, 7)
	s := r.pase()
	if s.readUint(attrSupportedFabrics) != 7 || s.readUint(attrCommissionedFabrics) != 0 || s.readUint(attrCurrentFabricIndex) != 0 {
		t.Error("an empty node")
	}
	if len(s.nocs(false)) != 0 || len(s.fabrics(false)) != 0 || len(s.roots()) != 0 {
		t.Error("an empty node has entries")
	}
	first, second := newAuthority(t, 0xA, true), newAuthority(t, 0xB, false)
	a := r.commission(first, 0x10)
	b := r.commission(second, 0x20)
	pase := r.pase()

	for _, tt := range []struct {
		name     string
		s        *session
		filtered bool
		want     []matter.FabricIndex
	}{
		{"own, filtered", a, true, []matter.FabricIndex{1}},
		{"other, filtered", b, true, []matter.FabricIndex{2}},
		{"all", a, false, []matter.FabricIndex{1, 2}},
		{"no fabric, filtered", pase, true, nil},
		{"no fabric, all", pase, false, []matter.FabricIndex{1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nocs, fabrics := tt.s.nocs(tt.filtered), tt.s.fabrics(tt.filtered)
			if len(nocs) != len(tt.want) || len(fabrics) != len(tt.want) {
				t.Fatalf("%d NOCs, %d fabrics, want %d", len(nocs), len(fabrics), len(tt.want))
			}
			for n, i := range tt.want {
				f, source := r.table.Get(i), []*authority{first, second}[i-1]
				e := nocs[n]
				if e.index != i || !bytes.Equal(e.noc, f.NOC) || !bytes.Equal(e.icac, source.icacTLV()) || e.icacNull != (i == 2) || e.hasVVSC {
					t.Errorf("NOCs[%d] = %+v", n, e)
				}
				e = fabrics[n]
				root := source.root.Certificate.PublicKey
				if e.index != i || !bytes.Equal(e.root, root[:]) || e.vendor != 0xFFF1 || e.fabric != source.fabric ||
					e.node != matter.NodeID(0x10*int(i)) || e.label != "" || e.hasStatement {
					t.Errorf("Fabrics[%d] = %+v", n, e)
				}
			}
			if got := tt.s.roots(); len(got) != 2 || !bytes.Equal(got[0], first.rootTLV()) || !bytes.Equal(got[1], second.rootTLV()) {
				t.Errorf("%d roots", len(got))
			}
			if tt.s.readUint(attrCurrentFabricIndex) != uint64(tt.s.fabric) || tt.s.readUint(attrCommissionedFabrics) != 2 {
				t.Error("CurrentFabricIndex or CommissionedFabrics")
			}
		})
	}
	if err := r.cluster.Write(a.request(false), attrNOCs, a.read(attrNOCs, false)); err != matter.StatusUnsupportedWrite {
		t.Errorf("Write = %v, want UNSUPPORTED_WRITE", err)
	}
	if err := r.cluster.Read(a.request(false), 6, new(tlv.Writer), tlv.Anonymous); err != matter.StatusUnsupportedAttribute {
		t.Errorf("Read of attribute 6 = %v, want UNSUPPORTED_ATTRIBUTE", err)
	}
}

func TestChanges(t *testing.T) {
	r := newRig(t, 5)
	if changed := r.settle(); len(changed) != 0 {
		t.Errorf("nothing happened, changed: %v", changed)
	}
	a := newAuthority(t, 1, false)
	s := r.pase()
	s.arm()
	pub := s.csr(false)
	if changed := r.settle(); len(changed) != 0 {
		t.Errorf("after the CSR: %v", changed)
	}
	if err := s.addRoot(a.rootTLV()); err != nil {
		t.Fatal(err)
	}
	if changed := r.settle(); !changed[attrTrustedRootCertificates] || len(changed) != 1 {
		t.Errorf("after the root: %v", changed)
	}
	if status, _, err := s.addNOC(a.goodNOC(pub, 0x10)); outcomeOf(status, err) != "OK" {
		t.Fatal(status, err)
	}
	// The root was visible before.
	if changed := r.settle(s); !changed[attrNOCs] || !changed[attrFabrics] || !changed[attrCommissionedFabrics] || len(changed) != 3 {
		t.Errorf("after AddNOC: %v", changed)
	}
	if err := r.failSafe.Complete(); err != nil {
		t.Fatal(err)
	}
	if changed := r.settle(); len(changed) != 0 {
		t.Errorf("after the commit: %v", changed)
	}
}

func TestExecuted(t *testing.T) {
	r := newRig(t, 5)
	s := r.pase()
	s.addRoot(nil)
	s.arm()
	s.csr(false)
	s.noc(cmdRemoveFabric, index(9))
	s.invoke(0x55, nil)
	want := []executed{
		{"AddTrustedRootCertificate", "FAILSAFE_REQUIRED"},
		{"CSRRequest", "SUCCESS"},
		{"RemoveFabric", "InvalidFabricIndex"},
		{"unknown", "UNSUPPORTED_COMMAND"},
	}
	if len(r.executed) != len(want) {
		t.Fatalf("executed: %v", r.executed)
	}
	for i := range want {
		if r.executed[i] != want[i] {
			t.Errorf("executed %v, want %v", r.executed[i], want[i])
		}
	}
}

func TestNOCStatusNames(t *testing.T) {
	seen := map[string]bool{}
	for s := range nocStatusNames {
		if n := s.Error(); n == "" || seen[n] {
			t.Errorf("%d: name %q", uint8(s), n)
		} else {
			seen[n] = true
		}
	}
	if NOCStatus(8).Error() != "NOCStatus(8)" {
		t.Error(NOCStatus(8).Error())
	}
}

// The metadata is what the data model says: ids ascending, one response each.
func TestSpec(t *testing.T) {
	r := newRig(t, 5)
	s := r.cluster.Spec()
	if s.ID != 0x3E || s.Revision != 2 || s.Features != 0 || len(s.Attributes) != 6 || len(s.Commands) != 10 {
		t.Errorf("%+v", s)
	}
	responses := map[matter.CommandID]bool{}
	for i, c := range s.Commands {
		if i > 0 && c.ID <= s.Commands[i-1].ID {
			t.Errorf("%s is out of order", c.Name)
		}
		if c.Privilege != matter.PrivilegeAdminister {
			t.Errorf("%s does not need Administer", c.Name)
		}
		responses[c.Response] = true
	}
	for _, id := range []matter.CommandID{1, 3, 5, 8, 0x0E} {
		if !responses[id] {
			t.Errorf("response 0x%02X is missing", id)
		}
	}
}

// Any fields get an answer and cause no panic.
func FuzzInvoke(f *testing.F) {
	for _, c := range spec.Commands {
		f.Add(uint8(c.ID), []byte{0x15, 0x30, 0x00, 0x01, 0x00, 0x18})
	}
	f.Add(uint8(cmdSignVIDVerificationRequest), []byte("\x15\x24\x00\x01\x30\x01\x20"+strings.Repeat("c", 32)+"\x18"))
	f.Add(uint8(cmdAddNOC), []byte("\x15\x30\x00\x01\x00\x30\x02\x10"+strings.Repeat("k", 16)+"\x24\x03\x01\x25\x04\xf1\xff\x18"))
	f.Add(uint8(cmdSetVIDVerificationStatement), []byte("\x15\x25\x00\xf1\xff\x30\x02\x00\x18"))
	r := newRig(f, 5)
	f.Fuzz(func(t *testing.T, id uint8, fields []byte) {
		if tlv.Validate(fields) != nil || fields[0] != 0x15 {
			return
		}
		r.t = t
		if r.table.Len() == 0 { // at first, and after RemoveFabric
			r.commission(newAuthority(t, 1, false), 0x10)
		}
		s := r.caseOf(r.table.All()[0].Index)
		s.arm()
		s.csr(id == uint8(cmdUpdateNOC))
		rd := tlv.NewReader(fields)
		s.invokeFields(matter.CommandID(id), rd.Element())
		if r.table.Pending() != nil {
			t.Error("a NOC was taken that nobody issued")
		}
		r.failSafe.Expire(failsafe.Timeout)
		r.settle()
	})
}
