package template

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Values of expressions are nil (None), undefined, bool, int64, float64, string,
// []any (a list), tuple, map[string]any (an object of JSON) and *dict (a literal).

// undefined is the value of an absent name or key.
type undefined struct{ name string }

type tuple []any

// dict is a dict literal, in order. Keys are scalars. Equal keys are one key, as in
// Python: 1, 1.0 and True.
type dict struct {
	keys, values []any
}

func (d *dict) get(key any) (any, bool) {
	for i, k := range d.keys {
		if equal(k, key) {
			return d.values[i], true
		}
	}
	return nil, false
}

func (d *dict) set(key, value any) {
	for i, k := range d.keys {
		if equal(k, key) {
			d.values[i] = value
			return
		}
	}
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
}

// kindOf returns the kind of a value for error messages.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case undefined:
		return "undefined " + v.name
	case bool:
		return "a truth value"
	case int64, float64:
		return "a number"
	case string:
		return "a text"
	case []any, tuple:
		return "a list"
	}
	return "a mapping"
}

// truth returns the truth value for if, and, or and not.
func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	}
	n, ok := length(v)
	return ok && n > 0
}

// length returns the number of characters, items or keys of a value.
func length(v any) (int, bool) {
	switch v := v.(type) {
	case undefined:
		return 0, true
	case string:
		return utf8.RuneCountInString(v), true
	case []any:
		return len(v), true
	case tuple:
		return len(v), true
	case map[string]any:
		return len(v), true
	case *dict:
		return len(v.keys), true
	}
	return 0, false
}

// items returns the items of iterating over a value.
func items(v any) ([]any, bool) {
	switch v := v.(type) {
	case undefined:
		return nil, true
	case string:
		var out []any
		for _, r := range v {
			out = append(out, string(r))
		}
		return out, true
	case []any:
		return v, true
	case tuple:
		return v, true
	case map[string]any:
		var out []any
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, k)
		}
		return out, true
	case *dict:
		return v.keys, true
	}
	return nil, false
}

// number converts a number or a truth value to a float.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// integer converts an integer or a truth value.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}

// equal implements Python's ==.
func equal(a, b any) bool {
	if x, ok := integer(a); ok {
		if y, ok := integer(b); ok {
			return x == y
		}
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case string:
		s, ok := b.(string)
		return ok && a == s
	case []any:
		l, ok := b.([]any)
		return ok && slices.EqualFunc(a, l, equal)
	case tuple:
		l, ok := b.(tuple)
		return ok && slices.EqualFunc(a, l, equal)
	}
	return equalMaps(a, b)
}

func equalMaps(a, b any) bool {
	keys, ok := items(a)
	n, sized := length(b)
	if !ok || !sized || n != len(keys) || !isMapping(a) || !isMapping(b) {
		return false
	}
	for _, k := range keys {
		x, _ := lookup(a, k)
		y, ok := lookup(b, k)
		if !ok || !equal(x, y) {
			return false
		}
	}
	return true
}

func isMapping(v any) bool {
	switch v.(type) {
	case map[string]any, *dict:
		return true
	}
	return false
}

// lookup returns the value of a key of a mapping.
func lookup(m, key any) (any, bool) {
	switch m := m.(type) {
	case map[string]any:
		s, ok := key.(string)
		if !ok {
			return nil, false
		}
		v, ok := m[s]
		return v, ok
	case *dict:
		return m.get(key)
	}
	return nil, false
}

// text returns the printed form of a value: Python's str.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b strings.Builder
	write(&b, v)
	return b.String()
}

// write appends Python's repr of a value, or nothing if it is undefined.
func write(b *strings.Builder, v any) {
	if b.Len() > maxOutput {
		return // the caller rejects longer strings
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(formatFloat(v))
	case string:
		writeQuoted(b, v)
	case []any:
		b.WriteByte('[')
		writeItems(b, v)
		b.WriteByte(']')
	case tuple:
		b.WriteByte('(')
		writeItems(b, v)
		if len(v) == 1 {
			b.WriteByte(',')
		}
		b.WriteByte(')')
	case map[string]any, *dict:
		b.WriteByte('{')
		keys, _ := items(v)
		for i, k := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			write(b, k)
			b.WriteString(": ")
			x, _ := lookup(v, k)
			write(b, x)
		}
		b.WriteByte('}')
	}
}

func writeItems(b *strings.Builder, list []any) {
	for i, x := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		write(b, x)
	}
}

// writeQuoted appends Python's repr of a string: in single quotes, or in double
// quotes if that avoids an escape.
func writeQuoted(b *strings.Builder, s string) {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			b.WriteString(`\x`)
			b.WriteString(hex(r, 2))
		case r < 0x10000:
			b.WriteString(`\u`)
			b.WriteString(hex(r, 4))
		default:
			b.WriteString(`\U`)
			b.WriteString(hex(r, 8))
		}
	}
	b.WriteRune(quote)
}

func hex(r rune, width int) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", width-len(s)) + s
}

// formatFloat returns the shortest string that reads back as f, in Python's format:
// with an exponent below 1e-4 and from 1e16 on, otherwise with a decimal point.
func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
