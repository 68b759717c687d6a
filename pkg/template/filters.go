package template

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// filters are those of Jinja and Home Assistant, with the names of their arguments.
var filters = map[string]function{
	"default":       fn("value | default_value boolean", defaultFilter),
	"d":             fn("value | default_value boolean", defaultFilter),
	"float":         fn("value | default", floatFilter),
	"int":           fn("value | default base", intFilter),
	"bool":          fn("value | default", boolFilter),
	"round":         fn("value | precision method default", roundFilter),
	"multiply":      fn("value amount | default", func(r *run, a []any) any { return r.arithmetic("*", a) }),
	"add":           fn("value amount | default", func(r *run, a []any) any { return r.arithmetic("+", a) }),
	"abs":           fn("value", absFilter),
	"lower":         fn("value", func(r *run, a []any) any { return r.text(strings.ToLower(r.str(a[0]))) }),
	"upper":         fn("value", func(r *run, a []any) any { return r.text(strings.ToUpper(r.str(a[0]))) }),
	"title":         fn("value", func(r *run, a []any) any { return r.text(title(r.str(a[0]))) }),
	"capitalize":    fn("value", func(r *run, a []any) any { return r.text(capitalize(r.str(a[0]))) }),
	"string":        fn("value", func(r *run, a []any) any { return r.text(r.str(a[0])) }),
	"trim":          fn("value | chars", func(r *run, a []any) any { return r.strip(r.str(a[0]), a[1], true, true) }),
	"replace":       fn("value old new | count", func(r *run, a []any) any { return r.replace(r.str(a[0]), a[1], a[2], a[3]) }),
	"truncate":      fn("value | length killwords end leeway", truncateFilter),
	"format":        fn("value *", func(r *run, a []any) any { return r.format(r.str(a[0]), a[1:]) }),
	"join":          fn("value | d", joinFilter),
	"first":         fn("value", func(r *run, a []any) any { return r.item(a[0], 0) }),
	"last":          fn("value", func(r *run, a []any) any { return r.item(a[0], -1) }),
	"length":        fn("value", lengthFilter),
	"count":         fn("value", lengthFilter),
	"min":           fn("value", func(r *run, a []any) any { return r.extreme(a[0], -1) }),
	"max":           fn("value", func(r *run, a []any) any { return r.extreme(a[0], 1) }),
	"sum":           fn("value", sumFilter),
	"tojson":        fn("value", func(r *run, a []any) any { return r.json(jinjaJSON, a[0]) }),
	"to_json":       fn("value | ensure_ascii pretty_print sort_keys", toJSONFilter),
	"from_json":     fn("value | default", fromJSONFilter),
	"is_defined":    fn("value", isDefinedFilter),
	"is_number":     fn("value", isNumber),
	"iif":           fn("value | if_true if_false if_none", iifFilter),
	"regex_replace": {params: []string{"value", "find", "replace", "ignorecase"}, required: 1, prepare: prepareRegexReplace},
}

func given(v any) bool { _, missing := v.(absent); return !missing }

func defaultFilter(_ *run, a []any) any {
	_, missing := a[0].(undefined)
	if missing || given(a[2]) && truth(a[2]) && !truth(a[0]) {
		if given(a[1]) {
			return a[1]
		}
		return ""
	}
	return a[0]
}

// isDefinedFilter ends the evaluation with ErrUndefined if the value is undefined.
func isDefinedFilter(r *run, a []any) any {
	if _, missing := a[0].(undefined); missing {
		r.err = ErrUndefined
	}
	return a[0]
}

func isNumber(r *run, a []any) any {
	if _, missing := a[0].(undefined); missing {
		return false
	}
	f, ok := r.toFloat(a[0])
	return ok && !math.IsNaN(f) && !math.IsInf(f, 0)
}

var words = map[string]bool{"1": true, "true": true, "yes": true, "on": true, "enable": true, "0": false, "false": false, "no": false, "off": false, "disable": false}

