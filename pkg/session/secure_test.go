package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

func TestPublishedSecuredMessages(t *testing.T) {
	raw, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name       string
			Plain      string
			Encrypted  string
			Key        string `json:"encrypt_key"`
			HeaderSize int    `json:"header_length"`
			Privacy    string
			Accepted   bool `json:"accepted_by_receiver"`

			DecryptKey string `json:"decrypt_key"`
			Message    string
			Body       string `json:"plaintext_protocol_header_and_payload"`
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	sealed, opened, refused, groups := 0, 0, 0, 0
	for _, v := range file.Vectors {
		if v.DecryptKey != "" {
			v.Key, v.Encrypted, v.Accepted, v.HeaderSize = v.DecryptKey, v.Message, true, 8
			v.Plain = v.Message[:16] + v.Body
		}
		if v.Key == "" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			plain, datagram := unhex(t, v.Plain), unhex(t, v.Encrypted)
			if v.Privacy != "" {
				datagram = unhex(t, v.Privacy)
			}
			h, size, err := message.ParseHeader(plain)
			if err != nil || size != v.HeaderSize {
				t.Fatalf("header of %d octets: %v", size, err)
			}
			if h.Group {
				groups++
				testPublishedGroup(t, v.Name, unhex(t, v.Key), plain, datagram, v.Accepted)
				return
			}
			s := published(t, v.Key, h.SessionID)
			in, err := s.table.Receive(start, slices.Clone(datagram), pathA)
			if !v.Accepted {
				refused++
				want := DropAuthentication
				if h.Privacy {
					want = DropPrivacy
				}
				if err != want {
					t.Fatalf("Receive = %v, want %v", err, want)
				}
				return
			}
			opened++
			p, n, _ := message.ParseProtocolHeader(plain[size:])
			if err != nil || in.Session != s || in.Header != h || in.Protocol != p || !bytes.Equal(in.Payload, plain[size+n:]) {
				t.Fatalf("Receive = %+v, %v", in, err)
			}
			s.crypto.counter = h.Counter - 1
			got, counter, err := s.Seal([]byte{0xAA}, &p, plain[size+n:])
			if err != nil || counter != h.Counter || !bytes.Equal(got[1:], datagram) {
				t.Errorf("Seal = %x, %d, %v; want %x", got, counter, err, datagram)
			}
			sealed++
		})
	}
	if sealed != 3 || opened != 3 || refused != 3 || groups != 4 {
		t.Errorf("sealed %d, opened %d, refused %d, to groups %d vectors; want 3, 3, 3 and 4", sealed, opened, refused, groups)
	}
}

// published returns a PASE session with one key and one id for both sides, as in
// the published messages.
func published(t *testing.T, key string, id uint16) *Session {
	t.Helper()
	tab := newTable(t, 1, nil)
	tab.secure[id] = nil
	tab.reserved++
	c := Config{Kind: PASE, LocalID: id, PeerID: id}
	copy(c.Keys.I2R[:], unhex(t, key))
	c.Keys.R2I = c.Keys.I2R
	return add(t, tab, start, c)
}

func TestBothDirections(t *testing.T) {
	for _, kind := range []Kind{PASE, CASE} {
		t.Run(kind.String(), func(t *testing.T) {
			ini, res := pair(t, kind)
			for _, way := range []struct{ from, to *Session }{{ini, res}, {res, ini}} {
				for _, payload := range []string{"", "x", "some more octets than one block of the cipher"} {
					in, err := way.to.table.Receive(start, seal(t, way.from, payload), pathA)
					if err != nil || in.Session != way.to || string(in.Payload) != payload || in.Protocol != requestHeader || in.Duplicate {
						t.Fatalf("received %+v, %v", in, err)
					}
				}
				// A side does not accept its own messages.
				if _, err := way.from.table.Receive(start, seal(t, way.from, "echo"), pathA); err == nil {
					t.Error("a session took its own message")
				}
			}
			if ini.AttestationChallenge != res.AttestationChallenge || ini.AttestationChallenge == ([16]byte{}) {
				t.Error("attestation challenges differ or are missing")
			}
		})
	}
}

func TestNonceHasTheSendersNode(t *testing.T) {
	ini, res := pair(t, CASE)
	res.crypto.peer = 0
	if _, err := res.table.Receive(start, seal(t, ini, "x"), pathA); err != DropAuthentication {
		t.Errorf("Receive with the wrong source node = %v", err)
	}
}

// A PASE session that gets a fabric keeps the node id 0 in its nonces.
func TestPASEOnFabricStillSpeaks(t *testing.T) {
	ini, res := pair(t, PASE)
	res.Fabric, res.LocalNode, res.PeerNode = 1, 5, 6
	if _, err := res.table.Receive(start, seal(t, ini, "x"), pathA); err != nil {
		t.Error(err)
	}
	if _, err := ini.table.Receive(start, seal(t, res, "x"), pathB); err != nil {
		t.Error(err)
	}
}

