package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// The attribute to read: SupportedFabrics of Operational Credentials.
const (
	readCluster   matter.ClusterID   = 0x003E
	readAttribute matter.AttributeID = 0x0002
)

// load uses one device as the administrator of one fabric.
type load struct {
	ctx    context.Context
	rounds int
	device *process
	client *commissioner.Client
	conn   *counting // of client
	addr   netip.AddrPort
	home   *commissioner.Authority
	node   matter.NodeID // the device on the home fabric
	s      *commissioner.Session
}

func newLoad(ctx context.Context, rounds int) (*load, error) {
	conns, err := transport.Listen(transport.Options{})
	if err != nil {
		return nil, err
	}
	for _, c := range conns[1:] {
		c.Close()
	}
	conn := &counting{PacketConn: conns[0]}
	return &load{ctx: ctx, rounds: rounds, client: commissioner.New(conn), conn: conn, addr: netip.AddrPortFrom(deviceAddr, udpPort)}, nil
}

// settleIn commissions the device into the home fabric.
func (l *load) settleIn() (err error) {
	if l.home, err = commissioner.NewAuthority(commissioner.AuthorityOptions{}); err != nil {
		return err
	}
	done, err := l.client.Commission(l.ctx, l.addr, passcode, l.home)
	if err != nil {
		return fmt.Errorf("commissioning: %w", err)
	}
	l.node, l.s = done.Node, done.CASE
	return nil
}

// connect opens a session on the home fabric.
func (l *load) connect() (err error) {
	l.s, _, err = l.client.CASE(l.ctx, l.addr, l.home, l.node, nil)
	return err
}

// each measures f, which does something n times. It returns the CPU time of one
// time for each round. A first round does not count.
func (l *load) each(n int, f func() error) (sample, error) {
	all := make(sample, 0, l.rounds)
	for round := range l.rounds + 1 {
		t, err := l.device.spent(f)
		if err != nil {
			return nil, err
		}
		if round > 0 {
			all = append(all, float64(t)/float64(n))
		}
	}
	return all, nil
}

func repeat(n int, f func() error) func() error {
	return func() error {
		for range n {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (l *load) readOne() error {
	rep, err := l.s.Read(l.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, readCluster, readAttribute)}})
	if err != nil {
		return err
	}
	if a := rep.Find(0, readCluster, readAttribute); a == nil || a.Status.Status != matter.StatusSuccess {
		return errors.New("the attribute was not in the report")
	}
	return nil
}

// readAll reads endpoint 0.
func (l *load) readAll() (*commissioner.Report, error) {
	return l.s.Read(l.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Endpoint(0)}})
}

// reads measures reads of one attribute.
func (l *load) reads() (sample, error) {
	const n = 1000
	return l.each(n, repeat(n, l.readOne))
}

