package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// listen opens conns that the test closes.
func listen(t testing.TB, opt Options) []PacketConn {
	t.Helper()
	conns, err := Listen(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	return conns
}

// receive reads one datagram within a generous time.
func receive(t testing.TB, c PacketConn) ([]byte, Path) {
	t.Helper()
	b := make([]byte, 2048)
	if err := c.(*udpConn).udp.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, p, err := c.ReadFrom(b)
	if err != nil {
		t.Fatalf("ReadFrom: %v", err)
	}
	return b[:n], p
}

// wantNext fails unless want is the next datagram that c delivers. Datagrams that
// must not be delivered are sent before it.
func wantNext(t testing.TB, c PacketConn, want string) {
	t.Helper()
	if got, p := receive(t, c); string(got) != want {
		t.Fatalf("received %q from %v, want %q", got, p.Peer, want)
	}
}

func client(t testing.TB, network, to string) *net.UDPConn {
	t.Helper()
	c, err := net.Dial(network, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

func TestListenSharesOnePort(t *testing.T) {
	conns := listen(t, Options{})
	if len(conns) != 2 {
		t.Fatalf("%d conns, want IPv6 and IPv4", len(conns))
	}
	if conns[0].Port() == 0 || conns[0].Port() != conns[1].Port() {
		t.Fatalf("ports %d and %d", conns[0].Port(), conns[1].Port())
	}
	if !conns[0].(*udpConn).v6 || conns[1].(*udpConn).v6 {
		t.Fatal("IPv6 is not the first")
	}
}

func TestAnswerGoesBackTheWayItCame(t *testing.T) {
	conns := listen(t, Options{})
	for i, tc := range []struct{ network, host string }{{"udp6", "::1"}, {"udp4", "127.0.0.1"}, {"udp4", "127.0.0.53"}} {
		t.Run(tc.host, func(t *testing.T) {
			conn := conns[min(i, 1)]
			c := client(t, tc.network, net.JoinHostPort(tc.host, fmt.Sprint(conn.Port())))
			if _, err := c.Write([]byte("question")); err != nil {
				t.Fatal(err)
			}
			got, p := receive(t, conn)
			if string(got) != "question" {
				t.Fatalf("received %q", got)
			}
			lo, err := net.InterfaceByName("lo")
			if err != nil {
				t.Fatal(err)
			}
			want := Path{
				Peer:      c.LocalAddr().(*net.UDPAddr).AddrPort(),
				Local:     netip.MustParseAddr(tc.host),
				Interface: lo.Index,
			}
			if p != want {
				t.Fatalf("path %+v, want %+v", p, want)
			}
			// A connected client accepts nothing from another address.
			if err := conn.WriteTo([]byte("answer"), p); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 100)
			if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(b)
			if err != nil || string(b[:n]) != "answer" {
				t.Fatalf("client read %q, %v", b[:n], err)
			}
		})
	}
}

func TestPathWithoutLocalAndInterface(t *testing.T) {
	a, b := listen(t, Options{}), listen(t, Options{})
	for i, host := range []string{"::1", "127.0.0.1"} {
		p := Path{Peer: netip.AddrPortFrom(netip.MustParseAddr(host), b[i].Port())}
		if err := a[i].WriteTo([]byte("hello"), p); err != nil {
			t.Fatal(err)
		}
		if got, p := receive(t, b[i]); string(got) != "hello" || p.Peer.Port() != a[i].Port() {
			t.Fatalf("received %q by %+v", got, p)
		}
	}
}

// For a datagram that is too large only the path is returned.
func TestDatagramLargerThanBuffer(t *testing.T) {
	conn := listen(t, Options{})[0]
	c := client(t, "udp6", fmt.Sprintf("[::1]:%d", conn.Port()))
	for _, d := range [][]byte{make([]byte, 2049), []byte("next")} {
		if _, err := c.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if got, p := receive(t, conn); len(got) != 0 || p.Peer != netip.MustParseAddrPort(c.LocalAddr().String()) {
		t.Fatalf("of a datagram that is too large, %d octets came, by %+v", len(got), p)
	}
	wantNext(t, conn, "next")

	exact := bytes.Repeat([]byte{7}, 2048)
	if _, err := c.Write(exact); err != nil {
		t.Fatal(err)
	}
	if got, _ := receive(t, conn); !bytes.Equal(got, exact) {
		t.Fatalf("a datagram that just fits came as %d octets", len(got))
	}
}

func TestEmptyDatagram(t *testing.T) {
	conn := listen(t, Options{})[0]
	c := client(t, "udp6", fmt.Sprintf("[::1]:%d", conn.Port()))
	if _, err := c.Write(nil); err != nil {
		t.Fatal(err)
	}
	if got, p := receive(t, conn); len(got) != 0 || !p.Peer.IsValid() {
		t.Fatalf("received %q by %+v", got, p)
	}
}

func TestCloseUnblocksReader(t *testing.T) {
	for _, conn := range listen(t, Options{}) {
		done := make(chan error)
		go func() {
			_, _, err := conn.ReadFrom(make([]byte, 10))
			done <- err
		}()
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != net.ErrClosed {
				t.Fatalf("ReadFrom: %v, want net.ErrClosed", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("ReadFrom still waits")
		}
	}
}

func TestPortInUseNamesPortAndProcess(t *testing.T) {
	for family := range 2 {
		held := listen(t, Options{})
		port := held[family].Port()
		held[1-family].Close()
		_, err := Listen(Options{Port: port})
		if !errors.Is(err, ErrPortInUse) {
			t.Fatalf("Listen: %v, want ErrPortInUse", err)
		}
		for _, want := range []string{fmt.Sprint(port), fmt.Sprintf("(pid %d)", os.Getpid())} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
		// Conns opened before the failure are closed.
		held[family].Close()
		listen(t, Options{Port: port})
	}
}

func TestFilterByInterface(t *testing.T) {
	only := listen(t, Options{Interfaces: []string{"lo"}})[0]
	none := listen(t, Options{Interfaces: []string{"not-there"}})[0]
	for _, tc := range []struct {
		conn PacketConn
		want bool
	}{{only, true}, {none, false}} {
		c := client(t, "udp6", fmt.Sprintf("[::1]:%d", tc.conn.Port()))
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if tc.want {
			wantNext(t, tc.conn, "x")
			continue
		}
		// On loopback the datagram is in the queue when Write returns.
		if err := tc.conn.(*udpConn).udp.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, _, err := tc.conn.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("ReadFrom: %d, %v: delivered what came in by lo", n, err)
		}
	}
}

func TestFilterFollowsInterfaces(t *testing.T) {
	now := time.Unix(0, 0)
	host := map[int]string{1: "lo", 2: "eth0", 3: "wlan0"}
	f := newFilter([]string{"eth0"})
	f.now = func() time.Time { return now }
	f.name = func(i int) (string, error) {
		if n, ok := host[i]; ok {
			return n, nil
		}
		return "", os.ErrNotExist
	}
	check := func(want ...int) {
		t.Helper()
		var got []int
		for i := range 6 {
			if f.allows(i) {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("allowed %v, want %v", got, want)
		}
	}
	check(2)
	delete(host, 2)
	host[4] = "eth0" // created again
	now = now.Add(filterFresh)
	check(4)
	host[4], host[3] = "old", "eth0" // renamed
	now = now.Add(filterFresh)
	check(3)
	if len(f.verdict) > len(host) {
		t.Errorf("remembers %d interfaces of %d", len(f.verdict), len(host))
	}
	for i := range 1000 { // each index is used once
		host[100+i] = "veth"
		now = now.Add(time.Second)
		f.allows(100 + i)
	}
	if len(f.verdict) > filterTidy {
		t.Errorf("remembers %d interfaces that were heard once", len(f.verdict))
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	conns := listen(t, Options{Interfaces: []string{"lo"}})
	for i, host := range []string{"::1", "127.0.0.1"} {
		conn := conns[i]
		out := Path{Peer: netip.AddrPortFrom(netip.MustParseAddr(host), conn.Port()), Local: netip.MustParseAddr(host), Interface: 1}
		b, msg := make([]byte, 1500), make([]byte, 1000)
		n := testing.AllocsPerRun(200, func() {
			if err := conn.WriteTo(msg, out); err != nil {
				t.Fatal(err)
			}
			if _, _, err := conn.ReadFrom(b); err != nil {
				t.Fatal(err)
			}
		})
		if n > 0 {
			t.Errorf("%s: %v allocations per datagram sent and received", host, n)
		}
	}
}

func BenchmarkSendReceive(b *testing.B) {
	conns := listen(b, Options{})
	for i, host := range []string{"::1", "127.0.0.1"} {
		b.Run(host, func(b *testing.B) {
			conn := conns[i]
			out := Path{Peer: netip.AddrPortFrom(netip.MustParseAddr(host), conn.Port()), Local: netip.MustParseAddr(host), Interface: 1}
			buf, msg := make([]byte, 1500), make([]byte, 1232)
			b.ReportAllocs()
			for b.Loop() {
				if err := conn.WriteTo(msg, out); err != nil {
					b.Fatal(err)
				}
				if _, _, err := conn.ReadFrom(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
