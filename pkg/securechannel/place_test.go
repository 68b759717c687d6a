package securechannel

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/session"
)

// slow begins a CASE handshake and does not send its Sigma3.
func (n *node) slow() *client {
	n.w.t.Helper()
	var c *client
	c = n.controller(nil, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeSigma3 {
			c.hold(opcode, b)
			return nil
		}
		return b
	})
	n.w.flow()
	return c
}

// wantHeld checks that the device has answered the handshake and waits for Sigma3.
func (c *client) wantHeld() {
	c.n.w.t.Helper()
	if len(c.held) != 1 || len(c.reports) != 0 {
		c.n.w.t.Errorf("%d messages are held, reports %x", len(c.held), c.reports)
	}
}

// The initiators of handshakes beyond the limit are asked to wait, once each. The
// other handshakes are not affected.
func TestCASEBusy(t *testing.T) {
	const max = 3
	w := newWorld(t, func(o *Options) { o.MaxHandshakes = max })
	var clients []*client
	for i := range max {
		clients = append(clients, w.peer(byte(i)).slow())
	}
	late := w.peer(100).controller(nil, nil)
	w.flow()
	late.wantReport(reportBusy)
	w.want(Busy)
	lost := w.peer(101)
	lost.controller(nil, nil)
	delete(w.nodes, lost.addr)
	before := len(w.log)
	w.flow()
	w.want(Busy)
	if n := len(w.log) - before; n != 1 {
		t.Errorf("busy was sent %d times to a peer that is silent", n)
	}
	w.pass(10 * time.Second)
	// They end in another order.
	slices.Reverse(clients)
	for i, c := range clients {
		c.sendHeld()
		w.flow()
		c.wantReport(reportSuccess)
		w.want(Success)
		w.wantTalk(c, w.opened[i])
	}
	again := late.n.controller(nil, nil)
	w.flow()
	again.wantReport(reportSuccess)
	w.pass(10 * time.Second)
	w.wantClean()
}

// If no source holds more than others, a handshake is protected for a second. After
// that it can be displaced, and its initiator is asked once to try again.
func TestCASEDisplaced(t *testing.T) {
	const max = 3
	w := newWorld(t, func(o *Options) { o.MaxHandshakes = max })
	var old []*client
	for i := range max {
		old = append(old, w.peer(byte(i)).slow())
		w.pass(300 * time.Millisecond)
	}
	// 900 ms after the first one.
	early := w.peer(10).slow()
	early.wantReport(reportBusySoon) // 100 ms would be enough, but not for everybody who asks
	w.want(Busy)
	w.pass(100 * time.Millisecond)
	c := w.peer(11).controller(nil, nil)
	w.flow()
	c.wantReport(reportSuccess)
	w.want(Displaced, Success)
	w.wantTalk(c, w.opened[0])
	old[0].wantReport(reportBusySoon)
	for _, o := range old[1:] {
		o.wantHeld()
		o.sendHeld()
		w.flow()
		o.wantReport(reportSuccess)
	}
	w.want(Success, Success)
	again := old[0].n.controller(nil, nil)
	w.flow()
	again.wantReport(reportSuccess)
	w.pass(10 * time.Second)
	w.wantClean()
}

// A source may have half of the places. If all are taken, the source with the most
// loses one at once.
func TestCASEPlacesAreShared(t *testing.T) {
	const max = 6
	w := newWorld(t, func(o *Options) { o.MaxHandshakes = max })
	greedy, other, good := w.peer(1), w.peer(2), w.peer(3)
	var held []*client
	for range max / 2 {
		held = append(held, greedy.slow())
	}
	late := greedy.slow()
	late.wantReport(reportBusy)
	w.want(Busy)
	for range max/2 - 1 {
		other.slow().wantHeld()
	}
	good.slow().wantHeld() // the last place
	w.want()
	c := w.peer(4).controller(nil, nil)
	w.flow()
	c.wantReport(reportSuccess)
	w.want(Displaced, Success)
	held[0].wantReport(reportBusySoon)
	for _, h := range held[1:] {
		h.wantHeld()
	}
	// Within a source the oldest is displaced by the next one, after its second.
	greedy.slow().wantHeld()
	w.want()
	w.pass(keepPlace)
	greedy.slow().wantHeld()
	held[1].wantReport(reportBusySoon)
	held[2].wantHeld()
	w.want(Displaced)
	if n := len(w.channel.cases); n != max {
		t.Errorf("%d handshakes are under way", n)
	}
	w.pass(2 * HandshakeTime)
	w.wantClean()
}

