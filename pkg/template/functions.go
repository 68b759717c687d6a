package template

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// absent is an argument that was not given.
type absent struct{}

var errOrder = errors.New("values of different kinds have no order")

// function is a filter, a test, a function or a method. Its first argument is the
// value that it is applied to.
type function struct {
	params   []string
	required int
	variadic bool
	call     func(r *run, a []any) any
	// prepare checks the arguments when the template is parsed, and returns the
	// function to call.
	prepare func(args []expr) (func(r *run, a []any) any, error)
}

// fn makes a function from the names of its parameters. Those after a bar are
// optional, and a star stands for any number of further arguments.
func fn(params string, call func(r *run, a []any) any) function {
	f := function{call: call, required: -1}
	for word := range strings.FieldsSeq(params) {
		switch word {
		case "|":
			f.required = len(f.params)
		case "*":
			f.variadic = true
		default:
			f.params = append(f.params, word)
		}
	}
	if f.required < 0 {
		f.required = len(f.params)
	}
	return f
}

// functions are those that are called by their name.
var functions = map[string]function{
	"float": filters["float"],
	"int":   filters["int"],
	"bool":  filters["bool"],
	"iif":   filters["iif"],
	"round": filters["round"],
	"min":   fn("value *", func(r *run, a []any) any { return r.extreme(spread(a), -1) }),
	"max":   fn("value *", func(r *run, a []any) any { return r.extreme(spread(a), 1) }),
}

// methods are called on a value.
var methods = map[string]function{
	"get":        fn("self key | default", getMethod),
	"keys":       fn("self", func(r *run, a []any) any { return r.mappingPart(a[0], true) }),
	"values":     fn("self", func(r *run, a []any) any { return r.mappingPart(a[0], false) }),
	"split":      fn("self | sep maxsplit", splitMethod),
	"lower":      textMethod(func(_ *run, s string, _ []any) any { return strings.ToLower(s) }, "self"),
	"upper":      textMethod(func(_ *run, s string, _ []any) any { return strings.ToUpper(s) }, "self"),
	"title":      textMethod(func(_ *run, s string, _ []any) any { return title(s) }, "self"),
	"capitalize": textMethod(func(_ *run, s string, _ []any) any { return capitalize(s) }, "self"),
	"strip":      stripMethod(true, true),
	"lstrip":     stripMethod(true, false),
	"rstrip":     stripMethod(false, true),
	"replace": textMethod(func(r *run, s string, a []any) any {
		return r.replace(s, a[0], a[1], absent{})
	}, "self old new"),
	"startswith": textMethod(func(r *run, s string, a []any) any { return strings.HasPrefix(s, r.wantText(a[0])) }, "self prefix"),
	"endswith":   textMethod(func(r *run, s string, a []any) any { return strings.HasSuffix(s, r.wantText(a[0])) }, "self suffix"),
}

// textMethod is a method of strings only.
func textMethod(f func(r *run, s string, a []any) any, params string) function {
	return fn(params, func(r *run, a []any) any {
		s, ok := a[0].(string)
		if !ok {
			return r.fail("%s is no text", kindOf(a[0]))
		}
		v := f(r, s, a[1:])
		if s, ok := v.(string); ok {
			return r.text(s)
		}
		return v
	})
}

func stripMethod(left, right bool) function {
	return textMethod(func(r *run, s string, a []any) any { return r.strip(s, a[0], left, right) }, "self | chars")
}

func (r *run) strip(s string, chars any, left, right bool) any {
	cutset := " \t\r\n\v\f"
	if _, ok := chars.(absent); !ok && chars != nil {
		cutset = r.wantText(chars)
	}
	if left {
		s = strings.TrimLeft(s, cutset)
	}
	if right {
		s = strings.TrimRight(s, cutset)
	}
	return s
}

func getMethod(r *run, a []any) any {
	if !isMapping(a[0]) {
		return r.fail("%s has no keys", kindOf(a[0]))
	}
	r.charge(a[0])
	if v, ok := lookup(a[0], a[1]); ok {
		return v
	}
	if _, ok := a[2].(absent); ok {
		return nil
	}
	return a[2]
}

