package template

import (
	"fmt"
	"strconv"
	"strings"
)

// tests are the tests that may follow is.
var tests = map[string]function{
	"defined":     fn("value", func(_ *run, a []any) any { _, u := a[0].(undefined); return !u }),
	"undefined":   fn("value", func(_ *run, a []any) any { _, u := a[0].(undefined); return u }),
	"none":        fn("value", func(_ *run, a []any) any { return a[0] == nil }),
	"true":        fn("value", func(_ *run, a []any) any { return a[0] == true }),
	"false":       fn("value", func(_ *run, a []any) any { return a[0] == false }),
	"boolean":     fn("value", func(_ *run, a []any) any { _, ok := a[0].(bool); return ok }),
	"number":      fn("value", func(_ *run, a []any) any { _, ok := number(a[0]); return ok }),
	"integer":     fn("value", func(_ *run, a []any) any { _, ok := a[0].(int64); return ok }),
	"float":       fn("value", func(_ *run, a []any) any { _, ok := a[0].(float64); return ok }),
	"string":      fn("value", func(_ *run, a []any) any { _, ok := a[0].(string); return ok }),
	"mapping":     fn("value", func(_ *run, a []any) any { return isMapping(a[0]) }),
	"sequence":    fn("value", func(_ *run, a []any) any { _, ok := length(a[0]); return ok }),
	"iterable":    fn("value", func(_ *run, a []any) any { _, ok := length(a[0]); return ok }),
	"is_number":   fn("value", isNumber),
	"even":        fn("value", func(r *run, a []any) any { return r.wantInt(a[0])%2 == 0 }),
	"odd":         fn("value", func(r *run, a []any) any { return r.wantInt(a[0])%2 != 0 }),
	"in":          fn("value seq", func(r *run, a []any) any { return r.contains(a[1], a[0]) }),
	"eq":          comparing("=="),
	"equalto":     comparing("=="),
	"==":          comparing("=="),
	"ne":          comparing("!="),
	"!=":          comparing("!="),
	"lt":          comparing("<"),
	"lessthan":    comparing("<"),
	"<":           comparing("<"),
	"le":          comparing("<="),
	"<=":          comparing("<="),
	"gt":          comparing(">"),
	"greaterthan": comparing(">"),
	">":           comparing(">"),
	"ge":          comparing(">="),
	">=":          comparing(">="),
}

func comparing(op string) function {
	return fn("value other", func(r *run, a []any) any { return r.compare(op, a[0], a[1]) })
}

// maxWidth bounds the width and precision of a formatted value.
const maxWidth = 64

// format implements Python's % on strings: the conversions of numbers and strings,
// by position.
func (r *run) format(s string, args []any) any {
	var b strings.Builder
	for s != "" {
		text, rest, ok := strings.Cut(s, "%")
		b.WriteString(text)
		if !ok {
			break
		}
		end := strings.IndexFunc(rest, func(c rune) bool { return !strings.ContainsRune("0123456789+-# .", c) })
		if end < 0 {
			return r.fail("a format does not end")
		}
		flags, verb := rest[:end], rest[end]
		s = rest[end+1:]
		if verb == '%' {
			b.WriteByte('%')
			continue
		}
		if len(args) == 0 {
			return r.fail("an argument of %%%c is missing", verb)
		}
		if b.WriteString(r.convert(flags, verb, args[0])); r.err != nil {
			return undefined{}
		}
		args = args[1:]
	}
	if len(args) > 0 {
		return r.fail("more arguments than formats")
	}
	return r.text(b.String())
}

func (r *run) convert(flags string, verb byte, v any) string {
	for part := range strings.SplitSeq(strings.TrimLeft(flags, "+-# 0"), ".") {
		if n, err := strconv.Atoi(part); part != "" && (err != nil || n > maxWidth) {
			r.fail("format %%%s%c is not supported", flags, verb)
			return ""
		}
	}
	switch verb {
	case 's':
		return fmt.Sprintf("%"+flags+"s", r.str(v))
	case 'd', 'i', 'x', 'X':
		n, ok := integer(v)
		if f, isFloat := v.(float64); isFloat && verb != 'x' && verb != 'X' && f > -1<<63 && f < 1<<63 {
			n, ok = int64(f), true
		}
		if verb == 'i' {
			verb = 'd'
		}
		if ok {
			return fmt.Sprintf("%"+flags+string(verb), n)
		}
	case 'f', 'F', 'e', 'E', 'g', 'G':
		if f, ok := number(v); ok {
			if strings.Contains("gG", string(verb)) && !strings.Contains(flags, ".") {
				flags += ".6"
			}
			return fmt.Sprintf("%"+flags+string(verb), f)
		}
	}
	r.fail("format %%%s%c of %s", flags, verb, kindOf(v))
	return ""
}
