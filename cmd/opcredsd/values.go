package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The values of flags. An error contains what is wrong and what is allowed. The
// caller adds the origin: the command line, the environment or the file.

// number is an integer within limits, in decimal or, with 0x, hexadecimal.
type number[T ~uint16 | ~uint32 | ~int] struct {
	p        *T
	min, max uint64
	hex      bool // when displayed
}

func (n number[T]) Set(s string) error {
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil || v < n.min || v > n.max {
		return fmt.Errorf("%q is not a number between %s and %s", s, n.format(n.min), n.format(n.max))
	}
	*n.p = T(v)
	return nil
}

func (n number[T]) String() string {
	if n.p == nil || *n.p == 0 {
		return ""
	}
	return n.format(uint64(*n.p))
}

func (n number[T]) format(v uint64) string {
	if n.hex {
		return fmt.Sprintf("0x%04X", v)
	}
	return strconv.FormatUint(v, 10)
}

func (number[T]) Type() string { return "number" }

// choice is one of several words.
type choice struct {
	p       *string
	allowed []string
}

func (c choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("%q is not one of %s", s, strings.Join(c.allowed, ", "))
	}
	*c.p = s
	return nil
}

func (c choice) String() string {
	if c.p == nil {
		return ""
	}
	return *c.p
}

func (choice) Type() string { return "word" }

// span is a duration within limits.
type span struct {
	p        *time.Duration
	min, max time.Duration
}

func (d span) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v < d.min || v > d.max {
		return fmt.Errorf("%q is not a duration between %s and %s", s, short(d.min), short(d.max))
	}
	*d.p = v
	return nil
}

func (d span) String() string {
	if d.p == nil || *d.p == 0 {
		return ""
	}
	return short(*d.p)
}

func (span) Type() string { return "duration" }

// short returns d without trailing units that are 0.
func short(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}

// text is a string of limited length.
type text struct {
	p   *string
	max int // octets
}

func (w text) Set(s string) error {
	if len(s) > w.max || !utf8.ValidString(s) {
		return fmt.Errorf("%q is not a text of up to %d octets", s, w.max)
	}
	*w.p = s
	return nil
}

func (w text) String() string {
	if w.p == nil {
		return ""
	}
	return *w.p
}

func (text) Type() string { return "string" }

// code is a setup passcode.
type code struct{ p *uint32 }

func (c code) Set(s string) error {
	// The number is decimal even with a leading zero. The error does not contain
	// the input, which may be nearly right.
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil || v == 0 {
		return errors.New("not a number between 00000001 and 99999998")
	}
	*c.p = uint32(v)
	return nil
}

func (c code) String() string {
	if c.p == nil || *c.p == 0 {
		return ""
	}
	return fmt.Sprintf("%08d", *c.p)
}

func (code) Type() string { return "number" }

// distance returns the Levenshtein distance of two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// meant returns a question that suggests a similar known word, if there is one.
func meant(word string, known []string) string {
	best, at := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(word, k); d < at || d == at && best == "" {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", best)
}
