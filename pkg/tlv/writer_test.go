package tlv

import (
	"bytes"
	"math"
	"testing"
)

func TestWriterShortest(t *testing.T) {
	for _, c := range []struct {
		write func(w *Writer)
		want  string
	}{
		{func(w *Writer) { w.Uint(Anonymous, 0) }, "0400"},
		{func(w *Writer) { w.Uint(Anonymous, math.MaxUint8) }, "04ff"},
		{func(w *Writer) { w.Uint(Anonymous, math.MaxUint8+1) }, "050001"},
		{func(w *Writer) { w.Uint(Anonymous, math.MaxUint16) }, "05ffff"},
		{func(w *Writer) { w.Uint(Anonymous, math.MaxUint16+1) }, "0600000100"},
		{func(w *Writer) { w.Uint(Anonymous, math.MaxUint32) }, "06ffffffff"},
		{func(w *Writer) { w.Uint(Anonymous, math.MaxUint32+1) }, "070000000001000000"},
		{func(w *Writer) { w.Uint(Anonymous, math.MaxUint64) }, "07ffffffffffffffff"},
		{func(w *Writer) { w.Int(Anonymous, 127) }, "007f"},
		{func(w *Writer) { w.Int(Anonymous, -128) }, "0080"},
		{func(w *Writer) { w.Int(Anonymous, 128) }, "018000"},
		{func(w *Writer) { w.Int(Anonymous, -129) }, "017fff"},
		{func(w *Writer) { w.Int(Anonymous, math.MinInt16) }, "010080"},
		{func(w *Writer) { w.Int(Anonymous, math.MaxInt16+1) }, "0200800000"},
		{func(w *Writer) { w.Int(Anonymous, math.MinInt32) }, "0200000080"},
		{func(w *Writer) { w.Int(Anonymous, math.MinInt32-1) }, "03ffffff7fffffffff"},
		{func(w *Writer) { w.Int(Anonymous, math.MinInt64) }, "030000000000000080"},
		{func(w *Writer) { w.Bool(Context(1), true) }, "2901"},
		{func(w *Writer) { w.Bool(Context(255), false) }, "28ff"},
		{func(w *Writer) { w.Null(Context(2)) }, "3402"},
		{func(w *Writer) { w.Text(Context(0), "") }, "2c0000"},
		{func(w *Writer) { w.Octets(Context(0), []byte{1, 2}) }, "3000020102"},
		{func(w *Writer) { w.Float32(Anonymous, 17.9) }, "0a33338f41"},
		{func(w *Writer) { w.Float64(Anonymous, 17.9) }, "0b6666666666e63140"},
		{func(w *Writer) { w.Null(CommonProfile(math.MaxUint16)) }, "54ffff"},
		{func(w *Writer) { w.Null(CommonProfile(math.MaxUint16 + 1)) }, "7400000100"},
		{func(w *Writer) { w.Null(Qualified(0xFFF1, 0xCCDD, 1)) }, "d4f1ffddcc0100"},
		{func(w *Writer) { w.Null(Qualified(0xFFF1, 0xCCDD, 70000)) }, "f4f1ffddcc70110100"},
	} {
		var w Writer
		c.write(&w)
		if want := unhex(t, c.want); !bytes.Equal(w.Bytes(), want) {
			t.Errorf("%x, want %x", w.Bytes(), want)
		}
	}
}

func TestWriterStringLengths(t *testing.T) {
	for _, c := range []struct {
		n    int
		head string
	}{
		{255, "10ff"},
		{256, "110001"},
		{65535, "11ffff"},
		{65536, "1200000100"},
	} {
		var w Writer
		w.Octets(Anonymous, make([]byte, c.n))
		if head := unhex(t, c.head); !bytes.HasPrefix(w.Bytes(), head) || w.Len() != len(head)+c.n {
			t.Errorf("%d octets begin with %x, want %x", c.n, w.Bytes()[:5], head)
		}
		r := NewReader(w.Bytes())
		if len(r.Octets()) != c.n || r.End() != nil {
			t.Errorf("%d octets read back as %d, %v", c.n, len(r.Octets()), r.Err())
		}
	}
}

