package opcreds

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// hexBytes is an octet string of a vector file.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) error {
	d, err := hex.DecodeString(string(b))
	*h = d
	return err
}

func TestVerificationVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vid-verification.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name      string
			Root      hexBytes `json:"root_public_key"`
			FabricID  hexBytes `json:"fabric_id"`
			VendorID  hexBytes `json:"vendor_id"`
			Message   hexBytes
			Client    hexBytes           `json:"client_challenge"`
			Challenge hexBytes           `json:"attestation_challenge"`
			Index     matter.FabricIndex `json:"fabric_index"`
			Statement hexBytes           `json:"vid_verification_statement"`
			TBS       hexBytes
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 3 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	binding := file.Vectors[0]
	f := &fabric.Fabric{RootPublicKey: [65]byte(binding.Root)}
	for _, v := range binding.FabricID {
		f.FabricID = f.FabricID<<8 | matter.FabricID(v)
	}
	for _, v := range binding.VendorID {
		f.VendorID = f.VendorID<<8 | matter.VendorID(v)
	}
	if got := appendBinding(nil, f); !bytes.Equal(got, binding.Message) || len(got) != bindingSize {
		t.Errorf("%s: %x\nwant %x", binding.Name, got, binding.Message)
	}
	for _, v := range file.Vectors[1:] {
		f.Index, f.VIDVerificationStatement = v.Index, v.Statement
		if got := verificationTBS(f, v.Client, v.Challenge); !bytes.Equal(got, v.TBS) {
			t.Errorf("%s: %x\nwant %x", v.Name, got, v.TBS)
		}
	}
}

// vidFields are the fields of SetVIDVerificationStatement; nil leaves one out.
type vidFields struct {
	vendor          *uint64
	statement, vvsc []byte
}

func (s *session) setVID(f vidFields) error {
	s.rig.t.Helper()
	_, err := s.invoke(cmdSetVIDVerificationStatement, func(w *tlv.Writer) {
		if f.vendor != nil {
			w.Uint(tlv.Context(0), *f.vendor)
		}
		if f.statement != nil {
			w.Octets(tlv.Context(1), f.statement)
		}
		if f.vvsc != nil {
			w.Octets(tlv.Context(2), f.vvsc)
		}
	})
	return err
}

func vendor(v uint64) *uint64 { return &v }

var statement = bytes.Repeat([]byte{0x21}, 85)

