package server_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

func TestSetVIDVerificationStatement(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{ICAC: true}, func(p *pair) {
		r, withICAC, s := p.rig, p.one.CASE, p.two.CASE
		statement, vvsc := bytes.Repeat([]byte{0x21}, 85), bytes.Repeat([]byte{7}, 400)
		entry := func() (descriptor, nocEntry) { return r.fabrics(s, true)[0], r.nocs(s, true)[0] }
		before, noc := entry()
		set := func(what, want string, pairs ...any) {
			t.Helper()
			r.want(what, r.creds(s, cmdSetVVS, pairs...), want)
		}
		set("nothing", invalidCommand)
		set("an unknown field alone", invalidCommand, 3, 1)
		set("vendor 0", constraintError, 0, 0)
		set("vendor FFF5", constraintError, 0, 0xFFF5)
		set("vendor FFF5 and a good statement", constraintError, 0, 0xFFF5, 1, statement)
		set("statement of 84 octets", constraintError, 1, statement[:84])
		set("statement of 86 octets", constraintError, 1, append(bytes.Clone(statement), 0))
		set("VVSC of 401 octets", constraintError, 2, append(bytes.Clone(vvsc), 0))
		set("good vendor, bad statement", constraintError, 0, 0xFFF2, 1, statement[:1])
		set("text", invalidCommand, 1, "x")
		if d, n := entry(); d != before || n != noc {
			t.Errorf("refused commands changed the entry: %+v", d)
		}
		set("vendor", ok, 0, 0xFFF2)
		set("statement", ok, 1, statement)
		set("VVSC", ok, 2, vvsc)
		if d, n := entry(); d.vendor != 0xFFF2 || d.vvs != string(statement) || n.vvsc != string(vvsc) {
			t.Errorf("entry %+v, VVSC of %d octets", d, len(n.vvsc))
		}
		r.want("VVSC beside an ICAC", r.creds(withICAC, cmdSetVVS, 2, vvsc), invalidCommand)
		r.want("empty VVSC beside an ICAC", r.creds(withICAC, cmdSetVVS, 2, []byte{}), invalidCommand)
		r.want("statement beside an ICAC", r.creds(withICAC, cmdSetVVS, 1, statement), ok)

		// A fail-safe that has not changed the fabric does not revert it.
		r.must(withICAC.ArmFailSafe(r.ctx, 60, 0))
		set("in another's fail-safe", ok, 0, 0xFFF3)
		r.must(withICAC.ArmFailSafe(r.ctx, 0, 0))
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		set("in its own fail-safe", ok, 1, []byte{}, 2, []byte{})
		time.Sleep(61 * time.Second)
		r.restart()
		s = r.session(p.c, p.b, p.two.Node)
		if d, n := entry(); d.vendor != 0xFFF3 || d.vvs != "" || n.vvsc != "" {
			t.Errorf("after a restart: %+v, VVSC of %d octets", d, len(n.vvsc))
		}
	})
}

// signed is the response to SignVIDVerificationRequest.
type signed struct {
	index     matter.FabricIndex
	version   uint8
	signature []byte
}

func (r *rig) signVID(s *commissioner.Session, i matter.FabricIndex, challenge []byte) (a signed) {
	r.t.Helper()
	rsp, err := s.Invoke(r.ctx, 0, clOpCreds, cmdSignVID, args(0, i, 1, challenge))
	r.must(err)
	rd := rsp.Fields()
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			a.index = matter.FabricIndex(rd.Uint8())
		case 1:
			a.version = rd.Uint8()
		case 2:
			a.signature = rd.Octets()
		}
	}
	r.must(rd.End())
	return a
}

// verify verifies a response as a client does, with what it read from the node.
func (a signed) verify(r *rig, s *commissioner.Session, challenge []byte) error {
	var d descriptor
	for _, d = range r.fabrics(s, false) {
		if d.index == a.index {
			break
		}
	}
	var key []byte
	for _, n := range r.nocs(s, false) {
		if n.index == a.index {
			key = pubOf(r.t, []byte(n.noc))
		}
	}
	att := s.AttestationChallenge()
	tbs := append([]byte{1}, challenge...)
	tbs = append(tbs, att[:]...)
	tbs = append(tbs, byte(a.index), 1)
	tbs = append(tbs, d.root...)
	tbs = binary.BigEndian.AppendUint64(tbs, uint64(d.fabric))
	tbs = binary.BigEndian.AppendUint16(tbs, uint16(d.vendor))
	tbs = append(tbs, d.vvs...)
	return mcrypto.Verify(key, tbs, a.signature)
}

