package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

func newDevices(c *common) *cobra.Command {
	cmd := group("devices", "Show, name and try the bridged devices")
	cmd.AddCommand(newDevicesList(c), newDevicesShow(c), newDevicesWatch(c), newDevicesSet(c), newDevicesPress(c),
		newDevicesRename(c), newDevicesRemove(c), newDevicesExplain(c))
	return cmd
}

func newDevicesList(c *common) *cobra.Command {
	var ignored bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the bridged devices",
		Long: `List the bridged devices with the endpoint that controllers see, and whether the
device is reachable. --ignored lists what sources offer and the node does not show,
with the reason.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := &c.daemon().Operator
			if ignored {
				list, err := o.IgnoredDevices(cmd.Context())
				if err != nil {
					return err
				}
				return c.print(list, func(w io.Writer) error { return printIgnored(w, list) })
			}
			list, err := o.Devices(cmd.Context())
			if err != nil {
				return err
			}
			return c.print(list, func(w io.Writer) error { return printDevices(w, list, time.Now()) })
		},
	}
	cmd.Flags().BoolVar(&ignored, "ignored", false, "list what sources offer and the node does not show")
	return cmd
}

func newDevicesShow(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show everything that is known about a device",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := findDevice(cmd.Context(), &c.daemon().Operator, args[0])
			if err != nil {
				return err
			}
			return c.print(v, func(w io.Writer) error { return printDevice(w, v, time.Now()) })
		},
	}
}

func findDevice(ctx context.Context, o *admin.Operator, id string) (v bridge.View, err error) {
	list, err := o.Devices(ctx)
	if err != nil {
		return v, err
	}
	i := slices.IndexFunc(list, func(v bridge.View) bool { return v.ID == id })
	if i < 0 {
		return v, fmt.Errorf("there is no device %q; \"opcredsd devices list\" lists them", id)
	}
	return list[i], nil
}

func newDevicesWatch(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Print events of devices until interrupted",
		Long: `Print events of devices until interrupted: values that their sources report, gestures,
and commands of controllers. With -o json, one JSON object per line.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.daemon().WatchDevices(cmd.Context(), c.noticeWriter())
			if cmd.Context().Err() != nil {
				return nil
			}
			return err
		},
	}
}

// noticeWriter returns the writer of events.
func (c *common) noticeWriter() io.Writer {
	if c.output == "json" {
		return c.stdout
	}
	return &notices{out: c.stdout, last: map[string]device.Values{}}
}

// notices prints events as readable lines.
type notices struct {
	out  io.Writer
	rest []byte
	last map[string]device.Values // by device and part
}

func (n *notices) Write(b []byte) (int, error) {
	n.rest = append(n.rest, b...)
	for {
		line, rest, ok := strings.Cut(string(n.rest), "\n")
		if !ok {
			return len(b), nil
		}
		n.rest = []byte(rest)
		var x bridge.Notice
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			return 0, fmt.Errorf("the daemon's answer: %w", err)
		}
		if err := n.print(&x); err != nil {
			return 0, err
		}
	}
}

func (n *notices) print(x *bridge.Notice) error {
	at := x.At.Local().Format("15:04:05.000")
	line := func(id, text string) error {
		_, err := fmt.Fprintf(n.out, "%s  %s  %s\n", at, id, text)
		return err
	}
	switch {
	case x.Command != nil:
		return line(partName(x.Command.Device, x.Command.Part), "wanted: "+commandText(x.Command))
	case x.Event != nil:
		return line(partName(x.Event.Device, x.Event.Part), "pressed: "+string(x.Event.Gesture))
	case x.Removed != "":
		return line(x.Removed, "removed")
	case x.Device != nil:
		return n.printDevice(x.Device, line)
	}
	return nil
}

