package reader

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression that is compiled when it is first used. A reader has
// dozens of them, and a daemon without a broker uses none.
type Pattern struct{ compiled func() *regexp.Regexp }

// NewPattern returns a pattern. Its methods panic if the expression is not valid.
func NewPattern(expr string) *Pattern {
	return &Pattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
}

// MatchString reports whether s contains a match.
func (p *Pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }

// FindStringSubmatch returns the leftmost match in s and its groups, or nil if there is
// none.
func (p *Pattern) FindStringSubmatch(s string) []string { return p.compiled().FindStringSubmatch(s) }
