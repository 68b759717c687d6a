package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"
	"rsc.io/qr"
)

// quietZone is the width of the light border of a QR code, in modules (ISO/IEC
// 18004).
const quietZone = 4

// qrLevel corrects codes of which a tenth or so cannot be read.
const qrLevel = qr.M

// pngScale is the size of a module in a PNG, in pixels.
const pngScale = 12

// whiteOnBlack makes a QR code readable on a terminal with a light background too.
const whiteOnBlack, plainAgain = "\x1b[97;40m", "\x1b[0m"

// registerQR adds the flag for a picture of the code.
func registerQR(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "qr", "", "also write the QR code to `file`, .svg or .png")
}

// writeQR draws a text as a QR code into a file that only its owner can read, as the code
// contains the passcode.
func writeQR(file, text string) error {
	code, err := qr.Encode(text, qrLevel)
	if err != nil {
		return err
	}
	var picture []byte
	switch strings.ToLower(filepath.Ext(file)) {
	case ".svg":
		picture = svg(code)
	case ".png":
		code.Scale = pngScale
		picture = code.PNG()
	default:
		return usageError{fmt.Errorf("--qr: %q does not end in .svg or .png", file)}
	}
	return os.WriteFile(file, picture, 0o600)
}

// svg draws a code with a unit for each module.
func svg(code *qr.Code) []byte {
	var b bytes.Buffer
	side := code.Size + 2*quietZone
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %[1]d" width="%d" height="%[2]d" shape-rendering="crispEdges">`+"\n", side, side*pngScale)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%[1]dH0z"/>`+"\n"+`<path d="`, side)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quietZone, y+quietZone)
			}
		}
	}
	b.WriteString("\"/>\n</svg>\n")
	return b.Bytes()
}

// printQR draws a text as a QR code. Where nothing but ASCII can be shown a module is two
// characters.
func printQR(w io.Writer, text string) error {
	var drawn string
	if plainText(os.Getenv) {
		code, err := qr.Encode(text, qrLevel)
		if err != nil {
			return err
		}
		drawn = ascii(code)
	} else {
		drawn = blocks(text)
	}
	before, after := "", ""
	if isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		before, after = whiteOnBlack, plainAgain
	}
	for line := range strings.Lines(drawn) {
		if _, err := fmt.Fprintf(w, "%s%s%s\n", before, strings.TrimSuffix(line, "\n"), after); err != nil {
			return err
		}
	}
	return nil
}

// plainText reports whether only ASCII can be shown: the terminal is dumb, or the locale
// is not UTF-8 (the first of LC_ALL, LC_CTYPE and LANG that is set decides).
func plainText(env func(string) string) bool {
	if env("TERM") == "dumb" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return true
}

// blocks draws a code with two modules in a character.
func blocks(text string) string {
	var b strings.Builder
	qrterminal.GenerateWithConfig(text, qrterminal.Config{
		Level: qrLevel, Writer: &b, HalfBlocks: true, QuietZone: quietZone,
		BlackChar: qrterminal.BLACK_BLACK, WhiteChar: qrterminal.WHITE_WHITE,
		BlackWhiteChar: qrterminal.BLACK_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
	return b.String()
}

// ascii draws a code with two characters for a module, light ones as ##: terminals are
// dark more often than not.
func ascii(code *qr.Code) string {
	var b strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y++ {
		for x := -quietZone; x < code.Size+quietZone; x++ {
			if code.Black(x, y) { // false outside of the code
				b.WriteString("  ")
			} else {
				b.WriteString("##")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
