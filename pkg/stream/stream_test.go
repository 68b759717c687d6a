package stream

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds what a test waits for. It is only reached by a failure.
const patience = 20 * time.Second

// pair returns both ends of a connection, the first of them as Listen returns it.
func pair(t testing.TB, network string) (ours, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = Listen(l).Accept(); err != nil {
		t.Fatal(err)
	}
	if _, ok := ours.(*conn); !ok {
		t.Fatalf("Listen returns a %T", ours)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	for _, c := range []net.Conn{ours, theirs} {
		c.SetDeadline(time.Now().Add(patience))
	}
	return ours, theirs
}

func each(t *testing.T, f func(t *testing.T, ours, theirs net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := pair(t, network)
			f(t, ours, theirs)
		})
	}
}

// TestBothDirections moves more than buffers hold in both directions at the same time,
// while a third goroutine sets deadlines.
func TestBothDirections(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		const size = 8 << 20
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		sums := make(chan [sha256.Size]byte, 2)
		for _, c := range []net.Conn{ours, theirs} {
			go func() {
				if n, err := c.Write(data); n != size || err != nil {
					t.Errorf("wrote %d: %v", n, err)
				}
				if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Error(err)
				}
			}()
			go func() {
				got, err := io.ReadAll(c)
				if err != nil {
					t.Error(err)
				}
				sums <- sha256.Sum256(got)
			}()
		}
		for range 2 {
			ours.SetDeadline(time.Now().Add(patience))
			if got := <-sums; got != sha256.Sum256(data) {
				t.Error("other octets arrive than were written")
			}
		}
	})
}

// TestErrors compares the errors with those that package net returns: HTTP servers look at
// them.
func TestErrors(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		isOp := func(err error, op string) {
			t.Helper()
			var e *net.OpError
			if !errors.As(err, &e) || e.Op != op {
				t.Errorf("%v is no net.OpError of %s", err, op)
			}
		}
		ours.SetReadDeadline(time.Now().Add(-time.Second))
		_, err := ours.Read(make([]byte, 1))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		isOp(err, "read")

		large := make([]byte, 64<<20)
		ours.SetDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := ours.Write(large)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
			t.Errorf("the peer reads nothing: %d, %v", n, err)
		}
		isOp(err, "write")

		ours.SetDeadline(time.Now().Add(patience))
		theirs.Close()
		for err = nil; err == nil; {
			_, err = ours.Write(make([]byte, 1024))
		}
		if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the peer has closed: %v", err)
		}
		isOp(err, "write")

		ours.Close()
		for op, call := range map[string]func([]byte) (int, error){"read": ours.Read, "write": ours.Write} {
			_, err := call(make([]byte, 1))
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v", op, err)
			}
			isOp(err, op)
		}
	})
}

func TestEnd(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		if n, err := ours.Read(nil); n != 0 || err != nil {
			t.Errorf("reading nothing: %d, %v", n, err)
		}
		if n, err := ours.Write(nil); n != 0 || err != nil {
			t.Errorf("writing nothing: %d, %v", n, err)
		}
		theirs.Close()
		if n, err := ours.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
	})
}

// TestCloseEndsRead checks that Close ends the calls of all goroutines.
func TestCloseEndsRead(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		errs := make(chan error)
		for range 3 {
			go func() {
				_, err := ours.Read(make([]byte, 1))
				errs <- err
			}()
		}
		theirs.Write([]byte("x"))
		if err := <-errs; err != nil {
			t.Error(err)
		}
		ours.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read after Close: %v", err)
			}
		}
	})
}

// TestOther checks that connections of other kinds are left alone.
func TestOther(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Conn(a) != a {
		t.Error("Conn changes a pipe")
	}
}

func TestNoAllocation(t *testing.T) {
	ours, theirs := pair(t, "unix")
	in, out := make([]byte, 64), bytes.Repeat([]byte("x"), 64)
	if n := testing.AllocsPerRun(200, func() {
		for _, c := range []struct{ from, to net.Conn }{{theirs, ours}, {ours, theirs}} {
			if _, err := c.from.Write(out); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c.to, in); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations for a message each way", n)
	}
}
