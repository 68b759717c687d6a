package commissioner

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Clusters and commands of a commissioning.
const (
	ClusterGeneralCommissioning       matter.ClusterID = 0x0030
	ClusterAdministratorCommissioning matter.ClusterID = 0x003C
	ClusterOperationalCredentials     matter.ClusterID = 0x003E

	cmdArmFailSafe           matter.CommandID = 0x00
	cmdCommissioningComplete matter.CommandID = 0x04

	cmdAttestationRequest      matter.CommandID = 0x00
	cmdCertificateChainRequest matter.CommandID = 0x02
	cmdCSRRequest              matter.CommandID = 0x04
	cmdAddNOC                  matter.CommandID = 0x06
	cmdUpdateNOC               matter.CommandID = 0x07
	cmdUpdateFabricLabel       matter.CommandID = 0x09
	cmdRemoveFabric            matter.CommandID = 0x0A
	cmdAddTrustedRoot          matter.CommandID = 0x0B
)

// CommissioningError is the error code of a General Commissioning response.
type CommissioningError uint8

func (e CommissioningError) Error() string { return fmt.Sprintf("commissioning error %d", uint8(e)) }

// NOCError is the status of a NOCResponse that was not OK.
type NOCError uint8

func (e NOCError) Error() string { return fmt.Sprintf("NOC status %d", uint8(e)) }

// ArmFailSafe arms the fail-safe for a number of seconds.
func (s *Session) ArmFailSafe(ctx context.Context, seconds uint16, breadcrumb uint64) error {
	return s.general(ctx, cmdArmFailSafe, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(seconds))
		w.Uint(tlv.Context(1), breadcrumb)
	})
}

// CommissioningComplete ends the fail-safe.
func (s *Session) CommissioningComplete(ctx context.Context) error {
	return s.general(ctx, cmdCommissioningComplete, nil)
}

func (s *Session) general(ctx context.Context, cmd matter.CommandID, f Fields) error {
	rsp, err := s.Invoke(ctx, 0, ClusterGeneralCommissioning, cmd, f)
	if err != nil {
		return err
	}
	code := CommissioningError(0xFF)
	r := rsp.Fields()
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 0 {
			code = CommissioningError(r.Uint8())
		}
	}
	if err := r.End(); err != nil {
		return err
	}
	if code != 0 {
		return code
	}
	return nil
}

// octets invokes a command of Operational Credentials and returns the octet strings
// of its response by tag.
func (s *Session) octets(ctx context.Context, cmd matter.CommandID, f Fields) (map[int][]byte, error) {
	rsp, err := s.Invoke(ctx, 0, ClusterOperationalCredentials, cmd, f)
	if err != nil {
		return nil, err
	}
	out := map[int][]byte{}
	r := rsp.Fields()
	for r.EnterStruct(); r.Next(); {
		out[r.ContextTag()] = r.Octets()
	}
	return out, r.End()
}

// Attestation is a device's attestation.
type Attestation struct {
	DAC, PAI           []byte // DER
	Elements           []byte
	Nonce              []byte
	Signature          []byte
	CertificationInCMS []byte
}

// Attest requests the attestation and verifies its signature, the nonce, and that
// the PAI signed the DAC.
func (s *Session) Attest(ctx context.Context) (*Attestation, error) {
	var a Attestation
	for typ, dst := range map[uint64]*[]byte{1: &a.DAC, 2: &a.PAI} {
		rsp, err := s.octets(ctx, cmdCertificateChainRequest, func(w *tlv.Writer) { w.Uint(tlv.Context(0), typ) })
		if err != nil {
			return nil, err
		}
		*dst = rsp[0]
	}
	a.Nonce = make([]byte, 32)
	_, _ = rand.Read(a.Nonce) // never fails
	rsp, err := s.octets(ctx, cmdAttestationRequest, func(w *tlv.Writer) { w.Octets(tlv.Context(0), a.Nonce) })
	if err != nil {
		return nil, err
	}
	a.Elements, a.Signature = rsp[0], rsp[1]
	key, err := a.DACKey()
	if err != nil {
		return nil, err
	}
	challenge := s.AttestationChallenge()
	if err := mcrypto.Verify(key, append(a.Elements[:len(a.Elements):len(a.Elements)], challenge[:]...), a.Signature); err != nil {
		return nil, fmt.Errorf("attestation signature: %w", err)
	}
	r := tlv.NewReader(a.Elements)
	echo := false
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 1:
			a.CertificationInCMS = r.Octets()
		case 2:
			echo = string(r.Octets()) == string(a.Nonce)
		}
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if !echo {
		return nil, errors.New("attestation nonce is another")
	}
	return &a, nil
}

// DACKey returns the public key of the DAC, 65 octets.
func (a *Attestation) DACKey() ([]byte, error) {
	dac, err := x509.ParseCertificate(a.DAC)
	if err != nil {
		return nil, fmt.Errorf("DAC: %w", err)
	}
	pai, err := x509.ParseCertificate(a.PAI)
	if err != nil {
		return nil, fmt.Errorf("PAI: %w", err)
	}
	if err := dac.CheckSignatureFrom(pai); err != nil {
		return nil, fmt.Errorf("DAC: %w", err)
	}
	spki := dac.RawSubjectPublicKeyInfo
	return spki[len(spki)-mcrypto.PublicKeySize:], nil
}

