package session

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// testPublishedGroup checks a published message to a group, with its plaintext and
// its datagram.
func testPublishedGroup(t *testing.T, name string, key, plain, datagram []byte, accepted bool) {
	h, size, err := message.ParseHeader(plain)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := mcrypto.GroupSessionID(key); err != nil || id != h.SessionID {
		t.Fatalf("group session id %04x, want %04x: %v", id, h.SessionID, err)
	}
	tab := newTable(t, 1, nil)
	if _, err := tab.Receive(start, slices.Clone(datagram), pathA); err != DropGroup {
		t.Errorf("without a key: %v", err)
	}
	tab.SetGroupKeys([]GroupKey{{Fabric: 3, Key: [16]byte(key), Groups: []matter.GroupID{h.DestGroup}}})
	if strings.Contains(name, "replay") {
		if _, err := tab.Receive(start, slices.Clone(datagram), pathA); err != nil {
			t.Fatal(err)
		}
		if _, err := tab.Receive(start, datagram, pathA); err != DropReplay {
			t.Errorf("again: %v", err)
		}
		return
	}
	in, err := tab.Receive(start, datagram, pathA)
	if !accepted {
		if err != DropAuthentication {
			t.Errorf("Receive = %+v, %v", in, err)
		}
		return
	}
	p, n, _ := message.ParseProtocolHeader(plain[size:])
	if err != nil || in.Session != nil || in.Fabric != 3 || in.Header != h || in.Protocol != p || in.Duplicate || !bytes.Equal(in.Payload, plain[size+n:]) {
		t.Errorf("Receive = %+v, %v", in, err)
	}
}

// A host with several interfaces on a network receives every message on each of
// them. Any further copy is a replay.
func TestGroupMessageByTwoInterfaces(t *testing.T) {
	tab := newTable(t, 1, nil)
	tab.SetGroupKeys([]GroupKey{{Fabric: 1, Key: testKey(1), Groups: []matter.GroupID{7}}})
	receive := func(via int, m groupMessage, want error) {
		t.Helper()
		p := pathA
		p.Interface = via
		if _, err := tab.Receive(start, m.seal(t), p); err != want {
			t.Errorf("counter %d of %v by interface %d: %v, want %v", m.counter, m.source, via, err, want)
		}
	}
	for n := range uint32(40) {
		receive(2, from(5, 100+n), nil)
		receive(3, from(5, 100+n), DropCopy)
		receive(3, from(5, 100+n), DropReplay)
		receive(2, from(5, 100+n), DropReplay)
		receive(4, from(5, 100+n), DropCopy)
	}
	receive(3, from(6, 139), nil) // of another sender
	receive(9, from(5, 130), DropCopy)
	receive(9, from(5, 101), DropReplay) // too long ago
	for via := range 20 {
		want := error(DropCopy)
		if via >= interfacesOfArrival-1 {
			want = DropReplay
		}
		receive(100+via, from(6, 139), want)
	}
}

// groupMessage describes a message to a group.
type groupMessage struct {
	key        [16]byte
	source     matter.NodeID
	group      matter.GroupID
	counter    uint32
	control    bool
	private    bool
	extensions []byte // of the message
	payload    string
}

func testKey(n byte) (k [16]byte) {
	testRand(n).Read(k[:])
	return k
}

// from returns a message of a node to group 7 with the first key.
func from(node matter.NodeID, counter uint32) groupMessage {
	return groupMessage{key: testKey(1), source: node, group: 7, counter: counter, payload: "on"}
}

