package onboarding

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

type vector struct {
	Name          string
	Data, Base38  string
	QR            string
	VendorID      matter.VendorID  `json:"vendor_id"`
	ProductID     matter.ProductID `json:"product_id"`
	Flow          int
	Capabilities  int
	Discriminator uint16
	Passcode      uint32
	Digits        string `json:"digits_without_check"`
	Manual        string `json:"manual_code"`
}

func vectors(t *testing.T) []vector {
	b, err := os.ReadFile("testdata/setup-payload.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Vectors []vector }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Vectors) != 25 {
		t.Fatalf("%d vectors", len(f.Vectors))
	}
	return f.Vectors
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		p := Payload{v.VendorID, v.ProductID, v.Discriminator, v.Passcode}
		switch {
		case v.Base38 != "":
			b, err := hex.DecodeString(v.Data)
			if err != nil {
				t.Fatal(err)
			}
			if got := base38(b); got != v.Base38 {
				t.Errorf("base38(%s) = %s, want %s", v.Data, got, v.Base38)
			}
		case v.Digits != "":
			if got := v.Digits + string(verhoeff(v.Digits)); got != v.Manual {
				t.Errorf("check digit of %s: %s, want %s", v.Digits, got, v.Manual)
			}
			if v.Flow == 0 && p.Manual() != v.Manual {
				t.Errorf("%s: manual code %s, want %s", v.Name, p.Manual(), v.Manual)
			}
		case v.Manual != "":
			if p.Manual() != v.Manual {
				t.Errorf("%s: manual code %s, want %s", v.Name, p.Manual(), v.Manual)
			}
		}
	}
}

// The published QR codes are for nodes that are found over BLE. They differ only in
// the discovery capabilities.
func TestQR(t *testing.T) {
	for _, v := range vectors(t) {
		if v.QR == "" {
			continue
		}
		ours := unpack38(t, Payload{v.VendorID, v.ProductID, v.Discriminator, v.Passcode}.QR())
		theirs := unpack38(t, v.QR)
		if got := bits(ours, 37, 8); got != onNetwork {
			t.Errorf("%s: capabilities %d", v.QR, got)
		}
		if got := bits(theirs, 37, 8); got != uint64(v.Capabilities) {
			t.Errorf("%s: its capabilities read as %d", v.QR, got)
		}
		for _, f := range [][2]int{{0, 37}, {45, 43}} {
			if got, want := bits(ours, f[0], f[1]), bits(theirs, f[0], f[1]); got != want {
				t.Errorf("%s: bits %v are %x, want %x", v.QR, f, got, want)
			}
		}
	}
}

func bits(b []byte, from, n int) (v uint64) {
	for i := range n {
		v |= uint64(b[(from+i)/8]>>((from+i)%8)&1) << i
	}
	return v
}

// unpack38 is the inverse of base38 for groups of five characters and a last group
// of four.
func unpack38(t *testing.T, qr string) (out []byte) {
	t.Helper()
	if qr[:3] != "MT:" || len(qr) != 22 {
		t.Fatalf("not a payload without extensions: %q", qr)
	}
	s := qr[3:]
	for len(s) > 0 {
		n := min(5, len(s))
		var v uint32
		for i := n - 1; i >= 0; i-- {
			d := -1
			for j := range len(base38Alphabet) {
				if base38Alphabet[j] == s[i] {
					d = j
				}
			}
			v = v*38 + uint32(d)
		}
		for range map[int]int{5: 3, 4: 2}[n] {
			out = append(out, byte(v))
			v >>= 8
		}
		s = s[n:]
	}
	return out
}