func (r *run) mappingPart(m any, keys bool) any {
	if !isMapping(m) {
		return r.fail("%s has no keys", kindOf(m))
	}
	list, _ := r.items(m)
	out := make([]any, len(list))
	for i, k := range list {
		if out[i] = k; !keys {
			out[i], _ = lookup(m, k)
		}
	}
	return r.list(out)
}

func splitMethod(r *run, a []any) any {
	s, ok := a[0].(string)
	if !ok {
		return r.fail("%s is no text", kindOf(a[0]))
	}
	n := -1
	if k, ok := integer(a[2]); ok && k >= 0 && k < maxItems {
		n = int(k) + 1
	}
	var parts []string
	if _, ok := a[1].(absent); ok || a[1] == nil {
		parts = strings.Fields(s)
	} else if sep := r.wantText(a[1]); sep == "" {
		return r.fail("split by an empty text")
	} else if strings.Count(s, sep) >= maxItems {
		return r.list(make([]any, maxItems+1))
	} else {
		parts = strings.SplitN(s, sep, n)
	}
	r.step(len(s) / 256)
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return r.list(out)
}

func (r *run) wantText(v any) string {
	s, ok := v.(string)
	if !ok {
		r.fail("%s is no text", kindOf(v))
	}
	return s
}

func (r *run) wantInt(v any) int64 {
	n, ok := integer(v)
	if !ok {
		r.fail("%s is no integer", kindOf(v))
	}
	return n
}

// parseFloat parses a number as Python's float does. It does not accept hexadecimal
// numbers.
func parseFloat(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, "xXpP") || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || strings.Contains(s, "__") {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return f, true
}

// toFloat converts a value as float does. An undefined value is an error even if
// there is a default.
func (r *run) toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case string:
		return parseFloat(v)
	case undefined:
		r.fail("%s is not defined", v.name)
		return 0, false
	}
	return number(v)
}

func floatFilter(r *run, a []any) any {
	f, ok := r.toFloat(a[0])
	if !ok {
		return r.otherwise(a[0], a[1])
	}
	return f
}

// otherwise returns the default of a failed conversion, or fails if there is none.
func (r *run) otherwise(v, def any) any {
	if _, ok := def.(absent); ok {
		return r.fail("%q is no number", r.str(v))
	}
	return def
}

func intFilter(r *run, a []any) any {
	base := int64(10)
	if _, ok := a[2].(absent); !ok {
		base = r.wantInt(a[2])
	}
	if s, ok := a[0].(string); ok {
		if n, ok := parseInt(s, base); ok {
			return n
		}
	}
	if n, ok := integer(a[0]); ok {
		return n
	}
	f, ok := r.toFloat(a[0])
	if !ok || math.IsNaN(f) || math.Abs(f) >= 1<<63 {
		return r.otherwise(a[0], a[1])
	}
	return int64(f)
}

func parseInt(s string, base int64) (int64, bool) {
	s = strings.TrimSpace(s)
	if base < 2 || base > 36 {
		return 0, false
	}
	lower := strings.ToLower(s)
	if p := map[int64]string{2: "0b", 8: "0o", 16: "0x"}[base]; p != "" {
		s = strings.TrimPrefix(lower, p)
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), int(base), 64)
	return n, err == nil
}

// spread returns the operands of min and max: the arguments, or the items of a
// single argument.
func spread(a []any) any {
	if len(a) == 1 {
		return a[0]
	}
	return a
}

// extreme returns the smallest (sign -1) or largest item; undefined for an empty
// list.
func (r *run) extreme(v any, sign int) any {
	list, ok := r.items(v)
	if !ok {
		return r.fail("%s has no items", kindOf(v))
	}
	if len(list) == 0 {
		return undefined{"the extreme of nothing"}
	}
	best := list[0]
	for _, x := range list[1:] {
		c, ok := order(x, best)
		if !ok {
			return r.fail("%w", errOrder)
		}
		if c == sign {
			best = x
		}
	}
	return best
}
