package session

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

var sigma1 = message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: message.OpcodeSigma1, Exchange: 5}

// fromInitiator is an unsecured message with the given ephemeral id and counter.
func fromInitiator(source matter.NodeID, counter uint32) []byte {
	h := message.Header{Counter: counter, HasSource: true, Source: source}
	return sigma1.AppendTo(h.AppendTo(nil))
}

func TestUnsecuredBothWays(t *testing.T) {
	ti, tr := newTable(t, 1, nil), newTable(t, 2, nil)
	ini := ti.Unsecured(start, pathB)
	first, counter, err := ini.Seal(nil, &sigma1, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := tr.Receive(start, first, pathA)
	if err != nil {
		t.Fatal(err)
	}
	res := in.Session
	if res.Kind != Unsecured || res.Initiator || res.Path != pathA || res.LocalID != 0 || res.Params != message.DefaultParameters() ||
		in.Header.Counter != counter || string(in.Payload) != "hello" || in.Protocol != sigma1 {
		t.Fatalf("received %+v on %+v", in, res)
	}
	answer := message.ProtocolHeader{Opcode: message.OpcodeSigma2, Exchange: 5, HasAck: true, Ack: counter}
	d, _, err := res.Seal(nil, &answer, []byte("hi"))
	if err != nil {
		t.Fatal(err)
	}
	// The answer is matched by the ephemeral id alone and does not change the path
	// of the handshake.
	back, err := ti.Receive(start.Add(time.Second), d, pathA)
	if err != nil || back.Session != ini || string(back.Payload) != "hi" || back.Protocol != answer {
		t.Fatalf("received %+v, %v", back, err)
	}
	if ini.Path != pathB || ini.LastReceived != start.Add(time.Second) {
		t.Errorf("the initiator's session: %+v", ini)
	}
	if again, err := ti.Receive(start, d, pathB); err != nil || !again.Duplicate {
		t.Errorf("the answer again: %+v, %v", again, err)
	}
	ti.Remove(ini)
	if _, err := ti.Receive(start, d, pathB); err != DropUnknownSession {
		t.Errorf("an answer for nobody: %v", err)
	}
	if _, _, err := ini.Seal(nil, &sigma1, nil); err != ErrGone {
		t.Errorf("Seal on a removed session: %v", err)
	}
}

func TestUnsecuredSessionsByIDAndPeer(t *testing.T) {
	tab := newTable(t, 1, nil)
	get := func(source matter.NodeID, counter uint32, p transport.Path) Incoming {
		t.Helper()
		in, err := tab.Receive(start, fromInitiator(source, counter), p)
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	first := get(7, 100, pathA)
	if in := get(7, 100, pathA); in.Session != first.Session || !in.Duplicate {
		t.Error("the same message is no duplicate")
	}
	if in := get(8, 100, pathA); in.Session == first.Session || in.Duplicate {
		t.Error("another id is the same session")
	}
	if in := get(7, 100, pathB); in.Session == first.Session || in.Duplicate {
		t.Error("another peer is the same session")
	}
	other := pathA
	other.Interface = 2
	if in := get(7, 100, other); in.Session != first.Session || !in.Duplicate || in.Session.Path != pathA {
		t.Error("a message that came twice over two interfaces is not a duplicate")
	}
	if in := get(7, 101, other); in.Session.Path != other {
		t.Error("the path does not follow")
	}
	if in := get(7, 5, pathA); in.Duplicate {
		t.Error("a peer that rebooted is not heard")
	}
}

func TestUnsecuredDropReasons(t *testing.T) {
	tab := newTable(t, 1, nil)
	proto := sigma1.AppendTo(nil)
	for _, tt := range []struct {
		name string
		h    message.Header
		body []byte
		want DropReason
	}{
		{"neither address", message.Header{}, proto, DropMalformed},
		{"both addresses", message.Header{HasSource: true, Source: 1, HasDest: true, Dest: 1}, proto, DropMalformed},
		{"initiator is nobody", message.Header{HasSource: true}, proto, DropMalformed},
		{"initiator is a group", message.Header{HasSource: true, Source: 0xFFFF_FFFF_FFFF_0001}, proto, DropMalformed},
		{"privacy", message.Header{Privacy: true, HasSource: true, Source: 1}, proto, DropPrivacy},
		{"for nobody", message.Header{HasDest: true, Dest: 1}, proto, DropUnknownSession},
		{"no protocol header", message.Header{HasSource: true, Source: 1}, proto[:5], DropMalformed},
	} {
		if _, err := tab.Receive(start, append(tt.h.AppendTo(nil), tt.body...), pathA); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if n := tab.Len(Unsecured); n != 0 {
		t.Errorf("dropped datagrams left %d sessions", n)
	}
}

func TestUnsecuredSessionsAreFew(t *testing.T) {
	busy := make(map[*Session]bool)
	tab := newTable(t, 1, func(o *Options) { o.Busy = func(s *Session) bool { return busy[s] } })
	get := func(source matter.NodeID, at int) *Session {
		t.Helper()
		in, err := tab.Receive(start.Add(time.Duration(at)), fromInitiator(source, uint32(at)), pathA)
		if err != nil {
			t.Fatal(err)
		}
		return in.Session
	}
	var s []*Session
	for i := range 4 {
		s = append(s, get(matter.NodeID(i+1), i+1))
	}
	busy[s[0]] = true
	get(2, 10) // used again
	get(5, 11)
	if e := tab.TakeEvicted(); len(e) != 1 || e[0] != s[2] || tab.Len(Unsecured) != 4 {
		t.Fatalf("evicted %v, want the one used least recently that is not in use", e)
	}
	if in, err := tab.Receive(start, fromInitiator(3, 3), pathA); err != nil || in.Duplicate || in.Session == s[2] {
		t.Errorf("the evicted session goes on: %+v, %v", in, err)
	}
	// A flood does not evict sessions in use, and the table does not grow.
	for i := range 1000 {
		get(matter.NodeID(100+i), 100+i)
	}
	if s[0].Gone() || tab.Len(Unsecured) != 4 {
		t.Errorf("after a flood: gone %v, %d sessions", s[0].Gone(), tab.Len(Unsecured))
	}
	if in, err := tab.Receive(start, fromInitiator(1, 1), pathA); err != nil || !in.Duplicate {
		t.Errorf("the session in use forgot its window: %+v, %v", in, err)
	}
	tab.TakeEvicted()

	for _, s := range tab.responders {
		busy[s] = true
	}
	if _, err := tab.Receive(start, fromInitiator(77, 1), pathA); err != DropUnsecuredFull {
		t.Errorf("when all are in use: %v", err)
	}
	if len(tab.TakeEvicted()) != 0 || tab.Len(Unsecured) != 4 {
		t.Error("a session in use was evicted")
	}
	// Strangers do not prevent handshakes that this node begins.
	if own := tab.Unsecured(start, pathA); own.Gone() || tab.Len(Unsecured) != 5 {
		t.Error("no unsecured session as initiator")
	}
}

func TestEphemeralIDs(t *testing.T) {
	tab := newTable(t, 1, func(o *Options) { o.MaxUnsecured = 100 })
	seen := make(map[matter.NodeID]bool)
	for range 100 {
		s := tab.Unsecured(start, pathA)
		if !s.ephemeral.Operational() || seen[s.ephemeral] {
			t.Errorf("ephemeral id %v", s.ephemeral)
		}
		seen[s.ephemeral] = true
	}
}

// All unsecured sessions share the global unencrypted counter, which rolls over.
func TestUnencryptedCounter(t *testing.T) {
	tab := newTable(t, 1, nil)
	if c := tab.unencrypted; c < 1 || c > 1<<28 {
		t.Errorf("counter starts at %d", c)
	}
	a, b := tab.Unsecured(start, pathA), tab.Unsecured(start, pathB)
	tab.unencrypted = math.MaxUint32 - 2
	var got []uint32
	for _, s := range []*Session{a, b, a, b} {
		_, c, err := s.Seal(nil, &sigma1, nil)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c)
	}
	if want := []uint32{math.MaxUint32 - 1, math.MaxUint32, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("counters %v, want %v", got, want)
	}
}

func FuzzReceive(f *testing.F) {
	ini, res := pair(f, CASE)
	secured := seal(f, ini, "payload")
	f.Add(secured)
	f.Add(secured[:20])
	f.Add(fromInitiator(7, 9))
	f.Add(append(fromInitiator(7, 10), 1, 2, 3))
	f.Add([]byte{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0x31, 0, 0, 0, 0})
	f.Add([]byte{6, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		before, authentic := facts(res), slices.Equal(b, secured)
		in, err := res.table.Receive(start, slices.Clone(b), pathA)
		if err != nil {
			if _, ok := err.(DropReason); !ok || in.Session != nil || facts(res) != before {
				t.Fatalf("Receive(%x) = %+v, %v", b, in, err)
			}
			return
		}
		if (in.Session == res) != authentic {
			t.Fatalf("Receive(%x) is of %v", b, in.Session.Kind)
		}
		if len(in.Payload) > len(b) || res.table.Len(Unsecured) > 4 {
			t.Fatalf("payload of %d octets, %d unsecured sessions", len(in.Payload), res.table.Len(Unsecured))
		}
	})
}

// The session allocates nothing for a message.
func TestAllocations(t *testing.T) {
	ini, res := pair(t, CASE)
	payload := make([]byte, 100)
	buf := make([]byte, 0, message.MaxSize)
	nonce := make([]byte, 13)
	aead := ini.crypto.seal
	sealing := testing.AllocsPerRun(100, func() { aead.Seal(buf[:0], nonce, payload, nonce) })
	sealed := aead.Seal(nil, nonce, payload, nonce)
	opening := testing.AllocsPerRun(100, func() {
		if _, err := aead.Open(buf[:0], nonce, sealed, nonce); err != nil {
			t.Fatal(err)
		}
	})
	unsecured := res.table.Unsecured(start, pathA)
	for _, tt := range []struct {
		name string
		want float64
		f    func() error
	}{
		{"unsecured seal", 0, func() error {
			_, _, err := unsecured.Seal(buf[:0], &sigma1, payload)
			return err
		}},
		{"seal", sealing, func() error {
			_, _, err := ini.Seal(buf[:0], &requestHeader, payload)
			return err
		}},
		{"seal and receive", sealing + opening, func() error {
			d, _, err := ini.Seal(buf[:0], &requestHeader, payload)
			if err != nil {
				return err
			}
			_, err = res.table.Receive(start, d, pathA)
			return err
		}},
	} {
		got := testing.AllocsPerRun(100, func() {
			if err := tt.f(); err != nil {
				t.Fatal(err)
			}
		})
		if got > tt.want {
			t.Errorf("%s: %v allocations, %v of them in the cipher", tt.name, got, tt.want)
		}
	}
}

func BenchmarkSeal(b *testing.B)    { benchmark(b, false) }
func BenchmarkReceive(b *testing.B) { benchmark(b, true) }

func benchmark(b *testing.B, receive bool) {
	for _, size := range []int{0, 100, 1100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ini, res := pair(b, CASE)
			payload, buf := make([]byte, size), make([]byte, 0, message.MaxSize)
			b.ReportAllocs()
			for b.Loop() {
				if ini.crypto.counter == math.MaxUint32 {
					b.Fatal("counter exhausted")
				}
				d, _, err := ini.Seal(buf[:0], &requestHeader, payload)
				if err != nil {
					b.Fatal(err)
				}
				if !receive {
					continue
				}
				if _, err := res.table.Receive(start, d, pathA); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
