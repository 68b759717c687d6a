package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/log"
)

// tolerance are the times after which a broker is asked for a sign of life, or given up.
type tolerance struct {
	idle    time.Duration // a ping follows after so long without a packet in one of the directions
	probe   time.Duration // and after so long without an answer to a packet
	silence time.Duration // the connection ends after so long without an octet since a packet was sent
	answer  time.Duration // and after so long without an answer to a ping, whatever else arrives
}

const maxSilence = 5 * time.Second

// usual are the times in use. A broker that has frozen is found within 5 s of a command,
// and within 20 s otherwise. If packets are lost, TCP often waits for some seconds, so
// silence must not be much shorter.
var usual = tolerance{idle: 15 * time.Second, probe: time.Second, silence: maxSilence, answer: 30 * time.Second}

// pinger notices that a broker is silent, although its connection seems to exist. The
// keep-alive alone would notice it too late for a command: nothing answers a message of
// QoS 0. It serves one connection after another.
type pinger struct {
	tolerance
	mu             sync.Mutex
	sent, received time.Time
	waiting        time.Time // when the first packet was sent after the last one that was received; zero: none was
	pinged         time.Time // when a ping was sent that is not answered; zero: there is none
	silent         bool      // the last connection ended for that
	changed        chan struct{}
}

func newPinger(t tolerance) *pinger { return &pinger{tolerance: t, changed: make(chan struct{}, 1)} }

var _ paho.Pinger = (*pinger)(nil)

var errSilent = errors.New("the broker does not answer")

// Run sends pings until ctx ends, or the broker is silent.
func (p *pinger) Run(ctx context.Context, conn net.Conn, _ uint16) error {
	p.restart(time.Now())
	failed := make(chan error, 1)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-p.changed:
		case <-timer.C:
		}
		now := time.Now()
		ping, next, err := p.due(now)
		if err != nil {
			return err
		}
		if ping {
			// Writing may block; the end of the connection ends it.
			go func() {
				if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(conn); err != nil {
					failed <- err
				}
			}()
		}
		timer.Reset(next.Sub(now))
	}
}

func (p *pinger) restart(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent, p.received, p.waiting, p.pinged, p.silent = now, now, time.Time{}, time.Time{}, false
}

// due reports whether a ping is due, and when to call it again. It returns an error if
// the broker is to be given up.
func (p *pinger) due(now time.Time) (ping bool, next time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pinged.IsZero() {
		next = p.sent
		if p.received.Before(next) {
			next = p.received
		}
		next = next.Add(p.idle)
		if at := p.waiting.Add(p.probe); !p.waiting.IsZero() && at.Before(next) {
			next = at
		}
		if now.Before(next) {
			return false, next, nil
		}
		ping, p.pinged, p.sent = true, now, now
		if p.waiting.IsZero() {
			p.waiting = now
		}
	}
	next = p.pinged.Add(p.answer)
	if at := p.waiting.Add(p.silence); !p.waiting.IsZero() && at.Before(next) {
		next = at
	}
	if !now.Before(next) {
		p.silent = true
		return false, next, errSilent
	}
	return ping, next, nil
}

// failed reports whether the last connection ended because the broker was silent.
func (p *pinger) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent
}

// PacketSent is called after a packet was sent.
func (p *pinger) PacketSent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = time.Now()
	if p.waiting.IsZero() {
		p.waiting = p.sent
		wake(p.changed)
	}
}

// PacketReceived is called after a packet was received.
func (p *pinger) PacketReceived() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received, p.waiting = time.Now(), time.Time{}
}

// PingResp is called after the answer to a ping was received.
func (p *pinger) PingResp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pinged = time.Time{}
	wake(p.changed)
}

// SetDebug does nothing.
func (p *pinger) SetDebug(log.Logger) {}

// heard is a reader that calls f when octets arrive: one packet may take longer than the
// broker is waited for.
type heard struct {
	io.Reader
	f func()
}

func (h heard) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.f()
	}
	return n, err
}
