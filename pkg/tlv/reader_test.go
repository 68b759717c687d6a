package tlv

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

func TestReaderRefuses(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"nothing", "", ErrTruncated},
		{"no value", "04", ErrTruncated},
		{"half a value", "0501", ErrTruncated},
		{"no tag", "1535", ErrTruncated},
		{"half a qualified tag", "15 c4 f1ff ddcc 01", ErrTruncated},
		{"no string length", "0c", ErrTruncated},
		{"half a string length", "0d01", ErrTruncated},
		{"string beyond the end", "0c0261", ErrTruncated},
		{"length of 8 octets beyond the end", "13ffffffffffffffff00", ErrTruncated},
		{"length that wraps around an int", "1300000000000000800000", ErrTruncated},
		{"no end of container", "15", ErrTruncated},
		{"no end of the inner container", "15350118", ErrTruncated},
		{"end alone", "18", ErrMalformed},
		{"end with a tag", "15 3801 18", ErrMalformed},
		{"reserved types", "19", ErrMalformed},
		{"reserved type 1f", "1f", ErrMalformed},
		{"tagged top element", "240101", ErrMalformed},
		{"anonymous member of a structure", "150401 18", ErrMalformed},
		{"tagged member of an array", "16240101 18", ErrMalformed},
		{"octets after the top element", "040100", ErrTrailing},
		{"octets after the top structure", "151818", ErrTrailing},
	} {
		if err := Validate(unhex(t, c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestReaderAccepts(t *testing.T) {
	for in, want := range map[string]string{
		"00ff":                           "-1",
		"01ffff":                         "-1",
		"0280ffffff":                     "-128",
		"0300000000000000 80":            "-9223372036854775808",
		"07ffffffffffffffff":             "18446744073709551615",
		"05 0500":                        "5",
		"06 05000000":                    "5",
		"08":                             "false",
		"09":                             "true",
		"14":                             "null",
		"0c00":                           `""`,
		"0d0100 61":                      `"a"`,
		"0e01000000 61":                  `"a"`,
		"0f0100000000000000 61":          `"a"`,
		"1000":                           "h''",
		"110100 ff":                      "h'ff'",
		"1201000000 ff":                  "h'ff'",
		"130100000000000000 ff":          "h'ff'",
		"0c0568c3a96c6f":                 `"hélo"`,
		"0c05 61621f 3132":               `"ab"`, // the identifier of a localised string
		"0c01 1f":                        `""`,
		"15 18":                          "{}",
		"16 18":                          "[]",
		"17 18":                          "()",
		"15 240007 2401 08 18":           "{0=7 1=8}",
		"15 2401 08 240007 18":           "{1=8 0=7}", // any order
		"17 0401 240102 18":              "(1 1=2)",
		"15 3500 3501 3602 18 18 18 18":  "{0={1={2=[]}}}",
		"15 440100 05 18":                "{common:1=5}",
		"15 64 01000000 05 18":           "{common:1=5}", // the wide form of the same tag
		"15 840100 05 18":                "{implicit:1=5}",
		"15 a4 00000100 05 18":           "{implicit:65536=5}",
		"15 c4 f1ff ddcc 0100 05 18":     "{FFF1:CCDD:1=5}",
		"15 e4 f1ff ddcc 01000000 05 18": "{FFF1:CCDD:1=5}",
	} {
		r := NewReader(unhex(t, in))
		if got := dump(&r); got != want || r.End() != nil {
			t.Errorf("%s: %s, %v; want %s", in, got, r.Err(), want)
		}
	}
}

func TestReaderTypes(t *testing.T) {
	getters := map[string]func(r *Reader){
		"uint":    func(r *Reader) { r.Uint() },
		"int":     func(r *Reader) { r.Int() },
		"bool":    func(r *Reader) { r.Bool() },
		"float32": func(r *Reader) { r.Float32() },
		"float64": func(r *Reader) { r.Float64() },
		"octets":  func(r *Reader) { r.Octets() },
		"text":    func(r *Reader) { r.Text() },
		"struct":  func(r *Reader) { r.EnterStruct() },
		"array":   func(r *Reader) { r.EnterArray() },
		"list":    func(r *Reader) { r.EnterList() },
	}
	for own, in := range map[string]string{
		"uint": "0401", "int": "0001", "bool": "09", "float32": "0a00000000", "float64": "0b0000000000000000",
		"octets": "100161", "text": "0c0161", "struct": "1518", "array": "1618", "list": "1718", "null": "14",
	} {
		for name, get := range getters {
			r := NewReader(unhex(t, in))
			get(&r)
			allowed := name == own || name == "float64" && own == "float32"
			if allowed && r.Err() != nil || !allowed && !errors.Is(r.Err(), ErrType) {
				t.Errorf("%s read as %s: %v", own, name, r.Err())
			}
		}
	}
}

func TestReaderRanges(t *testing.T) {
	for _, c := range []struct {
		in  string
		get func(r *Reader)
		ok  bool
	}{
		{"04ff", func(r *Reader) { r.Uint8() }, true},
		{"050001", func(r *Reader) { r.Uint8() }, false},
		{"05ffff", func(r *Reader) { r.Uint16() }, true},
		{"0600000100", func(r *Reader) { r.Uint16() }, false},
		{"06ffffffff", func(r *Reader) { r.Uint32() }, true},
		{"070000000001000000", func(r *Reader) { r.Uint32() }, false},
		{"0700000000000000ff", func(r *Reader) { r.Uint8() }, false},
		{"1002aabb", func(r *Reader) { r.OctetsN(2) }, true},
		{"1002aabb", func(r *Reader) { r.OctetsN(1) }, false},
		{"1002aabb", func(r *Reader) { r.OctetsN(3) }, false},
	} {
		r := NewReader(unhex(t, c.in))
		c.get(&r)
		if (r.Err() == nil) != c.ok || !c.ok && !errors.Is(r.Err(), ErrRange) {
			t.Errorf("%s: %v, want ok %v", c.in, r.Err(), c.ok)
		}
	}
	r := NewReader(unhex(t, "0c02c328"))
	if r.Text(); !errors.Is(r.Err(), ErrMalformed) {
		t.Errorf("a string that is not UTF-8: %v", r.Err())
	}
}

func TestFloats(t *testing.T) {
	r := NewReader(unhex(t, "0a0000c07f"))
	if !math.IsNaN(r.Float64()) || r.Err() != nil {
		t.Error("NaN of single precision")
	}
	r = NewReader(unhex(t, "0b000000000000f07f"))
	if !math.IsInf(r.Float64(), 1) || r.Err() != nil {
		t.Error("infinity")
	}
}

// After an error a Reader returns zero values and does not move, and its error does
// not change.
func TestReaderErrorSticks(t *testing.T) {
	r := NewReader(message())
	r.EnterStruct()
	r.Next()
	first := errors.New("the caller's own")
	r.Fail(first)
	r.Fail(errors.New("a later one"))
	if r.Next() || r.Uint() != 0 || r.Int() != 0 || r.Bool() || r.Octets() != nil || r.Text() != "" || r.Null() ||
		r.Float32() != 0 || r.Float64() != 0 || r.Element().Type() != TypeInt && r.Element().body != nil {
		t.Error("a value after an error")
	}
	r.EnterArray()
	r.Exit()
	s := r.Sub()
	if s.End() != first || r.End() != first {
		t.Errorf("%v", r.Err())
	}
}

func TestReaderMisuse(t *testing.T) {
	r := NewReader(unhex(t, "0401"))
	if r.Next(); r.Err() == nil {
		t.Error("Next outside a container")
	}
	r = NewReader(unhex(t, "0401"))
	if r.Exit(); r.Err() == nil {
		t.Error("Exit outside a container")
	}
	r = NewReader(unhex(t, "1518"))
	r.EnterStruct()
	if r.Element(); r.Err() == nil {
		t.Error("Element before the first member")
	}
}

// Elements that are not entered or not read to the end are skipped and checked.
func TestReaderSkips(t *testing.T) {
	b := unhex(t, "15 3500 2401 01 3602 0401 0402 18 18 2401 05 18")
	r := NewReader(b)
	r.EnterStruct()
	if !r.Next() || r.Type() != TypeStruct {
		t.Fatal(r.Err())
	}
	if !r.Next() || r.Uint() != 5 {
		t.Error("a container that was not entered")
	}
	r = NewReader(b)
	r.EnterStruct()
	r.Next()
	r.EnterStruct()
	r.Next() // one of two members
	r.Exit()
	if r.Type() != TypeNone || r.Tag() != Anonymous {
		t.Error("a current element after Exit")
	}
	if !r.Next() || r.Uint() != 5 || r.ContextTag() != 1 {
		t.Error("a container that was left early")
	}
	r = NewReader(b)
	r.EnterStruct()
	r.Next()
	r.EnterStruct()
	if err := r.End(); err != nil {
		t.Errorf("End inside a container: %v", err)
	}
	if err := Validate(unhex(t, "15 3500 19 18 18")); !errors.Is(err, ErrMalformed) {
		t.Errorf("an error in a skipped container: %v", err)
	}
}

// Exit leaves no current element.
func TestReaderAfterExit(t *testing.T) {
	for name, f := range map[string]func(r *Reader){
		"Element": func(r *Reader) { r.Element() },
		"Enter":   func(r *Reader) { r.Enter() },
		"Uint":    func(r *Reader) { r.Uint() },
	} {
		r := NewReader(unhex(t, "15 3500 240101 18 240105 18"))
		r.EnterStruct()
		r.Next()
		r.EnterStruct()
		r.Exit()
		if f(&r); r.Err() == nil {
			t.Errorf("%s after Exit", name)
		}
	}
}

// nested returns arrays within arrays.
func nested(depth int) []byte {
	return append(bytes.Repeat([]byte{0x16}, depth), bytes.Repeat([]byte{0x18}, depth)...)
}

func TestDepth(t *testing.T) {
	if err := Validate(nested(MaxDepth)); err != nil {
		t.Errorf("%d levels: %v", MaxDepth, err)
	}
	for _, n := range []int{MaxDepth + 1, 1000, 100_000} {
		if err := Validate(nested(n)); !errors.Is(err, ErrTooDeep) {
			t.Errorf("%d levels: %v", n, err)
		}
		r := NewReader(nested(n))
		for r.Enter(); r.Next(); r.Enter() {
		}
		if !errors.Is(r.Err(), ErrTooDeep) {
			t.Errorf("%d levels entered: %v", n, r.Err())
		}
		r = NewReader(nested(n))
		if r.Element(); !errors.Is(r.Err(), ErrTooDeep) {
			t.Errorf("Element of %d levels: %v", n, r.Err())
		}
	}
}

func TestEveryTruncation(t *testing.T) {
	for _, b := range [][]byte{message(), nested(MaxDepth)} {
		for n := range b {
			if err := Validate(b[:n]); !errors.Is(err, ErrTruncated) {
				t.Errorf("%x: %v", b[:n], err)
			}
		}
	}
	if _, err := readMessage(message()[:20]); err == nil {
		t.Error("half a message was read")
	}
}

// A flipped bit leads to an error or to another message, never to a panic. What a
// Reader accepts, Validate accepts too.
func TestEveryBitFlip(t *testing.T) {
	b := message()
	for bit := range len(b) * 8 {
		c := bytes.Clone(b)
		c[bit/8] ^= 1 << (bit % 8)
		r := NewReader(c)
		text := dump(&r)
		if r.End() == nil && Validate(c) != nil {
			t.Errorf("bit %d: read as %s but invalid", bit, text)
		}
		if _, err := readMessage(c); err == nil && Validate(c) != nil {
			t.Errorf("bit %d: read but invalid", bit)
		}
	}
}

// Strings point into the input, and appending to them does not write there.
func TestOctetsAreCapped(t *testing.T) {
	b := unhex(t, "16 1001aa 1001bb 18")
	r := NewReader(b)
	r.EnterArray()
	r.Next()
	_ = append(r.Octets(), 0xFF)
	e := r.Element()
	_ = append(e.body, 0xFF)
	if b[4] != 0x10 {
		t.Error("the next element was overwritten")
	}
}

func BenchmarkReader(b *testing.B) {
	in := message()
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := readMessage(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	in := message()
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if err := Validate(in); err != nil {
			b.Fatal(err)
		}
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	in := message()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := readMessage(in); err != nil {
			t.Fatal(err)
		}
		if err := Validate(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
