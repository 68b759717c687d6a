package server_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// tamperer is between a controller and the network and changes datagrams.
type tamperer struct {
	transport.PacketConn

	mu      sync.Mutex
	out, in func(datagram []byte) []byte // nil: unchanged; called with mu held
}

func (x *tamperer) set(out, in func([]byte) []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out, x.in = out, in
}

func (x *tamperer) WriteTo(b []byte, p transport.Path) error {
	x.mu.Lock()
	if x.out != nil {
		b = x.out(slices.Clone(b))
	}
	x.mu.Unlock()
	return x.PacketConn.WriteTo(b, p)
}

func (x *tamperer) ReadFrom(b []byte) (int, transport.Path, error) {
	n, p, err := x.PacketConn.ReadFrom(b)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil && x.in != nil {
		n = copy(b, x.in(slices.Clone(b[:n])))
	}
	return n, p, err
}

// handshakeMessage returns the opcode of a handshake message and the offset of its
// payload. The opcode is 0 for any other datagram.
func handshakeMessage(b []byte) (opcode uint8, payload int) {
	h, n, err := message.ParseHeader(b)
	if err != nil || h.SessionID != 0 {
		return 0, 0
	}
	ph, m, err := message.ParseProtocolHeader(b[n:])
	if err != nil || ph.Protocol != 0 || ph.Opcode == message.OpcodeMRPStandaloneAck {
		return 0, 0
	}
	return ph.Opcode, n + m
}

// damage is a change of a message's payload.
type damage struct {
	name   string
	change func(payload []byte) []byte
}

func flip(bit int) damage {
	return damage{fmt.Sprintf("bit %d", bit), func(p []byte) []byte {
		p[bit/8] ^= 1 << (bit % 8)
		return p
	}}
}

func cut(n int) damage {
	return damage{fmt.Sprintf("cut to %d", n), func(p []byte) []byte { return p[:n] }}
}

// damages returns changes of a payload: one flipped bit in every step-th octet, and
// cuts truncations.
func damages(size, step, cuts int) (list []damage) {
	for i := 0; i < size; i += step {
		list = append(list, flip(8*i+(i*5+3)%8))
	}
	for n := 0; n < size; n += cuts {
		list = append(list, cut(n))
	}
	return append(list, cut(size-1))
}

// on applies a damage to every transmission of one message.
func on(opcode uint8, d damage) func([]byte) []byte {
	return func(b []byte) []byte {
		got, at := handshakeMessage(b)
		if got != opcode {
			return b
		}
		return append(b[:at:at], d.change(slices.Clone(b[at:]))...)
	}
}

// besieged is a node with an administrator that reads during an attack.
type besieged struct {
	*rig
	a    *commissioner.Authority
	done *commissioner.Commissioned
	x    *tamperer
	c    *commissioner.Client // the attacker, whose datagrams pass through x
}

// besiege runs f while an administrator reads. No read may fail.
func besiege(t *testing.T, f func(b *besieged)) {
	t.Helper()
	bubble(t, 1, clean, func(r *rig) {
		b := &besieged{rig: r, a: r.authority(commissioner.AuthorityOptions{ICAC: true})}
		b.done = r.commission(r.client(), b.a)
		b.x = &tamperer{PacketConn: r.net.Listen(netip.MustParseAddrPort("[fe80::bad]:666"))}
		b.c = commissioner.New(b.x)
		r.t.Cleanup(b.c.Close)
		stop, stopped := make(chan struct{}), make(chan int, 1)
		end := sync.OnceFunc(func() { close(stop) })
		r.t.Cleanup(end)
		go func() {
			reads := 0
			defer func() { stopped <- reads }()
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
				}
				if reads++; !r.alive(b.done.CASE) {
					t.Error("the administrator cannot read")
					return
				}
			}
		}()
		f(b)
		end()
		if reads := <-stopped; reads == 0 {
			t.Error("the administrator has read nothing")
		}
		b.x.set(nil, nil)
		r.session(b.c, b.a, b.done.Node) // a genuine handshake succeeds
	})
}

// reported returns the code of the StatusReport that ended a handshake. ok is false
// if it ended in another way.
func reported(err error) (code uint16, ok bool) {
	var report commissioner.StatusError
	ok = errors.As(err, &report) && report.General == message.GeneralFailure
	return report.Code, ok
}

