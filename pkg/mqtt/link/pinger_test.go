package link

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// peer is a broker at the other end of a connection. It counts pings.
type peer struct {
	net.Conn
	pings chan struct{}
}

func (p *peer) Write(b []byte) (int, error) {
	if len(b) > 0 && b[0] == 0xC0 {
		p.pings <- struct{}{}
	}
	return len(b), nil
}

// TestPinger plays what a broker does after a packet was sent to it. The times are those
// after which Run ends with errSilent; 0: not within an hour.
func TestPinger(t *testing.T) {
	for what, tc := range map[string]struct {
		send   []time.Duration // packets to the broker
		answer func(p *pinger) // what it does when pinged; nil: nothing
		chat   bool            // it sends something each second
		ends   time.Duration
	}{
		"idle, answers":                        {answer: answers},
		"idle, silent":                         {ends: 20 * time.Second},
		"a message, answers the ping":          {send: []time.Duration{time.Minute}, answer: answers},
		"a message, silent":                    {send: []time.Duration{3 * time.Second}, ends: 8 * time.Second},
		"messages that go on, silent":          {send: []time.Duration{3 * time.Second, 5 * time.Second, 7 * time.Second}, ends: 8 * time.Second},
		"nothing arrives there, but it speaks": {chat: true, ends: 45 * time.Second},
		"a large packet arrives slowly":        {send: []time.Duration{3 * time.Second}, chat: true, answer: func(p *pinger) { time.AfterFunc(20*time.Second, p.PingResp) }},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPinger(usual)
				conn := &peer{pings: make(chan struct{}, 1000)}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				for _, at := range tc.send {
					time.AfterFunc(at, p.PacketSent)
				}
				go func() {
					for {
						select {
						case <-ctx.Done():
							return
						case <-conn.pings:
							if tc.answer != nil {
								tc.answer(p)
							}
						}
					}
				}()
				if tc.chat {
					go func() {
						for ctx.Err() == nil {
							heard{zeros{}, p.PacketReceived}.Read(make([]byte, 1))
							time.Sleep(time.Second)
						}
					}()
				}
				start := time.Now()
				err := p.Run(ctx, conn, 30)
				took := time.Since(start)
				cancel()
				time.Sleep(time.Minute) // the goroutines end
				if tc.ends == 0 && err != nil || tc.ends > 0 && (!errors.Is(err, errSilent) || took != tc.ends || !p.failed()) {
					t.Errorf("%v after %v, want %v", err, took, tc.ends)
				}
			})
		})
	}
}

func answers(p *pinger) {
	p.PacketReceived()
	p.PingResp()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
