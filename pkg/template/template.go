package template

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of a template and of its evaluation.
const (
	MaxSource = 16 << 10 // octets of a template
	MaxDepth  = 32       // nesting of expressions, blocks and JSON
	maxSteps  = 10_000   // of one evaluation; 256 octets of a new string count as one
	maxOutput = 64 << 10 // octets of a string that an evaluation makes
	maxItems  = 4096     // of a list that an evaluation makes
)

// ErrUndefined is returned by Render if the template applies is_defined to a value
// that the message does not have. The message is then not meant for this template,
// which is not a failure.
var ErrUndefined = errors.New("a value is not in the message")

var (
	errTooLong = fmt.Errorf("a text grows beyond %d octets", maxOutput)
	errSteps   = fmt.Errorf("the template takes more than %d steps", maxSteps)
)

// Template is a parsed template. It may be used by several goroutines.
type Template struct {
	body []stmt
}

// Parse parses a template. The error describes what is invalid or not supported.
func Parse(src string) (*Template, error) {
	if len(src) > MaxSource {
		return nil, fmt.Errorf("the template is longer than %d octets", MaxSource)
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	body := p.block()
	if p.err == nil && p.peek().kind != tokEOF {
		p.fail("unexpected %s", p.tokens[p.pos+1])
	}
	if p.err != nil {
		return nil, p.err
	}
	return &Template{body: body}, nil
}

// Render evaluates the template with vars, whose values are nil, bool, int64,
// float64, string, or a result of [JSON]. A name that is not in vars is undefined.
// The result is trimmed. Any error except ErrUndefined describes a failure of the
// template or the message.
func (t *Template) Render(vars map[string]any) (string, error) {
	r := &run{vars: vars}
	r.exec(t.body)
	if r.err != nil {
		return "", r.err
	}
	return strings.TrimSpace(r.out.String()), nil
}

// Text formats a value of a variable as Python prints it. Use it to compare options
// from JSON with the output of templates.
func Text(v any) string { return text(v) }

// run is one evaluation. The first error is kept and ends it.
type run struct {
	vars  map[string]any
	set   map[string]any // by set statements
	out   strings.Builder
	steps int
	err   error
}

func (r *run) fail(format string, args ...any) any {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	return undefined{}
}

// step counts n steps, and reports whether to continue.
func (r *run) step(n int) bool {
	if r.steps += n; r.steps > maxSteps && r.err == nil {
		r.err = errSteps
	}
	return r.err == nil
}

func (r *run) eval(e expr) any {
	if !r.step(1) {
		return undefined{}
	}
	return e.eval(r)
}

// text returns a string as the result of an operation. It checks the length and
// counts steps.
func (r *run) text(s string) any {
	if len(s) > maxOutput {
		return r.fail("%w", errTooLong)
	}
	r.step(len(s) / 256)
	return s
}

// str returns the printed form of a value.
func (r *run) str(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	r.charge(v)
	return text(v)
}

// items returns the items of iterating over a value.
func (r *run) items(v any) ([]any, bool) {
	if !r.charge(v) {
		return nil, true
	}
	return items(v)
}

// charge counts the steps of iterating over a value.
func (r *run) charge(v any) bool {
	switch v.(type) {
	case string, []any, tuple, map[string]any, *dict:
		return r.step(weight(v, 16*maxSteps) / 16)
	}
	return r.err == nil
}

// weight returns the size of a value: its items, and a sixteenth of the octets of
// its strings. It stops at limit, since items may be shared many times.
func weight(v any, limit int) int {
	n := 1
	add := func(x any) bool {
		n += weight(x, limit-n)
		return n <= limit
	}
	switch v := v.(type) {
	case string:
		n += len(v) / 16
	case []any:
		for _, x := range v {
			if !add(x) {
				break
			}
		}
	case tuple:
		add([]any(v))
	case map[string]any:
		for k, x := range v {
			if !add(k) || !add(x) {
				break
			}
		}
	case *dict:
		_ = add(v.keys) && add(v.values)
	}
	return n
}

// list returns a list as the result of an operation.
func (r *run) list(l []any) any {
	if len(l) > maxItems {
		return r.fail("a list grows beyond %d items", maxItems)
	}
	r.step(len(l) / 16)
	return l
}

func (r *run) exec(body []stmt) {
	for _, s := range body {
		if !r.step(1) {
			return
		}
		s.exec(r)
	}
}

// stmt is a piece of a template.
type stmt interface{ exec(r *run) }

type (
	literalText string
	output      struct{ x expr }
	assignment  struct {
		name string
		x    expr
	}
	// conditional is if, its elifs and else; the condition of else is nil.
	conditional []branch
	branch      struct {
		cond expr
		body []stmt
	}
)

func (s literalText) exec(r *run) { r.print(string(s)) }

func (s output) exec(r *run) { r.print(r.str(r.eval(s.x))) }

func (s assignment) exec(r *run) {
	v := r.eval(s.x)
	if r.set == nil {
		r.set = map[string]any{}
	}
	r.set[s.name] = v
}

func (s conditional) exec(r *run) {
	for _, b := range s {
		if b.cond == nil || truth(r.eval(b.cond)) {
			r.exec(b.body)
			return
		}
	}
}

func (r *run) print(s string) {
	r.out.WriteString(s)
	r.step(len(s) / 256)
	if r.out.Len() > maxOutput {
		r.fail("%w", errTooLong)
	}
}
