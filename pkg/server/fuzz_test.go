package server_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/pase"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// commissionedNode is the node that every program of FuzzServer starts with. It is
// created once.
type commissionedNode struct {
	store []byte
	home  *commissioner.Authority
	guest *commissioner.Authority // may read everything, and change nothing
	node  matter.NodeID
	acl   string

	other     *commissioner.Authority // administrator of a second fabric, with every privilege
	otherNode matter.NodeID
}

var commissionedOnce struct {
	sync.Once
	commissionedNode
}

func commissionedFor(t *testing.T) *commissionedNode {
	n := &commissionedOnce.commissionedNode
	commissionedOnce.Do(func() {
		dir := t.TempDir()
		bubbleIn(t, dir, func(r *rig) {
			n.home = r.authority(commissioner.AuthorityOptions{})
			done := r.commission(r.client(), n.home)
			n.node = done.Node
			var err error
			n.guest, err = n.home.Admin(commissioner.RandomNodeID())
			r.must(err)
			status, err := done.CASE.Write(r.ctx, 0, clAccess, 0, entries(
				entry{privilege: matter.PrivilegeAdminister, mode: matter.AuthModeCASE, subjects: []uint64{uint64(n.home.NodeID)}},
				entry{privilege: matter.PrivilegeView, mode: matter.AuthModeCASE, subjects: []uint64{uint64(n.guest.NodeID)}},
			))
			if r.must(err); status.Status != matter.StatusSuccess {
				t.Fatal(status)
			}
			r.must(done.CASE.UpdateFabricLabel(r.ctx, "home"))
			n.other = r.authority(commissioner.AuthorityOptions{ICAC: true})
			n.otherNode = r.join(r.client(), done.CASE, n.other).Node
			n.acl = fmt.Sprint(readACL(t, r, done.CASE, false))
		})
		var err error
		if n.store, err = os.ReadFile(dir + "/" + store.FileName); err != nil {
			t.Fatal(err)
		}
	})
	return n
}

// bubbleIn is like bubble, with a directory that is kept.
func bubbleIn(t *testing.T, dir string, f func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.start()
		f(r)
		r.finish()
	})
}

// program is the fuzzer's input: octets that encode steps of hosts.
type program struct {
	*rig
	data  []byte
	good  *commissioner.Client
	node  *commissionedNode
	bad   [3]*stranger
	guest *raw
	mu    sync.Mutex
	seen  []simnet.Datagram // the last datagrams, in both directions

	alone     bool // the second administrator does nothing
	window    bool // one was opened
	other     *raw // of the second administrator; nil until it comes
	opened    int  // CASE sessions with valid credentials
	restarted bool
	slept     time.Duration
}

// Limits of a program.
const (
	maxSteps = 64
	maxSeen  = 64
	maxSleep = time.Hour
)

func (p *program) byte() byte {
	if len(p.data) == 0 {
		return 0
	}
	b := p.data[0]
	p.data = p.data[1:]
	return b
}

// octets reads a length and as many octets.
func (p *program) octets() []byte {
	n := int(p.byte())
	if n >= 0xF0 { // a few long ones
		n = (n - 0xEF) * 80
	}
	n = min(n, len(p.data))
	b := p.data[:n:n]
	p.data = p.data[n:]
	return b
}

func (p *program) stranger() *stranger { return p.bad[int(p.byte())%len(p.bad)] }

// changed returns a changed copy of an earlier datagram.
func (p *program) changed() (d simnet.Datagram, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == 0 {
		return d, false
	}
	d = p.seen[int(p.byte())%len(p.seen)]
	d.Payload = bytes.Clone(d.Payload)
	for range p.byte() % 4 {
		if at := int(p.byte()) | int(p.byte()&3)<<8; at < len(d.Payload) {
			d.Payload[at] ^= p.byte()
		}
	}
	if cut := int(p.byte()); cut > 0 && cut < len(d.Payload) && cut > 0xC0 {
		d.Payload = d.Payload[:len(d.Payload)-(cut-0xC0)]
	}
	return d, true
}

