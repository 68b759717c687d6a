package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
)

func newPairing(c *common) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "pairing",
		Short: "Show the QR code and the manual pairing code",
		Long: `Show the node's own QR code, its MT: payload and the manual pairing code.

They are valid while a commissioning window with the node's own passcode is open: on a
node without fabrics after its start, or after "opcredsd window open".`,
		Example: "  opcredsd pairing --qr code.svg",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.node(cmd.Context(), reads, func(n *admin.Operator) error {
				p, err := n.Pairing(cmd.Context())
				if err == nil && file != "" {
					err = writeQR(file, p.QR)
				}
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
	registerQR(cmd, &file)
	return cmd
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

// printPairing writes the codes that a user needs to pair the node.
func printPairing(w io.Writer, p admin.Pairing) error {
	if err := printQR(w, p.QR); err != nil {
		return err
	}
	m := p.Manual
	_, err := fmt.Fprintf(w, "QR code payload: %s\nManual code:     %s-%s-%s\n", p.QR, m[:4], m[4:7], m[7:])
	return err
}
