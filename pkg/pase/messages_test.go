package pase

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// captured returns the two parameter messages of a captured exchange and their
// context.
func captured(t testing.TB) (request, response, context []byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/context.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Vectors []struct {
			Request  string `json:"pbkdfParamRequest"`
			Response string `json:"pbkdfParamResponse"`
			Context  string `json:"context"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(b, &f); err != nil || len(f.Vectors) != 1 {
		t.Fatalf("%v, %d vectors", err, len(f.Vectors))
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	v := f.Vectors[0]
	return unhex(v.Request), unhex(v.Response), unhex(v.Context)
}

func TestCapturedContext(t *testing.T) {
	request, response, want := captured(t)
	if got := contextHash(request, response); !bytes.Equal(got[:], want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestCapturedMessages(t *testing.T) {
	request, response, _ := captured(t)
	q, err := parseParamRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	if q.sessionID != 0x8d49 || q.passcodeID != 0 || q.hasPBKDF {
		t.Errorf("request %+v", q)
	}
	if q.params.IdleInterval != 5*time.Second || q.params.ActiveInterval != 300*time.Millisecond {
		t.Errorf("parameters %+v", q.params)
	}
	a, err := parseParamResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	if a.initiatorRandom != q.random || a.sessionID != 0x8d9c || a.pbkdf == nil || a.pbkdf.Iterations != 1000 || len(a.pbkdf.Salt) != 32 {
		t.Errorf("response %+v", a)
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	q := paramRequest{random: [32]byte{1, 2}, sessionID: 3, passcodeID: 4, hasPBKDF: true, params: message.LocalParameters()}
	if got, err := parseParamRequest(q.encode()); err != nil || got != q {
		t.Errorf("%+v, %v; want %+v", got, err, q)
	}
	a := paramResponse{initiatorRandom: [32]byte{5}, random: [32]byte{6}, sessionID: 7, params: message.LocalParameters()}
	if got, err := parseParamResponse(a.encode()); err != nil || got != a {
		t.Errorf("%+v, %v; want %+v", got, err, a)
	}
	point, hash := bytes.Repeat([]byte{1}, mcrypto.PublicKeySize), bytes.Repeat([]byte{2}, mcrypto.HashSize)
	pB, cB, err := parsePake2(encodePake(point, hash))
	if err != nil || !bytes.Equal(pB, point) || !bytes.Equal(cB, hash) {
		t.Errorf("Pake2 %x %x, %v", pB, cB, err)
	}
}

func FuzzPBKDFParamRequest(f *testing.F) {
	request, _, _ := captured(f)
	f.Add(request)
	q := paramRequest{sessionID: 1, hasPBKDF: true, params: message.LocalParameters()}
	f.Add(q.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseParamRequest(b)
		if err != nil {
			return
		}
		again, err := parseParamRequest(m.encode())
		if err != nil || again != m {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

func FuzzPBKDFParamResponse(f *testing.F) {
	_, response, _ := captured(f)
	f.Add(response)
	a := paramResponse{sessionID: 1, params: message.LocalParameters()}
	f.Add(a.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseParamResponse(b)
		if err != nil {
			return
		}
		first := m.encode()
		m, err = parseParamResponse(first)
		if err != nil || !bytes.Equal(m.encode(), first) {
			t.Errorf("%x is not a fixed point: %v", first, err)
		}
	})
}

// FuzzPake passes the same octets to all three parsers.
func FuzzPake(f *testing.F) {
	point, hash := bytes.Repeat([]byte{4}, mcrypto.PublicKeySize), bytes.Repeat([]byte{2}, mcrypto.HashSize)
	f.Add(encodePake(point))
	f.Add(encodePake(point, hash))
	f.Add(encodePake(hash))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pA, err := parsePake1(b); err == nil && len(pA) != mcrypto.PublicKeySize {
			t.Errorf("Pake1 with a share of %d octets", len(pA))
		}
		pB, cB, err := parsePake2(b)
		if err == nil && (len(pB) != mcrypto.PublicKeySize || len(cB) != mcrypto.HashSize) {
			t.Errorf("Pake2 with %d and %d octets", len(pB), len(cB))
		}
		if cA, err := parsePake3(b); err == nil && len(cA) != mcrypto.HashSize {
			t.Errorf("Pake3 with %d octets", len(cA))
		}
	})
}

// FuzzResponder runs a complete hostile handshake. It succeeds only for a peer that
// knows the passcode.
func FuzzResponder(f *testing.F) {
	request, _, _ := captured(f)
	rc := responderConfig()
	f.Add(request, encodePake(rc.Verifier.L[:]), encodePake(make([]byte, mcrypto.HashSize)))
	f.Fuzz(func(t *testing.T, request, pake1, pake3 []byte) {
		r := NewResponder(rc)
		if _, err := r.PBKDFParamRequest(request); err != nil {
			return
		}
		if _, err := r.Pake1(pake1); err != nil {
			return
		}
		if _, err := r.Pake3(pake3); err == nil {
			t.Error("a peer without the passcode got through")
		}
	})
}
