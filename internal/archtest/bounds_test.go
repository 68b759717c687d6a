package archtest

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// boundsTable is the document with the limits, for operators.
const boundsTable = "../../docs/robustness.md"

// bounding matches names of constants that limit what others make a node keep or
// do.
var bounding = regexp.MustCompile(`^(Max|max|Default(Max|Extra)|[lL]imited|waiting|[qQ]ueueLen$|lingering)|(PerFabric|PerSession|PerPriority|PerSecond|AtOnce)$`)

// notBounds lists constants with such a name that are not limits. The key is a
// package or one of its constants.
var notBounds = map[string]string{
	"attestation":                          "files of the operator",
	"datamodel":                            "facts of the specification",
	"doctor":                               "runs for the operator",
	"generaldiagnostics":                   "facts about the host",
	"descriptor":                           "what a program says of its endpoints",
	"lighting":                             "ranges of numbers of the specification",
	"diagnosticlogs":                       "size of a response",
	"mcrypto":                              "arithmetic; its parameters come from who opens a window",
	"store":                                "checks what was kept by the rules of others",
	"cert.MaxCATs":                         "form of a certificate, which has a bound",
	"cert.MaxRDNs":                         "form of a certificate, which has a bound",
	"cert.maxSerial":                       "form of a certificate, which has a bound",
	"cert.maxDER":                          "what the X.509 form of a certificate may take",
	"cert.MaxCSR":                          "for who commissions a node",
	"device.maxKelvin":                     "an option's range",
	"exchange.maxFree":                     "buffers that are kept to be used again",
	"failsafe.MaxCumulative":               "time that an administrator may ask for",
	"groups.maxCapacity":                   "an attribute's value",
	"im.DefaultMaxPayload":                 "message.MaxPayload, for tests",
	"mdns.maxLabel":                        "form of a name",
	"mdns.maxName":                         "form of a name",
	"mdns.maxSubtypes":                     "of the node's own services",
	"mdns.maxTXT":                          "of the node's own services",
	"mdns.maxTXTItem":                      "of the node's own services",
	"message.MaxInterval":                  "range of a peer's parameters",
	"message.MaxPayload":                   "what the node sends",
	"networkcommissioning.maxNetworkIDLen": "form of a field that nothing is kept of",
	"basicinformation.maxPathsPerInvoke":   "an attribute's value",
	"matter.MaxFabricIndex":                "a range of numbers",
	"matter.MaxOperationalNodeID":          "a range of numbers",
	"matter.maxCATNodeID":                  "a range of numbers",
	"mdns.maxAddrs4":                       "of the node's own host",
	"mdns.maxAddrs6":                       "of the node's own host",
	"mqtt.maxCaptured":                     "runs for the operator",
	"mqtt.maxCapturedLine":                 "runs for the operator",
	"networkcommissioning.maxNetworks":     "an attribute's value",
	"scenes.maxName":                       "form of a field",
	"scenes.maxTransition":                 "form of a field",
	"server.MaxCommissioningTimeout":       "an option's range",
	"server.MaxDiscriminator":              "an option's range",
	"server.MaxName":                       "an option's range",
	"server.MaxWindow":                     "an option's range",
	"window.MaxDiscriminator":              "an option's range",
	"window.MaxInitial":                    "an option's range",
	"window.MaxTimeout":                    "time that an administrator may ask for",
}

// TestBoundsAreDocumented compares the table of limits with the code. A row must
// contain the value of every constant that it names, and every constant that is a
// limit must be in a row.
func TestBoundsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(boundsTable)
	if err != nil {
		t.Fatal(err)
	}
	values := constants(t)
	named := map[string]bool{}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := row(line)
		if cells == nil {
			continue
		}
		rows++
		code := regexp.MustCompile("`([a-z]+\\.[A-Za-z]+)`").FindAllStringSubmatch(cells[4], -1)
		if len(code) == 0 {
			t.Errorf("%s: nothing says where it is in the code", cells[0])
		}
		for _, c := range code {
			named[c[1]] = true
			v, ok := values[c[1]]
			if !ok {
				t.Errorf("%s: there is no constant %s", cells[0], c[1])
			} else if forms := written(v); !slices.ContainsFunc(forms, func(f string) bool { return word(cells[1], f) }) {
				t.Errorf("%s: %s is %s; the table says %q", cells[0], c[1], strings.Join(forms, ", or "), cells[1])
			}
		}
	}
	if rows < 35 {
		t.Errorf("only %d rows were read", rows)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pkg, ident, _ := strings.Cut(name, ".")
		if !bounding.MatchString(ident) || named[name] {
			continue
		}
		if _, other := notBounds[name]; other {
			continue
		}
		if _, other := notBounds[pkg]; !other {
			t.Errorf("%s is in no row of %s", name, filepath.Base(boundsTable))
		}
	}
	for name := range notBounds {
		if _, ok := values[name]; strings.Contains(name, ".") && (!ok || named[name]) {
			t.Errorf("%s: not a constant that the table leaves out", name)
		}
	}
}