// facts returns a session without its scratch space.
func facts(s *Session) Session {
	f := *s
	f.crypto.nonce = [13]byte{}
	return f
}

func TestForgeriesChangeNothing(t *testing.T) {
	ini, res := pair(t, CASE)
	seal(t, ini, "lost")
	good := seal(t, ini, "payload")
	before := facts(res)
	check := func(what string, d []byte) {
		t.Helper()
		in, err := res.table.Receive(start.Add(time.Second), d, pathB)
		var reason DropReason
		if !errors.As(err, &reason) || in.Session != nil {
			// A flipped bit may make a valid unsecured message, but never one of
			// this session.
			if err == nil && in.Session != res {
				return
			}
			t.Fatalf("%s was received: %+v, %v", what, in, err)
		}
		if facts(res) != before {
			t.Fatalf("%s changed the session", what)
		}
	}
	for bit := range len(good) * 8 {
		d := slices.Clone(good)
		d[bit/8] ^= 1 << (bit % 8)
		check("a message with a flipped bit", d)
	}
	for n := range good {
		check("a truncated message", slices.Clone(good[:n]))
	}
	check("a longer message", append(slices.Clone(good), 0))
	if in, err := res.table.Receive(start, good, pathA); err != nil || in.Session != res {
		t.Fatalf("the good one: %v", err)
	}
}