// CSR requests a key pair and returns its public key. If a is not nil, it verifies
// the signature with the DAC's key.
func (s *Session) CSR(ctx context.Context, forUpdate bool, a *Attestation) (pub [65]byte, err error) {
	nonce := make([]byte, 32)
	_, _ = rand.Read(nonce) // never fails
	rsp, err := s.octets(ctx, cmdCSRRequest, func(w *tlv.Writer) {
		w.Octets(tlv.Context(0), nonce)
		if forUpdate {
			w.Bool(tlv.Context(1), true)
		}
	})
	if err != nil {
		return pub, err
	}
	elements := rsp[0]
	if a != nil {
		key, err := a.DACKey()
		if err != nil {
			return pub, err
		}
		challenge := s.AttestationChallenge()
		if err := mcrypto.Verify(key, append(elements[:len(elements):len(elements)], challenge[:]...), rsp[1]); err != nil {
			return pub, fmt.Errorf("signature of the CSR: %w", err)
		}
	}
	var csr []byte
	r := tlv.NewReader(elements)
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 1 {
			csr = r.Octets()
		}
	}
	if err := r.End(); err != nil {
		return pub, err
	}
	return cert.ParseCSR(csr)
}

// AddRoot installs a root certificate.
func (s *Session) AddRoot(ctx context.Context, root []byte) error {
	_, err := s.Invoke(ctx, 0, ClusterOperationalCredentials, cmdAddTrustedRoot, func(w *tlv.Writer) { w.Octets(tlv.Context(0), root) })
	return err
}

// NOC contains the fields of AddNOC.
type NOC struct {
	NOC, ICAC []byte // ICAC may be nil
	IPK       []byte
	Admin     matter.NodeID
	Vendor    matter.VendorID
}

// AddNOC adds a fabric and returns its index.
func (s *Session) AddNOC(ctx context.Context, n NOC) (matter.FabricIndex, error) {
	return s.noc(ctx, cmdAddNOC, func(w *tlv.Writer) {
		w.Octets(tlv.Context(0), n.NOC)
		if n.ICAC != nil {
			w.Octets(tlv.Context(1), n.ICAC)
		}
		w.Octets(tlv.Context(2), n.IPK)
		w.Uint(tlv.Context(3), uint64(n.Admin))
		w.Uint(tlv.Context(4), uint64(n.Vendor))
	})
}

// UpdateNOC replaces the node's identity on the session's fabric.
func (s *Session) UpdateNOC(ctx context.Context, noc, icac []byte) (matter.FabricIndex, error) {
	return s.noc(ctx, cmdUpdateNOC, func(w *tlv.Writer) {
		w.Octets(tlv.Context(0), noc)
		if icac != nil {
			w.Octets(tlv.Context(1), icac)
		}
	})
}

// UpdateFabricLabel sets the label of the session's fabric.
func (s *Session) UpdateFabricLabel(ctx context.Context, label string) error {
	_, err := s.noc(ctx, cmdUpdateFabricLabel, func(w *tlv.Writer) { w.Text(tlv.Context(0), label) })
	return err
}

// RemoveFabric removes a fabric.
func (s *Session) RemoveFabric(ctx context.Context, i matter.FabricIndex) error {
	_, err := s.noc(ctx, cmdRemoveFabric, func(w *tlv.Writer) { w.Uint(tlv.Context(0), uint64(i)) })
	return err
}

// noc invokes a command whose response is a NOCResponse.
func (s *Session) noc(ctx context.Context, cmd matter.CommandID, f Fields) (i matter.FabricIndex, err error) {
	rsp, err := s.Invoke(ctx, 0, ClusterOperationalCredentials, cmd, f)
	if err != nil {
		return 0, err
	}
	status := NOCError(0xFF)
	r := rsp.Fields()
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			status = NOCError(r.Uint8())
		case 1:
			i = matter.FabricIndex(r.Uint8())
		}
	}
	if err := r.End(); err != nil {
		return 0, err
	}
	if status != 0 {
		return 0, status
	}
	return i, nil
}

// Commissioned is the result of Commission.
type Commissioned struct {
	Node   matter.NodeID
	Fabric matter.FabricIndex
	CASE   *Session
}

// Commission commissions a node into a's fabric: PASE, attestation, fail-safe, CSR,
// root, NOC, CASE and CommissioningComplete.
func (c *Client) Commission(ctx context.Context, addr netip.AddrPort, passcode uint32, a *Authority) (*Commissioned, error) {
	p, err := c.PASE(ctx, addr, passcode)
	if err != nil {
		return nil, fmt.Errorf("PASE: %w", err)
	}
	done, err := p.Join(ctx, a)
	if err != nil {
		return nil, err
	}
	if done.CASE, _, err = c.CASE(ctx, addr, a, done.Node, nil); err != nil {
		return nil, fmt.Errorf("CASE: %w", err)
	}
	if err := done.CASE.CommissioningComplete(ctx); err != nil {
		return nil, fmt.Errorf("CommissioningComplete: %w", err)
	}
	return done, nil
}

// Join does the steps of Commission on an open session, up to AddNOC.
func (s *Session) Join(ctx context.Context, a *Authority) (*Commissioned, error) {
	if err := s.ArmFailSafe(ctx, 120, 1); err != nil {
		return nil, fmt.Errorf("ArmFailSafe: %w", err)
	}
	att, err := s.Attest(ctx)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	pub, err := s.CSR(ctx, false, att)
	if err != nil {
		return nil, fmt.Errorf("CSRRequest: %w", err)
	}
	if err := s.AddRoot(ctx, a.Root()); err != nil {
		return nil, fmt.Errorf("AddTrustedRootCertificate: %w", err)
	}
	done := &Commissioned{Node: RandomNodeID()}
	noc, err := a.IssueNOC(pub, done.Node)
	if err != nil {
		return nil, err
	}
	done.Fabric, err = s.AddNOC(ctx, NOC{NOC: noc.Raw(), ICAC: a.ICAC(), IPK: a.EpochKey[:], Admin: a.NodeID, Vendor: a.VendorID})
	if err != nil {
		return nil, fmt.Errorf("AddNOC: %w", err)
	}
	return done, nil
}
