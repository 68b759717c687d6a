package simnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/pkg/transport"
)

var (
	addrA = netip.MustParseAddrPort("[fd00::a]:5540")
	addrB = netip.MustParseAddrPort("[fd00::b]:5540")
)

// arrival is a datagram at a conn.
type arrival struct {
	after   time.Duration
	payload string
	path    transport.Path
}

// collect reads from c until it is closed. The result may be read after that.
func collect(c transport.PacketConn) (got *[]arrival, done chan error) {
	got, done = new([]arrival), make(chan error, 1)
	begin := time.Now()
	go func() {
		b := make([]byte, 1500)
		for {
			n, p, err := c.ReadFrom(b)
			if err != nil {
				done <- err
				return
			}
			*got = append(*got, arrival{time.Since(begin), string(b[:n]), p})
		}
	}()
	return got, done
}

// run sends n numbered datagrams, 1 ms apart, and returns what arrives.
func run(t *testing.T, seed uint64, c Conditions, n int) (got []arrival, stats Stats) {
	synctest.Test(t, func(t *testing.T) {
		network := New(seed, c)
		a, b := network.Listen(addrA), network.Listen(addrB)
		at, done := collect(b)
		for i := range n {
			if err := a.WriteTo(fmt.Append(nil, i), transport.Path{Peer: addrB}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		a.Close()
		b.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom of a closed conn: %v", err)
		}
		got, stats = *at, network.Stats()
	})
	return got, stats
}

func payloads(as []arrival) (p []string) {
	for _, a := range as {
		p = append(p, a.payload)
	}
	return p
}

func TestPerfectNetwork(t *testing.T) {
	got, stats := run(t, 1, Conditions{}, 3)
	want := transport.Path{Peer: addrA, Local: addrB.Addr(), Interface: 1}
	for i, a := range got {
		if a.payload != fmt.Sprint(i) || a.path != want || a.after != time.Duration(i)*time.Millisecond {
			t.Errorf("datagram %d: %+v", i, a)
		}
	}
	if want := (Stats{Sent: 3, Delivered: 3}); len(got) != 3 || stats != want {
		t.Errorf("%d arrived, %+v", len(got), stats)
	}
}

func TestDelayKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := New(1, Conditions{Delay: 30 * time.Millisecond})
		a, b := network.Listen(addrA), network.Listen(addrB)
		got, done := collect(b)
		var want []string
		for i := range 100 { // all at once
			want = append(want, fmt.Sprint(i))
			if err := a.WriteTo(fmt.Append(nil, i), transport.Path{Peer: addrB}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		b.Close()
		<-done
		if !slices.Equal(payloads(*got), want) {
			t.Errorf("arrived as %v", payloads(*got))
		}
		for _, a := range *got {
			if a.after != 30*time.Millisecond {
				t.Errorf("%q after %v", a.payload, a.after)
			}
		}
	})
}

func TestConditions(t *testing.T) {
	const n = 2000
	near := func(got int, want float64) bool { return float64(got) > want*0.8 && float64(got) < want*1.2 }
	for _, tt := range []struct {
		name string
		c    Conditions
		ok   func(got []arrival, s Stats) bool
	}{
		{"loss", Conditions{Loss: 0.3}, func(got []arrival, s Stats) bool {
			return near(s.Lost, n*0.3) && len(got) == n-s.Lost && slices.IsSortedFunc(got, byNumber)
		}},
		{"everything lost", Conditions{Loss: 1}, func(got []arrival, s Stats) bool { return s.Lost == n && len(got) == 0 }},
		{"duplicates", Conditions{Duplicate: 0.2}, func(got []arrival, s Stats) bool {
			return near(len(got)-n, n*0.2) && slices.IsSortedFunc(got, byNumber)
		}},
		{"reordering", Conditions{Reorder: 0.2}, func(got []arrival, s Stats) bool {
			return len(got) == n && near(overtaken(got), n*0.2*0.9)
		}},
		{"jitter", Conditions{Delay: 10 * time.Millisecond, Jitter: 10 * time.Millisecond}, func(got []arrival, s Stats) bool {
			for _, a := range got {
				if late := a.after - number(a)*time.Millisecond; late < 10*time.Millisecond || late > 20*time.Millisecond {
					return false
				}
			}
			return len(got) == n && overtaken(got) > 0
		}},
	} {
		got, stats := run(t, 7, tt.c, n)
		if !tt.ok(got, stats) {
			t.Errorf("%s: %d arrived, %d overtaken, %+v", tt.name, len(got), overtaken(got), stats)
		}
	}
}

