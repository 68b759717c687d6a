package tlv

import "encoding/binary"

// Single reports whether b is exactly one well-formed element with tag t.
func Single(b []byte, t Tag) bool {
	if t.form == formContext && len(b) >= 2 && b[0]>>ctlFormShift == formContext {
		// Most of what clusters write: a number, a boolean, null, a short text.
		switch typ := b[0] & ctlTypeMask; {
		case typ < ctlString1 || typ == ctlNull:
			return uint32(b[1]) == t.number && len(b) == 2+valueSizes[typ]
		case (typ == ctlString1 || typ == ctlBytes1) && len(b) >= 3:
			return uint32(b[1]) == t.number && len(b) == 3+int(b[2])
		}
	}
	end, ok := scan(b, 0)
	if !ok || end != len(b) {
		return false
	}
	switch b[0] >> ctlFormShift {
	case formAnonymous:
		return t == Anonymous
	case formContext:
		return t.form == formContext && t.number == uint32(b[1])
	}
	r := Reader{b: b}
	r.head(0)
	return r.err == nil && r.tag == t
}

// Members reports whether b is a sequence of well-formed elements with context
// tags, as in a structure. It may be empty.
func Members(b []byte) bool {
	for i := 0; i < len(b); {
		if b[i]>>ctlFormShift != formContext {
			return false
		}
		end, ok := scan(b, i)
		if !ok {
			return false
		}
		i = end
	}
	return true
}

// tagSizes are the sizes of a tag, by its form.
var tagSizes = [8]int{0, 1, 2, 4, 2, 4, 6, 8}

// valueSizes are the sizes of a scalar's value, or of a string's length field, by
// type.
var valueSizes = [ctlEnd]int{
	1, 2, 4, 8, 1, 2, 4, 8, // numbers
	0, 0, 4, 8, // booleans, floating point
	1, 2, 4, 8, 1, 2, 4, 8, // texts, octets
}

// scan returns the end of the element that begins at i, and whether it is
// well-formed. It checks the same as a Reader but is faster.
func scan(b []byte, i int) (end int, ok bool) {
	var open [MaxDepth]byte // the open containers at i
	depth := 0
	for {
		if i >= len(b) {
			return i, false
		}
		form, typ := b[i]>>ctlFormShift, b[i]&ctlTypeMask
		if typ == ctlEnd && form == formAnonymous && depth > 0 {
			if i, depth = i+1, depth-1; depth == 0 {
				return i, true
			}
			continue
		}
		if typ >= ctlEnd || depth > 0 && (open[depth-1] == ctlStruct && form == formAnonymous || open[depth-1] == ctlArray && form != formAnonymous) {
			return i, false
		}
		i += 1 + tagSizes[form]
		size := valueSizes[typ]
		if size > len(b)-i {
			return i, false
		}
		value := b[i : i+size]
		i += size
		switch {
		case typ >= ctlStruct:
			if depth == MaxDepth {
				return i, false
			}
			open[depth] = typ
			depth++
			continue
		case typ >= ctlString1 && typ < ctlNull:
			var long [8]byte
			copy(long[:], value)
			n := binary.LittleEndian.Uint64(long[:])
			if n > uint64(len(b)-i) {
				return i, false
			}
			i += int(n)
		}
		if depth == 0 {
			return i, true
		}
	}
}
