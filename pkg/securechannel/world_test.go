package securechannel

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
	"github.com/opcredsd/opcredsd/pkg/window"
)

const (
	testPasscode  = 20202021
	otherPasscode = 20202022
	deviceNode    = matter.NodeID(0xD1)
	homeIndex     = matter.FabricIndex(3)
	homeFabric    = matter.FabricID(0xFAB0_0000_0000_0001)
	adminTag      = matter.CAT(0xABCD_0002)
)

var (
	start    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	testSalt = []byte("SPAKE2P Key Salt")

	// The reports to the peer, as transmitted.
	reportSuccess          = []byte{0, 0, 0, 0, 0, 0, 0, 0}
	reportInvalidParameter = []byte{1, 0, 0, 0, 0, 0, 2, 0}
	reportNoSharedRoots    = []byte{1, 0, 0, 0, 0, 0, 1, 0}
	reportGeneralFailure   = []byte{1, 0, 0, 0, 0, 0, 0xFF, 0xFF}
	reportBusy             = []byte{8, 0, 0, 0, 0, 0, 4, 0, 0xE8, 0x03} // wait 1000 ms
	reportBusySoon         = []byte{8, 0, 0, 0, 0, 0, 4, 0, 0xF4, 0x01} // wait 500 ms
	reportCloseSession     = []byte{0, 0, 0, 0, 0, 0, 3, 0}
)

// passcodes are computed once, as each takes a thousand hashes.
var passcodes = sync.OnceValue(func() map[uint32]window.Passcode {
	m := map[uint32]window.Passcode{}
	for _, p := range []uint32{testPasscode, otherPasscode} {
		v, err := mcrypto.NewVerifier(p, testSalt, mcrypto.MinIterations)
		if err != nil {
			panic(err)
		}
		m[p] = window.Passcode{Verifier: v, Salt: testSalt, Iterations: mcrypto.MinIterations, Discriminator: 3840}
	}
	return m
})

// home is a fabric with a device and a controller. It is created once.
var home = sync.OnceValue(func() (h struct {
	device     *fabric.Fabric
	root       *cert.Certificate
	noc        *cert.Certificate
	key        *mcrypto.PrivateKey
	controller matter.NodeID
}) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	key := func() *mcrypto.PrivateKey {
		k, err := mcrypto.GenerateKey(rand.Reader)
		must(err)
		return k
	}
	root, err := cert.NewRoot(rand.Reader, key(), 1, 0, cert.Validity{NotBefore: 1000, NotAfter: 2000})
	must(err)
	deviceKey := key()
	deviceNOC, err := root.IssueNOC(deviceKey.Public(), deviceNode, homeFabric)
	must(err)
	h.controller, h.key, h.root = 0xC1, key(), root.Certificate
	h.noc, err = root.IssueNOC(h.key.Public(), h.controller, homeFabric, adminTag)
	must(err)
	h.device = &fabric.Fabric{
		Fabric:        store.Fabric{Index: homeIndex, FabricID: homeFabric, NodeID: deviceNode, NOC: deviceNOC.Raw()},
		RootPublicKey: root.Certificate.PublicKey, RootCert: root.Certificate, NOCCert: deviceNOC,
		OperationalKey: deviceKey, IPKs: [][16]byte{{1, 2, 3}},
	}
	return h
})

// fabrics is the fabric table of the device.
type fabrics []*fabric.Fabric

func (t *fabrics) FindDestination(id, random []byte) (*fabric.Fabric, [16]byte, bool) {
	for _, f := range *t {
		for _, ipk := range f.IPKs {
			m := hmac.New(sha256.New, ipk[:])
			m.Write(random)
			m.Write(f.RootPublicKey[:])
			m.Write(binary.LittleEndian.AppendUint64(nil, uint64(f.FabricID)))
			m.Write(binary.LittleEndian.AppendUint64(nil, uint64(f.NodeID)))
			if hmac.Equal(m.Sum(nil), id) {
				return f, ipk, true
			}
		}
	}
	return nil, [16]byte{}, false
}

