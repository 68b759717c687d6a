package bridgeapi

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// document is the part of the OpenAPI description that the tests check.
type document struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct{ Schemas map[string]*schema }
}

// operation is one request of a document.
type operation struct {
	Parameters  []parameter
	RequestBody *content
	Responses   map[string]content
}

type parameter struct{ Name, In string }

type content struct {
	Content map[string]struct{ Schema *schema }
}

// schema is a JSON schema, with the keywords that the document uses.
type schema struct {
	Ref                  string             `json:"$ref"`
	Type                 oneOrMore          `json:"type"`
	Properties           map[string]*schema `json:"properties"`
	Required             []string           `json:"required"`
	Additional           json.RawMessage    `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	Enum                 []any              `json:"enum"`
	Pattern              string             `json:"pattern"`
	Minimum, Maximum     *float64
	MinLength, MaxLength *int
	MinItems, MaxItems   *int
	MaxProperties        *int
	ReadOnly             bool
	Format               string // not checked
	Default              any    // not checked
	Description          string
}

type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

func parseDocument(t *testing.T) *document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	// The tests would not check an unknown keyword.
	for name, raw := range rawSchemas(t) {
		dec := json.NewDecoder(strings.NewReader(string(raw)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&schema{}); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
	return &d
}

func rawSchemas(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	var d struct {
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d.Components.Schemas
}

// operations returns the document's operations by method and path.
func (d *document) operations(t *testing.T) map[string]operation {
	t.Helper()
	all := map[string]operation{}
	for path, methods := range d.Paths {
		for method, raw := range methods {
			if method == "parameters" {
				continue
			}
			var o operation
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			all[strings.ToUpper(method)+" "+path] = o
		}
	}
	return all
}

func (d *document) resolve(s *schema) *schema {
	for s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

// check returns an error if v, decoded JSON, is not what s describes.
func (d *document) check(s *schema, at string, v any) error {
	s = d.resolve(s)
	wrong := func(format string, args ...any) error { return fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)) }
	kind := kindOf(v)
	if len(s.Type) > 0 && !slices.Contains(s.Type, kind) && !(kind == "integer" && slices.Contains(s.Type, "number")) {
		return wrong("%v is not one of %v", v, s.Type)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return wrong("%v is not one of %v", v, s.Enum)
	}
	switch x := v.(type) {
	case string:
		n := utf8.RuneCountInString(x)
		switch {
		case s.MinLength != nil && n < *s.MinLength, s.MaxLength != nil && n > *s.MaxLength:
			return wrong("%d characters", n)
		case s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(x):
			return wrong("%q is not like %s", x, s.Pattern)
		}
	case float64:
		if s.Minimum != nil && x < *s.Minimum || s.Maximum != nil && x > *s.Maximum {
			return wrong("%v is out of range", x)
		}
	case []any:
		if s.MinItems != nil && len(x) < *s.MinItems || s.MaxItems != nil && len(x) > *s.MaxItems {
			return wrong("%d items", len(x))
		}
		for i, e := range x {
			if s.Items != nil {
				if err := d.check(s.Items, fmt.Sprintf("%s/%d", at, i), e); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		return d.checkObject(s, at, x)
	}
	return nil
}

func (d *document) checkObject(s *schema, at string, x map[string]any) error {
	if s.MaxProperties != nil && len(x) > *s.MaxProperties {
		return fmt.Errorf("%s: %d members", at, len(x))
	}
	for _, name := range s.Required {
		if _, ok := x[name]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	for name, v := range x {
		p := s.Properties[name]
		switch {
		case p != nil:
		case len(s.Additional) == 0 || string(s.Additional) == "true":
			continue
		case string(s.Additional) == "false":
			return fmt.Errorf("%s: there is no member %s", at, name)
		default:
			p = &schema{}
			if err := json.Unmarshal(s.Additional, p); err != nil {
				return err
			}
		}
		if err := d.check(p, at+"/"+name, v); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if x == math.Trunc(x) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
