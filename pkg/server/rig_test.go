package server_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

const passcode = 20202021

var deviceAddr = netip.MustParseAddrPort("[fe80::1]:5540")

// billboard is an Announcer that records its calls.
type billboard struct {
	mu       sync.Mutex
	services []mdns.Service
	delay    time.Duration // of the next Set
	sets     int
}

func (b *billboard) Set(s []mdns.Service) {
	b.mu.Lock()
	b.services = slices.Clone(s)
	b.sets++
	delay := b.delay
	b.delay = 0
	b.mu.Unlock()
	time.Sleep(delay)
}

// stall makes the next Set block for d.
func (b *billboard) stall(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delay = d
}

func (b *billboard) Status() mdns.Status {
	return mdns.Status{Interfaces: []mdns.InterfaceStatus{{Name: "test0", Found: true}}}
}

func (b *billboard) Close(context.Context) error { return nil }

// count returns the number of calls of Set.
func (b *billboard) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sets
}

// of returns the services of one type.
func (b *billboard) of(typ string) (list []mdns.Service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.services {
		if s.Type == typ {
			list = append(list, s)
		}
	}
	return list
}

// rig is an assembled node on a simulated network, in fake time.
type rig struct {
	t         *testing.T
	ctx       context.Context
	net       *simnet.Network
	dir       string
	announced *billboard
	srv       *server.Server
	opt       server.Options
	host      int // number of the next client

	links *cables // or nil

	prepare func() // called before each start, or nil

	orphans bool // the test leaves a fabric without an administrator
}

// bubble runs f with a new node in a bubble of fake time.
func bubble(t *testing.T, seed uint64, cond simnet.Conditions, f func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.net = simnet.New(seed, cond)
		r.start()
		f(r)
		r.finish()
	})
}

// newRig returns a node that is not started, on a perfect network. It must be
// called in the bubble, with a dir from outside of it.
func newRig(t *testing.T, dir string) *rig {
	return &rig{t: t, ctx: context.Background(), net: simnet.New(1, clean), dir: dir, opt: server.Options{Passcode: passcode, Synchronised: func() bool { return true }}}
}

// finish checks the store, stops the node and checks what it leaves behind.
func (r *rig) finish() {
	r.t.Helper()
	r.inOrder(r.srv.CheckStore())
	r.stop()
	r.checkStore()
}

func (r *rig) start() {
	r.t.Helper()
	opt := r.opt
	opt.StateDir = r.dir
	opt.Conns = []transport.PacketConn{r.net.Listen(deviceAddr)}
	r.announced = &billboard{}
	opt.Announcer = r.announced
	srv, err := server.New(opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.srv = srv
	r.t.Cleanup(func() { _ = srv.Stop() }) // for tests that end early
	if r.prepare != nil {
		r.prepare()
	}
	srv.Start()
	synctest.Wait()
}

func (r *rig) stop() {
	r.t.Helper()
	if err := r.srv.Stop(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) restart() {
	r.stop()
	r.start()
}

// checkStore checks the store of the stopped node.
func (r *rig) checkStore() {
	r.t.Helper()
	st, err := store.Open(r.dir+"/"+store.FileName, store.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer st.Close()
	r.inOrder(st.Check())
	r.inOrder(fabric.Check(st))
}

// inOrder handles the result of a check of the store.
func (r *rig) inOrder(err error) {
	r.t.Helper()
	if err == nil || r.orphans && errors.Is(err, store.ErrNoAdministrator) && !errors.Is(err, store.ErrDamaged) {
		return
	}
	r.t.Error("store:", err)
}

// clientHost is the address of the controllers.
var clientHost = netip.MustParseAddr("fe80::c:1")

// client returns a controller with its own port.
func (r *rig) client() *commissioner.Client {
	r.host++
	c := commissioner.New(r.net.Listen(netip.AddrPortFrom(clientHost, uint16(40000+r.host))))
	r.t.Cleanup(c.Close)
	return c
}

func (r *rig) authority(opt commissioner.AuthorityOptions) *commissioner.Authority {
	r.t.Helper()
	a, err := commissioner.NewAuthority(opt)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// commission commissions the node into a new fabric.
func (r *rig) commission(c *commissioner.Client, a *commissioner.Authority) *commissioner.Commissioned {
	r.t.Helper()
	done, err := c.Commission(r.ctx, deviceAddr, passcode, a)
	if err != nil {
		r.t.Fatal(err)
	}
	return done
}

// eventually waits in fake time until ok returns true.
func (r *rig) eventually(what string, limit time.Duration, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// pubOf returns the public key in a certificate.
func pubOf(t *testing.T, tlv []byte) []byte {
	t.Helper()
	c, err := cert.Parse(tlv)
	if err != nil {
		t.Fatal(err)
	}
	return c.PublicKey[:]
}
