package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testFunc is the start of a test in a file.
var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)

// testsByFolder returns the source of the tests of each folder, by the folder's path
// from the top of the repository and the test's name.
func testsByFolder(t *testing.T) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, top := range []string{"cmd", "internal", "pkg", "test"} {
		err := filepath.WalkDir("../../"+top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			folder := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../")))
			if all[folder] == nil {
				all[folder] = map[string]string{}
			}
			starts := testFunc.FindAllSubmatchIndex(b, -1)
			for i, m := range starts {
				end := len(b)
				if i+1 < len(starts) {
					end = starts[i+1][0]
				}
				all[folder][string(b[m[2]:m[3]])] = string(b[m[0]:end])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// rulesFile is the table of the clusters' rules.
const rulesFile = "../../pkg/cluster/RULES.md"

// TestRulesHaveTests checks that each rule of the clusters has a test, or a reason for
// having none, and that the tests and the cases that it names exist.
func TestRulesHaveTests(t *testing.T) {
	b, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var (
		tests   = testsByFolder(t)
		heading = regexp.MustCompile(`^## (\d+(?:\.\d+)?) `)
		section string
		seen    = map[string]bool{}
		rules   int
	)
	for n, line := range strings.Split(string(b), "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		cells, ok := rule(line)
		if !ok {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("line %d has %d cells: %s", n+1, len(cells), line)
			continue
		}
		rules++
		id := cells[0]
		if seen[id] || !strings.HasPrefix(id, section+".") {
			t.Errorf("line %d: rule %s is there twice, or not in section %s", n+1, id, section)
		}
		seen[id] = true
		if cells[1] == "" || cells[2] == "" {
			t.Errorf("rule %s has no text or no section of the specification", id)
		}
		for _, problem := range checkNamedTests(tests, cells[3]) {
			t.Errorf("rule %s: %s", id, problem)
		}
	}
	if rules < 10 {
		t.Errorf("only %d rules", rules)
	}
}

// rule returns the cells of a line of the table. ok is false if the line is not one.
func rule(line string) (cells []string, ok bool) {
	if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| no. ") || strings.HasPrefix(line, "| --- ") {
		return nil, false
	}
	for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
		cells = append(cells, strings.TrimSpace(c))
	}
	return cells, true
}

// namedTest is a test in the table: its folder below pkg, or from the top of the
// repository; the function; and, after a slash, one of its cases.
var namedTest = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz|Benchmark)\\w+)(?:/([^`]+))?`")

// checkNamedTests returns what is wrong with the last cell of a rule.
func checkNamedTests(tests map[string]map[string]string, cell string) (problems []string) {
	if reason, ok := strings.CutPrefix(cell, "none: "); ok {
		if len(reason) < 10 {
			return []string{"has neither a test nor a reason"}
		}
		return nil
	}
	named := namedTest.FindAllStringSubmatch(cell, -1)
	if len(named) == 0 || strings.Count(cell, "`") != 2*len(named) {
		return []string{"names no test: " + cell}
	}
	for _, m := range named {
		folder, name, part := m[1], m[2], m[3]
		if tests[folder] == nil {
			folder = "pkg/" + folder
		}
		source, ok := tests[folder][name]
		switch {
		case !ok:
			problems = append(problems, "there is no "+name+" in "+folder)
		case part != "" && !strings.Contains(source, `"`+part+`"`):
			problems = append(problems, name+` has no "`+part+`"`)
		}
	}
	return problems
}

func TestRulesCheckFindsFaults(t *testing.T) {
	tests := map[string]map[string]string{"pkg/a": {"TestOne": `t.Run("case", f)`}}
	for cell, faults := range map[string]int{
		"`a.TestOne`":                   0,
		"`pkg/a.TestOne/case`":          0,
		"`a.TestOne`, `a.TestOne/case`": 0,
		"none: no device has this":      0,
		"":                              1,
		"none: ":                        1,
		"TestOne":                       1,
		"`a.TestOne`, `TestTwo`":        1,
		"`a.TestOne/other`":             1,
		"`a.TestTwo`, `b.TestOne`":      2,
	} {
		if got := checkNamedTests(tests, cell); len(got) != faults {
			t.Errorf("%q: %q, want %d", cell, got, faults)
		}
	}
}