func TestWriterMark(t *testing.T) {
	w := NewWriter([]byte("head"))
	w.StartStruct(Anonymous)
	m := w.Mark()
	w.StartArray(Context(0))
	w.Uint(Anonymous, 1)
	if w.Depth() != 2 || string(w.Written(m)) != "\x36\x00\x04\x01" {
		t.Errorf("depth %d, written %x", w.Depth(), w.Written(m))
	}
	w.Rewind(m)
	if w.Depth() != 1 || w.Len() != 5 {
		t.Errorf("after Rewind: depth %d, length %d", w.Depth(), w.Len())
	}
	w.End()
	if string(w.Bytes()) != "head\x15\x18" {
		t.Errorf("%q", w.Bytes())
	}
	w.Reset(nil)
	if w.Len() != 0 || w.Depth() != 0 {
		t.Error("Reset left something")
	}
}

func TestWriterMisusePanics(t *testing.T) {
	for name, f := range map[string]func(w *Writer){
		"End alone": func(w *Writer) { w.End() },
		"too deep": func(w *Writer) {
			for range MaxDepth + 1 {
				w.StartArray(Anonymous)
			}
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(new(Writer))
		}()
	}
}

// An Element can be written with another tag and read alone.
func TestElementRoundTrip(t *testing.T) {
	b := unhex(t, "15 3601 0c0161 17 2003 fb 18 18 2402 07 18")
	r := NewReader(b)
	r.EnterStruct()
	r.Next()
	e := r.Element()
	if e.Type() != TypeArray || e.Len() != 10 {
		t.Errorf("%v of %d octets", e.Type(), e.Len())
	}
	in := e.Reader()
	if got := dump(&in); got != `["a" (3=-5)]` || in.End() != nil {
		t.Errorf("%s, %v", got, in.Err())
	}
	s := r.Sub()
	if got := dump(&s); got != `["a" (3=-5)]` || s.End() != nil {
		t.Errorf("Sub: %s, %v", got, s.Err())
	}
	if !r.Next() || r.Uint() != 7 || r.Next() || r.End() != nil {
		t.Errorf("Element moved its reader: %v", r.Err())
	}
	if got := e.AppendTo([]byte{0xEE}); len(got) != 1+e.Len() || Validate(got[1:]) != nil {
		t.Errorf("AppendTo: %x", got)
	}
	w := NewWriter(nil)
	w.StartStruct(Anonymous)
	w.Element(Context(9), e)
	w.End()
	r = NewReader(w.Bytes())
	if got := dump(&r); got != `{9=["a" (3=-5)]}` {
		t.Errorf("under another tag: %s", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(message())
	f.Add(nested(MaxDepth))
	f.Add(nested(MaxDepth + 1))
	f.Add([]byte{0x0C, 3, 'a', 0x1F, 'b'})
	for _, s := range []string{
		"00ff", "070100000000000000", "0a0892cc45", "0b2fdd24064192b940", "14", "160c01610c01620c016318",
		"15c4f1ffddcc010005e4f1ffddcc010000000544010005640100000005840100058401000518",
		"15 2400 01 2400 02 18", "1300000000000000800000",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		var w Writer
		rewrite(&w, &r)
		err := r.End()
		if err == nil {
			if err := Validate(b); err != nil {
				t.Fatalf("read, but invalid: %v", err)
			}
		}
		if err != nil {
			return
		}
		again := w.Bytes()
		if len(again) > len(b) {
			t.Errorf("%x was written longer: %x", b, again)
		}
		r = NewReader(again)
		var w2 Writer
		rewrite(&w2, &r)
		if err := r.End(); err != nil || !bytes.Equal(w2.Bytes(), again) {
			t.Errorf("%x is not a fixed point: %x, %v", again, w2.Bytes(), err)
		}
		whole := NewReader(b)
		if e := whole.Element().AppendTo(nil); !bytes.Equal(e, b) {
			t.Errorf("Element of %x is %x", b, e)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	buf := make([]byte, 0, 256)
	var w Writer
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(buf)
		writeMessage(&w)
	}
	b.SetBytes(int64(w.Len()))
}

func TestWriterDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		w := NewWriter(buf)
		writeMessage(w)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