// step performs one step. Usually it waits until its message has arrived.
func (p *program) step() {
	op := p.byte()
	if op < 0xC0 {
		defer time.Sleep(10 * time.Millisecond)
	}
	switch op % 13 {
	case 0: // a random datagram
		p.stranger().send(p.octets())
	case 1: // a message on the unsecured session
		s := p.stranger()
		if flags := p.byte(); flags&1 != 0 {
			s.begin()
		}
		h := s.header(p.byte())
		flags := p.byte()
		h.Initiator, h.Reliable, h.HasAck = flags&1 == 0, flags&2 == 0, flags&4 != 0
		h.Protocol = uint16(flags >> 5)
		s.send(s.plain(h, p.octets()))
	case 2: // an earlier datagram of any host
		if d, ok := p.changed(); ok {
			p.net.Inject(d.From, d.To, d.Payload)
		}
	case 3: // the same from another address, or back to its sender
		if d, ok := p.changed(); ok && d.To == deviceAddr {
			p.stranger().send(d.Payload)
		} else if ok {
			p.net.Inject(d.To, deviceAddr, d.Payload)
		}
	case 4: // a random message on a session
		p.guest.s.send(p.guest.next(uint16(p.byte()%6), p.byte(), p.octets()))
	case 5: // a message that is valid, or nearly
		p.ask(p.guest)
	case 6:
		d := min(time.Millisecond<<(p.byte()%20), maxSleep-p.slept)
		p.slept += d
		time.Sleep(d)
	case 7: // a message that is valid on a session, at the wrong time
		x := p.guest
		flags := p.byte()
		counter := x.counter + uint32(p.byte()) - 64
		h := message.ProtocolHeader{
			Initiator: flags&1 == 0, Reliable: flags&2 == 0, HasAck: flags&4 != 0, Ack: uint32(p.byte()), Vendor: uint16(flags >> 7),
			Exchange: x.exchange - uint16(flags>>4&3), Protocol: uint16(flags >> 3 & 1), Opcode: p.byte(),
		}
		x.s.send(x.seal(counter, h, p.octets()))
	case 8:
		p.connect()
	case 9:
		b := p.byte()
		p.net.SetConditions(simnet.Conditions{
			Loss: float64(b&3) / 10, Duplicate: float64(b>>2&3) / 10, Reorder: float64(b>>4&3) / 10, Delay: time.Millisecond * time.Duration(b>>6),
		})
	case 10: // a handshake with a valid start
		p.begin()
	case 11:
		if !p.restarted {
			p.restarted = true
			p.restart()
		}
	case 12: // a request of the second administrator
		if !p.alone {
			p.administer()
		}
	}
}

// begin sends a valid first message of a handshake and sometimes acknowledges the
// answer.
func (p *program) begin() {
	s := p.stranger()
	s.begin()
	flags := p.byte()
	if flags&1 == 0 {
		s.post(message.OpcodeSigma1, p.sigma1(p.node.home, p.node.node))
	} else {
		b, err := pase.NewInitiator(pase.InitiatorConfig{Rand: zeros{}, Passcode: passcode, SessionID: 5, Params: message.DefaultParameters()}).Start()
		p.must(err)
		s.post(message.OpcodePBKDFParamRequest, b)
	}
	if flags&2 == 0 {
		time.Sleep(10 * time.Millisecond)
		s.hear()
		s.ack()
	}
}

// connect connects the genuine controller, which may fail on a bad network.
func (p *program) connect() {
	p.opened++ // the node may have opened it without the controller's knowledge
	if s, _, err := p.good.CASE(p.ctx, deviceAddr, p.node.home, p.node.node, nil); err == nil {
		_, _ = s.Read(p.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.AllOf(0, clOpCreds)}})
		s.Close()
	}
}

// check lets the node handle its input and checks what must hold at any time.
func (p *program) check() {
	p.t.Helper()
	synctest.Wait()
	for _, s := range p.bad {
		s.drain()
	}
	p.guest.s.drain()
	if p.other != nil {
		p.other.s.drain()
	}
	p.wantBounded()
	if p.other != nil {
		return
	}
	i := p.inspect()
	if i.CASE > p.opened || i.PASE > 0 {
		p.t.Fatalf("%d CASE sessions, %d PASE sessions, and %d were opened", i.CASE, i.PASE, p.opened)
	}
	if i.Fabrics != 2 || i.WindowOpen && !p.window {
		p.t.Fatalf("%d fabrics, a window: %v", i.Fabrics, i.WindowOpen)
	}
}

// end checks what must hold when the hosts have stopped.
func (p *program) end() {
	p.t.Helper()
	p.net.SetConditions(clean)
	time.Sleep(2 * time.Minute)
	if p.other != nil {
		p.check()
		return
	}
	s := p.connectsWithin(time.Second, p.good, p.node.home, p.node.node)
	p.opened++
	if got := fmt.Sprint(readACL(p.t, p.rig, s, false)); got != p.node.acl {
		p.t.Errorf("access control is %s, it was %s", got, p.node.acl)
	}
	if got := p.fabrics(s, true); len(got) != 1 || got[0].label != "home" {
		p.t.Errorf("fabrics: %v", got)
	}
	p.check()
}

