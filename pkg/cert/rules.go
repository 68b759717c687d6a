package cert

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// VerifyOptions are the times by which a chain is verified.
type VerifyOptions struct {
	// Now is a time that is not in the future, in seconds since 2000-01-01T00:00:00Z:
	// certificates that ended before it have expired. If Now is 0, validity periods are
	// not checked.
	Now uint32
	// Exact means that Now is the present time. Otherwise it may be later than Now, and
	// no certificate counts as not valid yet.
	Exact bool
	// Skew is how many seconds the clocks of issuers may be ahead of Now. It is used
	// with Exact only.
	Skew uint32
}

// invalid returns an ErrInvalid about a certificate of kind k.
func invalid(k Kind, format string, args ...any) error {
	return fmt.Errorf("%w: %v: %s", ErrInvalid, k, fmt.Sprintf(format, args...))
}

// CheckRoot checks a root certificate before it is trusted: subject and extensions
// (sections 6.5.6 and 6.5.11), that it is signed by itself, and that it does not end
// before it begins. It does not check whether the certificate is valid now. Errors are
// ErrInvalid.
func CheckRoot(c *Certificate) error {
	if err := c.check(KindRoot); err != nil {
		return err
	}
	if c.NotAfter != 0 && c.NotBefore > c.NotAfter {
		return invalid(KindRoot, "ends before it begins")
	}
	return checkSelfSigned(c)
}

func checkSelfSigned(root *Certificate) error {
	if !root.Issuer.Equal(root.Subject) {
		return invalid(KindRoot, "issuer and subject differ")
	}
	if !bytes.Equal(root.AuthorityKeyID(), root.SubjectKeyID()) {
		return invalid(KindRoot, "authority and subject key identifier differ")
	}
	return verifySignature(root, KindRoot, root)
}

