package session

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pathA = path("[fe80::a%1]:5540")
	pathB = path("[fe80::b%1]:5540")
)

func path(peer string) transport.Path {
	return transport.Path{Peer: netip.MustParseAddrPort(peer), Local: netip.MustParseAddr("fe80::1"), Interface: 1}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testRand is a deterministic random source.
func testRand(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func newTable(t testing.TB, seed byte, change func(*Options)) *Table {
	t.Helper()
	opt := Options{Rand: testRand(seed), Max: 16, MaxUnsecured: 4}
	if change != nil {
		change(&opt)
	}
	return NewTable(opt)
}

func add(t testing.TB, tab *Table, now time.Time, c Config) *Session {
	t.Helper()
	if c.LocalID == 0 {
		id, err := tab.ReserveID()
		if err != nil {
			t.Fatal(err)
		}
		c.LocalID = id
	}
	s, err := tab.Add(now, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pair returns the initiator's and the responder's end of one session, each in its
// own table.
func pair(t testing.TB, kind Kind) (ini, res *Session) {
	t.Helper()
	ti, tr := newTable(t, 1, nil), newTable(t, 2, nil)
	idI, err := ti.ReserveID()
	if err != nil {
		t.Fatal(err)
	}
	idR, err := tr.ReserveID()
	if err != nil {
		t.Fatal(err)
	}
	var keys Keys
	testRand(3).Read(keys.I2R[:])
	testRand(4).Read(keys.R2I[:])
	testRand(5).Read(keys.AttestationChallenge[:])
	ci := Config{Kind: kind, Initiator: true, LocalID: idI, PeerID: idR, Keys: keys, Params: message.DefaultParameters(), Path: pathB}
	cr := Config{Kind: kind, LocalID: idR, PeerID: idI, Keys: keys, Params: message.DefaultParameters(), Path: pathA}
	if kind == CASE {
		ci.Fabric, ci.LocalNode, ci.PeerNode = 1, 0x1111, 0x2222
		cr.Fabric, cr.LocalNode, cr.PeerNode = 2, 0x2222, 0x1111
	}
	return add(t, ti, start, ci), add(t, tr, start, cr)
}

// Opcodes of the Interaction Model. This package does not interpret them.
const (
	opcodeRead   uint8 = 2
	opcodeInvoke uint8 = 8
)

var requestHeader = message.ProtocolHeader{Initiator: true, Reliable: true, Opcode: opcodeRead, Exchange: 77, Protocol: matter.ProtocolInteractionModel}

func seal(t testing.TB, s *Session, payload string) []byte {
	t.Helper()
	d, _, err := s.Seal(nil, &requestHeader, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
