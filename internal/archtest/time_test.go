package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// timed are the packages whose deadlines must not depend on the wall clock. They
// get the time, with its monotonic reading, as an argument.
var timed = []string{"pkg/session", "pkg/exchange", "pkg/pase", "pkg/case", "pkg/securechannel", "pkg/im", "pkg/window", "pkg/failsafe"}

// clocks are functions of package time that read the time or wait. stripping are
// methods of time.Time that remove the monotonic reading.
var (
	clocks    = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep", "Date", "Unix", "UnixMilli"}
	stripping = []string{"UTC", "Local", "In", "Round", "Truncate", "AddDate"}
)

func TestTimeIsAnArgument(t *testing.T) {
	for _, pkg := range timed {
		dir := filepath.Join("../..", pkg)
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if name := f.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				checkTime(t, filepath.Join(dir, name))
			}
		}
	}
}

func checkTime(t *testing.T, path string) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Error(err)
		return
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		s, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := s.X.(*ast.Ident)
		if of := ok && x.Name == "time"; of && slices.Contains(clocks, s.Sel.Name) || !of && slices.Contains(stripping, s.Sel.Name) {
			t.Errorf("%s: %s", set.Position(call.Pos()), s.Sel.Name)
		}
		return true
	})
}
