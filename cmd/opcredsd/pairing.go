package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mdp/qrterminal/v3"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/spf13/cobra"
)

func newPairing(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "pairing",
		Short: "Show the QR code and the manual pairing code",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var p admin.Pairing
			err := c.node(cmd.Context(),
				func(ctx context.Context, a *admin.Client) (err error) { p, err = a.Pairing(ctx); return err },
				func(o *server.Offline) (err error) { p, err = o.Pairing(); return err })
			if err != nil {
				return err
			}
			return c.print(p, func(w io.Writer) error { return printPairing(w, p) })
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

// node asks the running daemon, or the store where no daemon runs.
func (c *common) node(ctx context.Context, live func(context.Context, *admin.Client) error, offline func(*server.Offline) error) error {
	err := live(ctx, admin.NewClient(c.adminSocket))
	if !errors.Is(err, admin.ErrUnreachable) {
		return err
	}
	o, oerr := server.OpenOffline(c.stateDir)
	if oerr != nil {
		if server.Locked(oerr) {
			return fmt.Errorf("%w, but %v", err, oerr)
		}
		return oerr
	}
	defer o.Close()
	return offline(o)
}
