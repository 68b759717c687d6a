package server_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// The clusters that tests use, all on endpoint 0.
const (
	clAccess    matter.ClusterID = 0x1F
	clBasic     matter.ClusterID = 0x28
	clGeneral   matter.ClusterID = 0x30
	clWindow    matter.ClusterID = 0x3C
	clOpCreds   matter.ClusterID = 0x3E
	clGroupKeys matter.ClusterID = 0x3F
)

// Commands of Operational Credentials.
const (
	cmdAttestation matter.CommandID = 0x00
	cmdChain       matter.CommandID = 0x02
	cmdCSR         matter.CommandID = 0x04
	cmdAddNOC      matter.CommandID = 0x06
	cmdUpdateNOC   matter.CommandID = 0x07
	rspNOC         matter.CommandID = 0x08
	cmdLabel       matter.CommandID = 0x09
	cmdRemove      matter.CommandID = 0x0A
	cmdAddRoot     matter.CommandID = 0x0B
	cmdSetVVS      matter.CommandID = 0x0C
	cmdSignVID     matter.CommandID = 0x0D
)

// Commands of General Commissioning.
const (
	cmdArm        matter.CommandID = 0
	cmdRegulatory matter.CommandID = 2
	cmdComplete   matter.CommandID = 4
)

// The results of outcome.
const (
	ok                 = "OK"
	constraintError    = "CONSTRAINT_ERROR"
	invalidCommand     = "INVALID_COMMAND"
	failsafeRequired   = "FAILSAFE_REQUIRED"
	unsupportedAccess  = "UNSUPPORTED_ACCESS"
	resourceExhausted  = "RESOURCE_EXHAUSTED"
	notFound           = "NOT_FOUND"
	needsTimed         = "NEEDS_TIMED_INTERACTION"
	invalidPublicKey   = "InvalidPublicKey"
	invalidNodeOpID    = "InvalidNodeOpId"
	invalidNOC         = "InvalidNOC"
	missingCSR         = "MissingCsr"
	tableFull          = "TableFull"
	invalidAdmin       = "InvalidAdminSubject"
	fabricConflict     = "FabricConflict"
	labelConflict      = "LabelConflict"
	invalidFabricIndex = "InvalidFabricIndex"
	outsideRange       = "ValueOutsideRange"
	invalidAuth        = "InvalidAuthentication"
	noFailSafe         = "NoFailSafe"
	busyAdmin          = "BusyWithOtherAdmin"
	windowBusy         = "FAILURE/2"
	pakeParameter      = "FAILURE/3"
	windowNotOpen      = "FAILURE/4"
)

var nocWords = map[commissioner.NOCError]string{
	1: invalidPublicKey, 2: invalidNodeOpID, 3: invalidNOC, 4: missingCSR, 5: tableFull,
	6: invalidAdmin, 9: fabricConflict, 10: labelConflict, 11: invalidFabricIndex,
}

var commissioningWords = map[commissioner.CommissioningError]string{
	1: outsideRange, 2: invalidAuth, 3: noFailSafe, 4: busyAdmin,
}

// outcome returns the result of a command as text: OK, the name of an Interaction
// Model status, FAILURE/n for the cluster status n, the name of a NOCResponse's or
// commissioning response's code, or else the error.
func outcome(err error) string {
	var noc commissioner.NOCError
	var general commissioner.CommissioningError
	var status matter.Status
	var own matter.ClusterStatus
	switch {
	case err == nil:
		return ok
	case errors.As(err, &noc):
		return nocWords[noc]
	case errors.As(err, &general):
		return commissioningWords[general]
	case errors.As(err, &status):
		return status.String()
	case errors.As(err, &own) && own.Code == 0:
		return own.Status.String()
	case errors.As(err, &own):
		return fmt.Sprintf("%v/%d", own.Status, own.Code)
	}
	return err.Error()
}

// args returns the fields of a command from pairs of a context tag and a value:
// octets, a string, a bool, an unsigned number, nil for null, or a function that
// writes itself.
func args(pairs ...any) commissioner.Fields {
	return func(w *tlv.Writer) {
		for i := 0; i < len(pairs); i += 2 {
			t := tlv.Context(uint8(pairs[i].(int)))
			switch v := pairs[i+1].(type) {
			case nil:
				w.Null(t)
			case []byte:
				w.Octets(t, v)
			case string:
				w.Text(t, v)
			case bool:
				w.Bool(t, v)
			case int:
				w.Uint(t, uint64(v))
			case uint64:
				w.Uint(t, v)
			case matter.NodeID:
				w.Uint(t, uint64(v))
			case matter.FabricIndex:
				w.Uint(t, uint64(v))
			case matter.VendorID:
				w.Uint(t, uint64(v))
			case commissioner.Value:
				v(w, t)
			default:
				panic(fmt.Sprintf("argument of type %T", v))
			}
		}
	}
}