func TestSetVIDVerificationStatement(t *testing.T) {
	for _, tt := range []struct {
		name     string
		withICAC bool
		fields   vidFields
		want     matter.Status
	}{
		{"nothing", false, vidFields{}, matter.StatusInvalidCommand},
		{"a vendor", false, vidFields{vendor: vendor(0x6A01)}, matter.StatusSuccess},
		{"vendor 0", false, vidFields{vendor: vendor(0)}, matter.StatusConstraintError},
		{"vendor FFF5", false, vidFields{vendor: vendor(0xFFF5)}, matter.StatusConstraintError},
		{"vendor FFF4", false, vidFields{vendor: vendor(0xFFF4)}, matter.StatusSuccess},
		{"vendor of 17 bits", false, vidFields{vendor: vendor(0x10001)}, matter.StatusInvalidCommand},
		{"a VVSC of 400 octets", false, vidFields{vvsc: make([]byte, 400)}, matter.StatusSuccess},
		{"a VVSC of 401 octets", false, vidFields{vvsc: make([]byte, 401)}, matter.StatusConstraintError},
		{"a VVSC beside an ICAC", true, vidFields{vvsc: []byte{1}}, matter.StatusInvalidCommand},
		{"an empty VVSC beside an ICAC", true, vidFields{vvsc: []byte{}}, matter.StatusInvalidCommand},
		{"a VVSC of 401 octets beside an ICAC", true, vidFields{vvsc: make([]byte, 401)}, matter.StatusConstraintError},
		{"a statement", true, vidFields{statement: statement}, matter.StatusSuccess},
		{"a statement of 84 octets", false, vidFields{statement: statement[1:]}, matter.StatusConstraintError},
		{"a statement of 86 octets", false, vidFields{statement: make([]byte, 86)}, matter.StatusConstraintError},
		{"one fault of three", false, vidFields{vendor: vendor(1), vvsc: []byte{1}, statement: []byte{1}}, matter.StatusConstraintError},
		{"all three", false, vidFields{vendor: vendor(1), vvsc: []byte{1}, statement: statement}, matter.StatusSuccess},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 5)
			r.commission(newAuthority(t, 1, false), 0x10)
			s := r.commission(newAuthority(t, 2, tt.withICAC), 0x20)
			before := s.fabrics(true)[0]
			wantStatus(t, "SetVIDVerificationStatement", s.setVID(tt.fields), tt.want)
			changed := r.settle()
			f, n := s.fabrics(true)[0], s.nocs(true)[0]
			if tt.want != matter.StatusSuccess {
				if f.vendor != before.vendor || f.hasStatement || n.hasVVSC || len(changed) != 0 {
					t.Error("a refused command changed something")
				}
				return
			}
			if tt.fields.vendor != nil && f.vendor != matter.VendorID(*tt.fields.vendor) ||
				!bytes.Equal(f.statement, tt.fields.statement) || !bytes.Equal(n.vvsc, tt.fields.vvsc) {
				t.Errorf("fabric %+v, NOC %+v", f, n)
			}
			if changed[attrFabrics] != (tt.fields.vendor != nil || tt.fields.statement != nil) || changed[attrNOCs] != (tt.fields.vvsc != nil) {
				t.Errorf("changed: %v", changed)
			}
			if other := s.fabrics(false)[0]; other.vendor != 0xFFF1 || other.hasStatement {
				t.Error("the other fabric was changed")
			}
		})
	}
}

func TestSetVIDVerificationStatementRemoves(t *testing.T) {
	r := newRig(t, 5)
	s := r.commission(newAuthority(t, 1, false), 0x10)
	wantStatus(t, "set", s.setVID(vidFields{vvsc: []byte{1}, statement: statement}), matter.StatusSuccess)
	wantStatus(t, "remove", s.setVID(vidFields{vvsc: []byte{}, statement: []byte{}}), matter.StatusSuccess)
	if f, n := s.fabrics(true)[0], s.nocs(true)[0]; f.hasStatement || n.hasVVSC {
		t.Errorf("fabric %+v, NOC %+v", f, n)
	}
}

func TestSetVIDVerificationStatementAndFailSafe(t *testing.T) {
	r := newRig(t, 5)
	a := newAuthority(t, 1, false)
	s := r.commission(a, 0x10)
	get := func() matter.VendorID { return s.fabrics(true)[0].vendor }

	// During a fail-safe, but not part of the changes that it rolls back.
	s.arm()
	wantStatus(t, "in a fail-safe", s.setVID(vidFields{vendor: vendor(0xFFF3)}), matter.StatusSuccess)
	r.failSafe.Expire(failsafe.Timeout)
	r.settle()
	r.reboot()
	if get() != 0xFFF3 {
		t.Errorf("vendor %04X after an expiry without a NOC, want FFF3", uint16(get()))
	}

	// After UpdateNOC it is part of them.
	update := func() {
		t.Helper()
		s.arm()
		if status, _, err := s.updateNOC(a.noc(s.csr(true), 0x99), nil); outcomeOf(status, err) != "OK" {
			t.Fatal(status, err)
		}
		wantStatus(t, "after UpdateNOC", s.setVID(vidFields{vendor: vendor(0xFFF4), statement: statement}), matter.StatusSuccess)
		if get() != 0xFFF4 {
			t.Errorf("vendor %04X while pending, want FFF4", uint16(get()))
		}
	}
	update()
	r.failSafe.Expire(failsafe.Timeout)
	r.settle()
	if get() != 0xFFF3 || s.fabrics(true)[0].hasStatement {
		t.Errorf("vendor %04X after the expiry, want FFF3 and no statement", uint16(get()))
	}
	update()
	r.complete()
	r.reboot()
	if get() != 0xFFF4 || !s.fabrics(true)[0].hasStatement {
		t.Errorf("vendor %04X after the commit, want FFF4 and a statement", uint16(get()))
	}
}

