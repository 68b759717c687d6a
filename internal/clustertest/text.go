package clustertest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Encode returns the TLV of one value written as text: {tag:value,...} is a
// structure and <...> a list, [value,...] an array, x"00ff" octets, "..." a
// string, +1 and -1 are signed, and there are numbers, true, false and null. In what is
// returned, 1.5f is a number of 32 bits.
func Encode(t testing.TB, text string) []byte {
	t.Helper()
	var w tlv.Writer
	write(t, &w, tlv.Anonymous, text)
	return w.Bytes()
}

func write(t testing.TB, w *tlv.Writer, tag tlv.Tag, text string) {
	t.Helper()
	p := parser{rest: text, w: w}
	if p.value(tag); p.bad || p.rest != "" {
		t.Fatalf("clustertest: bad text %q at %q", text, p.rest)
	}
}

type parser struct {
	rest string
	w    *tlv.Writer
	bad  bool
}

func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *parser) value(t tlv.Tag) {
	switch {
	case p.take("{"):
		p.w.StartStruct(t)
		p.members("}", true)
	case p.take("<"):
		p.w.StartList(t)
		p.members(">", true)
	case p.take("["):
		p.w.StartArray(t)
		p.members("]", false)
	case p.take("null"):
		p.w.Null(t)
	case p.take("true"):
		p.w.Bool(t, true)
	case p.take("false"):
		p.w.Bool(t, false)
	case p.take("x"):
		b, err := hex.DecodeString(p.quoted())
		p.bad = p.bad || err != nil
		p.w.Octets(t, b)
	case strings.HasPrefix(p.rest, `"`):
		p.w.Text(t, p.quoted())
	default:
		p.number(t)
	}
}

func (p *parser) members(end string, tagged bool) {
	for !p.bad && !p.take(end) {
		tag := tlv.Anonymous
		if tagged {
			name, rest, ok := strings.Cut(p.rest, ":")
			n, err := strconv.ParseUint(name, 10, 8)
			if p.bad = !ok || err != nil; p.bad {
				return
			}
			p.rest, tag = rest, tlv.Context(uint8(n))
		}
		p.value(tag)
		p.take(",")
	}
	if !p.bad {
		p.w.End()
	}
}

func (p *parser) quoted() string {
	q, err := strconv.QuotedPrefix(p.rest)
	if err != nil {
		p.bad = true
		return ""
	}
	p.rest = p.rest[len(q):]
	s, _ := strconv.Unquote(q)
	return s
}

func (p *parser) number(t tlv.Tag) {
	n := strings.IndexFunc(p.rest, func(c rune) bool { return !strings.ContainsRune("+-0123456789", c) })
	if n < 0 {
		n = len(p.rest)
	}
	text := p.rest[:n]
	p.rest = p.rest[n:]
	var err error
	if strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") {
		var v int64
		v, err = strconv.ParseInt(text, 10, 64)
		p.w.Int(t, v)
	} else {
		var v uint64
		v, err = strconv.ParseUint(text, 10, 64)
		p.w.Uint(t, v)
	}
	p.bad = p.bad || err != nil
}

// Text is the inverse of Encode.
func Text(t testing.TB, r tlv.Reader) string {
	t.Helper()
	var b strings.Builder
	format(&b, &r)
	if err := r.Err(); err != nil {
		t.Fatalf("clustertest: %v", err)
	}
	return b.String()
}

func format(b *strings.Builder, r *tlv.Reader) {
	switch r.Type() {
	case tlv.TypeStruct:
		formatMembers(b, r, "{", "}")
	case tlv.TypeList:
		formatMembers(b, r, "<", ">")
	case tlv.TypeArray:
		formatMembers(b, r, "[", "]")
	case tlv.TypeNull:
		b.WriteString("null")
	case tlv.TypeBool:
		fmt.Fprint(b, r.Bool())
	case tlv.TypeUint:
		fmt.Fprint(b, r.Uint())
	case tlv.TypeInt:
		fmt.Fprintf(b, "%+d", r.Int())
	case tlv.TypeBytes:
		fmt.Fprintf(b, "x\"%x\"", r.Octets())
	case tlv.TypeString:
		fmt.Fprintf(b, "%q", r.Text())
	case tlv.TypeFloat32:
		b.WriteString(strconv.FormatFloat(float64(r.Float32()), 'f', -1, 32) + "f")
	default:
		fmt.Fprintf(b, "?%v", r.Type())
	}
}

func formatMembers(b *strings.Builder, r *tlv.Reader, open, end string) {
	b.WriteString(open)
	sep := ""
	for r.Enter(); r.Next(); sep = "," {
		b.WriteString(sep)
		if n := r.ContextTag(); n >= 0 {
			fmt.Fprintf(b, "%d:", n)
		}
		format(b, r)
	}
	r.Exit()
	b.WriteString(end)
}
