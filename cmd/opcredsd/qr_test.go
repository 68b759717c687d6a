package main

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"
)

const payload = "MT:-24J0AFN001BZ67HE10"

// Each way to draw a code has the modules of the code, and a border.
func TestDrawnCodes(t *testing.T) {
	code, err := qr.Encode(payload, qrLevel)
	if err != nil {
		t.Fatal(err)
	}
	side := code.Size + 2*quietZone
	dir := t.TempDir()
	for _, name := range []string{"code.svg", "code.PNG"} {
		if err := writeQR(filepath.Join(dir, name), payload); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v: it contains the passcode", name, st.Mode(), err)
		}
	}
	drawn := map[string]func(x, y int) bool{"PNG": pngModules(t, filepath.Join(dir, "code.PNG"), side), "SVG": svgModules(t, filepath.Join(dir, "code.svg"))}
	lines := strings.Split(ascii(code), "\n")
	drawn["ASCII"] = func(x, y int) bool { return lines[y][2*x:2*x+2] == "  " }
	half := strings.Split(blocks(payload), "\n")
	drawn["blocks"] = func(x, y int) bool {
		c := []rune(half[y/2])[x]
		return c == ' ' || c == '▀' && y%2 == 1 || c == '▄' && y%2 == 0
	}
	for name, dark := range drawn {
		for y := range side {
			for x := range side {
				if dark(x, y) != code.Black(x-quietZone, y-quietZone) {
					t.Fatalf("%s: the module at %d, %d is wrong", name, x, y)
				}
			}
		}
	}
	if err := writeQR(filepath.Join(dir, "code.jpg"), payload); err == nil || !strings.Contains(err.Error(), ".svg or .png") {
		t.Errorf("another format: %v", err)
	}
}

func pngModules(t *testing.T, file string, side int) func(x, y int) bool {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil || picture.Bounds().Dx() != side*pngScale || picture.Bounds().Dy() != side*pngScale {
		t.Fatalf("%v, %v", picture.Bounds(), err)
	}
	return func(x, y int) bool {
		r, _, _, _ := picture.At(x*pngScale+pngScale/2, y*pngScale+pngScale/2).RGBA()
		return r == 0
	}
}

func svgModules(t *testing.T, file string) func(x, y int) bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var picture struct {
		Paths []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.NewDecoder(bytes.NewReader(b)).Decode(&picture); err != nil || len(picture.Paths) != 2 {
		t.Fatalf("%v\n%s", err, b)
	}
	dark := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h1v1h-1z`).FindAllStringSubmatch(picture.Paths[1].D, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		dark[[2]int{x, y}] = true
	}
	return func(x, y int) bool { return dark[[2]int{x, y}] }
}

func TestWhereOnlyASCIICanBeShown(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"LANG": "en_US.UTF-8", "TERM": "xterm"}, false},
		{map[string]string{"LANG": "C.utf8"}, false},
		{map[string]string{"LANG": "en_US.UTF-8", "TERM": "dumb"}, true},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, true},
		{map[string]string{"LC_ALL": "", "LC_CTYPE": "de_DE.UTF-8", "LANG": "C"}, false},
		{map[string]string{"LANG": "de_DE.ISO-8859-1"}, true},
		{map[string]string{}, true},
	} {
		if got := plainText(func(name string) string { return tc.env[name] }); got != tc.want {
			t.Errorf("%v: %v", tc.env, got)
		}
	}
}