// A Sigma1 for another node gets no place and displaces nobody.
func TestForgedSigma1TakesNoPlace(t *testing.T) {
	const max = 2
	w := newWorld(t, func(o *Options) { o.MaxHandshakes = max })
	old := []*client{w.peer(1).slow(), w.peer(2).slow()}
	w.pass(10 * keepPlace)
	for i := range byte(50) {
		c := w.peer(10+i).controllerOf(deviceNode+1, nil, nil)
		w.flow()
		c.wantReport(reportNoSharedRoots)
	}
	for _, c := range old {
		c.wantHeld()
		c.sendHeld()
		w.flow()
		c.wantReport(reportSuccess)
	}
}

// A peer that begins two handshakes on one unsecured session does not displace its
// own first one.
func TestCASETwiceOnOneSession(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxHandshakes = 2 })
	n := w.peer(1)
	first := n.slow()
	w.pass(2 * keepPlace)
	second := n.client()
	second.script = first.script
	var err error
	if second.x, err = n.exchanges.Initiate(w.now, first.x.Session(), second); err != nil {
		t.Fatal(err)
	}
	if err := second.x.Send(w.now, matter.ProtocolSecureChannel, message.OpcodeSigma1, first.sent); err != nil {
		t.Fatal(err)
	}
	w.flow()
	second.wantReport(reportBusy)
	first.wantHeld()
	first.sendHeld()
	w.flow()
	first.wantReport(reportSuccess)
	w.pass(10 * time.Second)
	w.wantClean()
}

// An attacker sends a recorded Sigma1 15 times a second from any number of
// addresses and acknowledges the answers. A genuine controller still succeeds at
// its first attempt, even a slow one.
func TestReplayedSigma1FromManySources(t *testing.T) {
	for _, sources := range []int{1, 2, 3, 40} {
		w := newWorld(t, nil)
		recorded := w.peer(1).controller(nil, nil)
		w.flow()
		w.pass(time.Minute)
		w.outcomes = nil
		const perSecond = 15
		var good *client
		for i := range 10 * perSecond {
			attacker := w.peer(byte(100 + i%sources)).client()
			attacker.script = func(time.Time, exchange.Message) (uint8, []byte) { return 0, nil }
			attacker.begin(message.OpcodeSigma1, recorded.sent)
			if i == 5*perSecond {
				good = w.peer(2).slow()
			}
			w.pass(time.Second / perSecond)
			if n := len(w.channel.cases); n > DefaultMaxHandshakes {
				t.Fatalf("%d handshakes", n)
			}
			if i == 5*perSecond+perSecond-2 { // almost a second later
				good.sendHeld()
				w.flow()
				good.wantReport(reportSuccess)
			}
		}
		quick := w.peer(3).controller(nil, nil)
		w.flow()
		quick.wantReport(reportSuccess)
		if n := w.device.sessions.Len(session.Unsecured); n > DefaultMaxHandshakes+maxLingering+2 {
			t.Errorf("%d sources: %d unsecured sessions", sources, n)
		}
		w.pass(2 * HandshakeTime)
		w.wantClean()
	}
}

// The wait that an initiator is asked for is long enough, and between half a second
// and a second.
func TestBusyWaitIsHonest(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxHandshakes = 1 })
	w.peer(1).slow()
	for _, tt := range []struct {
		after time.Duration
		want  uint16
	}{{0, 1000}, {100 * time.Millisecond, 900}, {200*time.Millisecond + time.Microsecond, 700}, {600 * time.Millisecond, 500}} {
		w.pass(tt.after)
		c := w.peer(2).controller(nil, nil)
		w.flow()
		if len(c.reports) != 1 || binary.LittleEndian.Uint16(c.reports[0][8:]) != tt.want {
			t.Errorf("%x, want a wait of %d ms", c.reports, tt.want)
		}
	}
}
