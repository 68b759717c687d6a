package template

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// form is a template as publishers write them, and what becomes of a message or of the
// variables of a command. testdata/forms.json was held against Jinja 3.1 with Home
// Assistant's filters.
type form struct {
	From       string          `json:"from"`
	Template   string          `json:"template"`
	Payload    *string         `json:"payload"`
	Vars       json.RawMessage `json:"vars"`
	Want       string          `json:"want"`
	Error      string          `json:"error"`
	ParseError string          `json:"parse_error"`
	Undefined  bool            `json:"undefined"`
}

func readForms(t testing.TB) []form {
	b, err := os.ReadFile("testdata/forms.json")
	if err != nil {
		t.Fatal(err)
	}
	var forms []form
	if err := json.Unmarshal(b, &forms); err != nil {
		t.Fatal(err)
	}
	return forms
}

func (f form) vars(t testing.TB) map[string]any {
	if f.Payload == nil {
		v, err := JSON(f.Vars)
		if err != nil {
			t.Fatal(err)
		}
		return v.(map[string]any)
	}
	vars := map[string]any{"value": *f.Payload}
	if v, err := JSON([]byte(*f.Payload)); err == nil {
		vars["value_json"] = v
	}
	return vars
}

func TestForms(t *testing.T) {
	for _, f := range readForms(t) {
		tpl, err := Parse(f.Template)
		if f.ParseError != "" {
			if err == nil || !strings.Contains(err.Error(), f.ParseError) {
				t.Errorf("%s: parse error %v, want %s", f.Template, err, f.ParseError)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", f.Template, err)
			continue
		}
		got, err := tpl.Render(f.vars(t))
		switch {
		case f.Undefined:
			if !errors.Is(err, ErrUndefined) {
				t.Errorf("%s: %q, %v, want ErrUndefined", f.Template, got, err)
			}
		case f.Error != "":
			if err == nil || !strings.Contains(err.Error(), f.Error) || errors.Is(err, ErrUndefined) {
				t.Errorf("%s: %q, error %v, want %s", f.Template, got, err, f.Error)
			}
		case err != nil || got != f.Want:
			t.Errorf("%s: %q, %v, want %q", f.Template, got, err, f.Want)
		}
	}
}

// TestParseErrors holds that what is wrong or not supported is said by name.
func TestParseErrors(t *testing.T) {
	for src, want := range map[string]string{
		"{{ value":                                    "does not end",
		"{{ 'value }}":                                "a text does not end",
		"{# value":                                    "a comment does not end",
		"{{ value | frobnicate }}":                    "filter frobnicate is not supported",
		"{{ value is frobnicated }}":                  "test frobnicated is not supported",
		"{{ value.frobnicate() }}":                    "method frobnicate is not supported",
		"{{ frobnicate(value) }}":                     "function frobnicate is not supported",
		"{{ value | round(1, 2, 3, 4) }}":             "round: too many arguments",
		"{{ value | round(digits=1) }}":               "round: unexpected argument digits",
		"{{ value | round(1, precision=1) }}":         "round: unexpected argument precision",
		"{{ value | replace('a') }}":                  "replace: argument new is missing",
		"{{ value | regex_replace(value) }}":          "regex_replace: only literals",
		"{{ value | regex_replace('(') }}":            "regex_replace: error parsing regexp",
		"{% if value %}":                              "if does not end",
		"{% endif %}":                                 "unexpected endif",
		"{% if 1 %}{% else %}{% else %}{% endif %}":   "else after else",
		"{% if 1 %}{% else %}{% elif 2 %}{% endif %}": "elif after else",
		"{% set x, y = 1, 2 %}":                       `"=" expected`,
		"{% set x %}a{% endset %}":                    `"=" expected`,
		"{% raw %}{% endraw %}":                       "statement raw is not supported",
		"{{ }}":                                       "unexpected the end of the expression",
		"{{ 1 2 }}":                                   "unexpected 2",
		"{{ (1 }}":                                    `unexpected "}"`,
		"{{ value() }}":                               "function value is not supported",
		"{{ value[0]() }}":                            "only functions and methods by their names",
		"{{ value[] }}":                               "an index is missing",
		"{{ a[1, 2] }}":                               "an index with a comma",
		"{{ 99999999999999999999 }}":                  "out of range",
		"{{ '\\u12' }}":                               "bad escape",
		"{{ value ? }}":                               "unexpected character",
		"{{ is_state('a', 'b') }}":                    "function is_state is not supported",
		strings.Repeat("x", MaxSource+1):              "longer than",
		"{{ " + strings.Repeat("(", 40) + "1" + strings.Repeat(")", 40) + " }}": "nested deeper",
		"{{ " + strings.Repeat("-", 40) + "1 }}":                                "nested deeper",
		"{{ " + strings.Repeat("not ", 40) + "1 }}":                             "nested deeper",
		strings.Repeat("{% if 1 %}", 40) + strings.Repeat("{% endif %}", 40):    "nested deeper",
	} {
		_, err := Parse(src)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want %s", src, err, want)
		}
	}
}

