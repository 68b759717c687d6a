package opcreds

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const adminNode matter.NodeID = 0x1234

// authority is an administrator's certificate authority.
type authority struct {
	t      testing.TB
	root   *cert.Authority
	icac   *cert.Authority // nil: the root issues NOCs itself
	fabric matter.FabricID
}

func newAuthority(t testing.TB, fabric matter.FabricID, withICAC bool) *authority {
	t.Helper()
	v := cert.Validity{NotBefore: epoch - 3600, NotAfter: epoch + 24*3600}
	root, err := cert.NewRoot(rand.Reader, newKey(t), 1, 0, v)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, root: root, fabric: fabric}
	if withICAC {
		if a.icac, err = root.IssueICAC(newKey(t), 2, 0); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func newKey(t testing.TB) *mcrypto.PrivateKey {
	t.Helper()
	k, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *authority) rootTLV() []byte { return a.root.Certificate.Raw() }

// operationalIPK returns the key that is stored for an epoch key.
func (a *authority) operationalIPK(epochKey []byte) []byte {
	a.t.Helper()
	root := a.root.Certificate.PublicKey
	compressed, err := mcrypto.CompressedFabricID(root[:], a.fabric)
	if err != nil {
		a.t.Fatal(err)
	}
	k, err := mcrypto.OperationalGroupKey(epochKey, compressed)
	if err != nil {
		a.t.Fatal(err)
	}
	return k[:]
}

func (a *authority) icacTLV() []byte {
	if a.icac == nil {
		return nil
	}
	return a.icac.Certificate.Raw()
}

func (a *authority) noc(pub [65]byte, node matter.NodeID) []byte {
	a.t.Helper()
	issuer := a.root
	if a.icac != nil {
		issuer = a.icac
	}
	c, err := issuer.IssueNOC(pub, node, a.fabric)
	if err != nil {
		a.t.Fatal(err)
	}
	return c.Raw()
}

// csr asks for a CSR and returns the public key in it.
func (s *session) csr(forUpdate bool) [65]byte {
	s.rig.t.Helper()
	pub, err := s.tryCSR(forUpdate)
	if err != nil {
		s.rig.t.Fatalf("CSRRequest: %v", err)
	}
	return pub
}

var nonce = bytes.Repeat([]byte{0x5A}, 32)

func (s *session) tryCSR(forUpdate bool) (pub [65]byte, err error) {
	s.rig.t.Helper()
	response, err := s.invoke(cmdCSRRequest, func(w *tlv.Writer) {
		w.Octets(tlv.Context(0), nonce)
		if forUpdate {
			w.Bool(tlv.Context(1), true)
		}
	})
	if err != nil {
		return pub, err
	}
	elements := s.signedElements(response)
	rd := tlv.NewReader(elements)
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 1:
			if pub, err = cert.ParseCSR(rd.Octets()); err != nil {
				s.rig.t.Errorf("the CSR: %v", err)
			}
		case 2:
			if !bytes.Equal(rd.Octets(), nonce) {
				s.rig.t.Error("another CSR nonce")
			}
		default:
			s.rig.t.Errorf("NOCSR elements with member %v", rd.Tag())
		}
	}
	if err := rd.End(); err != nil {
		s.rig.t.Error(err)
	}
	return pub, nil
}

// signedElements verifies the signature of a response with the DAC's key, and returns
// its elements.
func (s *session) signedElements(response tlv.Element) []byte {
	s.rig.t.Helper()
	var elements, sig []byte
	rd := response.Reader()
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			elements = rd.Octets()
		case 1:
			sig = rd.Octets()
		}
	}
	if err := rd.End(); err != nil {
		s.rig.t.Fatal(err)
	}
	dac, err := mcrypto.ParsePrivateKey(s.rig.credentials.Key)
	if err != nil {
		s.rig.t.Fatal(err)
	}
	pub, challenge := dac.Public(), s.challenge()
	if err := mcrypto.Verify(pub[:], append(bytes.Clone(elements), challenge[:]...), sig); err != nil {
		s.rig.t.Errorf("attestation signature: %v", err)
	}
	return elements
}

func (s *session) addRoot(root []byte) error {
	s.rig.t.Helper()
	_, err := s.invoke(cmdAddTrustedRootCertificate, func(w *tlv.Writer) { w.Octets(tlv.Context(0), root) })
	return err
}

// addNOC are the fields of AddNOC; nil leaves an octet string out.
type addNOC struct {
	noc, icac, ipk []byte
	subject        matter.NodeID
	vendor         uint64
}

var ipk = bytes.Repeat([]byte{0x1B}, 16)

func (f addNOC) write(w *tlv.Writer) {
	for i, b := range [][]byte{f.noc, f.icac, f.ipk} {
		if b != nil {
			w.Octets(tlv.Context(uint8(i)), b)
		}
	}
	w.Uint(tlv.Context(3), uint64(f.subject))
	w.Uint(tlv.Context(4), f.vendor)
}

// goodNOC returns the fields of an AddNOC that succeeds.
func (a *authority) goodNOC(pub [65]byte, node matter.NodeID) addNOC {
	a.t.Helper()
	return addNOC{noc: a.noc(pub, node), icac: a.icacTLV(), ipk: ipk, subject: adminNode, vendor: 0xFFF1}
}

func (s *session) addNOC(f addNOC) (NOCStatus, matter.FabricIndex, error) {
	s.rig.t.Helper()
	return s.noc(cmdAddNOC, f.write)
}

func (s *session) updateNOC(noc, icac []byte) (NOCStatus, matter.FabricIndex, error) {
	s.rig.t.Helper()
	return s.noc(cmdUpdateNOC, func(w *tlv.Writer) {
		w.Octets(tlv.Context(0), noc)
		if icac != nil {
			w.Octets(tlv.Context(1), icac)
		}
	})
}

// join stages a fabric: all steps before CommissioningComplete.
func (s *session) join(a *authority, node matter.NodeID) matter.FabricIndex {
	s.rig.t.Helper()
	s.arm()
	pub := s.csr(false)
	if err := s.addRoot(a.rootTLV()); err != nil {
		s.rig.t.Fatalf("AddTrustedRootCertificate: %v", err)
	}
	status, i, err := s.addNOC(a.goodNOC(pub, node))
	if err != nil || status != NOCStatusOK {
		s.rig.t.Fatalf("AddNOC: %v, %v", status, err)
	}
	s.rig.settle(s)
	return i
}

// commission commissions the node into a's fabric and returns the administrator's
// session.
func (r *rig) commission(a *authority, node matter.NodeID) *session {
	r.t.Helper()
	i := r.pase().join(a, node)
	r.complete()
	return r.caseOf(i)
}

func (r *rig) complete() {
	r.t.Helper()
	if err := r.failSafe.Complete(); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}
