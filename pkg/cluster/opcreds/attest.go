package opcreds

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// CertificateChainTypeEnum (section 11.18.4.2).
const (
	chainTypeDAC = 1
	chainTypePAI = 2
)

// members is the set of context tags, up to 7, of a structure.
type members uint8

func (m *members) saw(tag int) {
	if tag >= 0 && tag < 8 {
		*m |= 1 << tag
	}
}

func (m members) has(tags ...int) bool {
	for _, t := range tags {
		if m&(1<<t) == 0 {
			return false
		}
	}
	return true
}

// attestationRequest handles AttestationRequest (section 11.18.6.1).
func (c *Cluster) attestationRequest(r *im.Request, fields tlv.Element, w *tlv.Writer) error {
	var nonce []byte
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		if rd.ContextTag() == 0 {
			nonce = rd.Octets()
		}
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	if len(nonce) != attestation.NonceSize {
		return fmt.Errorf("attestation nonce of %d octets: %w", len(nonce), matter.StatusInvalidCommand)
	}
	elements, err := c.opt.Attestation.Elements(nonce)
	if err != nil {
		return err
	}
	return c.answerSigned(r, cmdAttestationRequest, elements, w, func(*im.Request) error { return nil })
}

// answerSigned answers a command with elements and their signature by the DAC's key.
// effect is what the command does before it is answered. A key that is elsewhere, on a
// token, say, lets the command wait and not the node.
func (c *Cluster) answerSigned(r *im.Request, id matter.CommandID, elements []byte, w *tlv.Writer, effect func(*im.Request) error) error {
	credentials, challenge := *c.opt.Attestation, r.Session.AttestationChallenge
	var sig [mcrypto.SignatureSize]byte
	var signErr error
	sign := func() { sig, signErr = credentials.Sign(elements, challenge[:]) }
	answer := func(r *im.Request, w *tlv.Writer) error {
		if signErr != nil {
			return signErr
		}
		if err := effect(r); err != nil {
			return err
		}
		w.Octets(tlv.Context(0), elements)
		w.Octets(tlv.Context(1), sig[:])
		return nil
	}
	if !credentials.Elsewhere() {
		sign()
		return answer(r, w)
	}
	later := false
	err := r.Later(w, sign, func(r *im.Request, w *tlv.Writer) error {
		err := answer(r, w)
		if later {
			return c.executed(id, err, w)
		}
		return err // Invoke is under way, and follows it
	})
	later = true
	return err
}

// certificateChainRequest handles CertificateChainRequest (section 11.18.6.3).
func (c *Cluster) certificateChainRequest(fields tlv.Element, w *tlv.Writer) error {
	var kind uint8
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		if rd.ContextTag() == 0 {
			kind = rd.Uint8()
		}
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	switch kind {
	case chainTypeDAC:
		w.Octets(tlv.Context(0), c.opt.Attestation.DAC)
	case chainTypePAI:
		w.Octets(tlv.Context(0), c.opt.Attestation.PAI)
	default:
		return matter.StatusInvalidCommand
	}
	return nil
}

// csrRequest handles CSRRequest (section 11.18.6.5). It stages the new key pair after
// everything else has succeeded. Until then an earlier one stays valid.
func (c *Cluster) csrRequest(r *im.Request, fields tlv.Element, w *tlv.Writer) error {
	var nonce []byte
	var forUpdate bool
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		switch rd.ContextTag() {
		case 0:
			nonce = rd.Octets()
		case 1:
			forUpdate = rd.Bool()
		}
	}
	if err := rd.End(); err != nil {
		return im.CommandError(err)
	}
	switch {
	case len(nonce) != attestation.NonceSize:
		return fmt.Errorf("CSR nonce of %d octets: %w", len(nonce), matter.StatusInvalidCommand)
	case forUpdate && r.Subject.AuthMode == matter.AuthModePASE:
		return fmt.Errorf("a CSR for UpdateNOC over PASE: %w", matter.StatusInvalidCommand)
	}
	if err := c.mayStage(r); err != nil {
		return err
	}
	key, err := mcrypto.GenerateKey(c.opt.Rand)
	if err != nil {
		return err
	}
	csr, err := cert.NewCSR(c.opt.Rand, key)
	if err != nil {
		return err
	}
	elements, err := c.opt.Attestation.NOCSRElements(csr, nonce)
	if err != nil {
		return err
	}
	return c.answerSigned(r, cmdCSRRequest, elements, w, func(r *im.Request) error {
		if err := c.mayStage(r); err != nil { // the fail-safe may have ended meanwhile
			return err
		}
		c.opt.FailSafe.SetCSR(key, forUpdate, r.Session.Serial)
		return nil
	})
}

// mayStage returns an error unless the fail-safe is armed for the accessing fabric and no
// NOC has been staged in it.
func (c *Cluster) mayStage(r *im.Request) error {
	if !c.opt.FailSafe.ArmedFor(r.Subject.Fabric) {
		return matter.StatusFailsafeRequired
	}
	if c.opt.FailSafe.NOC() != failsafe.None {
		return fmt.Errorf("this fail-safe has a NOC already: %w", matter.StatusConstraintError)
	}
	return nil
}
