package bridge

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Filter decides which devices are shown. The last matching pattern decides. The
// zero value shows all.
type Filter struct{ patterns []pattern }

// pattern is one rule of a Filter.
type pattern struct {
	text string
	hide bool
	of   string // the field to match: "id", "name", …
	glob string
}

// fields are the fields that a pattern can match.
var fields = []string{"id", "name", "room", "type", "vendor", "product"}

// ParseFilter returns the filter for patterns. A pattern is a glob for the id or,
// with the prefix "name=", "room=", "type=", "vendor=" or "product=", for that
// field. "!" before a pattern hides what it matches.
func ParseFilter(patterns []string) (Filter, error) {
	var f Filter
	for _, text := range patterns {
		p := pattern{text: text, of: "id"}
		p.glob, p.hide = strings.CutPrefix(text, "!")
		if of, glob, ok := strings.Cut(p.glob, "="); ok {
			if !slices.Contains(fields, of) {
				return Filter{}, fmt.Errorf("pattern %q: %q is not one of %s", text, of, strings.Join(fields, ", "))
			}
			p.of, p.glob = of, glob
		}
		if _, err := path.Match(p.glob, ""); err != nil || p.glob == "" {
			return Filter{}, fmt.Errorf("pattern %q: it is no glob", text)
		}
		f.patterns = append(f.patterns, p)
	}
	return f, nil
}

// Shows reports whether a device is shown. If not, by is the reason.
func (f Filter) Shows(d *device.Device) (shown bool, by string) {
	// If all patterns show devices, all others are hidden.
	shown = !slices.ContainsFunc(f.patterns, func(p pattern) bool { return !p.hide })
	by = "no pattern shows it"
	for _, p := range f.patterns {
		if p.matches(d) {
			shown, by = !p.hide, "the pattern "+p.text+" hides it"
		}
	}
	return shown, by
}

func (p *pattern) matches(d *device.Device) bool {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "/", " ")) } // * matches slashes as well
	match := func(s string) bool {
		ok, _ := path.Match(plain(p.glob), plain(s))
		return ok
	}
	switch p.of {
	case "name":
		return match(d.Name)
	case "room":
		return match(d.Room)
	case "vendor":
		return match(d.Vendor)
	case "product":
		return match(d.Product)
	case "type":
		return slices.ContainsFunc(d.Parts, func(x device.Part) bool { return match(x.Type) })
	}
	return match(d.ID)
}