// attempt is a kind of message and its possible results when damaged: reports of
// the node, or an error of the controller. step and cuts are the arguments of
// damages.
type attempt struct {
	opcode     uint8
	step, cuts int
	reports    []uint16
	controller bool
}

var invalid = []uint16{message.CodeInvalidParameter}

func (b *besieged) run(list []attempt, handshake func() error, after func()) {
	b.t.Helper()
	for _, a := range list {
		b.each(a, func(size int) []damage { return damages(size, a.step, a.cuts) }, handshake, after)
	}
}

// each runs the handshake with each damage of a payload. It must fail every time.
func (b *besieged) each(a attempt, damages func(size int) []damage, handshake func() error, after func()) {
	b.t.Helper()
	size := 0
	measure := damage{"all cut off", func(p []byte) []byte { size = len(p); return nil }}
	b.x.set(on(a.opcode, measure), nil)
	err := handshake()
	b.x.set(nil, nil)
	if err == nil || size == 0 {
		b.t.Fatalf("message %02x of %d octets: %v", a.opcode, size, err)
	}
	after()
	for _, d := range damages(size) {
		b.x.set(on(a.opcode, d), nil)
		err := handshake()
		code, ok := reported(err)
		switch {
		case err == nil:
			b.t.Errorf("message %02x, %s: there is a session", a.opcode, d.name)
		case ok && !slices.Contains(a.reports, code), !ok && !a.controller:
			b.t.Errorf("message %02x, %s: %v", a.opcode, d.name, err)
		}
		b.x.set(nil, nil)
		time.Sleep(50 * time.Millisecond) // otherwise the limits for one source would end it
		after()
	}
}

func TestDamagedPASE(t *testing.T) {
	besiege(t, func(b *besieged) {
		r, admin := b.rig, b.done.CASE
		open := func() { r.must(admin.OpenEnhancedWindow(r.ctx, 900, otherPasscode, 1)) }
		open()
		n := 0
		b.run([]attempt{
			{message.OpcodePBKDFParamRequest, 1, 5, invalid, true},
			{message.OpcodePake1, 1, 5, invalid, false},
			{message.OpcodePake3, 1, 3, invalid, false},
		}, func() error {
			_, err := b.c.PASE(r.ctx, deviceAddr, otherPasscode)
			return err
		}, func() {
			seen, err := r.srv.Inspect()
			r.must(err)
			if n++; n == 15 { // 20 failures would close it
				n = 0
				r.must(admin.RevokeWindow(r.ctx))
				open()
			} else if seen.Failures != n || !seen.WindowOpen || seen.PASE != 0 {
				b.t.Fatalf("%d failures counted as %d, open %v, %d sessions", n, seen.Failures, seen.WindowOpen, seen.PASE)
			}
		})
		b.x.set(nil, nil)
		s, err := b.c.PASE(r.ctx, deviceAddr, otherPasscode)
		r.must(err)
		r.join(b.c, s, r.authority(commissioner.AuthorityOptions{}))
	})
}

func TestDamagedCASE(t *testing.T) {
	besiege(t, func(b *besieged) {
		r := b.rig
		either := []uint16{message.CodeInvalidParameter, message.CodeNoSharedTrustRoots}
		sessions := func() int {
			seen, err := r.srv.Inspect()
			r.must(err)
			return seen.CASE
		}
		before := sessions()
		after := func() {
			if n := sessions(); n != before {
				b.t.Fatalf("%d sessions, %d before", n, before)
			}
		}
		var record *casesession.Record
		handshake := func() error {
			_, _, err := b.c.CASE(r.ctx, deviceAddr, b.a, b.done.Node, record)
			return err
		}
		b.run([]attempt{
			{message.OpcodeSigma1, 1, 15, either, true},
			{message.OpcodeSigma3, 3, 50, invalid, false},
		}, handshake, after)

		// A resumption only protects the random, the id and its proof. Other
		// changes are possible, but make the session useless.
		s, res, err := b.c.CASE(r.ctx, deviceAddr, b.a, b.done.Node, nil)
		r.must(err)
		s.Close()
		time.Sleep(time.Second)
		kept := res.Record()
		record = &kept
		resumption := attempt{message.OpcodeSigma1, 1, 31, either, true}
		b.each(resumption, func(size int) (list []damage) {
			for i := range size {
				if random, proof := i >= 4 && i < 36, i >= size-37; random || proof {
					list = append(list, flip(8*i+i%8))
				}
			}
			return list
		}, handshake, after)
		_, res, err = b.c.CASE(r.ctx, deviceAddr, b.a, b.done.Node, record)
		r.must(err)
		if !res.Resumed {
			t.Error("a damaged attempt has used the record up")
		}
	})
}