// command invokes a command and returns the result as text.
func (r *rig) command(s *commissioner.Session, cl matter.ClusterID, cmd matter.CommandID, pairs ...any) string {
	r.t.Helper()
	rsp, err := s.Invoke(r.ctx, 0, cl, cmd, args(pairs...))
	if err != nil {
		return outcome(err)
	}
	code := r.first(rsp)
	switch {
	case cl == clOpCreds && rsp.Command == rspNOC && code != 0:
		return outcome(commissioner.NOCError(code))
	case cl == clGeneral && code != 0:
		return outcome(commissioner.CommissioningError(code))
	}
	return ok
}

// first returns the response's field 0 if it is a number.
func (r *rig) first(rsp *commissioner.Response) (n uint64) {
	r.t.Helper()
	rd := rsp.Fields()
	for rd.EnterStruct(); rd.Next(); {
		if rd.ContextTag() == 0 && rd.Type() == tlv.TypeUint {
			n = rd.Uint()
		}
	}
	if err := rd.End(); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// creds is command for Operational Credentials.
func (r *rig) creds(s *commissioner.Session, cmd matter.CommandID, pairs ...any) string {
	r.t.Helper()
	return r.command(s, clOpCreds, cmd, pairs...)
}

// want fails the test if got differs from want. what is the subject.
func (r *rig) want(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// must ends the test on an error.
func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// pase opens a PASE session with the node's own passcode.
func (r *rig) pase(c *commissioner.Client) *commissioner.Session {
	r.t.Helper()
	s, err := c.PASE(r.ctx, deviceAddr, passcode)
	r.must(err)
	return s
}

// session opens a CASE session.
func (r *rig) session(c *commissioner.Client, a *commissioner.Authority, node matter.NodeID) *commissioner.Session {
	r.t.Helper()
	s, _, err := c.CASE(r.ctx, deviceAddr, a, node, nil)
	r.must(err)
	return s
}

// join adds a's fabric over s, PASE or CASE, and completes it.
func (r *rig) join(c *commissioner.Client, s *commissioner.Session, a *commissioner.Authority) *commissioner.Commissioned {
	r.t.Helper()
	done, err := s.Join(r.ctx, a)
	r.must(err)
	done.CASE = r.session(c, a, done.Node)
	r.must(done.CASE.CommissioningComplete(r.ctx))
	return done
}

// csr returns the public key of a CSRRequest. It does not arm the fail-safe.
func (r *rig) csr(s *commissioner.Session, forUpdate bool) [65]byte {
	r.t.Helper()
	pub, err := s.CSR(r.ctx, forUpdate, nil)
	r.must(err)
	return pub
}

// noc issues a NOC for a random node.
func (r *rig) noc(a *commissioner.Authority, pub [65]byte) *cert.Certificate {
	r.t.Helper()
	c, err := a.IssueNOC(pub, commissioner.RandomNodeID())
	r.must(err)
	return c
}

// reissue changes a certificate and signs it again.
func (r *rig) reissue(a *commissioner.Authority, c *cert.Certificate, change func(*cert.Certificate)) *cert.Certificate {
	r.t.Helper()
	d, err := a.Reissue(c, change)
	r.must(err)
	return d
}

// fields returns the fields of AddNOC for a NOC of a.
func fields(a *commissioner.Authority, noc *cert.Certificate) commissioner.NOC {
	return commissioner.NOC{NOC: noc.Raw(), ICAC: a.ICAC(), IPK: a.EpochKey[:], Admin: a.NodeID, Vendor: a.VendorID}
}

// alive reports whether a session is usable.
func (r *rig) alive(s *commissioner.Session) bool {
	if s.Gone() {
		return false
	}
	_, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, clOpCreds, 5)}})
	return err == nil
}

// left reports whether the node has ended a PASE session, its only one, without
// notifying the commissioner.
func (r *rig) left(s *commissioner.Session) bool {
	seen, err := r.srv.Inspect()
	r.must(err)
	return seen.PASE == 0 && !s.Gone()
}

