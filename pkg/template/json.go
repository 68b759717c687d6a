package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
)

var errNesting = errors.New("JSON is nested too deep")

// JSON decodes a payload to a value for templates. Integers become int64 and other
// numbers float64: 21.0 is a float. It returns an error if the payload is not
// exactly one JSON value, or is nested deeper than [MaxDepth].
func JSON(payload []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON value")
	}
	return numbers(v, 0)
}

// numbers replaces the numbers in v, in place.
func numbers(v any, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, errNesting
	}
	var err error
	switch v := v.(type) {
	case json.Number:
		return jsonNumber(string(v))
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i], depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k], depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func jsonNumber(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// jsonForm is a format of JSON. tojson and to_json use different ones.
type jsonForm struct {
	sorted, escaped  bool // sort keys; escape < > & '
	comma, separator string
}

var (
	jinjaJSON   = jsonForm{sorted: true, escaped: true, comma: ", ", separator: ": "}
	compactJSON = jsonForm{comma: ",", separator: ":"}
)

func (f jsonForm) write(b *strings.Builder, v any) error {
	if b.Len() > maxOutput {
		return errTooLong
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b.WriteString("null")
		} else {
			b.WriteString(formatFloat(v))
		}
	case string:
		f.writeText(b, v)
	case []any:
		return f.writeList(b, v)
	case tuple:
		return f.writeList(b, v)
	case map[string]any, *dict:
		return f.writeMapping(b, v)
	default:
		return errors.New(kindOf(v) + " has no form in JSON")
	}
	return nil
}

func (f jsonForm) writeText(b *strings.Builder, s string) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(f.escaped)
	_ = e.Encode(s) // encoding a string does not fail
	quoted := strings.TrimSuffix(out.String(), "\n")
	if f.escaped {
		quoted = strings.ReplaceAll(quoted, "'", `\u0027`)
	}
	b.WriteString(quoted)
}

func (f jsonForm) writeList(b *strings.Builder, list []any) error {
	b.WriteByte('[')
	for i, x := range list {
		if i > 0 {
			b.WriteString(f.comma)
		}
		if err := f.write(b, x); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func (f jsonForm) writeMapping(b *strings.Builder, m any) error {
	keys, _ := items(m)
	if f.sorted {
		var err error
		if keys, err = sorted(keys); err != nil {
			return err
		}
	}
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteString(f.comma)
		}
		name, ok := k.(string)
		if !ok {
			var key strings.Builder
			if err := f.write(&key, k); err != nil {
				return err
			}
			name = key.String()
		}
		f.writeText(b, name)
		b.WriteString(f.separator)
		x, _ := lookup(m, k)
		if err := f.write(b, x); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}
