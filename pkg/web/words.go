package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// ago returns the time since t in words. static/app.js has the same function.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Minute:
		return "a minute ago"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes ago", d/time.Minute)
	case d < 2*time.Hour:
		return "an hour ago"
	case d < 24*time.Hour:
		return fmt.Sprintf("%d hours ago", d/time.Hour)
	case d < 48*time.Hour:
		return "a day ago"
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

// left returns the time until t in words. static/app.js has the same function.
func left(now, t time.Time) string {
	d := t.Sub(now)
	switch {
	case d <= 0:
		return "no longer"
	case d <= time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes", int(math.Ceil(d.Minutes())))
	case d < 2*time.Hour:
		return "an hour"
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}

// count returns a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// sentence capitalizes the first letter of a text and adds a full stop.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// list joins words with commas and "and".
func list(words []string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}

// units are the units of properties by the suffix of their names.
var units = []struct{ suffix, unit string }{
	{"_percent", " %"}, {"_kelvin", " K"}, {"_celsius", " °C"}, {"_degrees", "°"}, {"_hpa", " hPa"}, {"_lux", " lx"},
	{"_m3_per_hour", " m³/h"}, {"_ug_per_m3", " µg/m³"}, {"_mg_per_m3", " mg/m³"}, {"_bq_per_m3", " Bq/m³"},
	{"_ppm", " ppm"}, {"_ppb", " ppb"}, {"_watts", " W"}, {"_volts", " V"}, {"_amperes", " A"}, {"_kwh", " kWh"}, {"_seconds", " s"},
}

// labels are names of properties that differ from the words of their ids.
var labels = map[string]string{
	"on": "Switched", "closed": "Contact", "occupied": "Occupancy", "open": "Valve", "co2": "CO₂", "co": "CO", "no2": "NO₂",
	"pm1": "PM1", "pm25": "PM2.5", "pm10": "PM10", "tvoc": "TVOC", "color_x": "Color x", "color_y": "Color y",
	"carbon_monoxide": "Carbon monoxide", "hold": "Hold time", "filter": "Particle filter",
}

// labelOf returns the name and the unit of a property.
func labelOf(property string) (label, unit string) {
	name := property
	for _, u := range units {
		if n, ok := strings.CutSuffix(property, u.suffix); ok {
			name, unit = n, u.unit
			break
		}
	}
	if l, ok := labels[name]; ok {
		return l, unit
	}
	return spaced(name), unit
}

// spaced splits a name into words.
func spaced(name string) string {
	name = strings.ReplaceAll(name, "_", " ")
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// typeNames are names of types that differ from the words of their ids.
var typeNames = map[string]string{
	"on_off_light": "Light", "dimmable_light": "Dimmable light", "color_temperature_light": "White light", "extended_color_light": "Color light",
	"on_off_plug": "Plug", "dimmable_plug": "Dimmable plug", "mounted_on_off_control": "Wall switch", "mounted_dimmable_load_control": "Wall dimmer",
	"generic_switch": "Button", "smoke_co_alarm": "Smoke or CO alarm", "occupancy_sensor": "Motion sensor", "electrical_sensor": "Meter",
	"robotic_vacuum_cleaner": "Vacuum cleaner", "window_covering": "Blind", "room_air_conditioner": "Air conditioner",
}

// typeName returns the name of a part's type.
func typeName(t string) string {
	if n, ok := typeNames[t]; ok {
		return n
	}
	return spaced(t)
}

// pair are the words for true and false.
type pair struct{ yes, no string }

var flags = map[string]pair{
	"on": {"On", "Off"}, "closed": {"Closed", "Open"}, "occupied": {"Motion", "No motion"}, "open": {"Open", "Closed"},
	"water_leak_detector": {"Water", "Dry"}, "water_freeze_detector": {"Frost", "No frost"}, "rain_sensor": {"Rain", "No rain"},
}

// valueWords returns a value of a property in words.
func valueWords(partType, property string, v device.Value) string {
	if v.IsNull() {
		return "unknown"
	}
	if b, ok := v.Bool(); ok {
		words, ok := flags[property]
		if property == "detected" {
			words, ok = flags[partType]
		}
		if !ok {
			words = pair{"Yes", "No"}
		}
		if b {
			return words.yes
		}
		return words.no
	}
	if f, ok := v.Number(); ok {
		switch {
		case property == "position_percent" && f <= 0:
			return "Closed"
		case property == "position_percent" && f >= 100:
			return "Open"
		case property == "position_percent":
			return numberWords(f) + " % open"
		}
		_, unit := labelOf(property)
		return numberWords(f) + unit
	}
	s, _ := v.Text()
	switch property {
	case "smoke", "carbon_monoxide", "gas":
		return alarmWords(property, s)
	case "air_quality":
		return spaced(s) + " air"
	}
	return spaced(s)
}

// alarmWords returns the state of an alarm in words.
func alarmWords(property, state string) string {
	label, _ := labelOf(property)
	switch state {
	case "normal":
		return "No " + strings.ToLower(label)
	case "warning":
		return label + " warning"
	case "critical":
		return label + " alarm"
	}
	return label + " " + state
}

// alarms reports whether the state of a part requires attention.
func alarms(partType string, state device.Values) bool {
	for _, name := range []string{"smoke", "carbon_monoxide", "gas"} {
		if s, ok := state[name].Text(); ok && s != "normal" {
			return true
		}
	}
	leak := partType == "water_leak_detector" || partType == "water_freeze_detector"
	return leak && state["detected"] == device.Bool(true)
}

// gestures are the words for gestures at a button.
var gestures = map[device.Gesture]string{
	device.Single: "Pressed", device.Double: "Pressed twice", device.Triple: "Pressed three times", device.Long: "Held",
	device.Press: "Pressed", device.Release: "Released",
}

// numberWords formats a number with a useful number of digits.
func numberWords(f float64) string {
	digits := 2
	switch a := math.Abs(f); {
	case a >= 100:
		digits = 0
	case a >= 10:
		digits = 1
	}
	s := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// first are the most important properties, in the order in which a line of the list
// shows them.
var first = []string{
	"smoke", "carbon_monoxide", "gas", "lock", "door", "open", "on", "closed", "occupied", "detected",
	"position_percent", "moving", "brightness_percent", "color_temperature_kelvin", "mode", "temperature_celsius",
	"heating_setpoint_celsius", "running", "fan_mode", "fan_percent", "run_mode", "state", "air_quality", "co2_ppm", "pm25_ug_per_m3",
	"humidity_percent", "pressure_hpa", "illuminance_lux", "flow_m3_per_hour", "moisture_percent", "level_percent",
	"power_watts", "energy_kwh",
}

// shortMost is the maximum number of values of a part in a line of the list.
const shortMost = 3

// short returns the state of a part in a few words.
func short(partType string, state device.Values) string {
	off := state["on"] == device.Bool(false)
	var words []string
	for _, name := range first {
		v, ok := state[name]
		if !ok || v.IsNull() || len(words) == shortMost || off && (name == "brightness_percent" || name == "color_temperature_kelvin") ||
			name == "color_temperature_kelvin" && colored(state) || v == device.Text("stopped") {
			continue
		}
		text := valueWords(partType, name, v)
		if name == "heating_setpoint_celsius" {
			text = "set to " + text
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

// colored reports whether a light shows a color and not a color temperature.
func colored(state device.Values) bool {
	m, ok := state["color_mode"].Text()
	return ok && m != "temperature"
}
