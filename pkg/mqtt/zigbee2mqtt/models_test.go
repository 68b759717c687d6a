package zigbee2mqtt

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/device"
)

var update = flag.Bool("update", false, "write models.golden")

func models(t testing.TB) []byte {
	b, err := readModels()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readModels() ([]byte, error) {
	f, err := os.Open("testdata/models.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// summary returns the description of a device as one line.
func summary(d device.Device) string {
	var out []string
	for _, p := range d.Parts {
		s := p.ID + ":" + p.Type
		add := func(format string, args ...any) { s += " " + fmt.Sprintf(format, args...) }
		o := p.Options
		if p.Meter {
			add("meter")
		}
		if o.MinKelvin != 0 {
			add("%v-%vK", o.MinKelvin, o.MaxKelvin)
		}
		if o.Kind != "" {
			add("%s", o.Kind)
		}
		if o.Position != nil && !*o.Position {
			add("no-position")
		}
		for i, is := range []bool{o.Tilt, o.Smoke, o.CarbonMonoxide, o.Gas} {
			if is {
				add("%s", []string{"tilt", "smoke", "co", "gas"}[i])
			}
		}
		if o.MinCelsius != nil {
			add("%v-%v°C", *o.MinCelsius, *o.MaxCelsius)
		}
		if o.Speeds != 0 {
			add("speeds=%d", o.Speeds)
		}
		for _, list := range [][]string{o.ColorModes, o.Modes, o.Properties, o.Gestures} {
			if len(list) > 0 {
				add("[%s]", strings.Join(list, " "))
			}
		}
		if o.Technology != "" && o.Technology != "pir" {
			add("%s", o.Technology)
		}
		out = append(out, s)
	}
	if d.Battery != nil {
		out = append(out, "battery")
	}
	return strings.Join(out, ", ")
}

// TestModels describes 420 models and compares the result with a reviewed file.
func TestModels(t *testing.T) {
	entries, bad, err := list[bridgeDevice](models(t), 1000)
	if err != nil || bad > 0 || len(entries) != 420 {
		t.Fatalf("%d entries, %d bad, %v", len(entries), bad, err)
	}
	var got bytes.Buffer
	for i := range entries {
		th, ignored := build(&entries[i])
		def := entries[i].Definition
		fmt.Fprintf(&got, "%s %s | %s\n\t%s\n", def.Vendor, def.Model, def.Description, summary(th.device))
		for _, g := range ignored {
			fmt.Fprintf(&got, "\t- %s: %s\n", g.Reason, g.What)
		}
		check(t, def.Model, th)
	}
	const golden = "testdata/models.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	w := strings.Split(string(want), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(w) || w[i] != line {
			t.Fatalf("line %d of %s differs:\n%s", i+1, golden, line)
		}
	}
}

// check checks what is true of every device.
func check(t *testing.T, model string, th *thing) {
	t.Helper()
	ids := map[string]bool{}
	for _, p := range th.device.Parts {
		if ids[p.ID] {
			t.Errorf("%s: two parts %s", model, p.ID)
		}
		ids[p.ID] = true
	}
	for property, list := range th.bindings {
		for _, b := range list {
			if b.part != "" && !ids[b.part] {
				t.Errorf("%s: %s is bound to %q, which is no part", model, property, b.part)
			}
		}
	}
	for part := range th.handlers {
		if !ids[part] {
			t.Errorf("%s: %s takes commands and is no part", model, part)
		}
	}
	for _, p := range th.buttons {
		if !ids[p.part] {
			t.Errorf("%s: an action is of %q, which is no part", model, p.part)
		}
	}
}

// TestHandChecked checks models that were looked up one by one.
func TestHandChecked(t *testing.T) {
	entries, _, err := list[bridgeDevice](models(t), 1000)
	if err != nil {
		t.Fatal(err)
	}
	byModel := map[string]*bridgeDevice{}
	for i := range entries {
		byModel[entries[i].Definition.Model] = &entries[i]
	}
	for model, want := range map[string]string{
		"LED1545G12":                "light:color_temperature_light 2203-4000K",
		"9290022166":                "light:extended_color_light 2000-6536K [hs xy]",
		"SP 240":                    "switch:on_off_plug meter [power_watts voltage_volts current_amperes energy_kwh]",
		"SR-ZG9040A/ZG9041A-D":      "light:dimmable_light meter [power_watts voltage_volts current_amperes energy_kwh]",
		"GL-C-007-2ID":              "light_rgb:extended_color_light 2000-6667K [xy], light_white:dimmable_light, light:extended_color_light 2000-6667K [hs xy]",
		"MCCGQ11LM":                 "contact:contact_sensor, battery",
		"9290012607":                "occupancy:occupancy_sensor, temperature:temperature_sensor, illuminance:light_sensor, battery",
		"WSDCGQ11LM":                "temperature:temperature_sensor, humidity:humidity_sensor, pressure:pressure_sensor, battery",
		"SJCGQ11LM":                 "leak:water_leak_detector, battery",
		"CO-8ZBS":                   "alarm:smoke_co_alarm co, battery",
		"HS1CG-E":                   "alarm:smoke_co_alarm gas, battery",
		"WS01":                      "rain:rain_sensor",
		"DJT11LM":                   "battery",
		"MFKZQ01LM":                 "battery",
		"E1746":                     "",
		"LDSENK06":                  "siren:on_off_plug, battery",
		"E1524/E1810":               "button_arrow_left:generic_switch [single long], button_arrow_right:generic_switch [single long], button_brightness_down:generic_switch [single long], button_brightness_up:generic_switch [single long], button_toggle:generic_switch [single long], battery",
		"E2001/E2002/E2313":         "button_arrow_left:generic_switch [single long], button_arrow_right:generic_switch [single long], button_off:generic_switch [single long], button_on:generic_switch [single long], battery",
		"324131092621":              "button_down:generic_switch [single long], button_off:generic_switch [single long], button_on:generic_switch [single long], button_up:generic_switch [single long], battery",
		"TS0044":                    "button_1:generic_switch [single double long], button_2:generic_switch [single double long], button_3:generic_switch [single double long], button_4:generic_switch [single double long], battery",
		"3RSB22BZ":                  "button:generic_switch [single double long], battery",
		"WXKG15LM":                  "button_both:generic_switch [single double triple long], button_left:generic_switch [single double triple long], button_right:generic_switch [single double triple long], battery",
		"QBKG04LM":                  "switch:on_off_plug, button:generic_switch [single double long]",
		"WS-USC02":                  "switch_top:on_off_plug, switch_bottom:on_off_plug, button_both:generic_switch [single double], button_bottom:generic_switch [single double], button_top:generic_switch [single double]",
		"ZGA002":                    "switch:on_off_plug meter [power_watts voltage_volts current_amperes energy_kwh]",
		"E1757":                     "cover:window_covering roller_shade, battery",
		"ZNCLDJ12LM":                "cover:window_covering curtain, battery",
		"TS130F_GIRIER_DUAL":        "cover_left:window_covering curtain, cover_right:window_covering curtain",
		"YRD226/246 TSDB":           "lock:door_lock, battery",
		"V3-BTZB/V3-BTZBE":          "lock:door_lock, battery",
		"ZNMS12LM":                  "battery",
		"014G2461":                  "thermostat:thermostat 5-35°C [heat], battery",
		"SPZB0001":                  "thermostat:thermostat 5-30°C [off heat], battery",
		"BHT-209-GCZB":              "thermostat:thermostat 5-45°C [off heat]",
		"TS0601_thermostat":         "thermostat:thermostat 5-35°C [off heat], battery",
		"SLR2":                      "thermostat_heat:thermostat 5-32°C [off heat], thermostat_water:thermostat [off heat]",
		"R7067":                     "thermostat:thermostat 0-30°C [heat]",
		"07703L":                    "thermostat:thermostat 5-35°C [off heat], battery",
		"ACW02-ZB":                  "thermostat:thermostat 16-31°C [off heat cool dry fan_only]",
		"99432":                     "light:dimmable_light, fan:fan speeds=3 [off low medium high]",
		"E2007":                     "fan:fan speeds=9 [off low medium high auto], air_quality:air_quality_sensor [pm25_ug_per_m3 air_quality]",
		"FanBee":                    "fan:fan speeds=100",
		"SWV":                       "valve:water_valve, flow:flow_sensor, battery",
		"SWV-ZF2":                   "valve_1:water_valve, valve_2:water_valve, battery",
		"VA4200WZ":                  "valve:water_valve, battery",
		"POK001":                    "valve:water_valve, battery",
		"PSBZS A1":                  "valve:water_valve, battery",
		"TS0002":                    "switch_l1:on_off_plug, switch_l2:on_off_plug",
		"E2112":                     "temperature:temperature_sensor, humidity:humidity_sensor, air_quality:air_quality_sensor [pm25_ug_per_m3]",
		"TS0601_air_quality_sensor": "temperature:temperature_sensor, humidity:humidity_sensor, air_quality:air_quality_sensor [co2_ppm tvoc_ppb formaldehyde_mg_per_m3]",
		"PJ-1203A":                  "meter_a:electrical_sensor [power_watts current_amperes energy_kwh energy_exported_kwh], meter_b:electrical_sensor [power_watts current_amperes energy_kwh energy_exported_kwh]",
		"Egony_Flower":              "soil:soil_sensor, temperature:temperature_sensor, illuminance:light_sensor, battery",
		"EFEKTA_iAQ3":               "temperature_1:temperature_sensor, temperature_2:temperature_sensor, humidity_1:humidity_sensor, humidity_2:humidity_sensor, illuminance:light_sensor, air_quality:air_quality_sensor [co2_ppm]",
		"SMSZB-120":                 "alarm:smoke_co_alarm smoke, temperature:temperature_sensor, battery",
		"3400-D":                    "occupancy:occupancy_sensor, temperature:temperature_sensor, button_emergency:generic_switch [single], battery",
		"TS0603":                    "contact:contact_sensor",
	} {
		d := byModel[model]
		if d == nil {
			t.Errorf("%s is not in the sample", model)
			continue
		}
		if th, _ := build(d); summary(th.device) != want {
			t.Errorf("%s (%s):\n got %s\nwant %s", model, d.Definition.Description, summary(th.device), want)
		}
	}
}