// TestBoundsAreCounted checks that the metrics and the reasons that a row names
// exist.
func TestBoundsAreCounted(t *testing.T) {
	text, err := os.ReadFile(boundsTable)
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, dir := range []string{"metrics", "node", "session"} {
		files, err := filepath.Glob("../../pkg/" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, "_test.go") {
				code.Write(b)
			}
		}
	}
	checked := 0
	for line := range strings.Lines(string(text)) {
		cells := row(line)
		if cells == nil {
			continue
		}
		for _, m := range regexp.MustCompile("`(?:reason=\"([a-z_]+)\"|([a-z_]+)(?:{[^}]*})?)`").FindAllStringSubmatch(cells[3], -1) {
			checked++
			if want := m[1] + m[2]; !strings.Contains(code.String(), `"`+want+`"`) {
				t.Errorf("%s: nothing is counted as %s", cells[0], want)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d were read", checked)
	}
}

// row returns the cells of a line of the table; nil for other lines and headings.
func row(line string) []string {
	cells := strings.Split(strings.TrimSpace(line), "|")
	if len(cells) != 7 || strings.Contains(cells[1], "**") || strings.Contains(cells[1], "---") || strings.TrimSpace(cells[5]) == "in the code" {
		return nil
	}
	return cells[1:6]
}

// written returns how a table may write a value.
func written(v constant.Value) []string {
	n, ok := constant.Int64Val(constant.ToInt(v))
	if !ok {
		return []string{v.String()}
	}
	forms := []string{fmt.Sprint(n)}
	if n >= 1000 && n < 1e6 {
		forms = append(forms, fmt.Sprintf("%d,%03d", n/1000, n%1000))
	}
	if n > 0 && n%(1<<10) == 0 {
		forms = append(forms, fmt.Sprintf("%d KiB", n>>10))
	}
	if n > 0 && n%(1<<20) == 0 {
		forms = append(forms, fmt.Sprintf("%d MiB", n>>20))
	}
	if d := time.Duration(n); d >= time.Second && d%time.Second == 0 {
		forms = append(forms, fmt.Sprintf("%d s", d/time.Second))
	}
	return forms
}

// word reports whether text contains w, but not as a part of a longer word or
// number.
func word(text, w string) bool {
	return regexp.MustCompile(`(^|[^\w,.])` + regexp.QuoteMeta(w) + `($|[^\w,.]|[,.]($|\D))`).MatchString(text)
}

// constants returns the values of all constants of the packages in pkg that consist
// of literals, other constants and those of package time. The key is the last
// element of the package's path, a dot, and the name.
func constants(t *testing.T) map[string]constant.Value {
	t.Helper()
	exprs := map[string]ast.Expr{}
	err := filepath.WalkDir("../../pkg", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := filepath.Base(filepath.Dir(path))
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, e := range v.Values {
					exprs[pkg+"."+v.Names[i].Name] = e
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]constant.Value{}
	for name, e := range exprs {
		pkg, _, _ := strings.Cut(name, ".")
		if v := evaluate(exprs, pkg, e); v.Kind() != constant.Unknown {
			values[name] = v
		}
	}
	return values
}

// units are the constants of package time that the code uses.
var units = map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}

// evaluate returns the value of an expression of a package. Its kind is unknown if
// the expression contains anything other than [constants] supports.
func evaluate(exprs map[string]ast.Expr, pkg string, e ast.Expr) constant.Value {
	unknown := constant.MakeUnknown()
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return evaluate(exprs, pkg, e.X)
	case *ast.Ident:
		if x := exprs[pkg+"."+e.Name]; x != nil {
			return evaluate(exprs, pkg, x)
		}
	case *ast.SelectorExpr:
		from, ok := e.X.(*ast.Ident)
		if !ok {
			return unknown
		}
		if d, ok := units[e.Sel.Name]; ok && from.Name == "time" {
			return constant.MakeInt64(int64(d))
		}
		if x := exprs[from.Name+"."+e.Sel.Name]; x != nil {
			return evaluate(exprs, from.Name, x)
		}
	case *ast.BinaryExpr:
		x, y := evaluate(exprs, pkg, e.X), evaluate(exprs, pkg, e.Y)
		if x.Kind() != constant.Int || y.Kind() != constant.Int {
			return unknown
		}
		if n, ok := constant.Uint64Val(y); e.Op == token.SHL && ok {
			return constant.Shift(x, e.Op, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return unknown
}

// TestNamedTestsExist checks that the tests in documents exist.
func TestNamedTestsExist(t *testing.T) {
	have := map[string]bool{}
	for _, tests := range testsByFolder(t) {
		for name := range tests {
			have[name] = true
		}
	}
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(string(b), -1) {
			if named++; !have[m[1]] {
				t.Errorf("%s: there is no %s", filepath.Base(doc), m[1])
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d tests are named", named)
	}
}