// printDevice prints what has changed since the last event of a device.
func (n *notices) printDevice(v *bridge.View, line func(id, text string) error) error {
	changed := false
	for _, p := range v.Parts {
		name := partName(v.ID, p.ID)
		was := n.last[name]
		n.last[name] = p.State
		var now []string
		for _, k := range slices.Sorted(maps.Keys(p.State)) {
			if is := p.State[k]; is != was[k] {
				now = append(now, k+"="+is.String())
			}
		}
		if len(now) > 0 {
			changed = true
			if err := line(name, strings.Join(now, " ")); err != nil {
				return err
			}
		}
	}
	if changed {
		return nil
	}
	text := reachText(v)
	if !v.Exposed {
		text += ": " + plain(v.Reason)
	}
	return line(v.ID, text)
}

func commandText(c *device.Command) string {
	if c.Do != "" {
		return string(c.Do)
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(c.Set)) {
		all = append(all, k+"="+c.Set[k].String())
	}
	if c.Transition != nil {
		all = append(all, "in "+c.Transition.String())
	}
	return strings.Join(all, " ")
}

func partName(id, part string) string {
	if part == "" || part == "main" {
		return id
	}
	return id + "/" + part
}

func newDevicesSet(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "set ID[/PART] KEY=VALUE…",
		Short: "Report values of a device as its source would, for a test",
		Long: `Report values of a device as its source would, to test how controllers show them.
The source's next report replaces them. Values are written as in JSON, but text needs
no quotes: on=true brightness_percent=40 mode=heat.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			v := admin.DeviceValues{State: device.Values{}}
			v.ID, v.Part, _ = strings.Cut(args[0], "/")
			for _, a := range args[1:] {
				key, text, ok := strings.Cut(a, "=")
				if !ok || key == "" {
					return usageError{fmt.Errorf("%q is not KEY=VALUE", a)}
				}
				v.State[key] = parseValue(text)
			}
			if err := c.daemon().SetDevice(cmd.Context(), v); err != nil {
				return err
			}
			return c.done("%s is set", args[0])
		},
	}
}

// parseValue returns the value of a JSON text, or else the text itself.
func parseValue(text string) (v device.Value) {
	if v.UnmarshalJSON([]byte(text)) != nil {
		return device.Text(text)
	}
	return v
}

func newDevicesPress(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "press ID [PART] GESTURE",
		Short: "Press a button: single, double, triple, long, press, release",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 && len(args) != 3 {
				return fmt.Errorf("usage: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			g := admin.DeviceGesture{ID: args[0], Gesture: device.Gesture(args[len(args)-1])}
			if len(args) == 3 {
				g.Part = args[1]
			}
			if err := c.daemon().PressDevice(cmd.Context(), g); err != nil {
				return err
			}
			return c.done("pressed %s: %s", args[0], g.Gesture)
		},
	}
}

func newDevicesRename(c *common) *cobra.Command {
	return &cobra.Command{
		Use:   "rename ID[/PART] NAME",
		Short: "Give a device a name that its source does not change",
		Long: `Give a device a name that neither its source nor a controller can change. An empty
name restores the source's. Most controllers copy the name of a device when they see
it for the first time, and keep their copy from then on.`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := admin.DeviceName{Name: args[1]}
			n.ID, n.Part, _ = strings.Cut(args[0], "/")
			if err := c.daemon().RenameDevice(cmd.Context(), n); err != nil {
				return err
			}
			if n.Name == "" {
				return c.done("%s has the name of its source again", args[0])
			}
			return c.done("%s is now %q", args[0], n.Name)
		},
	}
}

func newDevicesRemove(c *common) *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:        "remove ID",
		SuggestFor: []string{"rm", "delete"},
		Short:      "Remove a device from the controllers",
		Long: `Remove a device. Controllers see it as unreachable at once and lose it after a minute.
If its source adds it again before that, nothing changes. A source that still has the
device adds it again: hide it there, or with --expose.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.daemon().RemoveDevice(cmd.Context(), admin.DeviceRemoval{ID: args[0], Now: now}); err != nil {
				return err
			}
			return c.done("%s is removed", args[0])
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "do not wait a minute for the source to add it again")
	return cmd
}
