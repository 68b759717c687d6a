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

// What a reader takes in at once: rule 12.
const (
	fileLines    = 500
	funcLines    = 60
	structFields = 15
)

// TestSizes holds the code that is shipped, and what tests build on, to the rule, except
// for what is generated. A
// struct with more fields says in its comment why it has so many.
func TestSizes(t *testing.T) {
	for _, top := range []string{"cmd", "pkg", "internal"} {
		err := filepath.WalkDir(filepath.Join("../..", top), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				checkSizes(t, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func checkSizes(t *testing.T, path string) {
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
					checkFields(t, set, d.Doc.Text()+s.Doc.Text(), s)
				}
			}
		}
	}
}

func checkFields(t *testing.T, set *token.FileSet, doc string, s *ast.TypeSpec) {
	x, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	n := 0
	for _, f := range x.Fields.List {
		n += max(1, len(f.Names))
	}
	if n > structFields && !(strings.Contains(doc, "number") && strings.Contains(doc, "fields")) {
		t.Errorf("%s: %s has %d fields, and its comment does not say why", set.Position(s.Pos()), s.Name.Name, n)
	}
}
