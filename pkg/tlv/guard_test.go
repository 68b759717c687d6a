package tlv

import (
	"bytes"
	"testing"
)

func TestGuard(t *testing.T) {
	for name, tt := range map[string]struct {
		write func(w *Writer)
		whole bool
	}{
		"nothing":         {func(*Writer) {}, true},
		"elements":        {func(w *Writer) { w.Uint(Context(1), 1); w.Null(Anonymous) }, true},
		"a container":     {func(w *Writer) { w.StartList(Context(1)); w.End() }, true},
		"an open one":     {func(w *Writer) { w.StartList(Context(1)) }, false},
		"an end too many": {func(w *Writer) { w.End() }, false},
		"ends too many": {func(w *Writer) {
			for range 2 * MaxDepth {
				w.End()
			}
		}, false},
		"too deep": {func(w *Writer) {
			for range MaxDepth {
				w.StartArray(Anonymous)
			}
			for range MaxDepth {
				w.End()
			}
		}, false},
		"a reset": {func(w *Writer) { w.Reset(nil) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var w Writer
			w.StartStruct(Anonymous)
			w.StartStruct(Context(0))
			m := w.Guard()
			tt.write(&w)
			if got := w.Unguard(m); got != tt.whole {
				t.Fatalf("whole: %v", got)
			}
			if name == "a reset" {
				return
			}
			// Anything that was written can be removed.
			w.Rewind(m)
			w.Bool(Context(1), true)
			w.End()
			w.End()
			if got := string(w.Bytes()); got != "\x15\x35\x00\x29\x01\x18\x18" {
				t.Errorf("after a rewind: %x", got)
			}
			// From here on incorrect use panics again.
			defer func() {
				if recover() == nil {
					t.Error("no panic without a guard")
				}
			}()
			w.End()
		})
	}
}

func TestSingleAndMembers(t *testing.T) {
	for name, tt := range map[string]struct {
		b               string
		single, members bool // single with the context tag 1
	}{
		"nothing":                         {"", false, true},
		"a number":                        {"\x24\x01\x05", true, true},
		"with another tag":                {"\x24\x02\x05", false, true},
		"without a tag":                   {"\x04\x05", false, false},
		"two":                             {"\x24\x01\x05\x24\x02\x05", false, true},
		"cut off":                         {"\x24\x01", false, false},
		"a structure":                     {"\x35\x01\x24\x02\x05\x18", true, true},
		"an open structure":               {"\x35\x01\x24\x02\x05", false, false},
		"an end too many":                 {"\x24\x01\x05\x18", false, false},
		"a structure with no tag in it":   {"\x35\x01\x04\x05\x18", false, false},
		"an array with a tag in it":       {"\x36\x01\x24\x02\x05\x18", false, false},
		"a reserved type":                 {"\x39\x01", false, false},
		"null":                            {"\x34\x01", true, true},
		"null with a value":               {"\x34\x01\x00", false, false},
		"a text":                          {"\x2c\x01\x01a", true, true},
		"a text with more after it":       {"\x2c\x01\x01ab", false, false},
		"a text without its length":       {"\x2c\x01", false, false},
		"a long number":                   {"\x27\x01\x01\x02\x03\x04\x05\x06\x07\x08", true, true},
		"a long number that is cut off":   {"\x27\x01\x01\x02\x03\x04\x05\x06\x07", false, false},
		"a string that is longer than it": {"\x2c\x01\x05a", false, false},
	} {
		if got := Single([]byte(tt.b), Context(1)); got != tt.single {
			t.Errorf("%s: single %v", name, got)
		}
		if got := Members([]byte(tt.b)); got != tt.members {
			t.Errorf("%s: members %v", name, got)
		}
	}
	if !Single([]byte("\x04\x05"), Anonymous) || Single([]byte("\x24\x01\x05"), Anonymous) {
		t.Error("anonymous")
	}
}

// FuzzScan compares Single with a Reader.
func FuzzScan(f *testing.F) {
	for _, s := range []string{"\x15\x18", "\x36\x01\x04\x05\x18", "\x24\x01\x05", "\x2c\x01\x01a", "\x0f\xff\xff\xff\xff\xff\xff\xff\xffa", "\xd5\x01\x02\x03\x04\x05\x06\x18", "\x38", "\x17\x24\x01\x05\x04\x06\x18", "\x8a\x01\x00\x00\x00\x80\x3f"} {
		f.Add([]byte(s))
	}
	f.Add(append(bytes.Repeat([]byte{0x16}, MaxDepth+1), bytes.Repeat([]byte{0x18}, MaxDepth+1)...))
	f.Add(append(bytes.Repeat([]byte{0x16}, MaxDepth), bytes.Repeat([]byte{0x18}, MaxDepth)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Reader{b: b}
		r.head(0)
		tag := r.tag
		want := r.End() == nil
		if got := Single(b, tag); got != want {
			t.Fatalf("%x: single %v, a Reader says %v", b, got, want)
		}
		if other := Context(byte(tag.number) + 1); Single(b, other) {
			t.Fatalf("%x: with another tag", b)
		}
	})
}