func (s *session) signVID(i uint64, challenge []byte) (tlv.Element, error) {
	s.rig.t.Helper()
	return s.invoke(cmdSignVIDVerificationRequest, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), i)
		w.Octets(tlv.Context(1), challenge)
	})
}

func TestSignVIDVerificationRequest(t *testing.T) {
	r := newRig(t, 5)
	admin := r.commission(newAuthority(t, 1, false), 0x10)
	second := newAuthority(t, 2, true)
	other := r.commission(second, 0x20)
	client := []byte(strings.Repeat("c", 32))

	for name, s := range map[string]*session{"own": other, "another fabric's administrator": admin, "PASE": r.pase()} {
		for _, with := range [][]byte{nil, statement} {
			wantStatus(t, "SetVIDVerificationStatement", other.setVID(vidFields{statement: append([]byte{}, with...)}), matter.StatusSuccess)
			response, err := s.signVID(2, client)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var i, version uint8
			var sig []byte
			rd := response.Reader()
			for rd.EnterStruct(); rd.Next(); {
				switch rd.ContextTag() {
				case 0:
					i = rd.Uint8()
				case 1:
					version = rd.Uint8()
				case 2:
					sig = rd.Octets()
				}
			}
			if err := rd.End(); err != nil || i != 2 || version != 1 {
				t.Errorf("%s: index %d, version %d, %v", name, i, version, err)
			}
			root, challenge := second.root.Certificate.PublicKey, s.challenge()
			tbs := bytes.Join([][]byte{
				{1}, client, challenge[:], {2},
				{1}, root[:], {0, 0, 0, 0, 0, 0, 0, 2}, {0xFF, 0xF1}, with,
			}, nil)
			if n := len(tbs); n != 126+len(with) {
				t.Errorf("%d octets to be signed", n)
			}
			pub := r.table.Get(2).NOCCert.PublicKey
			if err := mcrypto.Verify(pub[:], tbs, sig); err != nil {
				t.Errorf("%s, statement of %d octets: %v", name, len(with), err)
			}
		}
	}
	for _, tt := range []struct {
		name      string
		index     uint64
		challenge []byte
		want      matter.Status
	}{
		{"index 0", 0, client, matter.StatusConstraintError},
		{"index 255", 255, client, matter.StatusConstraintError},
		{"index 256", 256, client, matter.StatusInvalidCommand},
		{"unknown index", 3, client, matter.StatusConstraintError},
		{"challenge of 31 octets", 1, client[1:], matter.StatusConstraintError},
		{"challenge of 33 octets", 1, append(bytes.Clone(client), 1), matter.StatusConstraintError},
	} {
		_, err := admin.signVID(tt.index, tt.challenge)
		wantStatus(t, tt.name, err, tt.want)
	}
	_, err := admin.invoke(cmdSignVIDVerificationRequest, func(w *tlv.Writer) { w.Uint(tlv.Context(0), 1) })
	wantStatus(t, "no challenge", err, matter.StatusInvalidCommand)
}

func BenchmarkSignVIDVerification(b *testing.B) {
	key, err := mcrypto.ParsePrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		b.Fatal(err)
	}
	f := &fabric.Fabric{Fabric: store.Fabric{Index: 1, VIDVerificationStatement: statement}, OperationalKey: key}
	client, challenge := make([]byte, 32), make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.Sign(rand.Reader, verificationTBS(f, client, challenge)); err != nil {
			b.Fatal(err)
		}
	}
}
