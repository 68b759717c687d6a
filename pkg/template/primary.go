package template

import "slices"

// unavailable are names of Home Assistant that need more than a message.
var unavailable = []string{"this", "entity_id", "trigger", "states", "state_attr", "is_state", "now", "utcnow", "hass"}

func (p *parser) primary() expr {
	switch t := p.next(); t.kind {
	case tokName:
		return p.name(t)
	case tokString:
		s := t.text
		for p.peek().kind == tokString { // adjacent strings are joined
			s += p.next().text
		}
		return literal{s}
	case tokInt:
		return literal{t.int}
	case tokFloat:
		return literal{t.float}
	case tokOp:
		switch t.text {
		case "(":
			return p.parenthesis()
		case "[":
			return listNode(p.expressions("]"))
		case "{":
			return p.dict()
		}
		p.fail("unexpected %s", t)
	default:
		p.fail("unexpected %s", t)
	}
	return literal{}
}

func (p *parser) name(t token) expr {
	switch t.text {
	case "true", "True":
		return literal{true}
	case "false", "False":
		return literal{false}
	case "none", "None":
		return literal{}
	}
	if p.op("(") {
		f, ok := functions[t.text]
		if !ok {
			p.fail("function %s is not supported", t.text)
			return literal{}
		}
		return p.call(t.text, f, nil)
	}
	if slices.Contains(unavailable, t.text) {
		p.fail("%s needs Home Assistant", t.text)
	}
	return name(t.text)
}

func (p *parser) parenthesis() expr {
	if p.op(")") {
		return tupleNode{}
	}
	x := p.tupleOrExpression()
	p.expect(")")
	return x
}

// expressions parses expressions separated by commas, up to the closing bracket.
func (p *parser) expressions(closing string) []expr {
	var list []expr
	for p.err == nil && !p.op(closing) {
		if len(list) > 0 {
			p.expect(",")
			if p.op(closing) {
				break
			}
		}
		list = append(list, p.expression())
	}
	return list
}

func (p *parser) dict() expr {
	var d dictNode
	for p.err == nil && !p.op("}") {
		if len(d.keys) > 0 {
			p.expect(",")
			if p.op("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expression())
		p.expect(":")
		d.values = append(d.values, p.expression())
	}
	return d
}

// postfix parses attributes, indexes and method calls.
func (p *parser) postfix(x expr) expr {
	for p.err == nil {
		switch {
		case p.op("."):
			x = p.attribute(x)
		case p.op("["):
			x = p.subscript(x)
		case p.peek().kind == tokOp && p.peek().text == "(":
			p.fail("only functions and methods by their names can be called")
		default:
			return x
		}
	}
	return x
}

func (p *parser) attribute(x expr) expr {
	switch t := p.next(); t.kind {
	case tokInt:
		return index{x, literal{t.int}}
	case tokName:
		if !p.op("(") {
			return index{x, literal{t.text}}
		}
		if m, ok := methods[t.text]; ok {
			return p.call(t.text, m, x)
		}
		p.fail("method %s is not supported", t.text)
	default:
		p.fail("unexpected %s after a dot", t)
	}
	return x
}

func (p *parser) subscript(x expr) expr {
	var bounds [3]expr
	n := 0
	for p.err == nil {
		if t := p.peek(); t.kind != tokOp || (t.text != ":" && t.text != "]") {
			bounds[n] = p.expression()
		}
		if n < 2 && p.op(":") {
			n++
			continue
		}
		break
	}
	if n == 0 && bounds[0] != nil && p.op(",") {
		p.fail("an index with a comma is not supported")
	}
	p.expect("]")
	if n > 0 {
		return slice{x, bounds}
	}
	if bounds[0] == nil {
		p.fail("an index is missing")
	}
	return index{x, bounds[0]}
}

// filters parses the filters and tests after a value.
func (p *parser) filters(x expr) expr {
	tested := false
	for p.err == nil {
		switch {
		case p.op("|"):
			tested = false
			t := p.next()
			f, ok := filters[t.text]
			if !ok || t.kind != tokName {
				p.fail("filter %s is not supported", t)
				return x
			}
			if p.op("(") {
				x = p.call(t.text, f, x)
			} else {
				x = p.bind(t.text, f, x, nil, nil)
			}
		case p.op("is"):
			if tested {
				p.fail("a test of a test needs brackets")
			}
			tested = true
			x = p.test(x)
		default:
			return x
		}
	}
	return x
}

// test parses a test after is. Its argument needs no parentheses: x is eq 3.
func (p *parser) test(x expr) expr {
	negated := p.op("not")
	t := p.next()
	f, ok := tests[t.text]
	if !ok || t.kind != tokName && t.kind != tokOp {
		p.fail("test %s is not supported", t)
		return x
	}
	var n expr
	switch next := p.peek(); {
	case p.op("("):
		n = p.call(t.text, f, x)
	case len(f.params) > 1 && next.kind != tokEnd:
		n = p.bind(t.text, f, x, []expr{p.postfix(p.primary())}, nil)
	default:
		n = p.bind(t.text, f, x, nil, nil)
	}
	if negated {
		return negation{n}
	}
	return n
}

// call parses arguments after the opening bracket.
func (p *parser) call(what string, f function, receiver expr) expr {
	var args []expr
	named := map[string]expr{}
	for first := true; p.err == nil && !p.op(")"); first = false {
		if !first {
			p.expect(",")
			if p.op(")") {
				break
			}
		}
		t := p.peek()
		if t.kind == tokName && p.tokens[p.pos+1].kind == tokOp && p.tokens[p.pos+1].text == "=" {
			p.pos += 2
			named[t.text] = p.expression()
			continue
		}
		if len(named) > 0 {
			p.fail("%s: an argument without a name after one with a name", what)
		}
		args = append(args, p.expression())
	}
	return p.bind(what, f, receiver, args, named)
}

// bind assigns the arguments to the parameters of a function.
func (p *parser) bind(what string, f function, receiver expr, args []expr, named map[string]expr) expr {
	if receiver != nil {
		args = append([]expr{receiver}, args...)
	}
	if len(args) > len(f.params) && !f.variadic {
		p.fail("%s: too many arguments", what)
		return literal{}
	}
	slots := slices.Clone(args)
	for len(slots) < len(f.params) {
		slots = append(slots, nil)
	}
	for name, x := range named {
		i := slices.Index(f.params, name)
		if i < 0 || i < len(args) {
			p.fail("%s: unexpected argument %s", what, name)
			return literal{}
		}
		slots[i] = x
	}
	for i := range f.required {
		if slots[i] == nil {
			p.fail("%s: argument %s is missing", what, f.params[i])
		}
	}
	n := call{name: what, f: f.call, args: slots}
	if f.prepare != nil && p.err == nil {
		var err error
		if n.f, err = f.prepare(slots); err != nil {
			p.fail("%s: %w", what, err)
		}
	}
	return n
}
