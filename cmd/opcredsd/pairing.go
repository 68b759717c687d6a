package main

import (
	"fmt"
	"io"

	"github.com/mdp/qrterminal/v3"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/spf13/cobra"
)

func newPairing(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "pairing",
		Short: "Show the QR code and the manual pairing code",
		Long: `Show the node's own QR code, its MT: payload and the manual pairing code.

They work while a commissioning window with the node's own passcode is open: on a
node without fabrics after its start, or after "opcredsd window open".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.node(cmd.Context(), reads, func(n node) error {
				p, err := n.Pairing(cmd.Context())
				if err != nil {
					return err
				}
				return c.print(p, func(w io.Writer) error { return printPairing(w, p) })
			})
		},
	}
}

// printPairing writes what a person pairs the node with.
func printPairing(w io.Writer, p admin.Pairing) error {
	qrterminal.GenerateWithConfig(p.QR, qrterminal.Config{
		Level: qrterminal.M, Writer: w, HalfBlocks: true, QuietZone: 2,
		BlackChar: qrterminal.BLACK_BLACK, WhiteChar: qrterminal.WHITE_WHITE,
		BlackWhiteChar: qrterminal.BLACK_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
	m := p.Manual
	_, err := fmt.Fprintf(w, "QR code payload: %s\nManual code:     %s-%s-%s\n", p.QR, m[:4], m[4:7], m[7:])
	return err
}
