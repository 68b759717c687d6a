package datamodel

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEvaluate holds each form of expression to section 7.3.
func TestEvaluate(t *testing.T) {
	const lt, df = "LT", "DF"
	for _, tt := range []struct {
		expr Conformance
		has  string // names that are there
		want Verdict
	}{
		{"", "", Mandatory},
		{"M", "", Mandatory}, {"O", "", Optional}, {"X", "", Disallowed}, {"D", "", Disallowed},
		{"P", "", Provisional}, {"P, M", "", Provisional}, {"desc", "", Described},
		{"LT", lt, Mandatory}, {"LT", "", Disallowed},
		{"[LT]", lt, Optional}, {"[LT]", "", Disallowed},
		{"!LT", lt, Disallowed}, {"!LT", "", Mandatory}, {"[!LT]", "", Optional},
		{"LT, O", lt, Mandatory}, {"LT, O", "", Optional},
		{"LT, [DF]", df, Optional}, {"LT, [DF]", "", Disallowed}, {"LT, [DF]", "LT DF", Mandatory},
		{"LT & DF", lt, Disallowed}, {"LT & DF", "LT DF", Mandatory},
		{"LT | DF", df, Mandatory}, {"LT | DF", "", Disallowed},
		{"LT | DF & OFFONLY", lt, Mandatory}, {"LT | DF & OFFONLY", df, Disallowed},
		{"(LT | DF) & !OFFONLY", df, Mandatory}, {"(LT | DF) & !OFFONLY", "LT OFFONLY", Disallowed},
		{"[!(LT | DF)]", "", Optional}, {"[!(LT | DF)]", df, Disallowed},
		{"!!LT", lt, Mandatory},
		{"O.a", "", Optional}, {"O.a+", "", Optional}, {"[LT].a", lt, Optional}, {"[LT].a", "", Disallowed},
		{"rev >= 6", "", Mandatory}, {"rev >= 7", "", Disallowed}, {"rev >= 7, O", "", Optional}, {"[rev >= 2]", "", Optional},
		{"rev > 5", "", Mandatory}, {"rev > 6", "", Disallowed}, {"rev == 6", "", Mandatory}, {"rev <= 6", "", Mandatory}, {"rev < 6", "", Disallowed},
		{"NumberOfPrimaries > 1, O", "", Mandatory}, {"NumberOfPrimaries > 2, O", "", Optional},
		{"State >= 0x80 & State <= 0xBF", "", Mandatory},
		{"Status == SUCCESS", "", Described}, {"Status == SUCCESS & LT, O", "", Optional}, {"Status == SUCCESS | LT", lt, Mandatory},
		{"[Wi-Fi]", "Wi-Fi", Optional},
	} {
		env := Env{Cluster: OnOff, Revision: 6, Has: func(name string) bool { return slices.Contains(strings.Fields(tt.has), name) },
			Value: func(name string) (int64, bool) {
				v, ok := map[string]int64{"NumberOfPrimaries": 2, "State": 0x81}[name]
				return v, ok
			}}
		for _, f := range OnOff.Features {
			if env.Has(f.Code) {
				env.Features |= 1 << f.Bit
			}
		}
		if got := tt.expr.Evaluate(env); got != tt.want {
			t.Errorf("%q with %q is %v, want %v", tt.expr, tt.has, got, tt.want)
		}
		if _, _, ok := tt.expr.evaluate(&env); !ok {
			t.Errorf("%q is not read", tt.expr)
		}
	}
}

func TestChoice(t *testing.T) {
	for expr, want := range map[Conformance]Choice{
		"O":        {},
		"O.a":      {"a", 1, false},
		"O.b+":     {"b", 1, true},
		"O.a2+":    {"a", 2, true},
		"[!LT].a":  {"a", 1, false},
		"[LT].a":   {},
		"LT, O.a+": {"a", 1, true},
		"M":        {},
	} {
		if got := expr.Choice(Env{Cluster: OnOff}); got != want {
			t.Errorf("%q: %+v, want %+v", expr, got, want)
		}
	}
}

