package server_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/opcredsd/opcredsd/internal/commissioner"
)

// published reads published certificates by name, with the issuer of each.
func published(t *testing.T) (certs map[string][]byte, issuers map[string]string) {
	t.Helper()
	b, err := os.ReadFile("../cert/testdata/operational-certificates.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name   string
			TLV    string
			Issuer string `json:"issuer_name"`
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	certs, issuers = map[string][]byte{}, map[string]string{}
	for _, v := range file.Vectors {
		if certs[v.Name], err = hex.DecodeString(v.TLV); err != nil {
			t.Fatal(err)
		}
		issuers[v.Name] = v.Issuer
	}
	return certs, issuers
}

// The node accepts the published roots as roots and no other published certificate.
// It accepts the published NOCs with their chains, except that their keys are not
// the node's.
func TestPublishedCertificates(t *testing.T) {
	certs, issuers := published(t)
	bubble(t, 1, clean, func(r *rig) {
		s := r.pase(r.client())
		roots, nocs := 0, 0
		for name, c := range certs {
			if issuers[name] != name {
				r.want(name+" as a root", r.creds(s, cmdAddRoot, 0, c), invalidCommand)
				continue
			}
			roots++
			for at, damage := range map[string]func([]byte) []byte{
				"without its end": func(b []byte) []byte { return b[:len(b)-1] },
				"with more":       func(b []byte) []byte { return append(b, 0) },
				"one bit of the key": func(b []byte) []byte {
					b[bytes.Index(b, []byte{0x30, 9, 65, 4})+20] ^= 4
					return b
				},
				"one bit of the signature": func(b []byte) []byte { b[len(b)-10] ^= 4; return b },
				"one bit of the serial":    func(b []byte) []byte { b[5] ^= 4; return b },
			} {
				r.want(name+" "+at, r.creds(s, cmdAddRoot, 0, damage(bytes.Clone(c))), invalidCommand)
			}
			r.want(name, r.creds(s, cmdAddRoot, 0, c), ok)
			r.must(s.ArmFailSafe(r.ctx, 0, 0))
			s = r.pase(r.client())
		}

		for name, c := range certs {
			icac := issuers[name]
			root := issuers[icac]
			if name == icac {
				continue
			}
			direct := icac == root // otherwise an ICAC
			r.must(s.ArmFailSafe(r.ctx, 900, 0))
			r.csr(s, false)
			n := commissioner.NOC{NOC: c, ICAC: certs[icac], IPK: make([]byte, 16), Admin: 1, Vendor: 0xFFF1}
			if direct {
				n.ICAC = nil
			}
			want := invalidPublicKey
			switch {
			case root == "": // published without its issuer
				root, n.ICAC, want = "Root01", nil, invalidNOC
			case name[:3] == "ICA", name == "Specification 6.5.15 ICAC":
				want = invalidNOC
			default:
				nocs++
			}
			r.must(s.AddRoot(r.ctx, certs[root]))
			r.want(name, r.addNOC(s, n), want)
			for other := range certs {
				if o := n; other != icac {
					o.ICAC = certs[other]
					r.want(name+" with "+other, r.addNOC(s, o), invalidNOC)
				}
			}
			r.must(s.ArmFailSafe(r.ctx, 0, 0))
			s = r.pase(r.client())
		}
		if roots != 3 || nocs != 7 {
			t.Errorf("%d roots and %d NOCs", roots, nocs)
		}
	})
}
