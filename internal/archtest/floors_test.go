package archtest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const drawing = "../../ARCHITECTURE.md"

// place is the position of a package in the drawing of ARCHITECTURE.md. Floors are
// counted from the top, columns from the left.
type place struct{ floor, column int }

// floors parses the drawing. A line is a floor: its name, its packages and its
// purpose, separated by two spaces or more.
func floors(t *testing.T, text string) map[string]place {
	t.Helper()
	_, rest, _ := strings.Cut(text, "```\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no drawing")
	}
	places := map[string]place{}
	lines := strings.Split(strings.TrimSpace(block), "\n")
	for floor, line := range lines {
		cells := regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(line), -1)
		if len(cells) < 3 {
			t.Fatalf("floor %q", line)
		}
		for column, name := range cells[1 : len(cells)-1] {
			if !strings.HasPrefix(name, "cmd/") {
				name = "pkg/" + name
			}
			places[name] = place{floor, column}
		}
	}
	return places
}

// TestFloors compares the table of imports with the drawing: imports go down, or to
// the left within a floor, and every package is on a floor.
func TestFloors(t *testing.T) {
	text, err := os.ReadFile(drawing)
	if err != nil {
		t.Fatal(err)
	}
	places := floors(t, string(text))
	for pkg, imports := range allowed {
		if strings.HasPrefix(pkg, "internal/") {
			continue
		}
		from, ok := places[pkg]
		if !ok {
			t.Errorf("%s stands on no floor", pkg)
		}
		for _, imp := range imports {
			if to := places[imp]; to.floor < from.floor || to.floor == from.floor && to.column >= from.column {
				t.Errorf("%s may import %s, which stands above it or on its right", pkg, imp)
			}
		}
	}
	for pkg := range places {
		if _, ok := allowed[pkg]; !ok {
			t.Errorf("%s is drawn, and not in the table of imports", pkg)
		}
	}
}

// TestFolders checks that the document has a line for every package.
func TestFolders(t *testing.T) {
	text, err := os.ReadFile(drawing)
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range allowed {
		if folder := "`" + strings.Replace(pkg, "*", "<name>", 1) + "/`"; !strings.Contains(string(text), folder) {
			t.Errorf("%s is nowhere in the document", folder)
		}
	}
}