func number(a arrival) (n time.Duration) {
	fmt.Sscan(a.payload, &n)
	return n
}

func byNumber(a, b arrival) int { return int(number(a) - number(b)) }

// overtaken counts the datagrams that arrived after a later one.
func overtaken(as []arrival) (n int) {
	last := time.Duration(-1)
	for _, a := range as {
		if number(a) < last {
			n++
		}
		last = max(last, number(a))
	}
	return n
}

func TestSameSeedSameFate(t *testing.T) {
	c := Conditions{Loss: 0.2, Duplicate: 0.1, Reorder: 0.2, Delay: 5 * time.Millisecond, Jitter: 3 * time.Millisecond}
	first, _ := run(t, 42, c, 300)
	again, _ := run(t, 42, c, 300)
	if !slices.Equal(first, again) {
		t.Error("the same seed gives another result")
	}
	if other, _ := run(t, 43, c, 300); slices.Equal(first, other) {
		t.Error("another seed gives the same result")
	}
}

// TestFatesAreApart checks that other traffic does not affect the datagrams between
// two conns.
func TestFatesAreApart(t *testing.T) {
	fate := func(noise int) (got []string) {
		synctest.Test(t, func(t *testing.T) {
			network := New(5, Conditions{Loss: 0.5})
			a, b := network.Listen(addrA), network.Listen(addrB)
			at, done := collect(b)
			for i := range 100 {
				for range noise {
					b.WriteTo([]byte("noise"), transport.Path{Peer: addrA})
				}
				a.WriteTo(fmt.Append(nil, i), transport.Path{Peer: addrB})
			}
			synctest.Wait()
			b.Close()
			<-done
			got = payloads(*at)
		})
		return got
	}
	if quiet, noisy := fate(0), fate(3); !slices.Equal(quiet, noisy) || len(quiet) == 0 {
		t.Errorf("%v alone, %v among others", quiet, noisy)
	}
}

func TestTapAndChangingConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := New(1, Conditions{})
		a, b := network.Listen(addrA), network.Listen(addrB)
		got, done := collect(b)
		send := func(s string) {
			if err := a.WriteTo([]byte(s), transport.Path{Peer: addrB}); err != nil {
				t.Error(err)
			}
		}
		var seen []string
		network.SetTap(func(d Datagram) bool {
			seen = append(seen, fmt.Sprint(d.From == addrA, d.To == addrB, " ", string(d.Payload)))
			return string(d.Payload) != "drop me"
		})
		send("1")
		send("drop me")
		network.SetTap(nil)
		network.SetConditions(Conditions{Loss: 1})
		send("2")
		network.SetConditions(Conditions{})
		send("3")
		synctest.Wait()
		b.Close()
		<-done
		if p := payloads(*got); !slices.Equal(p, []string{"1", "3"}) {
			t.Errorf("arrived: %q", p)
		}
		if !slices.Equal(seen, []string{"true true 1", "true true drop me"}) {
			t.Errorf("tapped: %q", seen)
		}
		if s, want := network.Stats(), (Stats{Sent: 4, Lost: 1, Tapped: 1, Delivered: 2}); s != want {
			t.Errorf("%+v, want %+v", s, want)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := New(1, Conditions{Delay: time.Second})
		a, b := network.Listen(addrA), network.Listen(addrB)
		_, done := collect(a)
		synctest.Wait() // it blocks in ReadFrom
		if err := errors.Join(a.Close(), a.Close()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom = %v", err)
		}
		if err := a.WriteTo(nil, transport.Path{Peer: addrB}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteTo = %v", err)
		}
		// To an address without a conn, and to one whose conn is closed meanwhile.
		for _, to := range []netip.AddrPort{addrA, addrB} {
			if err := b.WriteTo([]byte("x"), transport.Path{Peer: to}); err != nil {
				t.Error(err)
			}
		}
		b.Close()
		time.Sleep(time.Minute)
		if s := network.Stats(); s.Dropped != 2 || s.Delivered != 0 {
			t.Errorf("%+v", s)
		}
		// The address is free again.
		network.Listen(addrA).Close()
	})
}

