package archtest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const drawing = "../../ARCHITECTURE.md"

// place is where a package stands in the drawing of the house: floors are counted from
// the roof down, columns from the left.
type place struct{ floor, column int }

// floors reads the drawing: a line a floor, of its name, its packages and what it is
// about, two spaces or more apart.
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

// TestFloors holds the table of imports against the drawing: they point down, or
// leftwards within a floor, and every package stands on one.
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

// TestFolders holds that every package has its line in the document.
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
