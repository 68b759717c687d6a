package server_test

import (
	"bytes"
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Attestation needs no fail-safe, and is the same for every administrator.
func TestAttestation(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r := p.rig
		r.must(p.one.CASE.OpenBasicWindow(r.ctx, 180))
		sessions := map[string]*commissioner.Session{"CASE": p.one.CASE, "CASE of another fabric": p.two.CASE, "PASE": r.pase(p.c)}
		var dac, pai []byte
		for name, s := range sessions {
			att, err := s.Attest(r.ctx) // verifies nonce and signature
			if err != nil {
				r.t.Fatalf("%s: %v", name, err)
			}
			if len(att.DAC) > 600 || len(att.PAI) > 600 || len(att.Elements) > 900 {
				t.Errorf("%s: DAC of %d octets, PAI of %d, elements of %d", name, len(att.DAC), len(att.PAI), len(att.Elements))
			}
			if dac == nil {
				dac, pai = att.DAC, att.PAI
			}
			if !bytes.Equal(att.DAC, dac) || !bytes.Equal(att.PAI, pai) {
				t.Errorf("%s: another DAC or PAI", name)
			}
			nonce := make([]byte, 33)
			r.want(name+": no nonce", r.creds(s, cmdAttestation), invalidCommand)
			r.want(name+": empty nonce", r.creds(s, cmdAttestation, 0, nonce[:0]), invalidCommand)
			r.want(name+": 31 octets", r.creds(s, cmdAttestation, 0, nonce[:31]), invalidCommand)
			r.want(name+": 33 octets", r.creds(s, cmdAttestation, 0, nonce), invalidCommand)
			r.want(name+": text", r.creds(s, cmdAttestation, 0, string(nonce[:32])), invalidCommand)
			r.want(name+": right", r.creds(s, cmdAttestation, 0, nonce[:32]), ok)
			r.want(name+": chain of none", r.creds(s, cmdChain), invalidCommand)
			r.want(name+": chain 0", r.creds(s, cmdChain, 0, 0), invalidCommand)
			r.want(name+": chain 3", r.creds(s, cmdChain, 0, 3), invalidCommand)
			r.want(name+": chain 257", r.creds(s, cmdChain, 0, 257), invalidCommand)
		}
	})
}

func TestCSRRequest(t *testing.T) {
	nonce := bytes.Repeat([]byte{7}, 32)
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, one, two := p.rig, p.one.CASE, p.two.CASE
		// In the order of the checks, each step corrects one fault.
		r.want("no nonce", r.creds(one, cmdCSR), invalidCommand)
		r.want("short nonce", r.creds(one, cmdCSR, 0, nonce[:31]), invalidCommand)
		r.want("long nonce", r.creds(one, cmdCSR, 0, append(nonce, 0)), invalidCommand)
		r.want("not armed", r.creds(one, cmdCSR, 0, nonce), failsafeRequired)
		r.must(one.ArmFailSafe(r.ctx, 60, 0))
		r.want("armed by another fabric", r.creds(two, cmdCSR, 0, nonce), failsafeRequired)
		r.want("for update, armed by another fabric", r.creds(two, cmdCSR, 0, nonce, 1, true), failsafeRequired)
		r.want("right", r.creds(one, cmdCSR, 0, nonce), ok)
		r.want("right, for update", r.creds(one, cmdCSR, 0, nonce, 1, true), ok)
		r.want("a flag of another type", r.creds(one, cmdCSR, 0, nonce, 1, 1), invalidCommand)
		if first, second := r.csr(one, false), r.csr(one, false); first == second {
			t.Error("two CSRRequests, one key")
		}

		r.must(one.ArmFailSafe(r.ctx, 0, 0))
		r.must(one.OpenBasicWindow(r.ctx, 180))
		pase := r.pase(p.c)
		r.want("PASE, for update, with a short nonce", r.creds(pase, cmdCSR, 0, nonce[:31], 1, true), invalidCommand)
		r.want("PASE, for update", r.creds(pase, cmdCSR, 0, nonce, 1, true), invalidCommand)
		r.want("PASE, PASE itself has armed", r.creds(pase, cmdCSR, 0, nonce, 1, false), ok)
		_, err := pase.Join(r.ctx, r.authority(commissioner.AuthorityOptions{}))
		r.must(err)
		r.want("PASE, after AddNOC", r.creds(pase, cmdCSR, 0, nonce), constraintError)
		r.want("PASE, for update, after AddNOC", r.creds(pase, cmdCSR, 0, nonce, 1, true), invalidCommand)
		r.want("CASE of another fabric, after AddNOC", r.creds(one, cmdCSR, 0, nonce), failsafeRequired)
	})
}

// nocsr-elements contain the CSR and the nonce, signed by the DAC for this session.
func TestNOCSRElements(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		nonce := bytes.Repeat([]byte{7}, 32)
		s := r.pase(r.client())
		att, err := s.Attest(r.ctx)
		r.must(err)
		rsp, err := s.Invoke(r.ctx, 0, clOpCreds, cmdCSR, args(0, nonce))
		r.must(err)
		var elements, signature []byte
		rd := rsp.Fields()
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 0:
				elements = rd.Octets()
			case 1:
				signature = rd.Octets()
			}
		}
		r.must(rd.End())
		var echo []byte
		rd = tlv.NewReader(elements)
		for rd.EnterStruct(); rd.Next(); {
			if rd.ContextTag() == 2 {
				echo = rd.Octets()
			}
		}
		r.must(rd.End())
		if !bytes.Equal(echo, nonce) {
			t.Errorf("nonce %x", echo)
		}
		key, err := att.DACKey()
		r.must(err)
		challenge := s.AttestationChallenge()
		r.must(mcrypto.Verify(key, append(bytes.Clone(elements), challenge[:]...), signature))
		challenge[0] ^= 1
		if mcrypto.Verify(key, append(bytes.Clone(elements), challenge[:]...), signature) == nil {
			t.Error("the signature holds for another session")
		}
	})
}