func TestListen(t *testing.T) {
	network := New(1, Conditions{})
	any := netip.AddrPortFrom(addrA.Addr(), 0)
	first, second := network.Listen(any).Port(), network.Listen(any).Port()
	if first == 0 || first == second {
		t.Errorf("ports %d and %d", first, second)
	}
	network.Listen(addrA)
	defer func() {
		if recover() == nil {
			t.Error("an address was given twice")
		}
	}()
	network.Listen(addrA)
}

func TestFullInboxAndLargeDatagrams(t *testing.T) {
	network := New(1, Conditions{})
	a, b := network.Listen(addrA), network.Listen(addrB)
	large := make([]byte, 100)
	a.WriteTo(large, transport.Path{Peer: addrB})
	for range inboxSize {
		a.WriteTo([]byte("x"), transport.Path{Peer: addrB})
	}
	if s := network.Stats(); s.Delivered != inboxSize || s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
	// If a datagram does not fit the reader's buffer, only the path is returned, as
	// on a real socket.
	for _, want := range []int{0, 1} {
		if n, p, err := b.ReadFrom(make([]byte, 50)); n != want || p.Peer != addrA || err != nil {
			t.Errorf("ReadFrom = %d, %v, %v", n, p, err)
		}
	}
}

func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group, other := netip.MustParseAddr("ff35:40:fd00::100:1"), netip.MustParseAddr("ff35:40:fd00::100:2")
		network := New(1, Conditions{Delay: time.Millisecond})
		member, sender := network.Listen(addrA), network.Listen(addrB)
		stranger := network.Listen(netip.MustParseAddrPort("[fd00::c]:5540"))
		elsewhere := network.Listen(netip.MustParseAddrPort("[fd00::d]:5541"))
		for _, c := range []transport.PacketConn{member, sender, elsewhere} {
			if err := c.SetGroups([]netip.Addr{group}); err != nil {
				t.Fatal(err)
			}
		}
		var results []*[]arrival
		var ends []chan error
		conns := []transport.PacketConn{member, sender, stranger, elsewhere}
		for _, c := range conns {
			got, done := collect(c)
			results, ends = append(results, got), append(ends, done)
		}
		for _, to := range []netip.Addr{group, other} {
			if err := sender.WriteTo([]byte("x"), transport.Path{Peer: netip.AddrPortFrom(to, 5540)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for i, c := range conns {
			c.Close()
			<-ends[i]
			want := 0
			if c == member {
				want = 1
			}
			if len(*results[i]) != want {
				t.Errorf("conn %d received %v", i, *results[i])
			}
		}
	})
}

func TestInject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1, Conditions{})
		a, b := n.Listen(addrA), n.Listen(addrB)
		defer a.Close()
		defer b.Close()
		n.Inject(addrA, addrB, []byte("forged"))
		buf := make([]byte, 10)
		size, p, err := b.ReadFrom(buf)
		if err != nil || string(buf[:size]) != "forged" || p.Peer != addrA {
			t.Errorf("%q from %v, %v", buf[:size], p.Peer, err)
		}
	})
}