func boolFilter(r *run, a []any) any {
	if s, ok := a[0].(string); ok {
		if b, ok := words[strings.ToLower(strings.TrimSpace(s))]; ok {
			return b
		}
	} else if f, ok := number(a[0]); ok {
		return f != 0
	}
	return r.otherwise(a[0], a[1])
}

// roundFilter rounds as Home Assistant does: to an integer if no digits are given,
// and halves to even.
func roundFilter(r *run, a []any) any {
	digits := int64(0)
	if given(a[1]) {
		digits = r.wantInt(a[1])
	}
	method := ""
	if given(a[2]) {
		method = r.wantText(a[2])
	}
	if digits < -15 || digits > 15 {
		return r.fail("%d digits", digits)
	}
	f, ok := r.toFloat(a[0])
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return r.otherwise(a[0], a[3])
	}
	f = rounded(f, int(digits), method)
	if digits == 0 {
		if math.Abs(f) >= 1<<63 {
			return r.otherwise(a[0], a[3])
		}
		return int64(f)
	}
	return f
}

func rounded(f float64, digits int, method string) float64 {
	scale := math.Pow10(digits)
	switch method {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	case "half":
		return math.RoundToEven(f*2) / 2
	}
	if digits <= 0 {
		return math.RoundToEven(f*scale) / scale
	}
	out, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', digits, 64), 64)
	return out
}

func (r *run) arithmetic(op string, a []any) any {
	f, ok := r.toFloat(a[0])
	if !ok {
		return r.otherwise(a[0], a[2])
	}
	by, ok := number(a[1])
	if !ok {
		return r.fail("%s is no number", kindOf(a[1]))
	}
	return r.floats(op, f, by)
}

func absFilter(r *run, a []any) any {
	if n, ok := integer(a[0]); ok && n != math.MinInt64 {
		return max(n, -n)
	}
	f, ok := a[0].(float64)
	if !ok {
		return r.fail("%s is no number", kindOf(a[0]))
	}
	return math.Abs(f)
}

// capitalize makes the first letter upper case and the others lower case.
func capitalize(s string) string {
	first := true
	return strings.Map(func(c rune) rune {
		if first {
			first = false
			return unicode.ToUpper(c)
		}
		return unicode.ToLower(c)
	}, s)
}

// title capitalizes each word. Words begin after a space, a hyphen or a bracket.
func title(s string) string {
	first := true
	return strings.Map(func(c rune) rune {
		was := first
		first = unicode.IsSpace(c) || strings.ContainsRune("-({[<", c)
		if was {
			return unicode.ToUpper(c)
		}
		return unicode.ToLower(c)
	}, s)
}

func (r *run) replace(s string, from, to, count any) any {
	n := -1
	if given(count) && count != nil {
		n = int(max(-1, min(r.wantInt(count), maxOutput)))
	}
	old, by := r.str(from), r.str(to)
	if grow := len(by) - len(old); grow > 0 && (strings.Count(s, old)+1)*grow+len(s) > maxOutput {
		return r.fail("%w", errTooLong)
	}
	return r.text(strings.Replace(s, old, by, n))
}

// truncateFilter shortens a string to a length that includes its end mark. It keeps
// a string that is longer by leeway or less.
func truncateFilter(r *run, a []any) any {
	length, leeway, end := int64(255), int64(5), "..."
	if given(a[1]) {
		length = r.wantInt(a[1])
	}
	if given(a[3]) {
		end = r.wantText(a[3])
	}
	if given(a[4]) {
		leeway = r.wantInt(a[4])
	}
	mark := []rune(end)
	if length < int64(len(mark)) || length > maxOutput || leeway < 0 || leeway > maxOutput {
		return r.fail("length %d, leeway %d", length, leeway)
	}
	if _, missing := a[0].(undefined); missing {
		return ""
	}
	s := []rune(r.wantText(a[0]))
	r.step(len(s) / 256)
	if int64(len(s)) <= length+leeway {
		return r.text(string(s))
	}
	out := string(s[:length-int64(len(mark))])
	if !given(a[2]) || !truth(a[2]) {
		if i := strings.LastIndexByte(out, ' '); i >= 0 {
			out = out[:i]
		}
	}
	return r.text(out + end)
}

