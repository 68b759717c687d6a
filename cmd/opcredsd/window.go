package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/server"
)

func newWindow(c *common) *cobra.Command {
	cmd := group("window", "Open or close the commissioning window")
	var timeout time.Duration
	var enhanced bool
	var file string
	open := &cobra.Command{
		Use:   "open",
		Short: "Let another controller commission the node",
		Long: `Open a commissioning window and print the codes for it.

A basic window uses the node's own codes. With --enhanced the window has a new
passcode and discriminator, which are valid for this window only.`,
		Example: `  opcredsd window open --enhanced --timeout 10m
  opcredsd window open -o json | jq -r .qr`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := c.daemon().OpenWindow(cmd.Context(), admin.WindowRequest{Seconds: int(timeout / time.Second), Enhanced: enhanced})
			if err != nil {
				return err
			}
			if file != "" && w.QR != "" {
				if err := writeQR(file, w.QR); err != nil {
					return err
				}
			}
			return c.print(w, func(out io.Writer) error {
				if w.QR == "" {
					fmt.Fprintln(out, "The codes are on the product's label: only the verifier of the passcode is kept.")
				} else if err := printPairing(out, w.Pairing); err != nil {
					return err
				}
				_, err := fmt.Fprintf(out, "Open until:      %s\n", w.Closes.Local().Format(time.TimeOnly))
				return err
			})
		},
	}
	timeout = server.MinWindow
	open.Flags().Var(span{&timeout, server.MinWindow, server.MaxWindow}, "timeout", "how long it stays open, 3m to 15m")
	open.Flags().BoolVar(&enhanced, "enhanced", false, "with a new passcode and discriminator")
	registerQR(open, &file)
	cmd.AddCommand(open, &cobra.Command{
		Use:   "close",
		Short: "Close the window",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.daemon().CloseWindow(cmd.Context()); err != nil {
				return err
			}
			return c.done("the window is closed")
		},
	})
	return cmd
}
