package template

import (
	"fmt"
	"slices"
)

// parser parses tokens. It keeps the first error; what it parses after that is
// discarded. The grammar and its precedence are Jinja's: filters and tests bind
// tighter than arithmetic, so a * b | round rounds b.
type parser struct {
	tokens []token
	pos    int
	depth  int
	err    error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
		p.pos = len(p.tokens) - 1 // the end is the last token
	}
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

// enter counts nesting. The returned function undoes it.
func (p *parser) enter() func() {
	if p.depth++; p.depth > MaxDepth {
		p.fail("the template is nested deeper than %d", MaxDepth)
	}
	return func() { p.depth-- }
}

// op consumes an operator or a word if it is next.
func (p *parser) op(text string) bool {
	t := p.peek()
	if (t.kind != tokOp && t.kind != tokName) || t.text != text {
		return false
	}
	p.pos++
	return true
}

func (p *parser) expect(text string) {
	if !p.op(text) {
		p.fail("%q expected, not %s", text, p.peek())
	}
}

func (p *parser) end() {
	if t := p.next(); t.kind != tokEnd {
		p.fail("unexpected %s", t)
	}
}

// block parses statements up to the end, or to a word that ends a block.
func (p *parser) block() []stmt {
	defer p.enter()()
	var body []stmt
	for p.err == nil {
		switch t := p.peek(); t.kind {
		case tokText:
			p.pos++
			body = append(body, literalText(t.text))
		case tokOutput:
			p.pos++
			x := p.tupleOrExpression()
			p.end()
			body = append(body, output{x})
		case tokBlock:
			if word := p.tokens[p.pos+1]; word.kind == tokName && slices.Contains([]string{"elif", "else", "endif"}, word.text) {
				return body
			}
			p.pos++
			body = append(body, p.statement())
		default:
			return body
		}
	}
	return body
}

func (p *parser) statement() stmt {
	switch word := p.next(); {
	case word.kind == tokName && word.text == "if":
		return p.conditional()
	case word.kind == tokName && word.text == "set":
		name := p.next()
		if name.kind != tokName {
			p.fail("unexpected %s after set", name)
		}
		p.expect("=")
		x := p.tupleOrExpression()
		p.end()
		return assignment{name.text, x}
	default:
		p.fail("statement %s is not supported", word)
		return nil
	}
}

func (p *parser) conditional() stmt {
	var c conditional
	cond := p.tupleOrExpression()
	p.end()
	for p.err == nil {
		c = append(c, branch{cond, p.block()})
		p.next() // {%, or the end
		switch word := p.next(); word.text {
		case "elif":
			if cond == nil {
				p.fail("elif after else")
			}
			cond = p.tupleOrExpression()
			p.end()
		case "else":
			if cond == nil {
				p.fail("else after else")
			}
			cond = nil
			p.end()
		case "endif":
			p.end()
			return c
		default:
			p.fail("if does not end")
		}
	}
	return c
}

// tupleOrExpression parses one expression, or several separated by commas.
func (p *parser) tupleOrExpression() expr {
	first := p.expression()
	if !p.op(",") {
		return first
	}
	list := []expr{first}
	for t := p.peek(); p.err == nil && t.kind != tokEnd && t.text != ")"; t = p.peek() {
		list = append(list, p.expression())
		if !p.op(",") {
			break
		}
	}
	return tupleNode(list)
}

// expression parses an expression that may have an inline if.
func (p *parser) expression() expr {
	defer p.enter()()
	if p.err != nil {
		return literal{}
	}
	x := p.or()
	for p.op("if") {
		n := choice{then: x, cond: p.or()}
		if p.op("else") {
			n.els = p.expression()
		}
		x = n
	}
	return x
}

func (p *parser) or() expr {
	x := p.and()
	for p.op("or") {
		x = logic{x, p.and(), true}
	}
	return x
}

func (p *parser) and() expr {
	x := p.not()
	for p.op("and") {
		x = logic{x, p.not(), false}
	}
	return x
}

func (p *parser) not() expr {
	if p.op("not") {
		defer p.enter()()
		return negation{p.not()}
	}
	return p.compare()
}

var comparisons = []string{"==", "!=", "<", "<=", ">", ">="}

func (p *parser) compare() expr {
	c := comparison{first: p.sum()}
	for p.err == nil {
		t := p.peek()
		switch {
		case t.kind == tokOp && slices.Contains(comparisons, t.text):
			p.pos++
			c.ops = append(c.ops, t.text)
		case p.op("in"):
			c.ops = append(c.ops, "in")
		case t.text == "not" && t.kind == tokName && p.tokens[p.pos+1].text == "in":
			p.pos += 2
			c.ops = append(c.ops, "not in")
		case len(c.ops) == 0:
			return c.first
		default:
			return c
		}
		c.rest = append(c.rest, p.sum())
	}
	return c
}

// binary parses operands separated by operators of one precedence.
func (p *parser) binary(operand func() expr, ops ...string) expr {
	x := operand()
	for p.err == nil {
		t := p.peek()
		if t.kind != tokOp || !slices.Contains(ops, t.text) {
			break
		}
		p.pos++
		x = binary{t.text, x, operand()}
	}
	return x
}

func (p *parser) sum() expr     { return p.binary(p.concat, "+", "-") }
func (p *parser) concat() expr  { return p.binary(p.product, "~") }
func (p *parser) product() expr { return p.binary(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.binary(func() expr { return p.unary(true) }, "**") }

func (p *parser) unary(filters bool) expr {
	defer p.enter()()
	var x expr
	switch {
	case p.err != nil:
		return literal{}
	case p.op("-"):
		x = unary{"-", p.unary(false)}
	case p.op("+"):
		x = unary{"+", p.unary(false)}
	default:
		x = p.primary()
	}
	x = p.postfix(x)
	if filters {
		x = p.filters(x)
	}
	return x
}