// TestBounds holds that an evaluation ends soon whatever the template wants.
func TestBounds(t *testing.T) {
	long := strings.Repeat("x", maxOutput)
	for src, want := range map[string]string{
		"{{ value ~ value }}":                                     "grows beyond",
		"{{ value }}{{ value }}":                                  "grows beyond",
		"{{ 'ab' * 999999999999 }}":                               "grows beyond",
		"{{ value | replace('', 'aaaa') }}":                       "grows beyond",
		"{{ value | replace('x', value) }}":                       "grows beyond",
		"{{ value | regex_replace('', 'aaaaaaaaaaaaaaaaaaaa') }}": "grows beyond",
		"{{ value.split('x') }}":                                  "grows beyond",
		"{{ '%99999d' | format(1) }}":                             "not supported",
		"{{ 9 ** 9 ** 9 }}":                                       "out of range",
		"{{ 9223372036854775807 + 1 }}":                           "out of range",
		"{{ -9223372036854775807 - 2 }}":                          "out of range",
		"{{ 9.0 ** 999 }}":                                        "out of range",
		strings.Repeat("{% set a = value ~ '' %}", 100):           "steps",
		"{% set a = [] %}" + strings.Repeat("{% set a = [a, a] %}", 60) + "{{ a == a }}":            "steps",
		"{% set a = [] %}" + strings.Repeat("{% set a = [a, a] %}", 60) + "{{ a }}":                 "steps",
		"{% set a = [] %}" + strings.Repeat("{% set a = {1: a, 2: a} %}", 60) + "{{ a | to_json }}": "steps",
		strings.Repeat("{% set a = value | first %}", 500):                                          "steps",
		strings.Repeat("{% set a = value[0] %}", 500):                                               "steps",
		strings.Repeat("{{ 1 }}", 2300):                                                             "",
		"{% set a = 'x' * 60000 %}" + strings.Repeat("{% if a in a ~ '' %}{% endif %}", 60):         "steps",
	} {
		tpl, err := Parse(src)
		if err != nil {
			t.Errorf("%.60s: %v", src, err)
			continue
		}
		_, err = tpl.Render(map[string]any{"value": long})
		if want == "" && err == nil {
			continue
		}
		if err == nil || want == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want %q", src, err, want)
		}
	}
}

// TestJSON holds that the kinds of numbers stay, and that nesting is bounded.
func TestJSON(t *testing.T) {
	for in, want := range map[string]any{"21": int64(21), "21.0": 21.0, "1e2": 100.0, "99999999999999999999": 1e20, `"x"`: "x", "null": nil, "true": true} {
		if got, err := JSON([]byte(in)); err != nil || got != want {
			t.Errorf("%s: %v (%T), %v", in, got, got, err)
		}
	}
	for _, in := range []string{"", "ON", "{", "1 2", "NaN", "01", strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2), "1e999"} {
		if v, err := JSON([]byte(in)); err == nil {
			t.Errorf("%.40s: %v", in, v)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, form := range readForms(f) {
		payload := ""
		if form.Payload != nil {
			payload = *form.Payload
		}
		f.Add(form.Template, payload)
	}
	f.Fuzz(func(t *testing.T, src, payload string) {
		tpl, err := Parse(src)
		if err != nil {
			return
		}
		vars := map[string]any{"value": payload}
		if v, err := JSON([]byte(payload)); err == nil {
			vars["value_json"] = v
		}
		out, err := tpl.Render(vars)
		if len(out) > maxOutput {
			t.Errorf("%d octets", len(out))
		}
		again, err2 := tpl.Render(vars)
		if out != again || (err == nil) != (err2 == nil) {
			t.Errorf("%q, %v, then %q, %v", out, err, again, err2)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	for _, src := range []string{`{{ value_json.state }}`, `{{ (value_json.power / 99 * 100) | round(1) }}`} {
		b.Run(src, func(b *testing.B) {
			tpl, err := Parse(src)
			if err != nil {
				b.Fatal(err)
			}
			v, err := JSON([]byte(`{"state":"ON","power":12.5}`))
			if err != nil {
				b.Fatal(err)
			}
			vars := map[string]any{"value_json": v}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tpl.Render(vars); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
