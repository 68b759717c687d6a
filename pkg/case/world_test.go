package casesession

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/store"
)

const (
	deviceNode     matter.NodeID   = 0x1000_0000_0000_00D1
	controllerNode matter.NodeID   = 0x1000_0000_0000_00C1
	homeFabric     matter.FabricID = 0xFAB0_0000_0000_0001
)

// inTime is a time at which the certificates of the tests are valid.
var inTime = cert.VerifyOptions{Now: 1500, Exact: true}

func newKey(t testing.TB) *mcrypto.PrivateKey {
	t.Helper()
	k, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// authority is a root and, optionally, the ICAC that issues its NOCs.
type authority struct {
	root, icac *cert.Authority
}

func newAuthority(t testing.TB, withICAC bool) authority {
	t.Helper()
	var a authority
	var err error
	if a.root, err = cert.NewRoot(rand.Reader, newKey(t), 1, 0, cert.Validity{NotBefore: 1000, NotAfter: 2000}); err != nil {
		t.Fatal(err)
	}
	if withICAC {
		if a.icac, err = a.root.IssueICAC(newKey(t), 2, 0); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// member is a node of a fabric.
type member struct {
	root, icac, noc *cert.Certificate
	key             *mcrypto.PrivateKey
}

func (a authority) issue(t testing.TB, node matter.NodeID, f matter.FabricID, cats ...matter.CAT) member {
	t.Helper()
	m := member{root: a.root.Certificate, key: newKey(t)}
	issuer := a.root
	if a.icac != nil {
		issuer, m.icac = a.icac, a.icac.Certificate
	}
	var err error
	if m.noc, err = issuer.IssueNOC(m.key.Public(), node, f, cats...); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m member) fabric(i matter.FabricIndex, ipks ...[16]byte) *fabric.Fabric {
	return &fabric.Fabric{
		Fabric:   store.Fabric{Index: i, FabricID: m.noc.FabricID(), NodeID: m.noc.NodeID()},
		RootCert: m.root, ICACCert: m.icac, NOCCert: m.noc, OperationalKey: m.key, IPKs: ipks,
	}
}

// table is the fabric table of the tests.
type table []*fabric.Fabric

func (t table) FindDestination(id, random []byte) (*fabric.Fabric, [16]byte, bool) {
	for _, f := range t {
		for _, ipk := range f.IPKs {
			want := destinationID(ipk[:], random, f.RootCert.PublicKey[:], f.FabricID, f.NodeID)
			if subtle.ConstantTimeCompare(want[:], id) == 1 {
				return f, ipk, true
			}
		}
	}
	return nil, [16]byte{}, false
}

func (t table) Get(i matter.FabricIndex) *fabric.Fabric {
	for _, f := range t {
		if f.Index == i {
			return f
		}
	}
	return nil
}

var (
	_ Fabrics = (*fabric.Table)(nil)
	_ Fabrics = table{}
)

// memory holds a node's records by resumption id.
type memory map[[ResumptionIDSize]byte]Record

func (m memory) Find(id []byte) (Record, bool) {
	r, ok := m[[ResumptionIDSize]byte(id)]
	return r, ok
}

// replace does what the contract of Record requires of the caller.
func (m memory) replace(r Record) {
	for id, old := range m {
		if old.Fabric == r.Fabric && old.Peer == r.Peer {
			delete(m, id)
		}
	}
	m[r.ID] = r
}

// world is a device and a controller on one fabric.
type world struct {
	device, controller member
	ipk                [16]byte
	responder          ResponderConfig
	initiator          InitiatorConfig
	fabrics            table
	remembered         memory
}

func newWorld(t testing.TB, withICAC bool, cats ...matter.CAT) *world {
	t.Helper()
	a := newAuthority(t, withICAC)
	w := &world{
		device: a.issue(t, deviceNode, homeFabric), controller: a.issue(t, controllerNode, homeFabric, cats...),
		ipk: [16]byte{1, 2, 3}, remembered: memory{},
	}
	w.fabrics = table{w.device.fabric(3, [16]byte{9}, w.ipk)}
	params := message.LocalParameters()
	params.IdleInterval = 700 * time.Millisecond
	w.responder = ResponderConfig{Rand: rand.Reader, Fabrics: &w.fabrics, Resumptions: w.remembered, SessionID: 0xD0D0, Params: params, Validity: inTime}
	w.initiator = InitiatorConfig{
		Rand: rand.Reader, Fabric: 1, Root: w.controller.root, ICAC: w.controller.icac, NOC: w.controller.noc, Key: w.controller.key,
		IPK: w.ipk, PeerNode: deviceNode, SessionID: 0xC0C0, Params: message.LocalParameters(), Validity: inTime,
	}
	return w
}

// outcome is the result of a handshake, which may be incomplete.
type outcome struct {
	sigma1, reply, sigma3    []byte
	opcode                   uint8
	device, controller       Result
	deviceErr, controllerErr error
	bothSucceeded            bool
}

// tamper changes a message in transit.
type tamper func([]byte) []byte

func untouched(b []byte) []byte { return b }

// run runs a handshake until it ends or fails.
func (w *world) run(t testing.TB, on1, on2, on3 tamper) (o outcome) {
	t.Helper()
	i, r := NewInitiator(w.initiator), NewResponder(w.responder)
	defer i.Wipe()
	defer r.Wipe()
	if o.sigma1, o.controllerErr = i.Start(); o.controllerErr != nil {
		return o
	}
	if o.reply, o.opcode, o.deviceErr = r.Sigma1(on1(bytes.Clone(o.sigma1))); o.deviceErr != nil {
		return o
	}
	reply := on2(bytes.Clone(o.reply))
	if o.opcode == message.OpcodeSigma2Resume {
		if o.controller, o.controllerErr = i.Sigma2Resume(reply); o.controllerErr != nil {
			return o
		}
		o.device, o.deviceErr = r.Resumed()
	} else {
		if o.sigma3, o.controller, o.controllerErr = i.Sigma2(reply); o.controllerErr != nil {
			return o
		}
		o.device, o.deviceErr = r.Sigma3(on3(bytes.Clone(o.sigma3)))
	}
	o.bothSucceeded = o.deviceErr == nil
	return o
}

// mustRun runs an undisturbed handshake and stores the records of both sides.
func (w *world) mustRun(t testing.TB) outcome {
	t.Helper()
	o := w.run(t, untouched, untouched, untouched)
	if !o.bothSucceeded {
		t.Fatalf("device: %v, controller: %v", o.deviceErr, o.controllerErr)
	}
	w.remembered.replace(o.device.Record())
	rec := o.controller.Record()
	w.initiator.Resume = &rec
	return o
}

// stuck is a random source that fails after some octets.
type stuck struct{ left int }

func (s *stuck) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(b), s.left)
	s.left -= n
	return rand.Read(b[:n])
}

func TestDestinationIDs(t *testing.T) {
	b, err := os.ReadFile("testdata/destination-id.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name   string
			IPK    octets `json:"ipk_operational"`
			Random octets `json:"initiator_random"`
			Root   octets `json:"root_public_key"`
			Fabric string `json:"fabric_id"`
			Node   string `json:"node_id"`
			ID     octets `json:"destination_id"`
		}
	}
	if err := json.Unmarshal(b, &file); err != nil || len(file.Vectors) != 2 {
		t.Fatal(err, len(file.Vectors))
	}
	number := func(s string) (n uint64) {
		var o octets
		if err := o.UnmarshalText([]byte(s)); err != nil || len(o) != 8 {
			t.Fatal(s, err)
		}
		for _, x := range o {
			n = n<<8 | uint64(x)
		}
		return n
	}
	for _, v := range file.Vectors {
		id := destinationID(v.IPK, v.Random, v.Root, matter.FabricID(number(v.Fabric)), matter.NodeID(number(v.Node)))
		if !bytes.Equal(id[:], v.ID) {
			t.Errorf("%s %s: %x, want %x", v.Name, v.Node, id, v.ID)
		}
	}
}

// octets is an octet string, in hexadecimal in JSON.
type octets []byte

func (o *octets) UnmarshalText(b []byte) (err error) {
	*o, err = hex.DecodeString(string(b))
	return err
}
