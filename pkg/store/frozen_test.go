package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// forMigrations are the names of this package that migrations may use: the form of
// values, which TestFormOfValues fixes, and errors.
var forMigrations = []string{"raw", "seal", "unseal", "sum", "decode", "damaged"}

// A migration that uses the current list of buckets, for example, would change with
// every new schema.
func TestMigrationsAreFrozen(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	frozen := regexp.MustCompile(`^schema\d+\.go$`)
	home := map[string]string{} // files of the top-level declarations
	parsed := map[string]*ast.File{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = f
		for _, d := range f.Decls {
			for _, ident := range declared(d) {
				home[ident] = name
			}
		}
	}
	checked := 0
	for name, f := range parsed {
		if !frozen.MatchString(name) {
			continue
		}
		checked++
		ast.Inspect(f, func(n ast.Node) bool {
			if x, ok := n.(*ast.SelectorExpr); ok { // the rest is a member's name
				ast.Inspect(x.X, func(n ast.Node) bool { use(t, name, n, home, frozen); return true })
				return false
			}
			use(t, name, n, home, frozen)
			return true
		})
	}
	if checked != SchemaVersion-1 || len(migrations) != SchemaVersion {
		t.Errorf("%d files and %d migrations for schema %d", checked, len(migrations)-1, SchemaVersion)
	}
}

func use(t *testing.T, name string, n ast.Node, home map[string]string, frozen *regexp.Regexp) {
	id, ok := n.(*ast.Ident)
	if !ok || home[id.Name] == "" || frozen.MatchString(home[id.Name]) || slices.Contains(forMigrations, id.Name) {
		return
	}
	t.Errorf("%s uses %s of %s, which is not frozen", name, id.Name, home[id.Name])
}

// declared returns the package-level names of a declaration.
func declared(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// The form of values is that of schema 1, the digest that of schema 2.
func TestFormOfValues(t *testing.T) {
	bucket, key := []byte("fabrics"), []byte{1}
	value, err := seal(bucket, key, map[string]any{"index": 1, "key": []byte{1, 2, 3}})
	if want := `0098e656 {"index":1,"key":"AQID"}`; err != nil || string(value) != want {
		t.Errorf("%q, %v; want %q", value, err, want)
	}
	if got, want := hash(bucket, key, value), uint64(0x3489c52c8b3d1efc); got != want {
		t.Errorf("hash %#x, want %#x", got, want)
	}
	var d digest
	d.add(bucket, key, value)
	d.Transaction = 7
	text, err := seal(bucketMeta, keyDigest, d)
	if want := `09590879 {"records":1,"sum":3785773756886884092,"transaction":7}`; err != nil || string(text) != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
}