func (m groupMessage) seal(t testing.TB) []byte {
	t.Helper()
	id, err := mcrypto.GroupSessionID(m.key[:])
	if err != nil {
		t.Fatal(err)
	}
	h := message.Header{
		SessionID: id, Group: true, Control: m.control, Privacy: m.private, Counter: m.counter,
		HasSource: true, Source: m.source, HasDestGroup: true, DestGroup: m.group,
	}
	b := h.AppendTo(nil)
	if m.extensions != nil {
		b[3] |= 0x20
		b = append(b, byte(len(m.extensions)), 0)
		b = append(b, m.extensions...)
	}
	p := message.ProtocolHeader{Initiator: true, Opcode: opcodeInvoke, Exchange: 9, Protocol: matter.ProtocolInteractionModel}
	aead, err := mcrypto.NewAEAD(m.key[:])
	if err != nil {
		t.Fatal(err)
	}
	nonce := mcrypto.MessageNonce(b[3], m.counter, m.source)
	size := len(b)
	d := aead.Seal(b, nonce[:], append(p.AppendTo(nil), m.payload...), b)
	if m.private {
		privacy, err := mcrypto.PrivacyKey(m.key[:])
		if err != nil {
			t.Fatal(err)
		}
		if err := mcrypto.ObfuscatePrivacy(privacy[:], id, d[len(d)-message.MICSize:], d[4:size]); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// groupTable returns a table whose fabric 1 has the first key for groups 7 and 8.
func groupTable(t testing.TB) *Table {
	tab := newTable(t, 1, nil)
	tab.SetGroupKeys([]GroupKey{{Fabric: 1, Key: testKey(1), Groups: []matter.GroupID{7, 8}}})
	return tab
}

func TestGroupReceive(t *testing.T) {
	change := func(f func(*groupMessage)) []byte {
		m := from(5, 100)
		f(&m)
		return m.seal(t)
	}
	wrong := func(f func(d []byte)) []byte {
		d := from(5, 100).seal(t)
		f(d)
		return d
	}
	tests := []struct {
		name     string
		datagram []byte
		want     error
	}{
		{"in the clear", change(func(*groupMessage) {}), nil},
		{"private", change(func(m *groupMessage) { m.private = true }), nil},
		{"private with extensions", change(func(m *groupMessage) { m.private, m.extensions = true, []byte("something new") }), nil},
		{"with extensions", change(func(m *groupMessage) { m.extensions = []byte("something new") }), nil},
		{"control", change(func(m *groupMessage) { m.control = true }), nil},
		{"second group", change(func(m *groupMessage) { m.group = 8 }), nil},
		{"empty", change(func(m *groupMessage) { m.payload = "" }), nil},
		{"group that is not mapped to the key", change(func(m *groupMessage) { m.group = 9 }), DropGroup},
		{"private, not mapped", change(func(m *groupMessage) { m.group, m.private = 9, true }), DropAuthentication},
		{"unknown key", change(func(m *groupMessage) { m.key = testKey(2) }), DropGroup},
		{"source that is no node", change(func(m *groupMessage) { m.source = matter.GroupID(7).NodeID() }), DropGroup},
		{"source 0", change(func(m *groupMessage) { m.source = 0 }), DropGroup},
		{"to a node", wrong(func(d []byte) { d[0] = 5 }), DropGroup},
		{"without a source", wrong(func(d []byte) { d[0] = 2 }), DropMalformed},
		{"another counter", wrong(func(d []byte) { d[4]++ }), DropAuthentication},
		{"other flags", wrong(func(d []byte) { d[3] |= 0x40 }), DropAuthentication},
		{"version", wrong(func(d []byte) { d[0] |= 0x10 }), DropMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := groupTable(t)
			in, err := tab.Receive(start, slices.Clone(tt.datagram), pathA)
			if err != tt.want {
				t.Fatalf("Receive = %+v, %v; want %v", in, err, tt.want)
			}
			if err == nil && (in.Fabric != 1 || in.Session != nil || in.Header.Source != 5 || in.Header.Counter != 100) {
				t.Errorf("%+v", in)
			}
			if err != nil && len(tab.groups.senders) != 0 {
				t.Errorf("a message that was dropped left %v", tab.groups.senders)
			}
		})
	}
}

// Every truncated or changed datagram is dropped and leaves no trace.
func TestGroupTampering(t *testing.T) {
	for _, private := range []bool{false, true} {
		m := from(5, 100)
		m.private, m.extensions = private, []byte("x")
		good := m.seal(t)
		tab := groupTable(t)
		for n := range good {
			if _, err := tab.Receive(start, slices.Clone(good[:n]), pathA); err == nil {
				t.Errorf("private %v: %d of %d octets are taken", private, n, len(good))
			}
		}
		for bit := range len(good) * 8 {
			d := slices.Clone(good)
			d[bit/8] ^= 1 << (bit % 8)
			if _, err := tab.Receive(start, d, pathA); err == nil {
				t.Errorf("private %v: flipping bit %d is taken", private, bit)
			}
		}
		if len(tab.groups.senders) != 0 {
			t.Errorf("left %v", tab.groups.senders)
		}
		if _, err := tab.Receive(start, good, pathA); err != nil {
			t.Errorf("private %v: %v", private, err)
		}
	}
}

// Counters are separate for data and control messages, for senders and for fabrics.
func TestGroupCounters(t *testing.T) {
	tab := newTable(t, 1, nil)
	keys := []GroupKey{
		{Fabric: 1, Key: testKey(1), Groups: []matter.GroupID{7}},
		{Fabric: 2, Key: testKey(2), Groups: []matter.GroupID{7}},
		{Fabric: 1, Key: testKey(3), Groups: []matter.GroupID{7}}, // the next epoch
	}
	tab.SetGroupKeys(keys)
	send := func(what string, m groupMessage, want error) {
		t.Helper()
		if _, err := tab.Receive(start, m.seal(t), pathA); err != want {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	with := func(m groupMessage, f func(*groupMessage)) groupMessage { f(&m); return m }
	send("first", from(5, 100), nil)
	send("again", from(5, 100), DropReplay)
	send("before the first", from(5, 99), DropReplay)
	send("next", from(5, 101), nil)
	send("another sender", from(6, 3), nil)
	send("control", with(from(5, 7), func(m *groupMessage) { m.control = true }), nil)
	send("control again", with(from(5, 7), func(m *groupMessage) { m.control = true }), DropReplay)
	send("another fabric", with(from(5, 2), func(m *groupMessage) { m.key = testKey(2) }), nil)
	send("next epoch, old counter", with(from(5, 101), func(m *groupMessage) { m.key = testKey(3) }), DropReplay)
	send("next epoch", with(from(5, 102), func(m *groupMessage) { m.key = testKey(3) }), nil)
	send("rollover is far", from(5, 102+1<<31), DropReplay)
	send("half way round", from(5, 102+1<<31-1), nil)
	send("to the end", from(5, math.MaxUint32), nil)
	send("rolled over", from(5, 0), nil)
	send("before that", from(5, math.MaxUint32), DropReplay)

	tab.SetGroupKeys(keys[:1])
	send("its key is gone", with(from(5, 3), func(m *groupMessage) { m.key = testKey(2) }), DropGroup)
	send("counters stay", from(5, 0), DropReplay)
	tab.SetGroupKeys(nil)
	tab.SetGroupKeys(keys)
	send("a new beginning", from(5, 0), nil)
	if n := len(tab.groups.senders); n != 1 {
		t.Errorf("%d lists of senders", n)
	}
}

// The number of remembered senders is limited, and the one silent longest is
// dropped. Fabrics do not displace each other's senders.
func TestGroupSendersAreBounded(t *testing.T) {
	tab := newTable(t, 1, nil)
	tab.SetGroupKeys([]GroupKey{
		{Fabric: 1, Key: testKey(1), Groups: []matter.GroupID{7}},
		{Fabric: 2, Key: testKey(2), Groups: []matter.GroupID{7}},
	})
	send := func(m groupMessage) error {
		_, err := tab.Receive(start, m.seal(t), pathA)
		return err
	}
	other := from(5, 100)
	other.key = testKey(2)
	if err := send(other); err != nil {
		t.Fatal(err)
	}
	for n := range matter.NodeID(maxGroupSenders) {
		if err := send(from(n+1, 10)); err != nil {
			t.Fatal(err)
		}
	}
	// The first sends again: now the second is the oldest.
	if err := send(from(1, 11)); err != nil {
		t.Fatal(err)
	}
	if err := send(from(1000, 10)); err != nil {
		t.Fatal(err)
	}
	if err := send(from(1, 11)); err != DropReplay {
		t.Errorf("one heard lately is forgotten: %v", err)
	}
	if err := send(from(2, 10)); err != nil {
		t.Errorf("the oldest is not forgotten: %v", err)
	}
	if err := send(other); err != DropReplay {
		t.Errorf("another fabric's sender is forgotten: %v", err)
	}
	for list, senders := range tab.groups.senders {
		if len(senders) > maxGroupSenders {
			t.Errorf("%d senders of %v", len(senders), list)
		}
	}
}

// Two keys may have the same session id, as it has only 16 bits.
func TestGroupSessionIDCollision(t *testing.T) {
	first := testKey(1)
	want, err := mcrypto.GroupSessionID(first[:])
	if err != nil {
		t.Fatal(err)
	}
	second := first
	for n := uint32(1); ; n++ {
		second[0], second[1], second[2], second[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
		if id, _ := mcrypto.GroupSessionID(second[:]); id == want {
			break
		}
	}
	for _, order := range [][][16]byte{{first, second}, {second, first}} {
		tab := newTable(t, 1, nil)
		tab.SetGroupKeys([]GroupKey{
			{Fabric: 1, Key: order[0], Groups: []matter.GroupID{7}},
			{Fabric: 2, Key: order[1], Groups: []matter.GroupID{7}},
		})
		for i, key := range order {
			for _, private := range []bool{false, true} {
				m := from(5, uint32(100+i))
				m.key, m.private = key, private
				if private {
					m.counter += 10
				}
				in, err := tab.Receive(start, m.seal(t), pathA)
				if err != nil || in.Fabric != matter.FabricIndex(i+1) || string(in.Payload) != "on" {
					t.Errorf("key %d, private %v: %+v, %v", i, private, in, err)
				}
			}
		}
	}
}

func FuzzGroupReceive(f *testing.F) {
	m := from(5, 100)
	f.Add(m.seal(f))
	m.private = true
	f.Add(m.seal(f))
	m.extensions = []byte("x")
	f.Add(m.seal(f))
	f.Fuzz(func(t *testing.T, d []byte) {
		tab := groupTable(t)
		b := slices.Clone(d)
		in, err := tab.Receive(start, b, pathA)
		if err == nil && toGroup(d) && (in.Fabric != 1 || in.Session != nil) {
			t.Errorf("%+v", in)
		}
	})
}

func BenchmarkGroupReceive(b *testing.B) {
	for _, private := range []bool{false, true} {
		name := "clear"
		if private {
			name = "private"
		}
		b.Run(name, func(b *testing.B) {
			tab := groupTable(b)
			m := from(5, 100)
			m.private, m.payload = private, strings.Repeat("x", 60)
			d := m.seal(b)
			buf := make([]byte, len(d))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, d)
				_, _ = tab.Receive(start, buf, pathA) // all but the first are replays, which cost the same
			}
		})
	}
}
