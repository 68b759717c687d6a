package template

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// unordered is the result of comparing a number with NaN: neither is less.
const unordered = 2

// order compares numbers, strings and lists. The result is negative, 0, positive,
// or unordered.
func order(x, y any) (int, bool) {
	if a, ok := integer(x); ok {
		if b, ok := integer(y); ok {
			return cmp.Compare(a, b), true
		}
	}
	if a, ok := number(x); ok {
		b, ok := number(y)
		if a != a || b != b {
			return unordered, ok
		}
		return cmp.Compare(a, b), ok
	}
	if a, ok := x.(string); ok {
		b, ok := y.(string)
		return cmp.Compare(a, b), ok
	}
	a, ok := items(x)
	b, ok2 := items(y)
	if !ok || !ok2 || kindOf(x) != "a list" || kindOf(y) != "a list" {
		return 0, false
	}
	for i := range min(len(a), len(b)) {
		if !equal(a[i], b[i]) {
			return order(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b)), true
}

// sorted returns a sorted list.
func sorted(list []any) ([]any, error) {
	out := slices.Clone(list)
	bad := false
	slices.SortStableFunc(out, func(x, y any) int {
		c, ok := order(x, y)
		bad = bad || !ok
		return c
	})
	if bad {
		return nil, errOrder
	}
	return out, nil
}

func (n unary) eval(r *run) any {
	x := r.eval(n.x)
	if i, ok := integer(x); ok && i != math.MinInt64 {
		if n.op == "-" {
			i = -i
		}
		return i
	}
	f, ok := x.(float64)
	if !ok {
		return r.fail("%s of %s", n.op, kindOf(x))
	}
	if n.op == "-" {
		f = -f
	}
	return f
}

func (n binary) eval(r *run) any {
	x, y := r.eval(n.x), r.eval(n.y)
	if r.err != nil {
		return undefined{}
	}
	if n.op == "~" {
		return r.text(r.str(x) + r.str(y))
	}
	if a, ok := integer(x); ok {
		if b, ok := integer(y); ok {
			return r.integers(n.op, a, b)
		}
	}
	if a, ok := number(x); ok {
		if b, ok := number(y); ok {
			return r.floats(n.op, a, b)
		}
	}
	switch n.op {
	case "+":
		if v, ok := r.join(x, y); ok {
			return v
		}
	case "*":
		if v, ok := r.repeat(x, y); ok {
			return v
		}
		if v, ok := r.repeat(y, x); ok {
			return v
		}
	case "%":
		if s, ok := x.(string); ok {
			args, ok := y.(tuple)
			if !ok {
				args = tuple{y}
			}
			return r.format(s, args)
		}
	}
	return r.fail("%s of %s and %s", n.op, kindOf(x), kindOf(y))
}

// join implements + of two strings or two lists.
func (r *run) join(x, y any) (any, bool) {
	switch x := x.(type) {
	case string:
		if y, ok := y.(string); ok {
			return r.text(x + y), true
		}
	case []any:
		if y, ok := y.([]any); ok {
			return r.list(slices.Concat(x, y)), true
		}
	case tuple:
		if y, ok := y.(tuple); ok {
			l, _ := r.list(slices.Concat(x, y)).([]any)
			return tuple(l), true
		}
	}
	return nil, false
}

// repeat implements * of a string and an integer.
func (r *run) repeat(x, times any) (any, bool) {
	s, ok := x.(string)
	n, isInt := integer(times)
	if !ok || !isInt {
		return nil, false
	}
	if n <= 0 || s == "" {
		return "", true
	}
	if n > maxOutput || int64(len(s))*n > maxOutput {
		return r.fail("%w", errTooLong), true
	}
	return r.text(strings.Repeat(s, int(n))), true
}

func (r *run) integers(op string, a, b int64) any {
	var v int64
	ok := true
	switch op {
	case "+":
		v = a + b
		ok = (v > a) == (b > 0)
	case "-":
		v = a - b
		ok = (v < a) == (b > 0)
	case "*":
		v, ok = multiply(a, b)
	case "**":
		if b < 0 {
			return r.floats(op, float64(a), float64(b))
		}
		v, ok = power(a, b)
	default:
		return r.divide(op, a, b)
	}
	if !ok {
		return r.fail("%d %s %d is out of range", a, op, b)
	}
	return v
}

func (r *run) divide(op string, a, b int64) any {
	if b == 0 {
		return r.fail("division by zero")
	}
	if op == "/" {
		return float64(a) / float64(b)
	}
	if a == math.MinInt64 && b == -1 {
		return r.fail("%d %s %d is out of range", a, op, b)
	}
	q, m := a/b, a%b
	if m != 0 && (m < 0) != (b < 0) { // Python rounds down
		q--
		m += b
	}
	if op == "//" {
		return q
	}
	return m
}

func multiply(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if (a < 0) != (b < 0) {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}

func power(a, n int64) (int64, bool) {
	switch {
	case n == 0 || a == 1:
		return 1, true
	case a == 0:
		return 0, true
	case a == -1:
		return 1 - 2*(n%2), true
	}
	v, ok := int64(1), true
	for ; n > 0 && ok; n-- { // at most 63 times
		v, ok = multiply(v, a)
	}
	return v, ok
}

func (r *run) floats(op string, a, b float64) any {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		v := math.Pow(a, b)
		if a == 0 && b < 0 || math.IsInf(v, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) || v != v && a == a && b == b {
			return r.fail("%s ** %s is out of range", formatFloat(a), formatFloat(b))
		}
		return v
	}
	if b == 0 {
		return r.fail("division by zero")
	}
	switch op {
	case "/":
		return a / b
	case "//":
		return math.Floor(a / b)
	}
	m := math.Mod(a, b)
	if m != 0 && (m < 0) != (b < 0) {
		m += b
	}
	return m
}
