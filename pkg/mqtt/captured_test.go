package mqtt

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

var update = flag.Bool("update", false, "write the golden files")

// capturedMessages returns messages of a real zigbee2mqtt, see testdata/README.md.
func capturedMessages(t testing.TB) []link.Message {
	t.Helper()
	f, err := os.Open("testdata/captured.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := ReadCaptured(z)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// TestCaptured checks the result for 159 real models with their states: by
// zigbee2mqtt's own topics, and by Home Assistant's discovery alone.
func TestCaptured(t *testing.T) {
	messages := capturedMessages(t)
	own := DefaultOptions()
	discovered := DefaultOptions()
	discovered.Zigbee2MQTT = nil
	for name, o := range map[string]Options{"zigbee2mqtt": own, "homeassistant": discovered} {
		e := Explain(o, messages)
		if len(e.Failures) > 0 {
			t.Errorf("%s: %v", name, e.Failures)
		}
		checkReported(t, name, e)
		golden(t, "testdata/"+name+".golden", explained(e))
	}
}

// explained formats an explanation as lines.
func explained(e Explanation) []byte {
	var b bytes.Buffer
	left := func(list []device.Ignored) {
		for _, i := range list {
			fmt.Fprintf(&b, "\t- %s: %s: %s\n", i.Kind, i.Reason, i.What)
		}
	}
	for _, d := range e.Devices {
		fmt.Fprintf(&b, "%s %s\n", d.ID, d.Name)
		for _, p := range d.Parts {
			meter := ""
			if p.Meter {
				meter = " meter"
			}
			fmt.Fprintf(&b, "\t%s: %s%s %s\n", p.ID, p.Type, meter, reader.Format(p.State))
		}
		if d.Battery != nil {
			fmt.Fprintf(&b, "\tbattery percent=%s low=%s\n", d.Battery.Percent, d.Battery.Low)
		}
		left(d.Ignored)
	}
	for _, i := range e.Ignored {
		fmt.Fprintf(&b, "%s %s\n", i.ID, i.What)
		left([]device.Ignored{i})
	}
	return b.Bytes()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	w := strings.Split(string(want), "\n")
	for i, line := range strings.Split(string(got), "\n") {
		if i >= len(w) || w[i] != line {
			t.Fatalf("line %d of %s differs:\n%s", i+1, name, line)
		}
	}
}

// checkReported compares values with those that the radio has reported, for
// properties with exactly the quantity of one of its clusters.
func checkReported(t *testing.T, name string, e Explanation) {
	t.Helper()
	type key struct{ typ, property string }
	want := map[key]string{
		{"temperature_sensor", "temperature_celsius"}:           "21.5",
		{"humidity_sensor", "humidity_percent"}:                 "45.6",
		{"light_sensor", "illuminance_lux"}:                     "100",
		{"occupancy_sensor", "occupied"}:                        "true",
		{"water_leak_detector", "detected"}:                     "true",
		{"smoke_co_alarm", "smoke"}:                             "critical",
		{"smoke_co_alarm", "carbon_monoxide"}:                   "critical",
		{"thermostat", "temperature_celsius"}:                   "20.5",
		{"thermostat", "heating_setpoint_celsius"}:              "21",
		{"door_lock", "lock"}:                                   "locked",
		{"color_temperature_light", "brightness_percent"}:       "50.394",
		{"color_temperature_light", "color_temperature_kelvin"}: "3333",
		{"dimmable_light", "brightness_percent"}:                "50.394",
		{"on_off_plug", "on"}:                                   "true",
	}
	// Values that the radio has not reported, or that these models derive from
	// something else.
	unsaid := func(device, part string) bool {
		return strings.HasSuffix(part, "_outdoor") || strings.HasSuffix(part, "_floor") || device == "3305-S" || device == "MBD-S"
	}
	seen := map[key]int{}
	for _, d := range e.Devices {
		for _, p := range d.Parts {
			for property, v := range p.State {
				k := key{p.Type, property}
				if w, ok := want[k]; ok && !unsaid(d.Name, p.ID) {
					seen[k]++
					if v.String() != w {
						t.Errorf("%s: %s: %s of %s is %s, want %s", name, d.Name, property, p.ID, v, w)
					}
				}
			}
		}
	}
	for k := range want {
		if seen[k] < 2 {
			t.Errorf("%s: %s of %s has not been looked at", name, k.property, k.typ)
		}
	}
}
