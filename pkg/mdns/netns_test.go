package mdns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netlab"
	"github.com/opcredsd/opcredsd/pkg/host"
)

// patience limits every wait of these tests. Successful ones take a fraction of it.
const patience = 20 * time.Second

// options returns the options of a responder on all interfaces of the namespace.
func options(t *testing.T) Options {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	w, err := host.NewWatcher(nil, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return Options{Watcher: w, Log: log, Rand: rand.Reader}
}

func start(t *testing.T, services ...Service) *Responder {
	t.Helper()
	r, err := New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, r) })
	r.Set(services)
	return r
}

func closeIt(t *testing.T, r *Responder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func untilAnnounced(t *testing.T, r *Responder) {
	t.Helper()
	until(t, "everything announced", func() bool { return r.Status().Announced() })
}

func TestBrowseFromAnotherHost(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "fd00:1::a/64")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	r := start(t, commissionable(), operational(1), operational(2))
	untilAnnounced(t, r)
	until(t, "two seconds of silence", elapsed(2*time.Second))
	for service, want := range map[string][]string{
		"_matterc._udp":          {commissionable().Instance},
		"_matterc._udp,_L3840":   {commissionable().Instance},
		"_matterc._udp,_S15":     {commissionable().Instance},
		"_matter._tcp":           {operational(1).Instance, operational(2).Instance},
		"_matter._tcp,_I" + cfid: {operational(1).Instance, operational(2).Instance},
	} {
		found := browse(t, lab, service, len(want))
		for _, instance := range want {
			e := found[instance]
			if e == nil {
				t.Errorf("%s: %s not found", service, instance)
				continue
			}
			if e.Port != 5540 || len(e.Text) == 0 || len(e.AddrIPv6) != 2 || len(e.AddrIPv4) != 1 {
				t.Errorf("%s: found %+v", service, e)
			}
		}
	}
}

// elapsed returns a condition that is met after d.
func elapsed(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}

func TestOneSocketEachForManyServices(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.Join("eth1")
	l := listenTo(t, lab, "eth0")
	list := operationals(254)
	r := start(t, list...)
	untilAnnounced(t, r)
	for _, table := range []string{"udp", "udp6"} {
		b, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), ":14E9 "); n != 2 { // the group's, and that for unicast
			t.Errorf("%d sockets in %s:\n%s", n, table, b)
		}
	}
	seen := map[string]bool{}
	var asked time.Time
	until(t, "254 instances", func() bool {
		if time.Since(asked) > repeatInterval/2 { // the first answer comes too soon after the announcement
			l.ask(full(tcp), dns.TypePTR)
			asked = time.Now()
		}
		for len(l.in) > 0 {
			m := <-l.in
			for _, r := range m.Answer {
				// An announcement has the SRV as an answer, not as an additional
				// record.
				if p, ok := r.(*dns.PTR); ok && m.Response && len(m.Extra) >= 2*len(m.Answer) {
					seen[p.Ptr] = true
				}
			}
		}
		return len(seen) == len(list)
	})
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	t.Logf("254 services on 2 interfaces: %d KiB resident at most (with the test), CPU %v", usage.Maxrss,
		time.Duration(usage.Utime.Nano()+usage.Stime.Nano()))
}

func TestAddressesAreFollowedOnTheWire(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "fd00:1::a/64")
	l := listenTo(t, lab, "eth0")
	r := start(t, operational(1))
	untilAnnounced(t, r)
	host := strings.TrimSuffix(r.Status().Interfaces[0].Host, ".local.")
	if mac := lab.Link("eth0").Attrs().HardwareAddr; host != strings.ToUpper(strings.ReplaceAll(mac.String(), ":", "")) {
		t.Errorf("host name %s for hardware address %s", host, mac)
	}
	l.hearRecord(host+" AAAA fd00:1::a", false)

	lab.DelAddr("eth0", "fd00:1::a/64")
	lab.AddAddr("eth0", "fd00:2::a/64")
	l.hearRecord(host+" AAAA fd00:1::a", true)
	l.hearRecord(host+" AAAA fd00:2::a", false)

	lab.SetDown("eth0")
	until(t, "the interface unused", func() bool { return r.Status().Interfaces[0].Reason != "" })
	lab.SetUp("eth0")
	l.hearProbe(full(instO))
	l.hearRecord(instO+" SRV 0 0 5540 "+host, false)
	untilAnnounced(t, r)

	// The interface goes down for a moment that reading the interfaces would miss.
	l.forget()
	lab.SetDown("eth0")
	lab.SetUp("eth0")
	l.hearProbe(full(instO))
	l.hearRecord(instO+" SRV 0 0 5540 "+host, false)
}