func TestReceiveSecuredDropReasons(t *testing.T) {
	ini, res := pair(t, CASE)
	tab := res.table
	good := seal(t, ini, "x")
	with := func(change func(d []byte) []byte) []byte { return change(slices.Clone(good)) }
	for _, tt := range []struct {
		name string
		d    []byte
		want DropReason
	}{
		{"nothing", nil, DropMalformed},
		{"header only", good[:8], DropMalformed},
		{"no room for a MIC", good[:23], DropMalformed},
		{"MIC only", good[:24], DropAuthentication},
		{"unknown session", with(func(d []byte) []byte { d[1] ^= 0xFF; return d }), DropUnknownSession},
		{"privacy", with(func(d []byte) []byte { d[3] |= 0x80; return d }), DropPrivacy},
		{"group", with(func(d []byte) []byte {
			return append([]byte{0x06, 1, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0}, d[8:]...)
		}), DropGroup},
		{"MIC", with(func(d []byte) []byte { d[len(d)-1] ^= 1; return d }), DropAuthentication},
		{"header is authentic too", with(func(d []byte) []byte { d[3] |= 0x40; return d }), DropAuthentication},
	} {
		if _, err := tab.Receive(start, tt.d, pathA); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	// A reserved id is not a session.
	id, err := tab.ReserveID()
	if err != nil {
		t.Fatal(err)
	}
	d := slices.Clone(good)
	d[1], d[2] = byte(id), byte(id>>8)
	if _, err := tab.Receive(start, d, pathA); err != DropUnknownSession {
		t.Errorf("reserved id: %v", err)
	}
}

// An authentic message with an invalid protocol header is dropped.
func TestAuthenticGarbage(t *testing.T) {
	ini, res := pair(t, PASE)
	h := message.Header{SessionID: ini.PeerID, Counter: 9}
	d := h.AppendTo(nil)
	nonce := append([]byte{0, 9}, make([]byte, 11)...)
	d = ini.crypto.seal.Seal(d, nonce, []byte{1, 2, 3}, d)
	before := facts(res)
	if _, err := res.table.Receive(start, d, pathA); err != DropMalformed || facts(res) != before {
		t.Errorf("Receive = %v", err)
	}
}

func TestDuplicatesAndPath(t *testing.T) {
	ini, res := pair(t, CASE)
	tab := res.table
	var d [3][]byte
	for i := range d {
		d[i] = seal(t, ini, "x")
	}
	res.Defunct = true
	receive := func(at time.Duration, i int, from string) Incoming {
		t.Helper()
		in, err := tab.Receive(start.Add(at), slices.Clone(d[i]), path(from))
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	const home, moved, elsewhere = "[fe80::a%1]:5540", "[fe80::aa%1]:5540", "[fe80::bad%1]:5540"
	if in := receive(1, 1, moved); in.Duplicate || res.Path != path(moved) || res.LastReceived != start.Add(1) || res.Defunct {
		t.Errorf("a new message: %+v", res)
	}
	// Delayed, and then sent from another address.
	if in := receive(2, 0, elsewhere); in.Duplicate || res.Path != path(moved) || res.LastReceived != start.Add(2) {
		t.Errorf("a late message: %+v", res)
	}
	res.Defunct = true
	before := facts(res)
	for i := range 2 {
		if in := receive(3, i, elsewhere); !in.Duplicate || in.Session != res || in.Protocol != requestHeader {
			t.Errorf("a duplicate: %+v", in)
		}
	}
	if facts(res) != before {
		t.Error("a duplicate changed the session")
	}
	if receive(4, 2, home); res.Path != path(home) {
		t.Error("the path does not follow the newest message")
	}
}

func TestPeerActive(t *testing.T) {
	ini, _ := pair(t, CASE)
	ini.Params.ActiveThreshold = 4 * time.Second
	for _, tt := range []struct {
		after  time.Duration
		active bool
	}{{0, true}, {4*time.Second - 1, true}, {4 * time.Second, false}} {
		now := ini.LastReceived.Add(tt.after)
		want := ini.Params.IdleInterval
		if tt.active {
			want = ini.Params.ActiveInterval
		}
		if ini.PeerActive(now) != tt.active || ini.RetryInterval(now) != want {
			t.Errorf("after %v: active %v", tt.after, !tt.active)
		}
	}
	if s := newTable(t, 1, nil).Unsecured(start, pathA); s.PeerActive(start) {
		t.Error("a peer that never said anything is active")
	}
}

func TestCounters(t *testing.T) {
	starts := make(map[uint32]bool)
	for seed := range byte(20) {
		tab := newTable(t, seed, nil)
		s := add(t, tab, start, Config{Kind: PASE})
		first := s.crypto.counter
		if first < 1 || first > 1<<28 {
			t.Errorf("counter starts at %d", first)
		}
		starts[first] = true
		_, a, _ := s.Seal(nil, &requestHeader, nil)
		_, b, _ := s.Seal(nil, &requestHeader, nil)
		if a != first+1 || b != first+2 {
			t.Errorf("counters %d, %d after %d", a, b, first)
		}
	}
	if len(starts) != 20 {
		t.Errorf("%d start values of 20", len(starts))
	}
}

func TestCounterExhausted(t *testing.T) {
	ini, res := pair(t, CASE)
	ini.crypto.counter = math.MaxUint32 - 1
	d, counter, err := ini.Seal(nil, &requestHeader, nil)
	if counter != math.MaxUint32 || err != nil {
		t.Fatalf("last message: %d, %v", counter, err)
	}
	if _, err := res.table.Receive(start, d, pathA); err != nil {
		t.Error(err)
	}
	for range 2 {
		d, _, err := ini.Seal([]byte{7}, &requestHeader, nil)
		if err != ErrCounterExhausted || !bytes.Equal(d, []byte{7}) {
			t.Fatalf("after the last: %x, %v", d, err)
		}
	}
}

// A message larger than those that a node may send is accepted up to MaxReceived, and
// dropped beyond it before anything is done with it.
func TestReceiveLargeMessages(t *testing.T) {
	for _, tt := range []struct {
		size int
		want error
	}{{message.MaxSize + 1, nil}, {message.MaxReceived, nil}, {message.MaxReceived + 1, DropMalformed}} {
		ini, res := pair(t, CASE)
		small := seal(t, ini, "")
		payload := make([]byte, tt.size-len(small))
		h := message.Header{SessionID: ini.PeerID, Counter: ini.crypto.counter + 1}
		header := h.AppendTo(nil)
		plain := append(requestHeader.AppendTo(nil), payload...)
		nonce := mcrypto.MessageNonce(h.SecurityFlags(), h.Counter, ini.crypto.self)
		d := append(slices.Clone(header), ini.crypto.seal.Seal(nil, nonce[:], plain, header)...)
		if len(d) != tt.size {
			t.Fatalf("made %d octets", len(d))
		}
		in, err := res.table.Receive(start, d, pathA)
		if err != tt.want || err == nil && len(in.Payload) != len(payload) {
			t.Errorf("%d octets: %d octets of payload, %v", tt.size, len(in.Payload), err)
		}
	}
}

func TestSealSize(t *testing.T) {
	ini, _ := pair(t, CASE)
	uns := newTable(t, 1, nil).Unsecured(start, pathA)
	for _, tt := range []struct {
		s        *Session
		overhead int
	}{{ini, 8 + 6 + 16}, {uns, 16 + 6}} {
		fits := make([]byte, message.MaxSize-tt.overhead)
		d, before, err := tt.s.Seal(make([]byte, 5), &requestHeader, fits)
		if err != nil || len(d) != 5+message.MaxSize {
			t.Fatalf("%v: %d octets, %v", tt.s.Kind, len(d), err)
		}
		if d, _, err := tt.s.Seal([]byte{7}, &requestHeader, make([]byte, len(fits)+1)); err != ErrTooLarge || len(d) != 1 {
			t.Errorf("%v: too large gives %d octets, %v", tt.s.Kind, len(d), err)
		}
		// The rejected message used no counter.
		if _, after, _ := tt.s.Seal(nil, &requestHeader, nil); after != before+1 {
			t.Errorf("%v: counter %d after %d", tt.s.Kind, after, before)
		}
	}
	if message.MaxPayload > message.MaxSize-8-10-16 {
		t.Error("the largest payload does not fit")
	}
}
