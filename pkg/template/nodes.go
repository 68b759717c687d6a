package template

import (
	"fmt"
	"slices"
	"strings"
)

// expr is an expression. eval is called by run.eval only, which counts steps.
type expr interface{ eval(r *run) any }

type (
	literal  struct{ v any }
	name     string
	listNode []expr
	// tupleNode is a list that prints with parentheses.
	tupleNode []expr
	dictNode  struct{ keys, values []expr }
	// index is x[key], and x.key.
	index struct{ x, key expr }
	slice struct {
		x      expr
		bounds [3]expr // start, stop, step; nil: none
	}
	negation struct{ x expr }
	unary    struct {
		op string
		x  expr
	}
	binary struct {
		op   string
		x, y expr
	}
	// comparison is a chain: a < b < c.
	comparison struct {
		first expr
		ops   []string
		rest  []expr
	}
	// logic is and, or or. Its value is that of the operand that decides.
	logic struct {
		x, y expr
		or   bool
	}
	// choice is an inline if; els may be nil.
	choice struct{ then, cond, els expr }
	// call is a filter, test, function or method. An argument that was not given is
	// nil.
	call struct {
		name string
		f    func(r *run, a []any) any
		args []expr
	}
)

func (n literal) eval(*run) any { return n.v }

func (n name) eval(r *run) any {
	if v, ok := r.set[string(n)]; ok {
		return v
	}
	if v, ok := r.vars[string(n)]; ok {
		return v
	}
	return undefined{string(n)}
}

func (r *run) evalAll(list []expr) []any {
	out := make([]any, len(list))
	for i, x := range list {
		out[i] = r.eval(x)
	}
	return out
}

func (n listNode) eval(r *run) any  { return r.evalAll(n) }
func (n tupleNode) eval(r *run) any { return tuple(r.evalAll(n)) }

func (n dictNode) eval(r *run) any {
	d := &dict{}
	for i := range n.keys {
		k := r.eval(n.keys[i])
		switch k.(type) {
		case []any, tuple, map[string]any, *dict, undefined:
			return r.fail("%s is no key of a mapping", kindOf(k))
		}
		r.step(len(d.keys) / 16) // keys are searched linearly
		d.set(k, r.eval(n.values[i]))
	}
	return d
}

func (n index) eval(r *run) any {
	x, key := r.eval(n.x), r.eval(n.key)
	if u, ok := x.(undefined); ok {
		return r.fail("%s is not defined", u.name)
	}
	if isMapping(x) {
		if d, ok := x.(*dict); ok {
			r.step(len(d.keys) / 16)
		}
		if v, ok := lookup(x, key); ok {
			return v
		}
		return undefined{r.str(key)}
	}
	i, ok := integer(key)
	if !ok {
		return undefined{r.str(key)}
	}
	if _, ok := x.(string); ok {
		r.charge(x)
	}
	if v, ok := at(x, i); ok {
		return v
	}
	return undefined{r.str(key)}
}

// at returns an item of a list or a character of a text; from the end if i is negative.
func at(x any, i int64) (any, bool) {
	n, _ := length(x)
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i >= int64(n) {
		return nil, false
	}
	if s, ok := x.(string); ok {
		return string([]rune(s)[i]), true
	}
	list, ok := items(x)
	if !ok {
		return nil, false
	}
	return list[i], true
}

func (n slice) eval(r *run) any {
	x := r.eval(n.x)
	list, ok := r.items(x)
	if !ok || isMapping(x) {
		return undefined{"a slice"}
	}
	var bounds [3]*int64
	for i, b := range n.bounds {
		if b == nil {
			continue
		}
		v := r.eval(b)
		if k, ok := integer(v); ok {
			bounds[i] = &k
		} else if v != nil {
			return r.fail("%s is no bound of a slice", kindOf(v))
		}
	}
	out, ok := cut(list, bounds)
	if !ok {
		return r.fail("a slice needs a step other than 0")
	}
	switch x.(type) {
	case string:
		var b strings.Builder
		for _, c := range out {
			b.WriteString(c.(string))
		}
		return r.text(b.String())
	case tuple:
		return tuple(out)
	}
	return r.list(out)
}

// cut is Python's slice of a list.
func cut(list []any, bounds [3]*int64) ([]any, bool) {
	n, step := int64(len(list)), int64(1)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	if step == 0 {
		return nil, false
	}
	low, high := int64(0), n
	if step < 0 {
		low, high = -1, n-1
	}
	clamp := func(b *int64, otherwise int64) int64 {
		if b == nil {
			return otherwise
		}
		i := *b
		if i < 0 {
			i += n
		}
		return max(low, min(high, i))
	}
	start, stop := clamp(bounds[0], low), clamp(bounds[1], high)
	if step < 0 {
		start, stop = clamp(bounds[0], high), clamp(bounds[1], low)
	}
	out := []any{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		out = append(out, list[i])
		if step > n || step < -n {
			break // one item; no overflow
		}
	}
	return out, true
}

func (n negation) eval(r *run) any { return !truth(r.eval(n.x)) }

func (n logic) eval(r *run) any {
	x := r.eval(n.x)
	if truth(x) == n.or {
		return x
	}
	return r.eval(n.y)
}

func (n choice) eval(r *run) any {
	if truth(r.eval(n.cond)) {
		return r.eval(n.then)
	}
	if n.els == nil {
		return undefined{"what an if without else gives"}
	}
	return r.eval(n.els)
}

func (n comparison) eval(r *run) any {
	x := r.eval(n.first)
	for i, op := range n.ops {
		y := r.eval(n.rest[i])
		if !r.compare(op, x, y) {
			return false
		}
		x = y
	}
	return true
}

func (r *run) compare(op string, x, y any) bool {
	if !r.charge(x) || !r.charge(y) {
		return false
	}
	switch op {
	case "==":
		return equal(x, y)
	case "!=":
		return !equal(x, y)
	case "in":
		return r.contains(y, x)
	case "not in":
		return !r.contains(y, x)
	}
	c, ok := order(x, y)
	if !ok {
		r.fail("%s and %s have no order", kindOf(x), kindOf(y))
		return false
	}
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0 && c != unordered
	}
	return c >= 0 && c != unordered
}

func (r *run) contains(in, x any) bool {
	r.charge(in)
	if isMapping(in) {
		_, ok := lookup(in, x)
		return ok
	}
	if s, ok := in.(string); ok {
		part, ok := x.(string)
		if !ok {
			r.fail("%s cannot be in a text", kindOf(x))
		}
		return ok && strings.Contains(s, part)
	}
	list, ok := r.items(in)
	if !ok {
		r.fail("nothing can be in %s", kindOf(in))
	}
	return slices.ContainsFunc(list, func(v any) bool { return equal(v, x) })
}

func (n call) eval(r *run) any {
	args := make([]any, len(n.args))
	for i, x := range n.args {
		if x == nil {
			args[i] = absent{}
		} else {
			args[i] = r.eval(x)
		}
	}
	if r.err != nil {
		return undefined{}
	}
	v := n.f(r, args)
	if r.err != nil && r.err != errSteps {
		r.err = fmt.Errorf("%s: %w", n.name, r.err)
	}
	return v
}
