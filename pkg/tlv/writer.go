package tlv

import (
	"encoding/binary"
	"math"
)

// Writer appends elements to a buffer. The zero value is ready to use. Incorrect
// use (more Ends than starts, more than MaxDepth levels) panics, unless the Writer
// is guarded.
type Writer struct {
	buf     []byte
	depth   int
	guarded bool
	broken  bool // incorrect use since Guard
}

// NewWriter returns a Writer that appends to buf.
func NewWriter(buf []byte) *Writer { return &Writer{buf: buf} }

// Reset discards all state and makes w append to buf.
func (w *Writer) Reset(buf []byte) { *w = Writer{buf: buf} }

// Bytes returns the buffer with everything written so far.
func (w *Writer) Bytes() []byte { return w.buf }

// Len returns the length of the buffer.
func (w *Writer) Len() int { return len(w.buf) }

// Depth returns the number of open containers.
func (w *Writer) Depth() int { return w.depth }

// Mark is a position in a Writer's output.
type Mark struct{ len, depth int }

// Mark returns the current position.
func (w *Writer) Mark() Mark { return Mark{len(w.buf), w.depth} }

// Rewind removes everything written since m.
func (w *Writer) Rewind(m Mark) { w.buf, w.depth = w.buf[:m.len], m.depth }

// Written returns what was appended since m.
func (w *Writer) Written(m Mark) []byte { return w.buf[m.len:] }

// Guard returns the current position. Incorrect use after it does not panic, for
// code that is not trusted. [Writer.Unguard] reports it.
func (w *Writer) Guard() Mark {
	w.guarded, w.broken = true, false
	return w.Mark()
}

// Unguard ends what Guard began at m. It reports whether exactly the containers
// that were opened since then were closed. It does not check the elements; see
// [Single] and [Members].
func (w *Writer) Unguard(m Mark) bool {
	whole := !w.broken && w.depth == m.depth && len(w.buf) >= m.len
	w.guarded, w.broken = false, false
	return whole
}

// mistake panics, or records the mistake for Unguard.
func (w *Writer) mistake(text string) {
	if !w.guarded {
		panic("BUG: tlv: " + text)
	}
	w.broken = true
}

func (w *Writer) head(t Tag, ctl byte) {
	n := t.number
	switch t.form {
	case formAnonymous:
		w.buf = append(w.buf, ctl)
	case formContext:
		w.buf = append(w.buf, formContext<<ctlFormShift|ctl, byte(n))
	case formCommon, formImplicit:
		if n <= math.MaxUint16 {
			w.buf = append(w.buf, t.form<<ctlFormShift|ctl, byte(n), byte(n>>8))
		} else {
			w.buf = binary.LittleEndian.AppendUint32(append(w.buf, (t.form+1)<<ctlFormShift|ctl), n)
		}
	default:
		form := t.form
		if n > math.MaxUint16 {
			form++
		}
		w.buf = append(w.buf, form<<ctlFormShift|ctl, byte(t.vendor), byte(t.vendor>>8), byte(t.profile), byte(t.profile>>8), byte(n), byte(n>>8))
		if n > math.MaxUint16 {
			w.buf = append(w.buf, byte(n>>16), byte(n>>24))
		}
	}
}

func (w *Writer) little(v uint64, size int) {
	for range size {
		w.buf = append(w.buf, byte(v))
		v >>= 8
	}
}

// Uint writes an unsigned integer in its shortest width.
func (w *Writer) Uint(t Tag, v uint64) {
	switch {
	case v <= math.MaxUint8:
		w.head(t, ctlUint8)
		w.buf = append(w.buf, byte(v))
	case v <= math.MaxUint16:
		w.head(t, ctlUint8+1)
		w.buf = append(w.buf, byte(v), byte(v>>8))
	case v <= math.MaxUint32:
		w.head(t, ctlUint8+2)
		w.little(v, 4)
	default:
		w.head(t, ctlUint8+3)
		w.little(v, 8)
	}
}

// Int writes a signed integer in its shortest width.
func (w *Writer) Int(t Tag, v int64) {
	switch {
	case v == int64(int8(v)):
		w.head(t, ctlInt8)
		w.little(uint64(v), 1)
	case v == int64(int16(v)):
		w.head(t, ctlInt8+1)
		w.little(uint64(v), 2)
	case v == int64(int32(v)):
		w.head(t, ctlInt8+2)
		w.little(uint64(v), 4)
	default:
		w.head(t, ctlInt8+3)
		w.little(uint64(v), 8)
	}
}

// Bool writes a boolean.
func (w *Writer) Bool(t Tag, v bool) {
	if v {
		w.head(t, ctlTrue)
	} else {
		w.head(t, ctlFalse)
	}
}

// Null writes a null.
func (w *Writer) Null(t Tag) { w.head(t, ctlNull) }

// Float32 writes a single-precision number.
func (w *Writer) Float32(t Tag, v float32) {
	w.head(t, ctlFloat32)
	w.little(uint64(math.Float32bits(v)), 4)
}

// Float64 writes a double-precision number.
func (w *Writer) Float64(t Tag, v float64) {
	w.head(t, ctlFloat64)
	w.little(math.Float64bits(v), 8)
}

func (w *Writer) stringHead(t Tag, ctl byte, n int) {
	switch {
	case n <= math.MaxUint8:
		w.head(t, ctl)
		w.buf = append(w.buf, byte(n))
	case n <= math.MaxUint16:
		w.head(t, ctl+1)
		w.buf = append(w.buf, byte(n), byte(n>>8))
	default:
		w.head(t, ctl+2)
		w.little(uint64(n), 4)
	}
}

// Text writes a UTF-8 string.
func (w *Writer) Text(t Tag, s string) {
	w.stringHead(t, ctlString1, len(s))
	w.buf = append(w.buf, s...)
}

// Octets writes an octet string.
func (w *Writer) Octets(t Tag, b []byte) {
	w.stringHead(t, ctlBytes1, len(b))
	w.buf = append(w.buf, b...)
}

func (w *Writer) start(t Tag, ctl byte) {
	if w.depth == MaxDepth {
		w.mistake("Writer nested too deeply")
		return
	}
	w.depth++
	w.head(t, ctl)
}

// StartStruct opens a structure, whose members have tags.
func (w *Writer) StartStruct(t Tag) { w.start(t, ctlStruct) }

// StartArray opens an array, whose members are anonymous.
func (w *Writer) StartArray(t Tag) { w.start(t, ctlArray) }

// StartList opens a list, whose members may have tags and are ordered.
func (w *Writer) StartList(t Tag) { w.start(t, ctlList) }

// End closes the innermost container.
func (w *Writer) End() {
	if w.depth == 0 {
		w.mistake("End without a container")
		return
	}
	w.depth--
	w.buf = append(w.buf, ctlEnd)
}

// Element writes a complete element, as [Reader.Element] returns it, with tag t.
func (w *Writer) Element(t Tag, e Element) {
	w.head(t, e.ctl)
	w.buf = append(w.buf, e.body...)
}
