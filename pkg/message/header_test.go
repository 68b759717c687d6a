package message

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseHeader(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want Header
		size int
		err  error
	}{
		{"secured unicast", "00 b80b 00 39300000", Header{SessionID: 3000, Counter: 12345}, 8, nil},
		{"secured unicast, node ids allowed", "05 b80b 00 39300000 0100000000000000 0200000000000000",
			Header{SessionID: 3000, Counter: 12345, HasSource: true, Source: 1, HasDest: true, Dest: 2}, 24, nil},
		{"secured unicast to a group", "02 b80b 00 39300000 0200", Header{}, 0, ErrAddressing},
		{"flags", "00 0100 c0 01000000", Header{SessionID: 1, Privacy: true, Control: true, Counter: 1}, 8, nil},
		{"reserved bits are ignored", "08 0100 1c 01000000", Header{SessionID: 1, Counter: 1}, 8, nil},
		{"version 1", "10 0100 00 01000000", Header{}, 0, ErrVersion},
		{"version 15", "f0 0100 00 01000000", Header{}, 0, ErrVersion},
		{"session type 2", "00 0100 02 01000000", Header{}, 0, ErrSessionType},
		{"session type 3", "00 0100 03 01000000", Header{}, 0, ErrSessionType},
		{"reserved DSIZ", "03 0100 00 01000000 0000000000000000", Header{}, 0, ErrAddressing},

		{"unsecured from initiator", "04 0000 00 01000000 0700000000000000",
			Header{Counter: 1, HasSource: true, Source: 7}, 16, nil},
		{"unsecured from responder", "01 0000 00 01000000 0700000000000000",
			Header{Counter: 1, HasDest: true, Dest: 7}, 16, nil},
		{"unsecured with neither", "00 0000 00 01000000", Header{}, 0, ErrAddressing},
		{"unsecured with both", "05 0000 00 01000000 0700000000000000 0700000000000000", Header{}, 0, ErrAddressing},
		{"unsecured to a group", "06 0000 00 01000000 0700000000000000 0100", Header{}, 0, ErrAddressing},

		{"group", "06 7ddb 01 78563412 0100000000000000 0200",
			Header{SessionID: 0xdb7d, Group: true, Counter: 0x12345678, HasSource: true, Source: 1, HasDestGroup: true, DestGroup: 2}, 18, nil},
		{"group session 0 is a group", "06 0000 01 01000000 0100000000000000 0200",
			Header{Group: true, Counter: 1, HasSource: true, Source: 1, HasDestGroup: true, DestGroup: 2}, 18, nil},
		{"group without source", "02 7ddb 01 01000000 0200", Header{}, 0, ErrAddressing},
		{"group without destination", "04 7ddb 01 01000000 0100000000000000", Header{}, 0, ErrAddressing},

		{"extensions are skipped", "00 0100 20 01000000 0300 aabbcc", Header{SessionID: 1, Counter: 1}, 13, nil},
		{"empty extensions", "00 0100 20 01000000 0000", Header{SessionID: 1, Counter: 1}, 10, nil},
		{"extensions past the end", "00 0100 20 01000000 0400 aabbcc", Header{}, 0, ErrTruncated},
		{"longest extensions", "00 0100 20 01000000 ffff aabbcc", Header{}, 0, ErrTruncated},
		{"half an extensions length", "00 0100 20 01000000 03", Header{}, 0, ErrTruncated},
		{"nothing", "", Header{}, 0, ErrTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, despace(tt.in))
			h, size, err := ParseHeader(b)
			if h != tt.want || size != tt.size || !errors.Is(err, tt.err) {
				t.Errorf("ParseHeader(%x) = %+v, %d, %v; want %+v, %d, %v", b, h, size, err, tt.want, tt.size, tt.err)
			}
			// Octets after the header are ignored.
			if h2, size2, err2 := ParseHeader(append(b, 0xEE, 0xEE)); tt.err == nil && (h2 != h || size2 != size || err2 != nil) {
				t.Errorf("with a payload: %+v, %d, %v", h2, size2, err2)
			}
			for i := range size {
				if _, _, err := ParseHeader(b[:i]); err == nil {
					t.Errorf("the first %d octets parse", i)
				}
			}
		})
	}
}

func despace(s string) string { return string(bytes.ReplaceAll([]byte(s), []byte(" "), nil)) }

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []Header{
		{SessionID: 1, Counter: 0xFFFFFFFF},
		{SessionID: 0xFFFF, Control: true, Privacy: true},
		{HasSource: true, Source: 0xFFFF_FFEF_FFFF_FFFF, Counter: 5},
		{HasDest: true, Dest: 1},
		{SessionID: 9, Group: true, HasSource: true, Source: 1, HasDestGroup: true, DestGroup: 0xFFFF},
		{SessionID: 9, Group: true, Control: true, HasSource: true, Source: 1, HasDest: true, Dest: 3},
	} {
		b := h.AppendTo([]byte{0xAA})
		got, size, err := ParseHeader(b[1:])
		if got != h || size != len(b)-1 || err != nil {
			t.Errorf("%+v became %x, and that %+v, %d, %v", h, b, got, size, err)
		}
		if b[4] != h.SecurityFlags() {
			t.Errorf("security flags %#x on the wire, %#x by the method", b[4], h.SecurityFlags())
		}
	}
}

func TestTwoDestinationsAreABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a header with two destinations was written")
		}
	}()
	h := Header{HasDest: true, HasDestGroup: true}
	h.AppendTo(nil)
}

func TestParseProtocolHeader(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		want ProtocolHeader
		size int
		err  error
	}{
		{"published", "05 64 ee0e 207d", ProtocolHeader{Initiator: true, Reliable: true, Opcode: 0x64, Exchange: 0x0eee, Protocol: 0x7d20}, 6, nil},
		{"acknowledgement", "02 10 0100 0000 78563412", ProtocolHeader{HasAck: true, Ack: 0x12345678, Opcode: 0x10, Exchange: 1}, 10, nil},
		{"vendor before protocol", "10 01 0200 f1ff 0300", ProtocolHeader{Opcode: 1, Exchange: 2, Vendor: 0xfff1, Protocol: 3}, 8, nil},
		{"everything", "1f 01 0200 f1ff 0300 01000000 0200 eeee",
			ProtocolHeader{Initiator: true, Reliable: true, HasAck: true, Ack: 1, Opcode: 1, Exchange: 2, Vendor: 0xfff1, Protocol: 3}, 16, nil},
		{"vendor 0 spelled out", "10 01 0200 0000 0300", ProtocolHeader{Opcode: 1, Exchange: 2, Protocol: 3}, 8, nil},
		{"reserved bits are ignored", "e0 01 0200 0300", ProtocolHeader{Opcode: 1, Exchange: 2, Protocol: 3}, 6, nil},
		{"extensions past the end", "08 01 0200 0300 0300 eeee", ProtocolHeader{}, 0, ErrTruncated},
		{"nothing", "", ProtocolHeader{}, 0, ErrTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, despace(tt.in))
			p, size, err := ParseProtocolHeader(b)
			if p != tt.want || size != tt.size || !errors.Is(err, tt.err) {
				t.Errorf("ParseProtocolHeader(%x) = %+v, %d, %v; want %+v, %d, %v", b, p, size, err, tt.want, tt.size, tt.err)
			}
			for i := range size {
				if _, _, err := ParseProtocolHeader(b[:i]); err == nil {
					t.Errorf("the first %d octets parse", i)
				}
			}
			if tt.err != nil {
				return
			}
			if again, n, err := ParseProtocolHeader(p.AppendTo(nil)); again != p || err != nil {
				t.Errorf("written again: %+v, %d, %v", again, n, err)
			}
		})
	}
}

func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{
		"00b80b0039300000", "040000000a4ff2177ea0c8a7cb6a6352", "01000000218712797ea0c8a7cb6a6352",
		"067ddb0178563412010000000000000002000165", "000100200100000003 00aabbcc",
	} {
		f.Add(unhex(f, despace(s)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size, err := ParseHeader(b)
		if err != nil {
			if h != (Header{}) || size != 0 {
				t.Fatalf("%v, and still %+v, %d", err, h, size)
			}
			return
		}
		if size < fixedHeaderSize || size > len(b) {
			t.Fatalf("header of %d octets in %d", size, len(b))
		}
		w := h.AppendTo(nil)
		if again, n, err := ParseHeader(w); again != h || n != len(w) || err != nil {
			t.Fatalf("%+v written as %x is read as %+v, %d, %v", h, w, again, n, err)
		}
		// Without extensions and reserved bits the encoding is unique.
		if size == len(w) && b[0]&0x08 == 0 && b[3]&0x3C == 0 && !bytes.Equal(w, b[:size]) {
			t.Fatalf("%x written as %x", b[:size], w)
		}
	})
}

func FuzzParseProtocolHeader(f *testing.F) {
	for _, s := range []string{"0564ee0e207d", "02100100000078563412", "1f010200f1ff0300010000000200eeee"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, size, err := ParseProtocolHeader(b)
		if err != nil {
			if p != (ProtocolHeader{}) || size != 0 {
				t.Fatalf("%v, and still %+v, %d", err, p, size)
			}
			return
		}
		if size < fixedProtocolHeaderSize || size > len(b) {
			t.Fatalf("header of %d octets in %d", size, len(b))
		}
		w := p.AppendTo(nil)
		if again, n, err := ParseProtocolHeader(w); again != p || n != len(w) || err != nil {
			t.Fatalf("%+v written as %x is read as %+v, %d, %v", p, w, again, n, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	msg := unhex(b, "040000000a4ff2177ea0c8a7cb6a63520520d36400001530")
	b.ReportAllocs()
	for b.Loop() {
		_, n, err := ParseHeader(msg)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := ParseProtocolHeader(msg[n:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	h := Header{SessionID: 7, Counter: 9}
	p := ProtocolHeader{Reliable: true, HasAck: true, Ack: 4, Opcode: 5, Exchange: 6, Protocol: 1}
	buf := make([]byte, 0, MaxSize)
	b.ReportAllocs()
	for b.Loop() {
		buf = p.AppendTo(h.AppendTo(buf[:0]))
	}
}
