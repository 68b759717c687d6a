package main

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestValues(t *testing.T) {
	var n uint16
	var w, c string
	var d time.Duration
	var p uint32
	num := number[uint16]{p: &n, min: 1, max: 0xFFF4, hex: true}
	for _, tc := range []struct {
		name   string
		v      pflag.Value
		in     string
		shown  string // after it was set
		refuse string
	}{
		{"decimal", num, "4660", "0x1234", ""},
		{"hexadecimal", num, "0xfff1", "0xFFF1", ""},
		{"below", num, "0", "", `"0" is not a number between 0x0001 and 0xFFF4`},
		{"above", num, "0xFFF5", "", `"0xFFF5" is not a number between 0x0001 and 0xFFF4`},
		{"far above", num, "18446744073709551617", "", `"18446744073709551617" is not a number between 0x0001 and 0xFFF4`},
		{"negative", num, "-1", "", `"-1" is not a number between 0x0001 and 0xFFF4`},
		{"no number", num, "many", "", `"many" is not a number between 0x0001 and 0xFFF4`},
		{"choice", choice{&c, []string{"a", "b"}}, "b", "b", ""},
		{"no choice", choice{&c, []string{"a", "b"}}, "c", "", `"c" is not one of a, b`},
		{"span", span{&d, time.Minute, time.Hour}, "3m", "3m", ""},
		{"span too short", span{&d, time.Minute, 48 * time.Hour}, "59s", "", `"59s" is not a duration between 1m and 48h`},
		{"span without a unit", span{&d, time.Minute, time.Hour}, "60", "", `"60" is not a duration between 1m and 1h`},
		{"words", text{&w, 4}, "héo", "héo", ""},
		{"words too long", text{&w, 4}, "héoo", "", `"héoo" is not a text of up to 4 octets`},
		{"no UTF-8", text{&w, 4}, "\xff", "", `"\xff" is not a text of up to 4 octets`},
		{"passcode", code{&p}, "00102003", "00102003", ""},
		// A secret with a typing error is not in the error text.
		{"passcode with a letter", code{&p}, "2030203O", "", "not a number between 00000001 and 99999998"},
	} {
		err := tc.v.Set(tc.in)
		switch {
		case tc.refuse != "" && (err == nil || err.Error() != tc.refuse):
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.refuse)
		case tc.refuse == "" && (err != nil || tc.v.String() != tc.shown):
			t.Errorf("%s: %q, error %v, want %q", tc.name, tc.v, err, tc.shown)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", time.Minute: "1m", 10 * time.Minute: "10m",
		time.Hour: "1h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 48 * time.Hour: "48h",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestMeant(t *testing.T) {
	known := []string{"port", "max_fabrics", "state_dir", "serial_number"}
	for word, want := range map[string]string{
		"max_fabriks": `: did you mean "max_fabrics"?`, "prot": `: did you mean "port"?`, "statedir": `: did you mean "state_dir"?`,
		"fabrics_max": "", "x": "", "": "",
	} {
		if got := meant(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	for _, a := range known {
		for _, b := range known {
			if distance(a, b) != distance(b, a) || (distance(a, b) == 0) != (a == b) {
				t.Errorf("distance of %q and %q: %d and %d", a, b, distance(a, b), distance(b, a))
			}
		}
	}
}