// rareWildcards measures reads of endpoint 0 that are so far apart that short-lived
// caches of the device expire.
func (l *load) rareWildcards() (sample, error) {
	var all sample
	for range l.rounds {
		time.Sleep(1100 * time.Millisecond)
		t, err := l.device.spent(func() error {
			_, err := l.readAll()
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, float64(t))
	}
	return all, nil
}

// labels measures UpdateFabricLabel.
func (l *load) labels() (sample, error) {
	const n = 20
	i := 0
	return l.each(n, repeat(n, func() error {
		i++
		return l.s.UpdateFabricLabel(l.ctx, "bench "+strconv.Itoa(i))
	}))
}

// sessions measures CASE handshakes of a, whose node is node. Each session is
// closed after its measurement. With resume, each one resumes the session before.
func (l *load) sessions(a *commissioner.Authority, node matter.NodeID, resume bool) (sample, error) {
	const n = 16 // fewer than the minimum for a node
	var last *casesession.Result
	if resume {
		s, res, err := l.client.CASE(l.ctx, l.addr, a, node, nil)
		if err != nil {
			return nil, err
		}
		s.Close()
		last = res
	}
	var open []*commissioner.Session
	one := func() error {
		var rec *casesession.Record
		if resume {
			r := last.Record()
			rec = &r
		}
		s, res, err := l.client.CASE(l.ctx, l.addr, a, node, rec)
		if err != nil {
			return err
		}
		if res.Resumed != resume {
			return fmt.Errorf("session resumed: %v", res.Resumed)
		}
		open, last = append(open, s), res
		return nil
	}
	all := make(sample, 0, l.rounds)
	for round := range l.rounds + 1 {
		t, err := l.device.spent(repeat(n, one))
		if err != nil {
			return nil, err
		}
		for _, s := range open {
			s.Close()
		}
		open = open[:0]
		if round > 0 {
			all = append(all, float64(t)/n)
		}
	}
	return all, nil
}

// quiet is a wait after which the device's announcements are complete.
const quiet = 2500 * time.Millisecond

// open opens a commissioning window and waits until it has been announced.
func (l *load) open() error {
	if err := l.s.OpenEnhancedWindow(l.ctx, 600, passcode, discriminator); err != nil {
		return fmt.Errorf("opening a window: %w", err)
	}
	time.Sleep(quiet)
	return nil
}

// pases measures PASE handshakes, several in each window, including the end of each
// session, as there can be only one.
func (l *load) pases() (sample, error) {
	const n = 10 // after 20 failures the window closes
	var all sample
	for range l.rounds + 1 {
		if err := l.open(); err != nil {
			return nil, err
		}
		t, err := l.device.spent(repeat(n, func() error {
			s, err := l.client.PASE(l.ctx, l.addr, passcode)
			if err == nil {
				s.Close()
			}
			return err
		}))
		if err != nil {
			return nil, err
		}
		all = append(all, float64(t)/n)
		if err := l.s.RevokeWindow(l.ctx); err != nil {
			return nil, fmt.Errorf("closing the window: %w", err)
		}
	}
	return all[1:], nil
}

// commissionings measures complete commissionings into fabrics that are removed
// again.
func (l *load) commissionings() (sample, error) {
	var all sample
	for range l.rounds + 1 {
		if err := l.open(); err != nil {
			return nil, err
		}
		a, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
		if err != nil {
			return nil, err
		}
		var done *commissioner.Commissioned
		t, err := l.device.spent(func() (err error) {
			done, err = l.client.Commission(l.ctx, l.addr, passcode, a)
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, float64(t))
		if err := done.CASE.RemoveFabric(l.ctx, done.Fabric); err != nil {
			return nil, err
		}
		done.CASE.Forget()
	}
	return all[1:], nil
}

// idle measures CPU per second without requests, in nanoseconds.
func (l *load) idle(d time.Duration) (sample, error) {
	t, err := l.device.spent(func() error {
		time.Sleep(d)
		return l.ctx.Err()
	})
	return sample{float64(t) / d.Seconds()}, err
}

// firstSession tries to open a session until it succeeds, from before the device
// listens. It returns the time since the device's start.
func (l *load) firstSession() (time.Duration, error) {
	for end := time.Now().Add(startLimit); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(l.ctx, 10*time.Millisecond)
		s, _, err := l.client.CASE(ctx, l.addr, l.home, l.node, nil)
		cancel()
		if err == nil {
			t := time.Since(l.device.begin)
			s.Close()
			return t, nil
		}
		if l.ctx.Err() != nil {
			return 0, l.ctx.Err()
		}
	}
	return 0, fmt.Errorf("no session within %v", startLimit)
}

// udpSockets returns the number of the device's sockets on a UDP port.
func (p *process) udpSockets(port uint16) (n int, err error) {
	own, err := p.sockets()
	if err != nil {
		return 0, err
	}
	for _, table := range []string{"net/udp", "net/udp6"} {
		lines, err := p.lines(table)
		if err != nil {
			return 0, err
		}
		for _, line := range lines {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && own["socket:["+f[9]+"]"] {
				n++
			}
		}
	}
	return n, nil
}