func TestEvaluateMalformed(t *testing.T) {
	for _, expr := range []Conformance{
		" ", ",", "M,", "M M", "M.a", "[", "[]", "[LT", "LT]", "()", "(LT", "LT)", "!", "LT &", "| LT", "LT DF", "O.", "O.+", "O.a++",
		"rev >=", ">= 6", "LT == ", "LT = 1", "LT == ,", "desc O", "O.a99999999999999999999", "LT\x00",
		Conformance(strings.Repeat("(", 1000) + "LT" + strings.Repeat(")", 1000)), Conformance(strings.Repeat("!", 1000) + "LT"),
	} {
		if _, _, ok := expr.evaluate(&Env{Cluster: OnOff}); ok {
			t.Errorf("%q is read", expr)
		}
		if v := expr.Evaluate(Env{}); v != Described {
			t.Errorf("%q is %v", expr, v)
		}
	}
}

// expressions returns every expression of the tables.
func expressions() []Conformance {
	all := map[Conformance]bool{}
	var fields func([]Field)
	var typ func(*Type)
	typ = func(x *Type) {
		if x == nil {
			return
		}
		for _, v := range x.Values {
			all[v.Conformance] = true
		}
		fields(x.Fields)
		typ(x.Entry)
	}
	fields = func(list []Field) {
		for _, f := range list {
			all[f.Conformance] = true
			typ(f.Type)
		}
	}
	for _, c := range clusters {
		all[c.Conformance] = true
		for _, f := range c.Features {
			all[f.Conformance] = true
		}
		for _, a := range c.Attributes {
			all[a.Conformance] = true
			typ(a.Type)
		}
		for _, x := range slices.Concat(c.Commands, c.Responses) {
			all[x.Conformance] = true
			fields(x.Fields)
		}
		for _, e := range c.Events {
			all[e.Conformance] = true
			fields(e.Fields)
		}
	}
	devices := slices.Clone(deviceTypes[:])
	for _, d := range append(devices, *BaseDeviceType) {
		for _, c := range d.Clusters {
			all[c.Conformance] = true
			for _, f := range c.Features {
				all[f.Conformance] = true
			}
			for _, a := range c.Attributes {
				all[a.Conformance] = true
			}
			for _, x := range c.Commands {
				all[x.Conformance] = true
			}
			for _, e := range c.Events {
				all[e.Conformance] = true
			}
		}
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

// TestEveryExpression evaluates each expression of the tables where nothing is there,
// and where everything is, and compares with the verdicts of testdata/conformance.txt.
func TestEveryExpression(t *testing.T) {
	var b strings.Builder
	for _, expr := range expressions() {
		none, some := Env{Revision: 1}, Env{Revision: 99, Has: func(string) bool { return true }, Value: func(name string) (int64, bool) { return 0x80, true }}
		for _, env := range []*Env{&none, &some} {
			if _, _, ok := expr.evaluate(env); !ok {
				t.Errorf("%q is not read", expr)
			}
		}
		b.WriteString(string(expr) + "\t" + expr.Evaluate(none).String() + "\t" + expr.Evaluate(some).String() + "\n")
	}
	golden := filepath.Join("testdata", "conformance.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(b.String(), "\n") {
		if i >= len(lines) || line != lines[i] {
			t.Fatalf("line %d is %q; run with UPDATE=1 and review the difference", i+1, line)
		}
	}
}

// FuzzEvaluate holds that no expression ends the process, and that the verdict of what
// is no expression is Described.
func FuzzEvaluate(f *testing.F) {
	for i, expr := range expressions() {
		if i%8 == 0 {
			f.Add(string(expr), uint32(i), uint16(i))
		}
	}
	f.Add("((((!A))))", uint32(0), uint16(0))
	f.Fuzz(func(t *testing.T, s string, features uint32, revision uint16) {
		env := Env{Cluster: Thermostat, Features: features, Revision: revision}
		v, choice, ok := Conformance(s).evaluate(&env)
		if !ok && (v != Described || choice != Choice{}) {
			t.Errorf("%q: %v, %+v", s, v, choice)
		}
		if choice != (Choice{}) && v != Optional {
			t.Errorf("%q is %v and one of a group", s, v)
		}
	})
}
