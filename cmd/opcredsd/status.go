package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/spf13/cobra"
)

func newStatus(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the running daemon: windows, fabrics, sessions, attestation",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.daemon().Status(cmd.Context())
			if err != nil {
				return err
			}
			return c.print(s, func(w io.Writer) error { return printStatus(w, &s) })
		},
	}
}

func printStatus(w io.Writer, s *admin.Status) error {
	ready := "can be found"
	if !s.Ready {
		ready = "NOT announced: controllers cannot find it"
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("node", "%s %s (0x%04X 0x%04X), opcredsd %s, up %v", s.Product.VendorName, s.Product.ProductName, uint16(s.Product.VendorID), uint16(s.Product.ProductID),
		s.Version, time.Duration(s.Uptime*float64(time.Second)).Round(time.Second))
	row("network", "UDP port %d, %s", s.Port, ready)
	for _, i := range s.Interfaces {
		if i.Reason != "" {
			row("", "%s: not used, %s", i.Name, i.Reason)
		} else {
			row("", "%s: %s", i.Name, strings.Join(i.Addresses, " "))
		}
	}
	row("attestation", "%s", attestationLine(&s.Attestation))
	for _, f := range s.Attestation.Faults {
		row("", "fault: %s", f)
	}
	row("window", "%s", windowLine(&s.Window))
	if s.FailSafe.Armed {
		row("fail-safe", "armed until %s", clock(s.FailSafe.Ends))
	}
	row("sessions", "%d CASE, %d PASE, %d subscriptions, %d exchanges", s.Sessions.CASE, s.Sessions.PASE, s.Subscriptions, s.Exchanges)
	if s.Sessions.CASE > 0 && s.Subscriptions == 0 {
		row("", "controllers are connected, but none is subscribed")
	}
	row("fabrics", "%d of %d", len(s.Fabrics), s.MaxFabrics)
	for _, f := range s.Fabrics {
		row("", "%d: %s, node %s, vendor 0x%04X", f.Index, strconv.Quote(f.Label), f.NodeID, uint16(f.VendorID))
	}
	return nil
}

func attestationLine(a *admin.Attestation) string {
	if a.Kind == "TEST" {
		return fmt.Sprintf("TEST (0x%04X 0x%04X): controllers will warn of an uncertified device", uint16(a.VendorID), uint16(a.ProductID))
	}
	return fmt.Sprintf("%s (0x%04X 0x%04X)", a.Kind, uint16(a.VendorID), uint16(a.ProductID))
}

func windowLine(w *admin.WindowState) string {
	if w.Kind == "closed" {
		return "closed"
	}
	return fmt.Sprintf("%s, open until %s, %d failed attempts", w.Kind, clock(w.Closes), w.Failures)
}

func clock(t *time.Time) string {
	if t == nil {
		return "?"
	}
	return t.Local().Format(time.TimeOnly)
}

func newHealthcheck(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 if the running daemon can serve controllers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
			defer cancel()
			if err := c.daemon().Health(ctx); err != nil {
				return err
			}
			return c.done("ok")
		},
	}
}

func newLogLevel(c *common) *cobra.Command {
	return &cobra.Command{
		Use:       "log-level LEVEL",
		Short:     "Change the log level of the running daemon",
		ValidArgs: []string{"debug", "info", "warn", "error"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.daemon().SetLogLevel(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.done("log level is %s", args[0])
		},
	}
}
