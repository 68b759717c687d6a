package im

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// The tests write messages as text. {..} is a structure and <..> a list, both with
// tag:value members; [..] is an array, x"00ff" is an octet string, and +1 and -1
// are signed integers.

// encode returns the TLV of a text.
func encode(t testing.TB, text string) []byte {
	t.Helper()
	p := textParser{s: text}
	p.value(tlv.Anonymous)
	if p.s != "" || p.bad {
		t.Fatalf("bad text %q at %q", text, p.s)
	}
	return p.w.Bytes()
}

type textParser struct {
	s   string
	w   tlv.Writer
	bad bool
}

func (p *textParser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.s, prefix)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *textParser) value(t tlv.Tag) {
	switch {
	case p.take("{"):
		p.w.StartStruct(t)
		p.members("}")
	case p.take("<"):
		p.w.StartList(t)
		p.members(">")
	case p.take("["):
		p.w.StartArray(t)
		for !p.bad && !p.take("]") {
			p.value(tlv.Anonymous)
			p.take(",")
		}
		p.w.End()
	case p.take("true"):
		p.w.Bool(t, true)
	case p.take("false"):
		p.w.Bool(t, false)
	case p.take("null"):
		p.w.Null(t)
	case p.take(`x"`):
		b, err := hex.DecodeString(p.until(`"`))
		p.bad = p.bad || err != nil
		p.w.Octets(t, b)
	case p.take(`"`):
		p.w.Text(t, p.until(`"`))
	default:
		n := 0
		for n < len(p.s) && strings.ContainsRune("+-0123456789", rune(p.s[n])) {
			n++
		}
		number := p.s[:n]
		p.s = p.s[n:]
		if u, err := strconv.ParseUint(number, 10, 64); err == nil && number[0] != '+' {
			p.w.Uint(t, u)
		} else if i, err := strconv.ParseInt(number, 10, 64); err == nil {
			p.w.Int(t, i)
		} else {
			p.bad = true
		}
	}
}

func (p *textParser) until(end string) string {
	before, after, ok := strings.Cut(p.s, end)
	p.s, p.bad = after, p.bad || !ok
	return before
}

func (p *textParser) members(end string) {
	for !p.bad && !p.take(end) {
		n, err := strconv.ParseUint(p.until(":"), 10, 8)
		if p.bad = p.bad || err != nil; !p.bad {
			p.value(tlv.Context(uint8(n)))
		}
		p.take(",")
	}
	p.w.End()
}

// decode returns the text of a TLV.
func decode(t testing.TB, b []byte) string {
	t.Helper()
	if err := tlv.Validate(b); err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	r := tlv.NewReader(b)
	var s strings.Builder
	writeText(&s, &r)
	return s.String()
}

func elementText(e tlv.Element) string {
	r := e.Reader()
	var s strings.Builder
	writeText(&s, &r)
	return s.String()
}

func writeText(s *strings.Builder, r *tlv.Reader) {
	switch r.Type() {
	case tlv.TypeUint:
		fmt.Fprint(s, r.Uint())
	case tlv.TypeInt:
		fmt.Fprintf(s, "%+d", r.Int())
	case tlv.TypeBool:
		fmt.Fprint(s, r.Bool())
	case tlv.TypeNull:
		s.WriteString("null")
	case tlv.TypeString:
		fmt.Fprintf(s, "%q", r.Text())
	case tlv.TypeBytes:
		fmt.Fprintf(s, `x"%x"`, r.Octets())
	default:
		brackets := map[tlv.Type]string{tlv.TypeStruct: "{}", tlv.TypeArray: "[]", tlv.TypeList: "<>"}[r.Type()]
		s.WriteByte(brackets[0])
		first := true
		for r.Enter(); r.Next(); first = false {
			if !first {
				s.WriteByte(',')
			}
			if n := r.ContextTag(); n >= 0 {
				fmt.Fprintf(s, "%d:", n)
			}
			writeText(s, r)
		}
		r.Exit()
		s.WriteByte(brackets[1])
	}
}

func TestText(t *testing.T) {
	const text = `{0:[1,+2,-3,"a",x"00ff"],1:<2:null,3:true>,255:12}`
	if got := decode(t, encode(t, text)); got != text {
		t.Errorf("got %s", got)
	}
}
