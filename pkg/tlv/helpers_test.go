package tlv

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dump returns the element at r as text, for comparisons.
func dump(r *Reader) string {
	var s strings.Builder
	if r.Tag() != Anonymous {
		fmt.Fprintf(&s, "%v=", r.Tag())
	}
	switch t := r.Type(); t {
	case TypeInt:
		fmt.Fprintf(&s, "%+d", r.Int())
	case TypeUint:
		fmt.Fprintf(&s, "%d", r.Uint())
	case TypeBool:
		fmt.Fprintf(&s, "%v", r.Bool())
	case TypeFloat32:
		fmt.Fprintf(&s, "float32(%v)", r.Float32())
	case TypeFloat64:
		fmt.Fprintf(&s, "float64(%v)", r.Float64())
	case TypeString:
		fmt.Fprintf(&s, "%q", r.Text())
	case TypeBytes:
		fmt.Fprintf(&s, "h'%x'", r.Octets())
	case TypeNull:
		s.WriteString("null")
	case TypeStruct, TypeArray, TypeList:
		brackets := map[Type]string{TypeStruct: "{}", TypeArray: "[]", TypeList: "()"}[t]
		s.WriteString(brackets[:1])
		first := true
		for r.Enter(); r.Next(); {
			if !first {
				s.WriteString(" ")
			}
			first = false
			s.WriteString(dump(r))
		}
		r.Exit()
		s.WriteString(brackets[1:])
	}
	return s.String()
}

// rewrite copies the element at r to w and decodes every value.
func rewrite(w *Writer, r *Reader) {
	tag := r.Tag()
	switch t := r.Type(); t {
	case TypeInt:
		w.Int(tag, r.Int())
	case TypeUint:
		w.Uint(tag, r.Uint())
	case TypeBool:
		w.Bool(tag, r.Bool())
	case TypeFloat32:
		w.Float32(tag, r.Float32())
	case TypeFloat64:
		w.Float64(tag, r.Float64())
	case TypeString:
		w.Text(tag, r.Text())
	case TypeBytes:
		w.Octets(tag, r.Octets())
	case TypeNull:
		w.Null(tag)
	case TypeStruct, TypeArray, TypeList:
		if r.Enter(); r.Err() != nil {
			return // too deep: the Writer would panic
		}
		switch t {
		case TypeStruct:
			w.StartStruct(tag)
		case TypeArray:
			w.StartArray(tag)
		default:
			w.StartList(tag)
		}
		for r.Next() {
			rewrite(w, r)
		}
		r.Exit()
		w.End()
	}
}

// message returns an encoded structure like a ReadRequest.
func message() []byte {
	var w Writer
	writeMessage(&w)
	return w.Bytes()
}

func writeMessage(w *Writer) {
	w.StartStruct(Anonymous)
	w.StartArray(Context(0))
	for i := range uint64(3) {
		w.StartList(Anonymous)
		w.Uint(Context(2), i)
		w.Uint(Context(3), 0xFCFF+i)
		w.Uint(Context(4), 70000*i)
		w.End()
	}
	w.End()
	w.Bool(Context(3), true)
	w.Octets(Context(4), octets[:])
	w.Uint(Context(0xFF), 12)
	w.End()
}

var octets [32]byte

// readMessage reads the result of writeMessage and returns a sum of its values.
func readMessage(b []byte) (sum uint64, err error) {
	r := NewReader(b)
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			for r.EnterArray(); r.Next(); {
				for r.EnterList(); r.Next(); {
					sum += r.Uint()
				}
				r.Exit()
			}
			r.Exit()
		case 3:
			if r.Bool() {
				sum++
			}
		case 4:
			sum += uint64(len(r.OctetsN(32)))
		case 0xFF:
			sum += uint64(r.Uint8())
		}
	}
	return sum, r.End()
}
