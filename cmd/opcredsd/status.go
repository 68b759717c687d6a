package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
)

func newStatus(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the running daemon: windows, fabrics, sessions, attestation",
		Long: `Show the node at this moment: its network, attestation material, commissioning
window, fail-safe, sessions, subscriptions and fabrics. "discoverable" means that its
records are announced over mDNS; "opcredsd doctor" looks them up on the network.`,
		Args: cobra.NoArgs,
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
	ready := "discoverable"
	if !s.Ready {
		ready = "not discoverable: " + s.Fault
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
		switch {
		case i.Problem != "":
			row("", "%s: PROBLEM: %s", i.Name, i.Problem)
		case len(i.Rivals) > 0:
			row("", "%s: PROBLEM: another host wants the node's names: %s", i.Name, strings.Join(i.Rivals, ", "))
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
	row("sessions", "%d CASE, %d PASE, %s, %s", s.Sessions.CASE, s.Sessions.PASE, subscriptions(s.Subscriptions, s.Interrupted), count(s.Exchanges, "exchange"))
	row("fabrics", "%d of %d", len(s.Fabrics), s.MaxFabrics)
	for _, f := range s.Fabrics {
		row("", "%d: %s, node %s, vendor 0x%04X, %s, %s", f.Index, strconv.Quote(f.Label), f.NodeID, uint16(f.VendorID),
			sessions(f.Sessions, f.LastHeard), subscriptions(f.Subscriptions, f.Interrupted))
	}
	return nil
}

// sessions returns a number of sessions and how long ago something came on one of them.
func sessions(n int, heard *time.Time) string {
	if n == 0 || heard == nil {
		return count(n, "session")
	}
	return fmt.Sprintf("%s, last heard %s", count(n, "session"), ago(time.Since(*heard)))
}

func subscriptions(n, interrupted int) string {
	if interrupted == 0 {
		return count(n, "subscription")
	}
	return fmt.Sprintf("%s (%d more interrupted)", count(n, "subscription"), interrupted)
}

func attestationLine(a *admin.Attestation) string {
	if a.Kind == "TEST" {
		return fmt.Sprintf("TEST (0x%04X 0x%04X): controllers will warn about an uncertified device", uint16(a.VendorID), uint16(a.ProductID))
	}
	return fmt.Sprintf("%s (0x%04X 0x%04X)", a.Kind, uint16(a.VendorID), uint16(a.ProductID))
}

func windowLine(w *admin.WindowState) string {
	if w.Kind == "closed" {
		return "closed"
	}
	return fmt.Sprintf("%s, open until %s, %s", w.Kind, clock(w.Closes), count(w.Failures, "failed attempt"))
}

func clock(t *time.Time) string {
	if t == nil {
		return "?"
	}
	return t.Local().Format(time.TimeOnly)
}

// healthTime is the time limit of a health check. It is longer than the daemon's
// own limits, so that the daemon reports the problem.
const healthTime = 3 * time.Second

func newHealthcheck(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit 0 if the running daemon can serve controllers",
		Long: `Ask the running daemon whether it can serve controllers: its event loop and UDP
socket answer, the store can be read, and its records are announced over mDNS. It
takes 3 seconds at most.

Exit status: 0 it can; 1 it cannot, and the reason is printed; 3 it cannot be reached.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTime)
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
		Use:   "log-level LEVEL",
		Short: "Change the log level of the running daemon",
		Long: `Change the log level of the running daemon, until it reads its configuration again
(SIGHUP) or ends. LEVEL is debug, info, warn or error.`,
		Example:   "  opcredsd log-level debug     # and then: journalctl -fu opcredsd",
		ValidArgs: logLevels,
		Args:      exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(logLevels, args[0]) {
				return usageError{fmt.Errorf("log-level: %q is not one of %s", args[0], strings.Join(logLevels, ", "))}
			}
			if err := c.daemon().SetLogLevel(cmd.Context(), admin.LogLevel{Level: args[0]}); err != nil {
				return err
			}
			return c.done("log level is %s", args[0])
		},
	}
}