// run runs a program. Its first octet decides whether there is a second
// administrator and whether a commissioning window is open.
func (n *commissionedNode) run(t *testing.T, data []byte) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/"+store.FileName, n.store, 0o600); err != nil {
		t.Fatal(err)
	}
	bubbleIn(t, dir, func(r *rig) {
		p := &program{rig: r, data: data, node: n}
		flags := p.byte()
		p.alone, p.window = flags&1 == 0, flags&2 != 0
		p.good = r.client()
		if p.window {
			s := r.session(p.good, n.home, n.node)
			r.must(s.OpenBasicWindow(r.ctx, 900))
			s.Close()
			time.Sleep(time.Second)
		}
		for i := range p.bad {
			p.bad[i] = r.stranger(i)
			p.bad[i].begin()
		}
		guest := r.strangerAt(netip.MustParseAddrPort("[fe80::9]:40000"))
		p.guest = guest.caseSession(n.guest, n.node)
		p.opened = 1
		r.net.SetTap(func(d simnet.Datagram) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.seen) == maxSeen {
				p.seen = p.seen[1:]
			}
			d.Payload = bytes.Clone(d.Payload)
			p.seen = append(p.seen, d)
			return true
		})
		for range maxSteps {
			if len(p.data) == 0 {
				break
			}
			p.step()
			p.check()
		}
		r.net.SetTap(nil)
		p.end()
	})
}

// FuzzServer runs programs of hostile hosts against the assembled node: strangers,
// a guest that may only read, and a genuine controller. Whatever they do, the node
// keeps running and within its limits, opens no session without authentication, and
// changes nothing for the guest. At the end the genuine controller connects at
// once. With a second administrator, who may change everything, the node must still
// keep running and within its limits.
func FuzzServer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 1, 20, 1, 2, 3, 4, 6, 9, 8, 11, 8})
	f.Add([]byte{0, 10, 0, 0, 10, 1, 0, 10, 2, 0, 10, 0, 2, 8, 2, 0, 0, 0, 3, 1, 0, 0, 2, 5, 1, 7, 0, 0xFF, 0})
	f.Add([]byte{0, 5, 0, 0, 5, 1, 0, 1, 1, 0, 0, 5, 4, 1, 5, 5, 0, 6, 19, 9, 0xFF, 8, 8, 8, 9, 0, 8})
	// Pairing through an open window with a wrong code.
	f.Add([]byte{2, 10, 0, 1, 1, 0, 0, 0x22, 0, 6, 0x15, 0x30, 1, 1, 4, 0x18, 10, 1, 1, 1, 1, 0, 0x24, 0, 0, 6, 19, 10, 2, 3, 8})
	// The guest tries to raise its privileges and writes labels.
	f.Add([]byte{0, 5, 2, 0, 5, 0, 0, 7, 4, 5, 0, 6, 1, 65, 5, 3, 0, 9, 1, 6, 1, 65, 7, 4, 70, 3, 5, 0, 7, 0, 0, 0x10, 0, 4, 1, 2, 2, 0x15, 0x18, 11, 5, 0, 0})
	f.Add(append([]byte{0}, bytes.Repeat([]byte{10, 0, 0}, 64)...))
	// Arm the fail-safe, CSRRequest, a root, a window, a label; remove a fabric.
	f.Add([]byte{1, 12, 1, 1, 0, 2, 1, 60, 0, 1, 1, 0, 12, 1, 0, 4, 1, 4, 12, 1, 0, 11, 1, 2, 6, 17, 12, 1, 2, 1, 1, 1, 200, 0, 12, 1, 0, 9, 1, 6, 1, 65, 12, 1, 0, 10, 1, 1, 1, 0})
	f.Add(append([]byte{0}, bytes.Repeat([]byte{5, 1, 0, 0, 1, 0, 7, 0, 0x3E, 1}, 64)...))
	// Write an access control list without administrators, and append an unusual
	// entry.
	f.Add([]byte{1, 12, 0, 2, 0, 5, 0, 0, 8, 2, 0x16, 0x18, 5, 0, 1, 8, 5, 0x15, 0x24, 1, 5, 0x18})
	f.Add(append([]byte{0}, bytes.Repeat([]byte{1, 0, 1, 0x30, 0, 4, 0x15, 0x30, 1, 0xFF}, 40)...))
	f.Fuzz(func(t *testing.T, data []byte) { commissionedFor(t).run(t, data) })
}

// The number and the seed of the programs of TestRandomPrograms.
var (
	programSeed = flag.Uint64("program-seed", 1, "of the random programs against the assembled node")
	programs    = flag.Int("programs", 50, "how many of them")
)

// TestRandomPrograms is FuzzServer with random octets, most of which are valid
// steps.
func TestRandomPrograms(t *testing.T) {
	node := commissionedFor(t)
	for i := range uint64(*programs) {
		ok := t.Run(fmt.Sprint(i), func(t *testing.T) {
			r := rand.New(rand.NewPCG(*programSeed, i))
			data := make([]byte, 100+r.IntN(2000))
			for k := range data {
				data[k] = byte(r.Uint32())
			}
			data[0] = byte(i)
			node.run(t, data)
			if t.Failed() {
				t.Logf("the program, for testdata/fuzz/FuzzServer:\ngo test fuzz v1\n[]byte(%q)", data)
			}
		})
		if !ok {
			break
		}
	}
}
