package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"
)

// The document of a binary has the modules that are linked into it, and is the same each
// time.
func TestDescribesABinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{"opcredsd", "1.2.0+4.abc", self}, "1767225600", w); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("two documents of one binary differ")
	}
	var d document
	if err := json.Unmarshal(first.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Format != "CycloneDX" || d.Metadata.Timestamp != "2026-01-01T00:00:00Z" || d.Metadata.Component.PURL != "pkg:golang/"+info.Main.Path+"@1.2.0%2B4.abc" {
		t.Errorf("%+v", d.Metadata)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(d.Serial) {
		t.Errorf("serial number %s", d.Serial)
	}
	if len(d.Components) != 1+len(info.Deps) || len(d.Dependencies) != 1 || len(d.Dependencies[0].DependsOn) != len(d.Components) {
		t.Errorf("%d components, %d modules", len(d.Components), len(info.Deps))
	}
	for _, m := range info.Deps {
		if !slices.ContainsFunc(d.Components, func(c component) bool { return c.Name == m.Path && c.Version == m.Version }) {
			t.Errorf("%s is missing", m.Path)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, args := range [][]string{nil, {"a", "1", "/nonexistent"}, {"a", "1", "/etc/passwd"}} {
		if err := run(args, "0", &bytes.Buffer{}); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if err := run([]string{"a", "1", os.Args[0]}, "", &bytes.Buffer{}); err == nil {
		t.Error("no error without a time")
	}
}
