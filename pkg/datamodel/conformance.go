package datamodel

import (
	"strconv"
	"strings"
)

// Conformance is a conformance expression as the specification writes it (section 7.3),
// such as "LT", "[HEAT]" or "rev >= 6, O". Alternatives are separated by commas; the
// first one that applies counts:
//
//	M O X      mandatory, optional, disallowed
//	D P desc   deprecated, provisional, described in words
//	A          mandatory if A holds
//	[A]        optional if A holds
//	O.a [A].a+ optional, as one of a group of choices: exactly one, or with + at least one
//
// A is made of names, !, &, |, parentheses and comparisons (==, >, >=, <, <=).
type Conformance string

// Verdict is what a conformance expression comes to on one cluster of one device.
type Verdict uint8

// The verdicts. What is deprecated is disallowed, as this node is a new one.
const (
	Disallowed Verdict = iota
	Optional
	Mandatory
	Provisional // not for certified devices
	Described   // the specification says it in words, or depends on a value that is not known
)

func (v Verdict) String() string {
	return [...]string{"disallowed", "optional", "mandatory", "provisional", "described"}[v]
}

// Env is what conformance expressions are evaluated on.
type Env struct {
	Cluster  *Cluster // whose feature codes the names are, or nil
	Features uint32   // of the cluster
	Revision uint16   // of the cluster or device type, for "rev"

	// Has reports whether an attribute, command, event, field or condition with the
	// name is there; it is asked for names that are no feature code. nil has none.
	Has func(name string) bool

	// Value returns the value with the name, of an attribute, a field or an enum, for
	// comparisons, and whether it is known. nil knows none.
	Value func(name string) (int64, bool)
}

// Choice says how many elements of a group there must be among those whose conformance
// names it.
type Choice struct {
	Group string // "" if the element belongs to no group
	Min   int
	More  bool // more than Min are allowed
}

// Evaluate returns the verdict of c. No alternative that applies means disallowed; an
// empty expression means mandatory. What is no expression is Described.
func (c Conformance) Evaluate(env Env) Verdict {
	v, _, _ := c.evaluate(&env)
	return v
}

// Choice returns the group of the alternative that makes c optional.
func (c Conformance) Choice(env Env) Choice {
	_, choice, _ := c.evaluate(&env)
	return choice
}

// maxNesting bounds the parentheses within one another.
const maxNesting = 16

// evaluate is Evaluate and Choice in one. ok is false if c is no expression.
func (c Conformance) evaluate(env *Env) (verdict Verdict, choice Choice, ok bool) {
	if c == "" {
		return Mandatory, Choice{}, true
	}
	p := parser{env: env, rest: string(c)}
	p.next()
	found := false
	for {
		v, ch, applies := p.alternative()
		if applies && !found {
			verdict, choice, found = v, ch, true
		}
		if p.token != "," {
			break
		}
		p.next()
	}
	if p.failed || p.token != "" {
		return Described, Choice{}, false
	}
	return verdict, choice, true
}

// truth is the value of a condition. A comparison with a value that is not known is
// neither true nor false.
type truth uint8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// parser evaluates an expression while it reads it. token is the one that is next, ""
// at the end.
type parser struct {
	env     *Env
	rest    string
	token   string
	nesting int
	failed  bool
}

// next reads the next token: a name or number, or a sign.
func (p *parser) next() {
	p.rest = strings.TrimLeft(p.rest, " ")
	n := 0
	for n < len(p.rest) && isWord(p.rest[n]) {
		n++
	}
	if n == 0 && len(p.rest) > 0 {
		n = 1
		if len(p.rest) > 1 && p.rest[1] == '=' && strings.ContainsRune("<>=", rune(p.rest[0])) {
			n = 2
		}
	}
	p.token, p.rest = p.rest[:n], p.rest[n:]
}

func isWord(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '_' || b == '-'
}

// alternative reads one of those that commas separate.
func (p *parser) alternative() (v Verdict, ch Choice, applies bool) {
	switch word := p.token; word {
	case "M", "O", "X", "D", "P", "desc":
		p.next()
		if word == "O" {
			ch = p.choice()
		}
		return map[string]Verdict{"M": Mandatory, "O": Optional, "P": Provisional, "desc": Described}[word], ch, true
	case "[":
		p.next()
		v, applies = when(p.or(), Optional)
		p.expect("]")
		if ch = p.choice(); v != Optional {
			ch = Choice{}
		}
		return v, ch, applies
	}
	v, applies = when(p.or(), Mandatory)
	return v, Choice{}, applies
}

func when(t truth, v Verdict) (Verdict, bool) {
	if t == unknown {
		return Described, true
	}
	return v, t == yes
}

// choice reads ".a", ".a+" or ".a2+", if one follows.
func (p *parser) choice() Choice {
	if p.token != "." {
		return Choice{}
	}
	p.next()
	ch := Choice{Group: p.token, Min: 1}
	if group := strings.TrimRight(p.token, "0123456789"); group != p.token {
		n, err := strconv.Atoi(p.token[len(group):])
		if ch.Group, ch.Min = group, n; err != nil {
			p.failed = true
		}
	}
	if ch.Group == "" || !isWord(ch.Group[0]) {
		p.failed = true
	}
	p.next()
	if p.token == "+" {
		ch.More = true
		p.next()
	}
	return ch
}

func (p *parser) expect(token string) {
	if p.token != token {
		p.failed = true
		return
	}
	p.next()
}

func (p *parser) or() truth {
	t := p.and()
	for p.token == "|" {
		p.next()
		t = max(t, p.and())
	}
	return t
}

func (p *parser) and() truth {
	t := p.not()
	for p.token == "&" {
		p.next()
		t = min(t, p.not())
	}
	return t
}

func (p *parser) not() truth {
	if p.token == "!" || p.token == "(" {
		if p.nesting++; p.nesting > maxNesting {
			p.failed = true
		}
		defer func() { p.nesting-- }()
	}
	if p.failed {
		return no
	}
	switch p.token {
	case "!":
		p.next()
		return yes - p.not()
	case "(":
		p.next()
		t := p.or()
		p.expect(")")
		return t
	}
	return p.term()
}

// term reads a name, or a comparison.
func (p *parser) term() truth {
	name := p.token
	if name == "" || !isWord(name[0]) {
		p.failed = true
		return no
	}
	p.next()
	switch op := p.token; op {
	case "==", ">", ">=", "<", "<=":
		p.next()
		x, known := p.value(name)
		y, alsoKnown := p.value(p.token)
		p.next()
		if !known || !alsoKnown {
			return unknown
		}
		return truthOf(compare(x, op, y))
	}
	return truthOf(p.has(name))
}

func compare(x int64, op string, y int64) bool {
	switch op {
	case "==":
		return x == y
	case ">":
		return x > y
	case ">=":
		return x >= y
	case "<":
		return x < y
	}
	return x <= y
}

func (p *parser) has(name string) bool {
	if p.env.Cluster != nil {
		for _, f := range p.env.Cluster.Features {
			if f.Code == name {
				return p.env.Features&(1<<f.Bit) != 0
			}
		}
	}
	return p.env.Has != nil && p.env.Has(name)
}

func (p *parser) value(s string) (int64, bool) {
	if s == "" || !isWord(s[0]) {
		p.failed = true
		return 0, false
	}
	if s == "rev" {
		return int64(p.env.Revision), true
	}
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return v, true
	}
	if p.env.Value == nil {
		return 0, false
	}
	return p.env.Value(s)
}
