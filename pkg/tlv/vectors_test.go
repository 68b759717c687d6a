package tlv

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const long = "START...!123456789ABCDEF@123456789ABCDEF#123456789ABCDEF$123456789ABCDEF%123456789ABCDEF" +
	"^123456789ABCDEF&123456789ABCDEF*123456789ABCDEF01234567(9ABCDEF01234567)9ABCDEF01234567-9ABCDEF01234567" +
	"=9ABCDEF01234567[9ABCDEF01234567]9ABCDEF01234567;9ABCDEF01234567'9ABCDEF...END"

const encoding1 = `mixed profile/context tags, all element types (SDK "Encoding1")`

// The values of the published encodings, from their descriptions in the vector
// file.
var vectorValues = map[string]string{
	"int 1 byte -1":         "-1",
	"int 0x0100":            "+256",
	"int 0x01000000":        "+16777216",
	"int 0x01000000000000":  "+281474976710656",
	"uint 1":                "1",
	"uint 0x0100":           "256",
	"uint 0x01000000":       "16777216",
	"uint 0x01000000000000": "281474976710656",
	"float 6546.25390625":   "float32(6546.254)",
	"double 6546.254":       "float64(6546.254)",
	"uint 1 in a non-minimal 8-byte form (must be accepted)": "1",
	`array of strings ["a","b","c"]`:                         `["a" "b" "c"]`,
	encoding1: "{AABB:CCDD:2=true implicit:2=false 0=[+42 -17 -170000 40000000000 {} " +
		"(AABB:CCDD:17=null implicit:900000=null null implicit:4000000000={common:70000=\"" + long + "\"})] " +
		"AABB:CCDD:5=\"This is a test\" implicit:65535=float32(17.9) implicit:65536=float64(17.9)}",
}

func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Vectors []struct{ Value, Encoding string }
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Vectors) != len(vectorValues) {
		t.Errorf("%d vectors, %d values", len(f.Vectors), len(vectorValues))
	}
	for _, v := range f.Vectors {
		b := unhex(t, v.Encoding)
		if v.Value == encoding1 {
			// One vector has a top element with a tag of 6 octets. Messages have
			// none, and NewReader rejects it.
			if err := Validate(b); err == nil {
				t.Error("a tagged top element was accepted")
			}
			b = append([]byte{b[0] & ctlTypeMask}, b[7:]...)
		}
		r := NewReader(b)
		got := dump(&r)
		if err := r.End(); err != nil {
			t.Errorf("%s: %v", v.Value, err)
		}
		if want := vectorValues[v.Value]; got != want {
			t.Errorf("%s:\n%s, want\n%s", v.Value, got, want)
		}
		if strings.Contains(v.Value, "non-minimal") {
			continue
		}
		var w Writer
		r = NewReader(b)
		rewrite(&w, &r)
		if !bytes.Equal(w.Bytes(), b) {
			t.Errorf("%s: rewritten as %x", v.Value, w.Bytes())
		}
	}
}