func TestStartBeforeTheNetwork(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	r := start(t, operational(1))
	until(t, "the service taken", func() bool { return !r.Status().Pending })
	if s := r.Status(); s.Announced() || len(s.Interfaces) != 0 {
		t.Fatalf("%+v", s)
	}
	lab.Join("eth0")
	untilAnnounced(t, r)
	l := listenTo(t, lab, "eth0")
	l.ask(full(tcp), dns.TypePTR)
	l.hearRecord(tcp+" PTR "+instO, false)
}

func TestCloseSaysGoodbyeAndEnds(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	l := listenTo(t, lab, "eth0")
	before := runtime.NumGoroutine()
	opt := options(t)
	r, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	r.Set([]Service{operational(1)})
	untilAnnounced(t, r)
	host := strings.TrimSuffix(r.Status().Interfaces[0].Host, ".local.")
	closeIt(t, r)
	l.hearRecord(instO+" SRV 0 0 5540 "+host, true)
	closeIt(t, r)
	r.Set([]Service{operational(2)})
	opt.Watcher.Close()
	until(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= before })
	if b, err := os.ReadFile("/proc/self/net/udp"); err != nil || strings.Contains(string(b), ":14E9 ") {
		t.Errorf("a socket is left: %s, %v", b, err)
	}
}

// TestManyCallers is for the race detector.
func TestManyCallers(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	r := start(t)
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for n := range 50 {
				r.Set(operationals((i + n) % 20))
				if s := r.Status(); len(s.Interfaces) > 0 && len(s.Interfaces[0].Services) > 20 {
					t.Errorf("%d services", len(s.Interfaces[0].Services))
				}
			}
			if i%2 == 0 {
				closeIt(t, r)
			}
		})
	}
	callers.Wait()
}

func TestCloseIsBounded(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Close(ctx); err == nil && !isClosed(r.ended) {
		t.Error("no error though it has not ended")
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestUnicastIsAnswered: if no other program receives them, unicast questions to
// port 5353 are answered from the address that they were sent to (RFC 6762, section
// 5.5).
func TestUnicastIsAnswered(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "fd00:1::a/64")
	lab.AddPeerAddr("eth0", "fd00:1::b/64")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	r := start(t, operational(1))
	untilAnnounced(t, r)
	q, err := asking(full(instO), dns.TypeSRV).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"fd00:1::a", lab.LinkLocal("eth0").String(), "10.0.1.1"} {
		dst := &net.UDPAddr{IP: net.ParseIP(to), Port: port}
		if dst.IP.IsLinkLocalUnicast() {
			dst.Zone = fmt.Sprint(lab.Index("eth0"))
		}
		var c *net.UDPConn
		var err error
		lab.Do(func() { c, err = net.DialUDP("udp", nil, dst) }) // receives from nobody else
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := make([]byte, 2000)
		until(t, "an answer from "+to, func() bool {
			if _, err := c.Write(q); err != nil {
				return false // the port is not open yet
			}
			if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(b)
			m := new(dns.Msg)
			return err == nil && m.Unpack(b[:n]) == nil && len(m.Answer) == 1
		})
	}
}

