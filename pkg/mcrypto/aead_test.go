package mcrypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"strconv"
	"testing"

	pion "github.com/pion/dtls/v3/pkg/crypto/ccm"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestAEADVectors(t *testing.T) {
	type vector struct {
		Key, Nonce, AAD, Plaintext, Ciphertext, Tag hexBytes
	}
	for i, v := range loadVectors[vector](t, "aes-ccm.json") {
		a, err := NewAEAD(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		want := append(bytes.Clone(v.Ciphertext), v.Tag...)
		if got := a.Seal(nil, v.Nonce, v.Plaintext, v.AAD); !bytes.Equal(got, want) {
			t.Errorf("vector %d: sealed %x, want %x", i, got, want)
		}
		got, err := a.Open(nil, v.Nonce, want, v.AAD)
		if err != nil || !bytes.Equal(got, v.Plaintext) {
			t.Errorf("vector %d: opened %x, %v; want %x", i, got, err, v.Plaintext)
		}
	}
}

func TestAEADInPlace(t *testing.T) {
	a := testAEAD(t)
	nonce := MessageNonce(0, 1, 2)
	for n := range 70 {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		buf := make([]byte, n, n+MICSize)
		copy(buf, plain)
		sealed := a.Seal(buf[:0], nonce[:], buf, []byte("header"))
		if want := a.Seal(nil, nonce[:], plain, []byte("header")); !bytes.Equal(sealed, want) {
			t.Fatalf("%d octets: in place %x, apart %x", n, sealed, want)
		}
		if &sealed[0] != &buf[:1][0] {
			t.Fatalf("%d octets: Seal moved", n)
		}
		opened, err := a.Open(sealed[:0], nonce[:], sealed, []byte("header"))
		if err != nil || !bytes.Equal(opened, plain) {
			t.Fatalf("%d octets: opened %x, %v", n, opened, err)
		}
	}
}

// A rejected ciphertext stays unchanged, so that nothing unauthenticated leaks.
func TestAEADRefusesChanges(t *testing.T) {
	a := testAEAD(t)
	nonce := MessageNonce(0, 1, 2)
	sealed := a.Seal(nil, nonce[:], []byte("attack at dawn"), []byte("header"))
	for i := range len(sealed) * 8 {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		was := bytes.Clone(bad)
		if _, err := a.Open(bad[:0], nonce[:], bad, []byte("header")); err == nil {
			t.Errorf("bit %d flipped: accepted", i)
		}
		if !bytes.Equal(bad, was) {
			t.Errorf("bit %d flipped: the input was changed", i)
		}
	}
	for n := range sealed {
		if _, err := a.Open(nil, nonce[:], sealed[:n], []byte("header")); err == nil {
			t.Errorf("cut to %d octets: accepted", n)
		}
	}
	if _, err := a.Open(nil, nonce[:], sealed, []byte("Header")); err == nil {
		t.Error("other header: accepted")
	}
	other := MessageNonce(0, 2, 2)
	if _, err := a.Open(nil, other[:], sealed, []byte("header")); err == nil {
		t.Error("other nonce: accepted")
	}
}

// reference is another implementation of CCM.
func reference(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := pion.NewCCM(b, MICSize, NonceSize)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// agree checks that the AEAD of key seals like the reference, in place and
// separately, opens the result, and leaves a changed ciphertext unchanged.
func agree(t *testing.T, key, nonce, plain, aad []byte) {
	t.Helper()
	a, err := NewAEAD(key)
	if err != nil {
		t.Fatal(err)
	}
	want := reference(t, key).Seal(nil, nonce, plain, aad)
	prefix := []byte("prefix")
	if got := a.Seal(bytes.Clone(prefix), nonce, plain, aad); !bytes.Equal(got, append(prefix, want...)) {
		t.Fatalf("sealed %x, want %x", got, want)
	}
	buf := append(make([]byte, 0, len(want)), plain...)
	if got := a.Seal(buf[:0], nonce, buf, aad); !bytes.Equal(got, want) {
		t.Fatalf("sealed in place %x, want %x", got, want)
	}
	if got, err := a.Open(bytes.Clone(prefix), nonce, want, aad); err != nil || !bytes.Equal(got, append(prefix, plain...)) {
		t.Fatalf("opened %x, %v; want %x", got, err, plain)
	}
	bad := bytes.Clone(want)
	bad[len(key)%len(bad)] ^= 0x10
	was := bytes.Clone(bad)
	if _, err := a.Open(bad[:0], nonce, bad, aad); err == nil || !bytes.Equal(bad, was) {
		t.Fatalf("changed ciphertext: %v, %x was %x", err, bad, was)
	}
	if got, err := a.Open(want[:0], nonce, want, aad); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("opened in place %x, %v; want %x", got, err, plain)
	}
}

// Every length of message and header around the block boundaries.
func TestAEADAgainstReference(t *testing.T) {
	data := make([]byte, 2000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	for n := range 67 {
		for m := range 36 {
			nonce := MessageNonce(byte(n), uint32(m), matter.NodeID(n*m))
			agree(t, data[m:m+KeySize], nonce[:], data[:n], data[n:n+m])
		}
	}
	nonce := MessageNonce(0, 1, 2)
	agree(t, data[:KeySize], nonce[:], data, data[:maxAAD%len(data)])
	agree(t, data[:KeySize], nonce[:], make([]byte, maxMessage), make([]byte, maxAAD))
}

func FuzzAEAD(f *testing.F) {
	f.Add(uint64(0), uint64(0), []byte("attack at dawn"), []byte("header"))
	f.Add(uint64(1), uint64(1<<63), []byte{}, []byte{})
	f.Add(^uint64(0), uint64(7), bytes.Repeat([]byte{0xFF}, 48), bytes.Repeat([]byte{0xFF}, 14))
	f.Fuzz(func(t *testing.T, k, n uint64, plain, aad []byte) {
		if len(plain) > maxMessage || len(aad) > maxAAD {
			return
		}
		key := binary.LittleEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, k), ^k)
		nonce := MessageNonce(byte(n>>56), uint32(n), matter.NodeID(k^n))
		agree(t, key, nonce[:], plain, aad)
	})
}

