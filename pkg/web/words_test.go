package web

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

func TestTimesInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Minute: "just now", 0: "just now", 59 * time.Second: "just now", time.Minute: "a minute ago", 119 * time.Second: "a minute ago", 2 * time.Minute: "2 minutes ago",
		59 * time.Minute: "59 minutes ago", time.Hour: "an hour ago", 5 * time.Hour: "5 hours ago", 24 * time.Hour: "a day ago", 72 * time.Hour: "3 days ago",
	} {
		if got := ago(then, then.Add(-d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "no longer", time.Second: "less than a minute", time.Minute: "less than a minute", 61 * time.Second: "2 minutes", 15 * time.Minute: "15 minutes", 90 * time.Minute: "an hour", 48 * time.Hour: "48 hours",
	} {
		if got := left(then, then.Add(d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestStatesInWords(t *testing.T) {
	b, n, s := device.Bool, device.Number, device.Text
	for _, tc := range []struct {
		partType string
		state    device.Values
		want     string
		alarm    bool
	}{
		{"dimmable_light", device.Values{"on": b(true), "brightness_percent": n(59.8)}, "On, 59.8 %", false},
		{"dimmable_light", device.Values{"on": b(false), "brightness_percent": n(60)}, "Off", false},
		{"extended_color_light", device.Values{"on": b(true), "brightness_percent": n(100), "color_temperature_kelvin": n(2700), "color_mode": s("temperature")}, "On, 100 %, 2700 K", false},
		{"extended_color_light", device.Values{"on": b(true), "brightness_percent": n(100), "color_temperature_kelvin": n(2700), "color_mode": s("hs")}, "On, 100 %", false},
		{"window_covering", device.Values{"position_percent": n(0), "moving": s("stopped")}, "Closed", false},
		{"window_covering", device.Values{"position_percent": n(35), "moving": s("opening")}, "35 % open, Opening", false},
		{"thermostat", device.Values{"mode": s("heat"), "temperature_celsius": n(-0.001), "heating_setpoint_celsius": n(21)}, "Heat, 0 °C, set to 21 °C", false},
		{"contact_sensor", device.Values{"closed": b(false)}, "Open", false},
		{"water_leak_detector", device.Values{"detected": b(true)}, "Water", true},
		{"water_leak_detector", device.Values{"detected": b(false)}, "Dry", false},
		{"rain_sensor", device.Values{"detected": b(true)}, "Rain", false},
		{"smoke_co_alarm", device.Values{"smoke": s("critical"), "carbon_monoxide": s("normal")}, "Smoke alarm, No carbon monoxide", true},
		{"air_quality_sensor", device.Values{"air_quality": s("very_poor"), "co2_ppm": n(1834)}, "Very poor air, 1834 ppm", false},
		{"pressure_sensor", device.Values{"pressure_hpa": n(1013.25)}, "1013 hPa", false},
		{"temperature_sensor", device.Values{"temperature_celsius": device.Null}, "", false},
		{"generic_switch", nil, "", false},
	} {
		if got := short(tc.partType, tc.state); got != tc.want {
			t.Errorf("%s %v: %q, want %q", tc.partType, tc.state, got, tc.want)
		}
		if got := alarms(tc.partType, tc.state); got != tc.alarm {
			t.Errorf("%s %v: alarm %v", tc.partType, tc.state, got)
		}
	}
}

// Every type has a name that is no identifier.
func TestTypeNames(t *testing.T) {
	for _, name := range device.Types() {
		if got := typeName(name); got == "" || got == name || got[0] < 'A' || got[0] > 'Z' {
			t.Errorf("%s is called %q", name, got)
		}
	}
}