func (t *fabrics) Get(i matter.FabricIndex) *fabric.Fabric {
	for _, f := range *t {
		if f.Index == i {
			return f
		}
	}
	return nil
}

// memory holds the device's resumption records.
type memory []casesession.Record

func (m *memory) Find(id []byte) (casesession.Record, bool) {
	for _, r := range *m {
		if bytes.Equal(r.ID[:], id) {
			return r, true
		}
	}
	return casesession.Record{}, false
}

func (m *memory) Of(f matter.FabricIndex, peer matter.NodeID) (casesession.Record, bool) {
	for _, r := range *m {
		if r.Fabric == f && r.Peer == peer {
			return r, true
		}
	}
	return casesession.Record{}, false
}

func (m *memory) Put(r casesession.Record) {
	*m = slices.DeleteFunc(*m, func(o casesession.Record) bool { return o.Fabric == r.Fabric && o.Peer == r.Peer })
	*m = append(*m, r)
}

// node is an end of the wire.
type node struct {
	w         *world
	addr      netip.AddrPort
	sessions  *session.Table
	exchanges *exchange.Manager
	accept    func(now time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler
}

type datagram struct {
	from, to netip.AddrPort
	data     []byte
}

// world is a device, its peers and the wire between them. The test advances its
// time.
type world struct {
	t     testing.TB
	now   time.Time
	nodes map[netip.AddrPort]*node
	wire  []datagram
	log   []datagram              // all datagrams, as sent
	fate  func(n int) (lost bool) // reports whether the n-th datagram, from 0, is lost; nil: none is
	twice bool                    // every datagram arrives twice

	device   *node
	channel  *Channel
	window   *window.Window
	fabrics  fabrics
	memory   memory
	opened   []*session.Session
	outcomes []Outcome
	atOpen   []int // len(log) when OnSession was called
}

var deviceAddr = netip.MustParseAddrPort("[fe80::d%1]:5540")

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t, now: start, nodes: map[netip.AddrPort]*node{}}
	w.fabrics = fabrics{home().device}
	w.window = window.New(passcodes()[testPasscode], rand.Reader)
	w.device = w.node(deviceAddr, 20)
	opt := Options{
		Sessions: w.device.sessions, Exchanges: w.device.exchanges, Window: w.window, Fabrics: &w.fabrics, Resumptions: &w.memory,
		Rand: rand.Reader, Parameters: message.LocalParameters(),
		Validity: func(time.Time) cert.VerifyOptions { return cert.VerifyOptions{Now: 1500, Exact: true} },
		OnSession: func(_ time.Time, s *session.Session) {
			w.opened = append(w.opened, s)
			w.atOpen = append(w.atOpen, len(w.log))
		},
		OnHandshake: func(_ time.Time, o Outcome) { w.outcomes = append(w.outcomes, o) },
	}
	if change != nil {
		change(&opt)
	}
	w.channel = New(opt)
	w.device.accept = w.channel.Accept
	return w
}

func (w *world) node(addr netip.AddrPort, max int) *node {
	n := &node{w: w, addr: addr}
	n.sessions = session.NewTable(session.Options{
		Rand: rand.Reader, Max: max, MaxUnsecured: 64,
		Busy: func(s *session.Session) bool { return n.exchanges.Outstanding(s) },
	})
	n.exchanges = exchange.New(exchange.Options{
		Rand: rand.Reader,
		Send: func(p transport.Path, b []byte) {
			d := datagram{from: addr, to: p.Peer, data: slices.Clone(b)}
			w.wire, w.log = append(w.wire, d), append(w.log, d)
		},
		Accept: func(now time.Time, x *exchange.Exchange, m exchange.Message) exchange.Handler {
			if n.accept == nil {
				return nil
			}
			return n.accept(now, x, m)
		},
	})
	w.nodes[addr] = n
	return n
}

// peer returns another node, the i-th.
func (w *world) peer(i byte) *node {
	return w.node(netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xFE, 0x80, 15: i}).WithZone("1"), 40000), 100)
}