// TestUnicastStaysWithTheSystemsResponder: avahi-daemon and others bind port 5353
// on the wildcard address. Unicast packets to the host are theirs.
func TestUnicastStaysWithTheSystemsResponder(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	for _, tc := range []struct{ network, wildcard, to, from string }{
		{"udp6", "[::]:5353", lab.LinkLocal("eth0").String(), "[::]:0"},
		{"udp4", "0.0.0.0:5353", "10.0.1.1", "0.0.0.0:0"},
	} {
		for _, atBoot := range []bool{true, false} { // otherwise later
			share := net.ListenConfig{Control: shareControl}
			listen := func() net.PacketConn {
				c, err := share.ListenPacket(t.Context(), tc.network, tc.wildcard)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			var other net.PacketConn
			if atBoot {
				other = listen()
			}
			r := start(t, operational(1))
			untilAnnounced(t, r)
			if !atBoot {
				until(t, "unicast to be heard", func() bool { return wildcards(t) == 2 })
				other = listen()
				lab.AddAddr("eth0", "fd00:77::1/64") // makes the responder read the interfaces
				until(t, "unicast to be given up", func() bool { return wildcards(t) == 1 })
				lab.DelAddr("eth0", "fd00:77::1/64")
			}
			hearsUnicast(t, other, lab.ListenUDP(tc.network, tc.from), tc.to, lab.Index("eth0"))
			if m := r.Status().Stats.Malformed; m != 0 {
				t.Errorf("%s: %d packets came to us", tc.network, m)
			}
			closeIt(t, r)
			other.Close()
		}
	}
}

// wildcards returns the number of wildcard sockets on port 5353.
func wildcards(t *testing.T) (n int) {
	t.Helper()
	for _, table := range []string{"udp", "udp6"} {
		b, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(b), " 00000000:14E9 ") + strings.Count(string(b), " 00000000000000000000000000000000:14E9 ")
	}
	return n
}

// hearsUnicast sends from c to port 5353 of a host and checks that other receives
// everything.
func hearsUnicast(t *testing.T, other net.PacketConn, c *net.UDPConn, to string, index int) {
	t.Helper()
	dst := &net.UDPAddr{IP: net.ParseIP(to), Port: port}
	if dst.IP.IsLinkLocalUnicast() {
		dst.Zone = fmt.Sprint(index)
	}
	b := make([]byte, 100)
	for range 20 {
		if _, err := c.WriteTo([]byte("for the other"), dst); err != nil {
			t.Fatal(err)
		}
		for {
			if err := other.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			n, _, err := other.ReadFrom(b)
			if err != nil {
				t.Fatalf("unicast to %s is lost: %v", to, err)
			}
			if string(b[:n]) == "for the other" { // it also receives from the groups
				break
			}
		}
	}
}

