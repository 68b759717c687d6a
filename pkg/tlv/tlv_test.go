package tlv

import "testing"

func TestElementRoundTrip(t *testing.T) {
	w := NewWriter(nil)
	w.StartStruct(Anonymous)
	w.Uint(Context(0), 300)
	w.StartArray(Context(1))
	w.Text(Anonymous, "a")
	w.StartList(Anonymous)
	w.Int(Context(3), -5)
	w.End()
	w.End()
	w.Octets(Context(2), make([]byte, 300))
	w.End()
	r := NewReader(w.Bytes())
	r.EnterStruct()
	if !r.Next() || r.Uint16() != 300 {
		t.Fatal(r.Err())
	}
	if !r.Next() {
		t.Fatal(r.Err())
	}
	e := r.Element()
	in := e.Reader()
	in.EnterArray()
	if !in.Next() || in.Text() != "a" || !in.Next() {
		t.Fatal(in.Err())
	}
	s := in.Sub()
	s.EnterList()
	if !s.Next() || s.Int() != -5 || s.Next() {
		t.Fatal(s.Err())
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if in.Next() {
		t.Fatal("third member")
	}
	if err := in.End(); err != nil {
		t.Fatal(err)
	}
	if !r.Next() || len(r.Octets()) != 300 || r.Next() {
		t.Fatal(r.Err())
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	w2 := NewWriter(nil)
	w2.Element(Context(7), e)
	if w2.Len() != e.Len()+1 {
		t.Fatal(w2.Len(), e.Len())
	}
}
