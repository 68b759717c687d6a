package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

func printDevices(w io.Writer, list []bridge.View, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no devices: set --mqtt-url to an MQTT broker, add one with the bridge API, or try --demo")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tROOM\tTYPE\tSTATE\tENDPOINT\tSEEN")
	for i := range list {
		v := &list[i]
		row := func(typ, state string) {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, plain(v.Name), plain(v.Room), typ, state, numberOf(v, v.Endpoint), seen(v, now))
		}
		if len(v.Parts) == 1 {
			row(v.Parts[0].Type, stateText(v, &v.Parts[0]))
			continue
		}
		row(fmt.Sprintf("%d parts", len(v.Parts)), reachText(v))
		for n := range v.Parts {
			p := &v.Parts[n]
			fmt.Fprintf(t, "  %s\t%s\t\t%s\t%s\t%s\t\n", p.ID, plain(p.Part.Name), p.Type, valuesText(p), numberOf(v, p.Endpoint))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printNotes(w, list)
}

// printNotes says why devices are not shown, or not as they are described.
func printNotes(w io.Writer, list []bridge.View) error {
	begun := false
	for i := range list {
		v := &list[i]
		if v.Reason == "" {
			continue
		}
		if !begun {
			begun = true
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintf(w, "%s: %s\n", v.ID, plain(v.Reason)); err != nil {
			return err
		}
	}
	return nil
}

// numberOf returns an endpoint's number; a part that is not shown has none.
func numberOf(v *bridge.View, n matter.EndpointID) string {
	if !v.Exposed || n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// plain returns a text of unknown origin without control sequences for a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// summaries are the most informative properties of a part, in order, with the
// format of their values.
var summaries = []struct {
	name   string
	format func(v device.Value) string
}{
	{"on", either("on", "off")},
	{"brightness_percent", unit(" %")},
	{"closed", either("closed", "open")},
	{"occupied", either("occupied", "free")},
	{"detected", either("detected", "clear")},
	{"open", either("open", "closed")},
	{"position_percent", unit(" % open")},
	{"lock", device.Value.String},
	{"mode", device.Value.String},
	{"temperature_celsius", unit(" °C")},
	{"heating_setpoint_celsius", unit(" °C wanted")},
	{"humidity_percent", unit(" %")},
	{"pressure_hpa", unit(" hPa")},
	{"illuminance_lux", unit(" lx")},
	{"fan_mode", device.Value.String},
	{"smoke", device.Value.String},
	{"air_quality", device.Value.String},
	{"power_watts", unit(" W")},
	{"energy_kwh", unit(" kWh")},
	{"moisture_percent", unit(" %")},
	{"flow_m3_per_hour", unit(" m³/h")},
}

func either(yes, no string) func(device.Value) string {
	return func(v device.Value) string {
		if is, _ := v.Bool(); is {
			return yes
		}
		return no
	}
}

func unit(u string) func(device.Value) string {
	return func(v device.Value) string { return v.String() + u }
}

// stateText returns the state of a device of one part in a few words.
func stateText(v *bridge.View, p *bridge.PartView) string {
	if v.Exposed && v.Reachable {
		return valuesText(p)
	}
	return strings.TrimSuffix(reachText(v)+", "+valuesText(p), ", -")
}

// valuesText returns a part's values in a few words.
func valuesText(p *bridge.PartView) string {
	var words []string
	for _, s := range summaries {
		if is, ok := p.State[s.name]; ok && !is.IsNull() {
			words = append(words, s.format(is))
		}
	}
	return cmp.Or(strings.Join(words, ", "), "-")
}

func reachText(v *bridge.View) string {
	switch {
	case !v.Exposed:
		return "not shown"
	case !v.Reachable:
		return "unreachable"
	}
	return "reachable"
}

// seen returns when the source last reported about a device.
func seen(v *bridge.View, now time.Time) string {
	if v.LastUpdate == nil {
		return "never"
	}
	return ago(now.Sub(*v.LastUpdate))
}

func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

func printDevice(w io.Writer, v bridge.View, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s:\t%s\n", name, plain(value))
		}
	}
	row("ID", v.ID)
	row("Name", v.Name)
	if v.LabelBy != bridge.BySource {
		row("Named by", string(v.LabelBy))
	}
	row("Room", v.Room)
	row("Vendor", v.Vendor)
	row("Product", v.Product)
	row("Serial", v.Serial)
	row("Hardware", v.HardwareVersion)
	row("Software", v.SoftwareVersion)
	row("Controllers", reachText(&v))
	if v.Exposed {
		row("Endpoint", strconv.Itoa(int(v.Endpoint)))
	}
	row("Note", v.Reason)
	row("Unique ID", v.UniqueID)
	if b := v.Battery; b != nil && !b.Percent.IsNull() {
		row("Battery", b.Percent.String()+" %")
	}
	if b := v.Battery; b != nil && !b.Charging.IsNull() {
		row("Charging", b.Charging.String())
	}
	row("Seen", seen(&v, now))
	for _, p := range v.Parts {
		row("Part "+p.ID, strings.TrimSpace(p.Type+" "+p.Part.Name))
		for _, k := range slices.Sorted(maps.Keys(p.State)) {
			row("  "+k, p.State[k].String())
		}
	}
	return t.Flush()
}

func printIgnored(w io.Writer, list []device.Ignored) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "everything is shown")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tWHAT\tWHY")
	for _, i := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\n", plain(i.ID), plain(i.What), plain(i.Reason))
	}
	return t.Flush()
}
