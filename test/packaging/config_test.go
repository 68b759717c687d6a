//go:build packaging

package packaging

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	flagLine   = regexp.MustCompile(`(?m)^ +(?:-\w, |    )--([a-z0-9-]+)`)
	settingRow = regexp.MustCompile(`(?m)^#?([a-z0-9_]+): (.*)$`)
)

// TestConfig checks that the shipped configuration has every flag of run and
// nothing else, and that its commented settings are valid.
func TestConfig(t *testing.T) {
	arch, _ := native(t)
	dir := unpack(t, arch)
	binary := filepath.Join(dir, "opcredsd")
	file := read(t, filepath.Join(dir, "config.yaml"))

	var flags []string
	for _, m := range flagLine.FindAllStringSubmatch(run(t, binary, "run", "--help"), -1) {
		if !slices.Contains([]string{"config", "help", "output", "require-volume"}, m[1]) {
			flags = append(flags, strings.ReplaceAll(m[1], "-", "_"))
		}
	}
	var keys []string
	for _, m := range settingRow.FindAllStringSubmatch(file, -1) {
		keys = append(keys, m[1])
	}
	slices.Sort(flags)
	slices.Sort(keys)
	if !slices.Equal(flags, keys) {
		t.Errorf("config.yaml has\n%q, the flags of run are\n%q", keys, flags)
	}

	for name, text := range map[string]string{
		"as shipped":       file,
		"nothing left out": settingRow.ReplaceAllString(file, "$1: $2"),
	} {
		f := filepath.Join(t.TempDir(), "config.yaml")
		write(t, f, text, 0o644)
		if out, code := try(t, binary, "config", "check", "--config", f); code != 0 {
			t.Errorf("%s: config check: exit status %d\n%s", name, code, out)
		}
	}
	f := filepath.Join(t.TempDir(), "config.yaml")
	write(t, f, file+"max_fabrics: 3\n", 0o644)
	out, code := try(t, binary, "config", "check", "--config", f)
	if code != 2 || !strings.Contains(out, "3") || !strings.Contains(out, "254") {
		t.Errorf("a value out of range: exit status %d\n%s", code, out)
	}
}
