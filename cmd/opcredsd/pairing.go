package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
)

func newPairing(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "pairing",
		Short: "Show the QR code and the manual pairing code",
		Long: `Show the node's own QR code, its MT: payload and the manual pairing code.

They are valid while a commissioning window with the node's own passcode is open: on a
node without fabrics after its start, or after "opcredsd window open".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.node(cmd.Context(), reads, func(n *admin.Operator) error {
				p, err := n.Pairing(cmd.Context())
				if err != nil {
					return err
				}
				return c.print(p, func(w io.Writer) error {
					if err := printPairing(w, p); err != nil {
						return err
					}
					_, err := fmt.Fprintln(w, c.openNow(cmd.Context()))
					return err
				})
			})
		},
	}
}

// openNow returns whether the node's own codes can be used now.
func (c *common) openNow(ctx context.Context) string {
	s, err := c.daemon().Status(ctx)
	switch {
	case err != nil:
		return "Open:            no, as no daemon runs: \"opcredsd run\", or \"systemctl start opcredsd\""
	case s.Window.Kind == "closed":
		return "Open:            no; \"opcredsd window open\" lets a controller use these codes"
	case s.Window.Kind == "enhanced":
		return "Open:            for the codes of the current window, not for these"
	}
	return "Open until:      " + clock(s.Window.Closes)
}

// quietZone is the width of the light border of a QR code, in modules (ISO/IEC
// 18004).
const quietZone = 4

// whiteOnBlack makes a QR code readable on a terminal with a light background too.
const whiteOnBlack, plainAgain = "\x1b[97;40m", "\x1b[0m"

// printPairing writes the codes that a user needs to pair the node.
func printPairing(w io.Writer, p admin.Pairing) error {
	if err := printQR(w, p.QR); err != nil {
		return err
	}
	m := p.Manual
	_, err := fmt.Fprintf(w, "QR code payload: %s\nManual code:     %s-%s-%s\n", p.QR, m[:4], m[4:7], m[7:])
	return err
}

// printQR draws a text as a QR code.
func printQR(w io.Writer, text string) error {
	var code bytes.Buffer
	qrterminal.GenerateWithConfig(text, qrterminal.Config{
		Level: qrterminal.M, Writer: &code, HalfBlocks: true, QuietZone: quietZone,
		BlackChar: qrterminal.BLACK_BLACK, WhiteChar: qrterminal.WHITE_WHITE,
		BlackWhiteChar: qrterminal.BLACK_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
	before, after := "", ""
	if isTerminal(w) && os.Getenv("NO_COLOR") == "" {
		before, after = whiteOnBlack, plainAgain
	}
	for line := range strings.Lines(code.String()) {
		if _, err := fmt.Fprintf(w, "%s%s%s\n", before, strings.TrimSuffix(line, "\n"), after); err != nil {
			return err
		}
	}
	return nil
}
