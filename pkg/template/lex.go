package template

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEOF    tokenKind = iota
	tokText             // text outside of braces
	tokOutput           // {{
	tokBlock            // {%
	tokEnd              // }} or %}
	tokName
	tokString
	tokInt
	tokFloat
	tokOp
)

type token struct {
	kind  tokenKind
	text  string // of a string: its value
	int   int64
	float float64
}

// String returns the token for error messages.
func (t token) String() string {
	switch t.kind {
	case tokEOF:
		return "the end of the template"
	case tokText, tokEnd:
		return "the end of the expression"
	case tokString:
		return strconv.Quote(t.text)
	}
	return t.text
}

// operators lists the supported operators, longer ones first.
var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "|", ".", ",", ":", "(", ")", "[", "]", "{", "}"}

// lexer splits a template into tokens. Within braces, a closing brace ends the
// expression only if no brace is open in the expression.
type lexer struct {
	src    string
	pos    int
	tokens []token
	trim   bool // the last end had a minus: remove spaces before the next text
}

func lex(src string) ([]token, error) {
	l := &lexer{src: src}
	for l.pos < len(l.src) {
		start, what := l.next()
		text := l.src[l.pos:start]
		if l.trim {
			text = strings.TrimLeft(text, " \t\r\n")
		}
		l.trim = false
		l.pos = start
		if what == 0 {
			l.add(token{kind: tokText, text: text})
			break
		}
		l.pos += 2
		if l.take("-") {
			text = strings.TrimRight(text, " \t\r\n")
		} else {
			l.take("+")
		}
		l.add(token{kind: tokText, text: text})
		if err := l.inside(what); err != nil {
			return nil, err
		}
	}
	return append(l.tokens, token{kind: tokEOF}), nil
}

// next returns the position of the next brace construct, and its second character;
// 0 if there is none.
func (l *lexer) next() (int, byte) {
	for i := l.pos; i+1 < len(l.src); i++ {
		if l.src[i] == '{' && (l.src[i+1] == '{' || l.src[i+1] == '%' || l.src[i+1] == '#') {
			return i, l.src[i+1]
		}
	}
	return len(l.src), 0
}

func (l *lexer) add(t token) {
	if t.kind != tokText || t.text != "" {
		l.tokens = append(l.tokens, t)
	}
}

func (l *lexer) take(s string) bool {
	if !strings.HasPrefix(l.src[l.pos:], s) {
		return false
	}
	l.pos += len(s)
	return true
}

// inside reads the content of a pair of braces.
func (l *lexer) inside(what byte) error {
	if what == '#' {
		end := strings.Index(l.src[l.pos:], "#}")
		if end < 0 {
			return fmt.Errorf("a comment does not end")
		}
		l.trim = end > 0 && l.src[l.pos+end-1] == '-'
		l.pos += end + 2
		return nil
	}
	closing := "}}"
	l.add(token{kind: tokOutput, text: "{{"})
	if what == '%' {
		closing = "%}"
		l.tokens[len(l.tokens)-1] = token{kind: tokBlock, text: "{%"}
	}
	var open []byte // open brackets
	for {
		l.pos += len(l.src[l.pos:]) - len(strings.TrimLeft(l.src[l.pos:], " \t\r\n"))
		if l.pos == len(l.src) {
			return fmt.Errorf("%q does not end", l.tokens[len(l.tokens)-1].String())
		}
		if len(open) == 0 && l.end(closing) {
			l.add(token{kind: tokEnd, text: closing})
			return nil
		}
		t, err := l.token()
		if err != nil {
			return err
		}
		if t.kind == tokOp {
			if open, err = balance(open, t.text); err != nil {
				return err
			}
		}
		l.add(t)
	}
}

func (l *lexer) end(closing string) bool {
	if l.take("-" + closing) {
		l.trim = true
		return true
	}
	return l.take("+"+closing) || l.take(closing)
}

func balance(open []byte, op string) ([]byte, error) {
	switch op {
	case "(", "[", "{":
		return append(open, op[0]), nil
	case ")", "]", "}":
		pair := map[string]byte{")": '(', "]": '[', "}": '{'}
		if len(open) == 0 || open[len(open)-1] != pair[op] {
			return nil, fmt.Errorf("unexpected %q", op)
		}
		return open[:len(open)-1], nil
	}
	return open, nil
}

func (l *lexer) token() (token, error) {
	c := l.src[l.pos]
	switch {
	case c == '\'' || c == '"':
		return l.quoted(c)
	case c >= '0' && c <= '9':
		return l.number()
	case isNameStart(c):
		start := l.pos
		for l.pos < len(l.src) && (isNameStart(l.src[l.pos]) || isDigit(l.src[l.pos])) {
			l.pos++
		}
		return token{kind: tokName, text: l.src[start:l.pos]}, nil
	}
	for _, op := range operators {
		if l.take(op) {
			return token{kind: tokOp, text: op}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.src[l.pos:])
	return token{}, fmt.Errorf("unexpected character %q", r)
}

func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isNameStart(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// number reads an integer or a float. A dot without a following digit is an
// operator.
func (l *lexer) number() (token, error) {
	start := l.pos
	digits := func() {
		for l.pos < len(l.src) && (isDigit(l.src[l.pos]) || l.src[l.pos] == '_') {
			l.pos++
		}
	}
	at := func(i int, chars string) bool { return i < len(l.src) && strings.IndexByte(chars, l.src[i]) >= 0 }
	digits()
	float := false
	if at(l.pos, ".") && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]) {
		float = true
		l.pos++
		digits()
	}
	if at(l.pos, "eE") {
		exp := l.pos + 1
		if at(exp, "+-") {
			exp++
		}
		if at(exp, "0123456789") {
			float = true
			l.pos = exp
			digits()
		}
	}
	text := strings.ReplaceAll(l.src[start:l.pos], "_", "")
	t := token{kind: tokInt, text: text}
	var err error
	if float {
		t.kind = tokFloat
		t.float, err = strconv.ParseFloat(text, 64)
	} else {
		t.int, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		return token{}, fmt.Errorf("number %s is out of range", text)
	}
	return t, nil
}

// quoted reads a string in single or double quotes, with Python's escapes.
func (l *lexer) quoted(quote byte) (token, error) {
	l.pos++
	var b strings.Builder
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		l.pos++
		switch c {
		case quote:
			return token{kind: tokString, text: b.String()}, nil
		case '\\':
			if err := l.escape(&b); err != nil {
				return token{}, err
			}
		default:
			b.WriteByte(c)
		}
	}
	return token{}, fmt.Errorf("a text does not end")
}

// escapes are the characters after a backslash, and escaped what they stand for.
const escapes, escaped = "nrtabfv0\\'\"", "\n\r\t\a\b\f\v\x00\\'\""

func (l *lexer) escape(b *strings.Builder) error {
	if l.pos == len(l.src) {
		return nil
	}
	c := l.src[l.pos]
	l.pos++
	if i := strings.IndexByte(escapes, c); i >= 0 {
		b.WriteByte(escaped[i])
		return nil
	}
	n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if n == 0 {
		b.WriteByte('\\') // Python keeps unknown escapes
		b.WriteByte(c)
		return nil
	}
	if l.pos+n > len(l.src) {
		return fmt.Errorf("bad escape in a text")
	}
	r, err := strconv.ParseUint(l.src[l.pos:l.pos+n], 16, 31)
	if err != nil {
		return fmt.Errorf("bad escape in a text")
	}
	l.pos += n
	b.WriteRune(rune(r))
	return nil
}