// VerifyChain verifies a NOC against a trusted root, which must have passed CheckRoot
// when it was installed and is not checked again. icac is nil if the root has issued the
// NOC. Errors are ErrInvalid or ErrValidity, or ErrNodeID if the only fault is that the
// node id is not operational. The caller checks the NOC's fabric id, public key and node
// id.
func VerifyChain(noc, icac, root *Certificate, opt VerifyOptions) error {
	c := newLinks(noc, icac, root)
	for _, l := range c {
		if l.kind != KindRoot {
			if err := l.cert.check(l.kind); err != nil {
				return err
			}
		}
		if id := l.cert.FabricID(); id != 0 && id != noc.FabricID() {
			return invalid(l.kind, "fabric id is not the NOC's")
		}
	}
	if icac != nil && root.extension(BasicConstraints).forbidsICA() {
		return invalid(KindRoot, "path length forbids an ICAC")
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	for _, l := range c {
		if err := l.cert.checkTime(l.kind, opt); err != nil {
			return err
		}
	}
	// Signatures are expensive, so they come last.
	if err := c.verifySignatures(); err != nil {
		return err
	}
	if !noc.NodeID().Operational() {
		return fmt.Errorf("%w: %v", ErrNodeID, noc.NodeID())
	}
	return nil
}

// CheckStored checks whether a chain that was accepted earlier is undamaged: names, key
// identifiers and signatures, including the root's own. It does not check the other
// rules, which may have become stricter since. Errors are ErrInvalid.
func CheckStored(noc, icac, root *Certificate) error {
	c := newLinks(noc, icac, root)
	if err := c.checkNames(); err != nil {
		return err
	}
	if err := checkSelfSigned(root); err != nil {
		return err
	}
	return c.verifySignatures()
}

// links is a chain from the NOC up to the root.
type links []link

type link struct {
	cert *Certificate
	kind Kind
}

func newLinks(noc, icac, root *Certificate) links {
	c := make(links, 0, 3)
	c = append(c, link{noc, KindNode})
	if icac != nil {
		c = append(c, link{icac, KindICA})
	}
	return append(c, link{root, KindRoot})
}

// checkNames checks that each certificate names the next one as its issuer.
func (c links) checkNames() error {
	for i, l := range c[:len(c)-1] {
		issuer := c[i+1]
		if !l.cert.Issuer.Equal(issuer.cert.Subject) {
			return invalid(l.kind, "issuer is not the subject of the %v", issuer.kind)
		}
		if !bytes.Equal(l.cert.AuthorityKeyID(), issuer.cert.SubjectKeyID()) {
			return invalid(l.kind, "authority key identifier is not that of the %v", issuer.kind)
		}
	}
	return nil
}

func (c links) verifySignatures() error {
	for i, l := range c[:len(c)-1] {
		if err := verifySignature(l.cert, l.kind, c[i+1].cert); err != nil {
			return err
		}
	}
	return nil
}

func (e *Extension) forbidsICA() bool { return e != nil && e.HasPathLen && e.PathLen == 0 }

func verifySignature(c *Certificate, k Kind, issuer *Certificate) error {
	tbs, err := c.TBS()
	if err != nil {
		return invalid(k, "%v", err)
	}
	if err := mcrypto.Verify(issuer.PublicKey[:], tbs, c.Signature[:]); err != nil {
		return invalid(k, "%v", err)
	}
	return nil
}

// checkTime checks the validity period. A not-before of 0 means no beginning, a not-after
// of 0 no end.
func (c *Certificate) checkTime(k Kind, opt VerifyOptions) error {
	switch {
	case opt.Now == 0:
		return nil
	case opt.Exact && uint64(opt.Now)+uint64(opt.Skew) < uint64(c.NotBefore):
		return fmt.Errorf("%w: %v is not valid yet", ErrValidity, k)
	case c.NotAfter != 0 && opt.Now > c.NotAfter:
		return fmt.Errorf("%w: %v has expired", ErrValidity, k)
	}
	return nil
}

// check checks the rules for a single certificate of kind k, except that a NOC's node id
// must be operational.
func (c *Certificate) check(k Kind) error {
	if got := c.Kind(); got != k {
		return invalid(k, "subject is that of a %v", got)
	}
	if err := c.checkSubject(k); err != nil {
		return err
	}
	if err := c.checkExtensions(k); err != nil {
		return err
	}
	if err := mcrypto.CheckPublicKey(c.PublicKey[:]); err != nil {
		return invalid(k, "%v", err)
	}
	return nil
}

// checkSubject checks the rules of section 6.5.6.3. The caller has checked that the
// subject names no other kind.
func (c *Certificate) checkSubject(k Kind) error {
	if _, n := c.Subject.Find(k.identity()); n != 1 {
		return invalid(k, "%d identifiers in the subject", n)
	}
	if _, n := c.Subject.Find(AttributeFirmwareSigningID); n != 0 {
		return invalid(k, "firmware signing id in the subject")
	}
	id, n := c.Subject.Find(AttributeFabricID)
	switch {
	case n > 1 || n == 0 && k == KindNode:
		return invalid(k, "%d fabric ids in the subject", n)
	case n == 1 && id == 0:
		return invalid(k, "fabric id is 0")
	}
	return c.checkCATs(k)
}

// identity returns the attribute that identifies a subject of kind k.
func (k Kind) identity() AttributeType {
	switch k {
	case KindRoot:
		return AttributeRCACID
	case KindICA:
		return AttributeICACID
	case KindNode:
		return AttributeNodeID
	}
	panic("BUG: cert: no rules for a " + k.String())
}

// checkCATs checks the rules of section 6.6.2.1.2: at most three tags, each with a
// version, and only one version of each.
func (c *Certificate) checkCATs(k Kind) error {
	_, n := c.Subject.Find(AttributeCAT)
	if k != KindNode && n > 0 || n > MaxCATs {
		return invalid(k, "%d CASE authenticated tags in the subject", n)
	}
	cats := c.CATs()
	for i, cat := range cats[:n] {
		if !cat.Valid() {
			return invalid(k, "CASE authenticated tag without a version")
		}
		if slices.ContainsFunc(cats[:i], func(o matter.CAT) bool { return o.Identifier() == cat.Identifier() }) {
			return invalid(k, "two versions of a CASE authenticated tag")
		}
	}
	return nil
}

// checkExtensions checks the rules of section 6.5.11.
func (c *Certificate) checkExtensions(k Kind) error {
	basic, usage, purposes := c.extension(BasicConstraints), c.extension(KeyUsage), c.extension(ExtendedKeyUsage)
	switch {
	case basic == nil:
		return invalid(k, "no basic constraints")
	case usage == nil:
		return invalid(k, "no key usage")
	case c.SubjectKeyID() == nil:
		return invalid(k, "no subject key identifier")
	case c.AuthorityKeyID() == nil:
		return invalid(k, "no authority key identifier")
	}
	if k == KindNode {
		return checkLeaf(basic, usage, purposes)
	}
	maxPath := uint8(1)
	if k == KindICA {
		maxPath = 0
	}
	switch {
	case !basic.IsCA:
		return invalid(k, "not a certificate authority")
	case basic.HasPathLen && basic.PathLen > maxPath:
		return invalid(k, "path length %d", basic.PathLen)
	case usage.Usage&^UsageDigitalSignature != UsageKeyCertSign|UsageCRLSign:
		return invalid(k, "key usage 0x%04X", uint16(usage.Usage))
	case purposes != nil:
		return invalid(k, "extended key usage")
	}
	return nil
}

func checkLeaf(basic, usage, purposes *Extension) error {
	const issuing = UsageKeyCertSign | UsageCRLSign
	switch {
	case basic.IsCA || basic.HasPathLen:
		return invalid(KindNode, "basic constraints of a certificate authority")
	// The specification allows digital signature only. Controllers in the field add
	// usages, so only those for issuing certificates are errors.
	case usage.Usage&UsageDigitalSignature == 0 || usage.Usage&issuing != 0:
		return invalid(KindNode, "key usage 0x%04X", uint16(usage.Usage))
	// Purposes are distinct, so two purposes of these two are both.
	case purposes == nil || len(purposes.Purposes) != 2 || slices.ContainsFunc(purposes.Purposes, func(p Purpose) bool { return p > PurposeClientAuth }):
		return invalid(KindNode, "extended key usage is not server and client authentication")
	}
	return nil
}