// attribute reads one attribute, which must be readable.
func (r *rig) attribute(s *commissioner.Session, cl matter.ClusterID, at matter.AttributeID, filtered bool) tlv.Reader {
	r.t.Helper()
	rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, cl, at)}, FabricFiltered: filtered})
	r.must(err)
	a := rep.Find(0, cl, at)
	if a == nil || a.Status.Status != matter.StatusSuccess {
		r.t.Fatalf("cluster %04X, attribute %d: %+v", cl, at, rep.Attributes)
	}
	return a.Value()
}

// number reads an attribute that is a number; null is -1.
func (r *rig) number(s *commissioner.Session, cl matter.ClusterID, at matter.AttributeID) int64 {
	r.t.Helper()
	rd := r.attribute(s, cl, at, false)
	n := int64(-1)
	if !rd.Null() {
		n = int64(rd.Uint())
	}
	r.must(rd.End())
	return n
}

// descriptor is an entry of the Fabrics attribute.
type descriptor struct {
	index  matter.FabricIndex
	root   string
	vendor matter.VendorID
	fabric matter.FabricID
	node   matter.NodeID
	label  string
	vvs    string
}

func (r *rig) fabrics(s *commissioner.Session, filtered bool) (list []descriptor) {
	r.t.Helper()
	rd := r.attribute(s, clOpCreds, 1, filtered)
	for rd.EnterArray(); rd.Next(); {
		var d descriptor
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				d.root = string(rd.Octets())
			case 2:
				d.vendor = matter.VendorID(rd.Uint16())
			case 3:
				d.fabric = matter.FabricID(rd.Uint())
			case 4:
				d.node = matter.NodeID(rd.Uint())
			case 5:
				d.label = rd.Text()
			case 6:
				d.vvs = string(rd.Octets())
			case 0xFE:
				d.index = matter.FabricIndex(rd.Uint8())
			}
		}
		rd.Exit()
		list = append(list, d)
	}
	r.must(rd.End())
	return list
}

// nocEntry is an entry of the NOCs attribute.
type nocEntry struct {
	index           matter.FabricIndex
	noc, icac, vvsc string
	nullICAC        bool
}

func (r *rig) nocs(s *commissioner.Session, filtered bool) (list []nocEntry) {
	r.t.Helper()
	rd := r.attribute(s, clOpCreds, 0, filtered)
	for rd.EnterArray(); rd.Next(); {
		var e nocEntry
		for rd.EnterStruct(); rd.Next(); {
			switch rd.ContextTag() {
			case 1:
				e.noc = string(rd.Octets())
			case 2:
				if e.nullICAC = rd.Null(); !e.nullICAC {
					e.icac = string(rd.Octets())
				}
			case 3:
				e.vvsc = string(rd.Octets())
			case 0xFE:
				e.index = matter.FabricIndex(rd.Uint8())
			}
		}
		rd.Exit()
		list = append(list, e)
	}
	r.must(rd.End())
	return list
}

func (r *rig) roots(s *commissioner.Session, filtered bool) (list []string) {
	r.t.Helper()
	rd := r.attribute(s, clOpCreds, 4, filtered)
	for rd.EnterArray(); rd.Next(); {
		list = append(list, string(rd.Octets()))
	}
	r.must(rd.End())
	return list
}

// pair is a node on two fabrics, with a session of each administrator.
type pair struct {
	*rig
	c        *commissioner.Client
	a, b     *commissioner.Authority
	one, two *commissioner.Commissioned
}

// twoFabrics runs f with a node that a has commissioned and b has joined.
func twoFabrics(t *testing.T, opt commissioner.AuthorityOptions, f func(p *pair)) {
	t.Helper()
	bubble(t, 1, clean, func(r *rig) {
		p := &pair{rig: r, c: r.client(), a: r.authority(opt), b: r.authority(commissioner.AuthorityOptions{})}
		p.one = r.commission(p.c, p.a)
		p.two = r.join(p.c, p.one.CASE, p.b)
		f(p)
	})
}

// dropOnce makes the network lose the node's next datagram for which match returns
// true. The result reports whether there was one.
func (r *rig) dropOnce(match func(d simnet.Datagram) bool) (dropped func() bool) {
	done := false
	r.net.SetTap(func(d simnet.Datagram) bool {
		if done || d.From != deviceAddr || !match(d) {
			return true
		}
		done = true
		return false
	})
	return func() bool { return done }
}

// wait lets the time d pass and the node become idle.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