func joinFilter(r *run, a []any) any {
	list, ok := r.items(a[0])
	if !ok {
		return r.fail("%s has no items", kindOf(a[0]))
	}
	sep := ""
	if given(a[1]) {
		sep = r.str(a[1])
	}
	var b strings.Builder
	for i, x := range list {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(r.str(x))
		if b.Len() > maxOutput {
			break
		}
	}
	return r.text(b.String())
}

func (r *run) item(v any, i int64) any {
	list, ok := r.items(v)
	if !ok {
		return r.fail("%s has no items", kindOf(v))
	}
	if x, ok := at(list, i); ok {
		return x
	}
	return undefined{"an item of nothing"}
}

func lengthFilter(r *run, a []any) any {
	n, ok := length(a[0])
	if !ok {
		return r.fail("%s has no length", kindOf(a[0]))
	}
	return int64(n)
}

func sumFilter(r *run, a []any) any {
	list, ok := r.items(a[0])
	if !ok {
		return r.fail("%s has no items", kindOf(a[0]))
	}
	var sum any = int64(0)
	for _, x := range list {
		sum = r.eval(binary{"+", literal{sum}, literal{x}})
	}
	return sum
}

func (r *run) json(form jsonForm, v any) any {
	r.charge(v)
	if r.err != nil {
		return undefined{}
	}
	var b strings.Builder
	if err := form.write(&b, v); err != nil {
		return r.fail("%w", err)
	}
	return r.text(b.String())
}

func toJSONFilter(r *run, a []any) any {
	form := compactJSON
	for i, arg := range a[1:] {
		if !given(arg) || !truth(arg) {
			continue
		}
		if i < 2 {
			return r.fail("only sort_keys is supported")
		}
		form.sorted = true
	}
	return r.json(form, a[0])
}

func fromJSONFilter(r *run, a []any) any {
	s := r.wantText(a[0])
	r.step(len(s) / 64)
	v, err := JSON([]byte(s))
	if err != nil {
		if given(a[1]) {
			return a[1]
		}
		return r.fail("%w", err)
	}
	return v
}

func iifFilter(_ *run, a []any) any {
	switch {
	case a[0] == nil && given(a[3]):
		return a[3]
	case truth(a[0]) && given(a[1]):
		return a[1]
	case truth(a[0]):
		return true
	case given(a[2]):
		return a[2]
	}
	return false
}

// prepareRegexReplace compiles the expression, which must be a literal.
func prepareRegexReplace(args []expr) (func(r *run, a []any) any, error) {
	var find, by string
	for i, to := range []*string{&find, &by} {
		if args[i+1] == nil {
			continue
		}
		l, _ := args[i+1].(literal)
		s, ok := l.v.(string)
		if !ok {
			return nil, errors.New("only literals are supported")
		}
		*to = s
	}
	if l, ok := args[3].(literal); ok && truth(l.v) {
		find = "(?i)" + find
	} else if args[3] != nil && !ok {
		return nil, errors.New("only literals are supported")
	}
	re, err := regexp.Compile(find)
	if err != nil {
		return nil, err
	}
	by = strings.ReplaceAll(by, "$", "$$")
	by = regexp.MustCompile(`\\g<(\w+)>|\\(\d)`).ReplaceAllString(by, "$${$1$2}")
	return func(r *run, a []any) any {
		s := r.str(a[0])
		if len(s) > maxOutput || len(by)*(len(s)+1) > 16*maxOutput {
			return r.fail("%w", errTooLong)
		}
		r.step(len(s) / 4)
		return r.text(re.ReplaceAllString(s, by))
	}, nil
}