// flow delivers datagrams until none is left.
func (w *world) flow() {
	w.t.Helper()
	for n := 0; len(w.wire) > 0; n++ {
		if n > 10000 {
			w.t.Fatal("the nodes do not stop talking")
		}
		d := w.wire[0]
		w.wire = w.wire[1:]
		if w.fate != nil && w.fate(len(w.log)-len(w.wire)-1) {
			continue
		}
		to := w.nodes[d.to]
		if to == nil {
			continue
		}
		for range map[bool]int{false: 1, true: 2}[w.twice] {
			in, err := to.sessions.Receive(w.now, slices.Clone(d.data), transport.Path{Peer: d.from})
			if err == nil {
				to.exchanges.Receive(w.now, in)
			}
		}
	}
}

// pass advances the time.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	w.flow()
	for {
		next := end
		for _, n := range w.nodes {
			if t, ok := n.exchanges.Deadline(); ok && t.Before(next) {
				next = t
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		for _, n := range w.nodes {
			n.exchanges.Advance(w.now)
		}
		w.flow()
		if !next.Before(end) {
			return
		}
	}
}

// openWindow opens a basic window.
func (w *world) openWindow() {
	w.t.Helper()
	if err := w.window.OpenBasic(w.now, window.MaxTimeout, 1, 0xFFF1); err != nil {
		w.t.Fatal(err)
	}
}

// want checks the outcomes of handshakes since the last call.
func (w *world) want(results ...Result) {
	w.t.Helper()
	var got []Result
	for _, o := range w.outcomes {
		got = append(got, o.Result)
		if (o.Err == nil) != (o.Result == Success) {
			w.t.Errorf("%v with the error %v", o.Result, o.Err)
		}
	}
	if !slices.Equal(got, results) {
		w.t.Errorf("handshakes ended with %v, want %v", w.outcomes, results)
	}
	w.outcomes = nil
}

// wantClean checks that nothing is left of handshakes.
func (w *world) wantClean() {
	w.t.Helper()
	if len(w.channel.cases) != 0 || w.channel.pase != nil || w.channel.lingering != 0 {
		w.t.Errorf("%d CASE handshakes, PASE %v, %d lingering", len(w.channel.cases), w.channel.pase != nil, w.channel.lingering)
	}
	if n := w.device.exchanges.Stats().Open; n != 0 {
		w.t.Errorf("%d exchanges are open", n)
	}
}

// client is the initiator's end of a handshake, driven by a script.
type client struct {
	n       *node
	x       *exchange.Exchange
	script  func(now time.Time, m exchange.Message) (opcode uint8, payload []byte)
	opcodes []uint8  // received
	reports [][]byte // StatusReports received
	sent    []byte   // the first message
	closed  bool
	err     error

	held   []held
	id     uint16
	result *session.Config // set when the client considers the handshake complete
	record casesession.Record
}

func (c *client) Receive(now time.Time, x *exchange.Exchange, m exchange.Message) {
	c.opcodes = append(c.opcodes, m.Opcode)
	if m.Opcode == message.OpcodeStatusReport {
		c.reports = append(c.reports, slices.Clone(m.Payload))
		x.Close(now)
		return
	}
	if opcode, payload := c.script(now, m); opcode != 0 {
		if err := x.Send(now, matter.ProtocolSecureChannel, opcode, payload); err != nil {
			c.n.w.t.Error(err)
		}
		if opcode == message.OpcodeStatusReport {
			x.Close(now)
		}
	}
}

func (c *client) Closed(_ time.Time, _ *exchange.Exchange, err error) { c.closed, c.err = true, err }

// begin sends the first message of a handshake.
func (c *client) begin(opcode uint8, payload []byte) {
	w := c.n.w
	w.t.Helper()
	s := c.n.sessions.Unsecured(w.now, transport.Path{Peer: deviceAddr})
	var err error
	if c.x, err = c.n.exchanges.Initiate(w.now, s, c); err != nil {
		w.t.Fatal(err)
	}
	c.sent = payload
	if err = c.x.Send(w.now, matter.ProtocolSecureChannel, opcode, payload); err != nil {
		w.t.Fatal(err)
	}
}

// wantReport checks that the client got exactly this StatusReport.
func (c *client) wantReport(want []byte) {
	c.n.w.t.Helper()
	if len(c.reports) != 1 || !bytes.Equal(c.reports[0], want) {
		c.n.w.t.Errorf("status reports %x, want %x", c.reports, want)
	}
}

// wantSilence checks that the client got only acknowledgements.
func (c *client) wantSilence() {
	c.n.w.t.Helper()
	if len(c.opcodes) != 0 || c.x == nil {
		c.n.w.t.Errorf("the device answered %#x", c.opcodes)
	}
}

// session creates the client's end of the session.
func (c *client) session() *session.Session {
	c.n.w.t.Helper()
	if c.result == nil {
		c.n.w.t.Fatal("the client's handshake has not succeeded")
	}
	s, err := c.n.sessions.Add(c.n.w.now, *c.result)
	if err != nil {
		c.n.w.t.Fatal(err)
	}
	return s
}

// held is a message that the client sends later.
type held struct {
	opcode  uint8
	payload []byte
}

func (c *client) hold(opcode uint8, payload []byte) {
	c.held = append(c.held, held{opcode, slices.Clone(payload)})
}

// sendHeld sends the held messages.
func (c *client) sendHeld() {
	for _, h := range c.held {
		if err := c.x.Send(c.n.w.now, matter.ProtocolSecureChannel, h.opcode, h.payload); err != nil {
			c.n.w.t.Error(err)
		}
	}
	c.held = nil
}

func (n *node) client() *client {
	n.w.t.Helper()
	id, err := n.sessions.ReserveID()
	if err != nil {
		n.w.t.Fatal(err)
	}
	return &client{n: n, id: id}
}

// wantTalk checks that both ends of a session can decrypt each other's messages.
func (w *world) wantTalk(c *client, d *session.Session) {
	w.t.Helper()
	s := c.session()
	if d.PeerID != s.LocalID || s.PeerID != d.LocalID {
		w.t.Errorf("session ids %d and %d, %d and %d", d.LocalID, s.PeerID, d.PeerID, s.LocalID)
	}
	if d.AttestationChallenge != s.AttestationChallenge {
		w.t.Error("the attestation challenges differ")
	}
	for _, end := range []struct {
		from, to *node
		s        *session.Session
		peer     netip.AddrPort
	}{{c.n, w.device, s, deviceAddr}, {w.device, c.n, d, c.n.addr}} {
		p := message.ProtocolHeader{Initiator: true, Opcode: 9, Protocol: 1}
		b, _, err := end.s.Seal(nil, &p, []byte("hello"))
		if err != nil {
			w.t.Fatal(err)
		}
		in, err := end.to.sessions.Receive(w.now, b, transport.Path{Peer: end.from.addr})
		if err != nil || string(in.Payload) != "hello" {
			w.t.Errorf("a message of the session: %q, %v", in.Payload, err)
		}
	}
}

// wantIdenticalRetransmissions checks that no message counter was used for two
// different datagrams.
func (w *world) wantIdenticalRetransmissions() {
	w.t.Helper()
	seen := map[string][]byte{}
	for _, d := range w.log {
		key := d.from.String() + string(d.data[:8])
		if old := seen[key]; old != nil && !bytes.Equal(old, d.data) {
			w.t.Errorf("sent %x, then %x", old, d.data)
		}
		seen[key] = d.data
	}
}

// wantNoReport checks that the device has sent no unencrypted StatusReport.
func (w *world) wantNoReport() {
	w.t.Helper()
	for _, d := range w.log {
		h, n, err := message.ParseHeader(d.data)
		if err != nil || d.from != deviceAddr || !h.Unsecured() {
			continue
		}
		if p, _, err := message.ParseProtocolHeader(d.data[n:]); err != nil || p.Opcode == message.OpcodeStatusReport {
			w.t.Errorf("the device sent %x, %v", d.data, err)
		}
	}
}
