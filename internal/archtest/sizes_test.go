package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// Size limits of rule 12.
const (
	fileLines    = 500
	funcLines    = 60
	structFields = 15
)

// larger lists the structs that have more fields than the rule allows, by package
// and name, with the reason.
var larger = map[string]string{
	"cmd/opcredsd.runFlags":   "the flags of one command",
	"pkg/admin.Status":        "a JSON object whose members are promised",
	"pkg/admin.Operator":      "a function for each verb",
	"pkg/device.Options":      "the options of all device types, of which each takes a few",
	"pkg/doctor.Facts":        "each fact is for one check or two",
	"pkg/mqtt/tasmota.config": "the members of Tasmota's message that are read",
	"pkg/node.Options":        "the parts around a node",
	"pkg/node.Snapshot":       "what metrics and the operator's status show",
	"pkg/server.Options":      "the settings of the daemon",
	"pkg/session.Session":     "the state of a session that the specification lists in one place",
	"pkg/store.Fabric":        "stored as one value, so that there is no order of writes",
}

// TestSizes applies the rule to production code and to the packages that tests use,
// except generated code.
func TestSizes(t *testing.T) {
	used := map[string]bool{}
	for _, top := range []string{"cmd", "pkg", "internal"} {
		err := filepath.WalkDir(filepath.Join("../..", top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				checkSizes(t, path, used)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range larger {
		if !used[name] {
			t.Errorf("%s is no struct of more than %d fields", name, structFields)
		}
	}
}

func checkSizes(t *testing.T, path string, used map[string]bool) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		t.Error(err)
		return
	}
	if ast.IsGenerated(f) {
		return
	}
	if n := set.File(f.Pos()).LineCount(); n > fileLines {
		t.Errorf("%s has %d lines", path, n)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if n := set.Position(d.End()).Line - set.Position(d.Pos()).Line + 1; n > funcLines {
				t.Errorf("%s: %s has %d lines", set.Position(d.Pos()), d.Name.Name, n)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					checkFields(t, set, path, s, used)
				}
			}
		}
	}
}

func checkFields(t *testing.T, set *token.FileSet, path string, s *ast.TypeSpec, used map[string]bool) {
	x, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	n := 0
	for _, f := range x.Fields.List {
		n += max(1, len(f.Names))
	}
	if n <= structFields {
		return
	}
	name := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../../") + "." + s.Name.Name
	if _, ok := larger[name]; !ok {
		t.Errorf("%s: %s has %d fields", set.Position(s.Pos()), name, n)
	}
	used[name] = true
}
