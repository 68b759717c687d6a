package main

import (
	"fmt"
	"strconv"
	"strings"
)

// ranges are the ranges of base types (section 7.19.2) that are smaller than those
// of their encoding.
var ranges = map[string]string{
	"percent":       "max 100",
	"percent100ths": "max 10000",
	"temperature":   "min -27315",
	"fabric-idx":    "1 to 254",
}

// bound is a limit of a constraint, if it is a number.
type bound struct {
	is    bool
	value int64
}

func parseBound(s string) bound {
	v, err := strconv.ParseInt(strings.TrimSpace(s), 0, 64)
	return bound{err == nil, v}
}

// limit returns the fields of a Limit literal for a constraint and for that of a
// list's entries, or "" if there is none.
func limit(typ, constraint, entries string) string {
	var parts []string
	if constraint != "" {
		parts = append(parts, fmt.Sprintf("Rule: %q", constraint))
	}
	low, high := bounds(constraint)
	if r, ok := ranges[typ]; ok && !low.is && !high.is {
		low, high = bounds(r)
	}
	if low.is {
		parts = append(parts, "HasMin: true", fmt.Sprintf("Min: %d", low.value))
	}
	if high.is {
		parts = append(parts, "HasMax: true", fmt.Sprintf("Max: %d", high.value))
	}
	if entries != "" {
		parts = append(parts, "Entry: &Limit{"+limit("", entries, "")+"}")
	}
	return strings.Join(parts, ", ")
}

// bounds parses "max 5", "length 1 to 64", "16" and the like. Limits that depend on
// an attribute or the device are not numbers, and are skipped.
func bounds(constraint string) (low, high bound) {
	s := constraint
	rest, max := strings.CutPrefix(s, "max ")
	if !max {
		rest, _ = strings.CutPrefix(s, "min ")
	}
	isMin := !max && rest != s
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "count "), "length ")
	if from, to, ok := strings.Cut(rest, " to "); ok {
		return parseBound(from), parseBound(to)
	}
	b := parseBound(rest)
	switch {
	case max:
		return bound{}, b
	case isMin:
		return b, bound{}
	}
	return b, b
}
