package device

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
)

// Value is a value of a property: true or false, a number, a text, or null, which
// means unknown. The zero Value is null. Values are comparable.
type Value struct {
	kind   valueKind
	number float64 // for a bool: 0 or 1
	text   string
}

type valueKind uint8

const (
	kindNull valueKind = iota
	kindBool
	kindNumber
	kindText
)

// Null is the unknown value.
var Null Value

// Bool returns b as a Value.
func Bool(b bool) Value {
	v := Value{kind: kindBool}
	if b {
		v.number = 1
	}
	return v
}

// Number returns f as a Value, or null if f is not finite.
func Number(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Null
	}
	return Value{kind: kindNumber, number: f}
}

// Text returns s as a Value.
func Text(s string) Value { return Value{kind: kindText, text: s} }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.kind == kindNull }

// Bool returns v if it is true or false.
func (v Value) Bool() (b, ok bool) { return v.number != 0, v.kind == kindBool }

// Number returns v if it is a number.
func (v Value) Number() (f float64, ok bool) { return v.number, v.kind == kindNumber }

// Text returns v if it is text.
func (v Value) Text() (s string, ok bool) { return v.text, v.kind == kindText }

// String returns v in the form of JSON, but text without quotes.
func (v Value) String() string {
	switch v.kind {
	case kindBool:
		return strconv.FormatBool(v.number != 0)
	case kindNumber:
		return strconv.FormatFloat(v.number, 'f', -1, 64)
	case kindText:
		return v.text
	}
	return "null"
}

// MarshalJSON returns v as JSON.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.kind == kindText {
		return json.Marshal(v.text)
	}
	return []byte(v.String()), nil
}

// UnmarshalJSON accepts a JSON boolean, number, string or null.
func (v *Value) UnmarshalJSON(b []byte) error {
	var x any
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	switch x := x.(type) {
	case nil:
		*v = Null
	case bool:
		*v = Bool(x)
	case float64:
		*v = Number(x)
	case string:
		*v = Text(x)
	default:
		return errors.New("want true, false, a number, a text or null")
	}
	return nil
}

// Values are values by property name.
type Values map[string]Value