func TestSocketsNeedNoPrivilege(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread has lost its capabilities and ends
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		if err := unix.Capset(&hdr, &make([]unix.CapUserData, 2)[0]); err != nil {
			done <- err
			return
		}
		s, err := openSockets()
		if err == nil {
			s.close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestPortTakenForOneAlone(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	alone, err := net.ListenPacket("udp6", "[::]:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	_, err = New(options(t))
	if err == nil || !errors.Is(err, ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("New: %v", err)
	}
}

// TestLook looks services up on each of two interfaces.
func TestLook(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.Join("eth1")
	r := start(t, commissionable(), operational(1))
	all := func() []InterfaceStatus { return r.Status().Interfaces }
	look := func(limit time.Duration, s Service, i int) string {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if err := Look(ctx, s, all()[i], all()); err != nil {
			return err.Error()
		}
		return ""
	}
	until(t, "both interfaces served", func() bool {
		list := all()
		return len(list) == 2 && list[0].Announced() && list[1].Announced()
	})
	for i := range 2 {
		for _, s := range []Service{commissionable(), operational(1)} {
			if got := look(patience, s, i); got != "" {
				t.Errorf("%s on interface %d: %s", s.Instance, i, got)
			}
		}
	}
	other := operational(1)
	other.Port, other.TXT = 5541, []string{"SII=1"}
	got := look(8*time.Second, other, 1)
	for _, want := range []string{"port 5540 instead of 5541", `TXT ["SII=5000" "SAI=300"] instead of ["SII=1"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("error %q does not say %q", got, want)
		}
	}
	if got := look(time.Second/2, operational(9), 0); !strings.Contains(got, ErrNotFound.Error()) {
		t.Errorf("not there: %q", got)
	}
}

// TestAnnouncerPerInterface: if another host answers for the node on one of two
// networks, or nobody can be reached on one, the status of that interface reports
// it.
func TestAnnouncerPerInterface(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.Join("eth1")
	a, err := NewAnnouncer(options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := a.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	a.Set([]Service{operational(1)})
	until(t, "the node finds itself on both", func() bool { return a.Status().Discoverable() })

	clone := listen(t, lab, "eth1", false)
	srv := operational(1)
	srv.Port++
	go func() {
		for m := range clone.in {
			if !m.Response {
				clone.answer(serviceRecords(nil, srv, "0200000000AA."+domain)[0].rr, rr(t, "0200000000AA.local. 120 IN AAAA fe80::aa"))
			}
		}
	}()
	clone.answer(serviceRecords(nil, srv, "0200000000AA."+domain)[0].rr)
	until(t, "the conflict", func() bool { return a.Status().Fault() != nil })
	s := a.Status()
	if eth0, eth1 := s.Interfaces[0], s.Interfaces[1]; eth0.Problem() != "" || !strings.Contains(eth1.Problem(), "another host") {
		t.Errorf("eth0: %q; eth1: %q", eth0.Problem(), eth1.Problem())
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := Look(ctx, operational(1), s.Interfaces[1], s.Interfaces); !errors.Is(err, ErrOtherHost) || !strings.Contains(err.Error(), "0200000000AA.local at [fe80::aa") {
		t.Errorf("the look at the other network: %v", err)
	}
	if err := s.Fault(); !strings.Contains(err.Error(), "eth1") || strings.Contains(err.Error(), "eth0") {
		t.Errorf("fault: %v", err)
	}
}

func TestOptionsAreRequired(t *testing.T) {
	good := options(t)
	for _, opt := range []Options{{Log: good.Log, Rand: good.Rand}, {Watcher: good.Watcher, Rand: good.Rand}, {Watcher: good.Watcher, Log: good.Log}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("New takes nil for what it needs")
				}
			}()
			_, _ = New(opt)
		}()
	}
	good.Rand = strings.NewReader("short")
	_, err := New(good)
	if err == nil || !strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) {
		t.Errorf("New: %v", err)
	}
}

func shareControl(_, _ string, raw syscall.RawConn) error {
	var err error
	if cerr := raw.Control(func(fd uintptr) {
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
	}); cerr != nil {
		return cerr
	}
	return err
}

// TestHearsIPv4 asks over IPv4 only.
func TestHearsIPv4(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	r := start(t, operational(1))
	untilAnnounced(t, r)
	c := lab.ListenUDP("udp4", "10.0.1.2:0") // legacy: answered to its port
	if err := ipv4.NewPacketConn(c).SetMulticastInterface(&net.Interface{Index: lab.Index("eth0")}); err != nil {
		t.Fatal(err)
	}
	q, err := asking(full(instO), dns.TypeSRV).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo(q, net.UDPAddrFromAddrPort(groups[ip4])); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	n, from, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(b[:n]); err != nil || len(m.Answer) != 1 {
		t.Fatalf("%v, %v", m, err)
	}
	if from != netip.MustParseAddrPort("10.0.1.1:5353") || !slices.Contains(briefs(m.Extra), strings.Fields(brief(m.Extra[0]))[0]+" A 10.0.1.1") {
		t.Errorf("from %v: %v", from, briefs(m.Extra))
	}
}

// TestHearsAnotherSubnet asks from an address of another subnet with a hop limit of 64, as
// the Matter SDK does, over both families.
func TestHearsAnotherSubnet(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "172.16.9.2/24")
	lab.AddPeerAddr("eth0", "fd00:99::2/64")
	r := start(t, operational(1))
	untilAnnounced(t, r)
	q, err := asking(full(instO), dns.TypeSRV).Pack()
	if err != nil {
		t.Fatal(err)
	}
	// The peer's sockets are those of a responder: they join the groups and send
	// from port 5353.
	var s *sockets
	index := lab.Index("eth0")
	lab.Do(func() {
		if s, err = openSockets(); err == nil {
			err = errors.Join(s.join(index, ip6), s.join(index, ip4), s.v6.SetMulticastHopLimit(64), s.v4.SetMulticastTTL(64))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	for f, from := range map[family]string{ip6: "fd00:99::2", ip4: "172.16.9.2"} {
		b := make([]byte, maxPacket)
		until(t, "an answer to "+from, func() bool {
			if err := s.send(index, f, groups[f], netip.MustParseAddr(from), q); err != nil {
				t.Fatal(err)
			}
			end := time.Now().Add(500 * time.Millisecond)
			set := map[family]func(time.Time) error{ip6: s.v6.SetReadDeadline, ip4: s.v4.SetReadDeadline}[f]
			if err := set(end); err != nil {
				t.Fatal(err)
			}
			for time.Now().Before(end) {
				p, err := s.read(f, b)
				m := new(dns.Msg)
				if err == nil && m.Unpack(p.data) == nil && m.Response && len(m.Answer) == 1 {
					return !p.to.IsValid() // to the group
				}
			}
			return false
		})
	}
}