func TestSignVIDVerification(t *testing.T) {
	challenge := bytes.Repeat([]byte{3}, 32)
	twoFabrics(t, commissioner.AuthorityOptions{ICAC: true}, func(p *pair) {
		r := p.rig
		r.must(p.one.CASE.OpenBasicWindow(r.ctx, 900))
		pase := r.pase(p.c)
		r.want("statement", r.creds(p.two.CASE, cmdSetVVS, 0, 0xFFF2, 1, make([]byte, 85)), ok)
		for name, s := range map[string]*commissioner.Session{"the first": p.one.CASE, "the second": p.two.CASE, "a commissioner": pase} {
			for i := matter.FabricIndex(1); i <= 2; i++ {
				a := r.signVID(s, i, challenge)
				if a.index != i || a.version != 1 {
					t.Errorf("%s: fabric %d, version %d", name, a.index, a.version)
				}
				if err := a.verify(r, s, challenge); err != nil {
					t.Errorf("%s, fabric %d: %v", name, i, err)
				}
				if a.verify(r, s, make([]byte, 32)) == nil {
					t.Errorf("%s, fabric %d: good for another challenge", name, i)
				}
			}
			sign := func(what, want string, pairs ...any) {
				t.Helper()
				r.want(name+": "+what, r.creds(s, cmdSignVID, pairs...), want)
			}
			sign("nothing", invalidCommand)
			sign("no challenge", invalidCommand, 0, 1)
			sign("no fabric", invalidCommand, 1, challenge)
			sign("fabric 0", constraintError, 0, 0, 1, challenge)
			sign("fabric 255", constraintError, 0, 255, 1, challenge)
			sign("unknown fabric", constraintError, 0, 3, 1, challenge)
			sign("31 octets", constraintError, 0, 1, 1, challenge[:31])
			sign("33 octets", constraintError, 0, 1, 1, append(bytes.Clone(challenge), 0))
		}
	})
}

// The procedure of a vendor for a fabric that is being added: its settings are
// rolled back with the fail-safe.
func TestVIDVerificationOfStagedFabric(t *testing.T) {
	challenge := bytes.Repeat([]byte{9}, 32)
	bubble(t, 1, clean, func(r *rig) {
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		s := r.pase(c)
		done, err := s.Join(r.ctx, a)
		r.must(err)
		r.want("statement", r.creds(s, cmdSetVVS, 0, 0xFFF4, 1, make([]byte, 85), 2, []byte("signer")), ok)
		if err := r.signVID(s, 1, challenge).verify(r, s, challenge); err != nil {
			t.Error(err)
		}
		admin := r.session(c, a, done.Node)
		r.must(admin.CommissioningComplete(r.ctx))
		r.restart()
		admin = r.session(c, a, done.Node)
		if d := r.fabrics(admin, true)[0]; d.vendor != 0xFFF4 || len(d.vvs) != 85 || r.nocs(admin, true)[0].vvsc != "signer" {
			t.Errorf("after a restart: %+v", d)
		}
		if err := r.signVID(admin, 1, challenge).verify(r, admin, challenge); err != nil {
			t.Error(err)
		}
		// The vendor id and statement stay after a completed UpdateNOC.
		r.want("no VVSC", r.creds(admin, cmdSetVVS, 2, []byte{}), ok)
		r.must(admin.ArmFailSafe(r.ctx, 60, 0))
		n := r.noc(a, r.csr(admin, true))
		r.want("UpdateNOC", r.updateNOC(admin, n.Raw(), nil), ok)
		admin = r.session(c, a, n.NodeID())
		r.want("statement", r.creds(admin, cmdSetVVS, 0, 0xFFF1, 1, []byte{}), ok)
		if err := r.signVID(admin, 1, challenge).verify(r, admin, challenge); err != nil {
			t.Error(err)
		}
		r.must(admin.CommissioningComplete(r.ctx))
		if d := r.fabrics(admin, true)[0]; d.vendor != 0xFFF1 || d.vvs != "" {
			t.Errorf("after UpdateNOC: %+v", d)
		}
	})
}
