package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// explainTime is how long explain waits for a broker.
const explainTime = 30 * time.Second

func newDevicesExplain(c *common) *cobra.Command {
	var f mqttFlags
	listen := 3 * time.Second
	cmd := &cobra.Command{
		Use:   "explain [FILE]",
		Short: "Show the devices in MQTT messages, and what is not shown and why",
		Long: `Show the devices that the node would create from MQTT messages, and what it would not
show and why. Nothing is published and nothing is stored.

The messages come from the broker --mqtt-url, or from FILE, where "-" is the standard
input: one per line, as mosquitto_sub -v or mosquitto_sub -F %j writes them.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options(c.stateDir)
			if err != nil {
				return err
			}
			var e mqtt.Explanation
			switch {
			case len(args) == 1:
				var messages []link.Message
				if messages, err = readMessages(args[0]); err == nil {
					e = mqtt.Explain(o, messages)
				}
			case o.Link.URL == "":
				return usageError{errors.New("set --mqtt-url to a broker, or give a file")}
			default:
				o.Link.ClientID += "-explain" // the daemon may be running
				ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				ctx, cancel := context.WithTimeout(ctx, explainTime+listen)
				defer cancel()
				e, err = mqtt.ExplainBroker(ctx, o, listen)
			}
			if err != nil {
				return err
			}
			return c.print(e, func(w io.Writer) error { return printExplanation(w, &e) })
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().DurationVar(&listen, "listen", listen, "how long to listen for states after the retained messages")
	return cmd
}

func readMessages(path string) ([]link.Message, error) {
	if path == "-" {
		return mqtt.ReadCaptured(os.Stdin)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	list, err := mqtt.ReadCaptured(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

func printExplanation(w io.Writer, e *mqtt.Explanation) error {
	for _, d := range e.Devices {
		fmt.Fprintf(w, "%s  %s\n", d.ID, plain(d.Name))
		for _, p := range d.Parts {
			name := p.ID
			if p.Name != "" {
				name += " (" + plain(p.Name) + ")"
			}
			typ := p.Type
			if p.Meter {
				typ += " with a meter"
			}
			fmt.Fprintf(w, "  %s: %s  %s\n", name, typ, plain(reader.Format(p.State)))
		}
		if d.Battery != nil {
			fmt.Fprintf(w, "  battery: percent=%s low=%s charging=%s\n", d.Battery.Percent, d.Battery.Low, d.Battery.Charging)
		}
		printLeftOut(w, "  - ", d.Ignored)
	}
	if len(e.Ignored) > 0 {
		fmt.Fprintln(w, "not shown:")
		for _, i := range e.Ignored {
			printLeftOut(w, "  "+i.ID+"  ", []device.Ignored{i})
		}
	}
	for what, n := range e.Failures {
		fmt.Fprintf(w, "could not be read: %s (%d)\n", plain(what), n)
	}
	_, err := fmt.Fprintf(w, "%d messages, %d devices\n", e.Messages, len(e.Devices))
	return err
}

func printLeftOut(w io.Writer, indent string, list []device.Ignored) {
	for _, i := range list {
		fmt.Fprintf(w, "%s%s: %s\n", indent, plain(i.What), plain(i.Reason))
	}
}
