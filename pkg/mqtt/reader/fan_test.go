package reader

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// TestSpeeds checks that each speed of a fan is shown as the percentage that sets it, and in
// the mode of its name.
func TestSpeeds(t *testing.T) {
	w := NewFanWords([]string{"off", "High", "low", "medium", "on", "auto"})
	for word, want := range map[string]string{
		"off": "fan_mode=off fan_percent=0", "low": "fan_mode=low fan_percent=33", "medium": "fan_mode=medium fan_percent=66",
		"High": "fan_mode=high fan_percent=100", "auto": "fan_mode=auto", "on": "",
	} {
		out := device.Values{}
		if w.Read(word, out); Format(out) != want {
			t.Errorf("%s: %s, want %s", word, Format(out), want)
		}
		percent, ok := out["fan_percent"].Number()
		if ok && percent > 0 && w.Speed(percent) != word {
			t.Errorf("%v %% is %s, want %s", percent, w.Speed(percent), word)
		}
		fan, err := device.New("test:1", &device.Part{ID: "main", Type: "fan", Options: device.Options{Modes: w.Modes(), Speeds: w.Speeds()}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := fan.Report(time.Time{}, out); err != nil {
			t.Error(err)
		}
		if is, mode := fan.State(time.Time{})["fan_mode"], out["fan_mode"]; !mode.IsNull() && is != mode {
			t.Errorf("%s is shown as %s", word, is)
		}
	}
	for of, want := range map[[2]float64]float64{{1, 3}: 33, {2, 3}: 66, {29, 100}: 29, {127, 254}: 50, {170, 254}: 67, {9, 3}: 100} {
		if got := SpeedPercent(of[0], of[1]); got != device.Number(want) {
			t.Errorf("%v of %v is %s, want %v", of[0], of[1], got, want)
		}
	}
}