// The sizes are limited. No message on the network comes near the limits.
func TestAEADBounds(t *testing.T) {
	a, nonce := testAEAD(t), make([]byte, NonceSize)
	if _, err := a.Open(nil, nonce, make([]byte, maxMessage+1+MICSize), nil); err == nil {
		t.Error("too long a ciphertext was accepted")
	}
	if _, err := a.Open(nil, nonce, make([]byte, MICSize), make([]byte, maxAAD+1)); err == nil {
		t.Error("too long a header was accepted")
	}
	for name, f := range map[string]func(){
		"nonce to seal": func() { a.Seal(nil, nonce[1:], nil, nil) },
		"nonce to open": func() { _, _ = a.Open(nil, nonce[1:], make([]byte, MICSize), nil) },
		"message":       func() { a.Seal(nil, nonce, make([]byte, maxMessage+1), nil) },
		"header":        func() { a.Seal(nil, nonce, nil, make([]byte, maxAAD+1)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestAEADDoesNotAllocate(t *testing.T) {
	a, nonce, aad := testAEAD(t), make([]byte, NonceSize), make([]byte, 8)
	buf := make([]byte, 100, 100+MICSize)
	if n := testing.AllocsPerRun(100, func() {
		sealed := a.Seal(buf[:0], nonce, buf, aad)
		if _, err := a.Open(sealed[:0], nonce, sealed, aad); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNewAEADKeyLength(t *testing.T) {
	for _, n := range []int{0, 15, 17, 24, 32} {
		if _, err := NewAEAD(make([]byte, n)); err == nil {
			t.Errorf("a key of %d octets was accepted", n)
		}
	}
}

type messageVector struct {
	Name          string
	Plain         hexBytes
	Encrypted     hexBytes
	EncryptKey    hexBytes `json:"encrypt_key"`
	Nonce         hexBytes
	HeaderLength  int `json:"header_length"`
	MIC           hexBytes
	Privacy       hexBytes
	PrivacyKey    hexBytes `json:"privacy_key"`
	Status        string
	DecryptKey    hexBytes `json:"decrypt_key"`
	Message       hexBytes
	DecryptedBody hexBytes `json:"plaintext_protocol_header_and_payload"`
}

// The published messages: which part of a message is encrypted with which nonce,
// and what privacy obfuscates. Those with a wrong MIC must not open.
func TestMessageVectors(t *testing.T) {
	sealed, private := 0, 0
	for _, v := range loadVectors[messageVector](t, "messages.json") {
		if v.EncryptKey == nil {
			continue
		}
		a, err := NewAEAD(v.EncryptKey)
		if err != nil {
			t.Fatal(err)
		}
		header, body := v.Plain[:v.HeaderLength], v.Plain[v.HeaderLength:]
		good := append(bytes.Clone(header), a.Seal(nil, v.Nonce, body, header)...)
		if v.Status == "recomputed" {
			sealed++
			if !bytes.Equal(good, v.Encrypted) {
				t.Errorf("%s: sealed %x, want %x", v.Name, good, v.Encrypted)
			}
		} else if _, err := a.Open(nil, v.Nonce, v.Encrypted[v.HeaderLength:], header); err == nil {
			t.Errorf("%s: opened", v.Name)
		}
		if v.Privacy == nil || v.Status != "recomputed" {
			continue
		}
		private++
		hidden := bytes.Clone(v.Encrypted)
		id := uint16(hidden[1]) | uint16(hidden[2])<<8
		mic := v.Encrypted[len(v.Encrypted)-MICSize:]
		for _, want := range [][]byte{v.Privacy, v.Encrypted} { // obfuscate and deobfuscate
			if err := ObfuscatePrivacy(v.PrivacyKey, id, mic, hidden[4:v.HeaderLength]); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(hidden, want) {
				t.Errorf("%s: %x, want %x", v.Name, hidden, want)
			}
		}
	}
	if sealed < 6 || private < 1 {
		t.Errorf("%d messages and %d private ones checked", sealed, private)
	}
}

// A captured message of a PASE session, whose nonce has node id 0.
func TestCapturedMessage(t *testing.T) {
	found := false
	for _, v := range loadVectors[messageVector](t, "messages.json") {
		if v.DecryptKey == nil {
			continue
		}
		found = true
		a, err := NewAEAD(v.DecryptKey)
		if err != nil {
			t.Fatal(err)
		}
		counter := uint32(v.Message[4]) | uint32(v.Message[5])<<8 | uint32(v.Message[6])<<16 | uint32(v.Message[7])<<24
		nonce := MessageNonce(v.Message[3], counter, 0)
		if !bytes.Equal(nonce[:], v.Nonce) {
			t.Errorf("%s: nonce %x, want %x", v.Name, nonce, v.Nonce)
		}
		got, err := a.Open(nil, nonce[:], v.Message[8:], v.Message[:8])
		if err != nil || !bytes.Equal(got, v.DecryptedBody) {
			t.Errorf("%s: %x, %v", v.Name, got, err)
		}
	}
	if !found {
		t.Error("no vector")
	}
}

func TestObfuscatePrivacyLengths(t *testing.T) {
	header := make([]byte, 14)
	if ObfuscatePrivacy(make([]byte, 15), 1, make([]byte, MICSize), header) == nil {
		t.Error("a short key was accepted")
	}
	if ObfuscatePrivacy(make([]byte, KeySize), 1, make([]byte, MICSize-1), header) == nil {
		t.Error("a short MIC was accepted")
	}
	if !bytes.Equal(header, make([]byte, 14)) {
		t.Error("a refused header was changed")
	}
}

func TestMessageNonce(t *testing.T) {
	got := MessageNonce(0x81, 0x04030201, matter.NodeID(0x0C0B0A0908070605))
	want := [NonceSize]byte{0x81, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	if got != want {
		t.Errorf("%x, want %x", got, want)
	}
}

func testAEAD(t testing.TB) cipher.AEAD {
	t.Helper()
	a, err := NewAEAD([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{60, 1162} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			a := testAEAD(b)
			nonce, aad := MessageNonce(0, 1, 2), make([]byte, 8)
			buf := make([]byte, n, n+MICSize)
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				a.Seal(buf[:0], nonce[:], buf, aad)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	a := testAEAD(b)
	nonce := MessageNonce(0, 1, 2)
	sealed := a.Seal(nil, nonce[:], make([]byte, 1162), []byte("12345678"))
	buf, aad := make([]byte, len(sealed)), []byte("12345678")
	b.ReportAllocs()
	b.SetBytes(1162)
	for b.Loop() {
		copy(buf, sealed)
		if _, err := a.Open(buf[:0], nonce[:], buf, aad); err != nil {
			b.Fatal(err)
		}
	}
}