// A message with a damaged header belongs to no handshake, or to another one. Only
// its sender suffers.
func TestDamagedHeaders(t *testing.T) {
	besiege(t, func(b *besieged) {
		r := b.rig
		for bit := 0; bit < 8*22; bit += 3 {
			b.x.set(func(d []byte) []byte {
				if opcode, _ := handshakeMessage(d); opcode == message.OpcodeSigma1 {
					d[bit/8] ^= 1 << (bit % 8)
				}
				return d
			}, nil)
			if s, _, err := b.c.CASE(r.ctx, deviceAddr, b.a, b.done.Node, nil); err == nil {
				s.Close() // no effect
			}
		}
		for n := 0; n < 22; n += 3 {
			b.x.set(func(d []byte) []byte { return d[:min(n, len(d))] }, nil)
			if _, _, err := b.c.CASE(r.ctx, deviceAddr, b.a, b.done.Node, nil); err == nil {
				t.Errorf("a handshake in datagrams of %d octets", n)
			}
		}
	})
}

// If the node's answers are damaged, the controller gives up, and the node accepts
// the next one.
func TestDamagedAnswers(t *testing.T) {
	besiege(t, func(b *besieged) {
		r, admin := b.rig, b.done.CASE
		try := func(opcode uint8, bit int, handshake func() (*commissioner.Session, error)) {
			t.Helper()
			b.x.set(nil, on(opcode, flip(bit)))
			s, err := handshake()
			if err == nil {
				t.Errorf("message %02x, bit %d: there is a session", opcode, bit)
				s.Close()
			}
			b.x.set(nil, nil)
			time.Sleep(time.Second)
			if s, err = handshake(); err != nil {
				b.t.Fatalf("after message %02x, bit %d: %v", opcode, bit, err)
			}
			s.Close()
			time.Sleep(time.Second)
		}
		pase := func() (*commissioner.Session, error) { return b.c.PASE(r.ctx, deviceAddr, otherPasscode) }
		r.must(admin.OpenEnhancedWindow(r.ctx, 900, otherPasscode, 1))
		for _, bit := range []int{8 * 5, 8 * 40, 8 * 80} {
			try(message.OpcodePBKDFParamResponse, bit, pase)
			try(message.OpcodePake2, bit, pase)
		}
		sigma := func() (*commissioner.Session, error) {
			s, _, err := b.c.CASE(r.ctx, deviceAddr, b.a, b.done.Node, nil)
			return s, err
		}
		for _, bit := range []int{8 * 5, 8 * 50, 8 * 100, 8 * 200, 8 * 400} {
			try(message.OpcodeSigma2, bit, sigma)
		}
	})
}

// Each octet of a request on a session is changed once. The node does not answer,
// and the request succeeds with its retransmission.
func TestDamagedRequests(t *testing.T) {
	besiege(t, func(b *besieged) {
		r := b.rig
		s := r.session(b.c, b.a, b.done.Node)
		for i := range 110 {
			spoilt := 0
			b.x.set(func(d []byte) []byte {
				if spoilt++; spoilt == 1 {
					d[min(i, len(d)-1)] ^= 1 << (i % 8)
				}
				return d
			}, nil)
			r.want(fmt.Sprintf("octet %d", i), r.creds(s, cmdLabel, 0, fmt.Sprintf("a label of some length %d", i)), ok)
			b.x.set(nil, nil)
			if spoilt < 2 {
				t.Errorf("octet %d: the damaged datagram was answered", i)
			}
		}
		if d := r.fabrics(s, true)[0]; d.label != "a label of some length 109" {
			t.Errorf("label %q", d.label)
		}
	})
}
