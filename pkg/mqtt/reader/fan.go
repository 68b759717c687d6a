package reader

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// FanWords are the words of a fan for its modes and speeds.
type FanWords struct {
	modes  map[string]string // the words by the modes of the property fan_mode
	speeds []string          // the words for speeds, ascending
}

// NewFanWords sorts the words of a fan. Numbers are speeds. Matter has on and smart, but
// controllers cannot choose them.
func NewFanWords(words []string) FanWords {
	f := FanWords{modes: map[string]string{}}
	for _, w := range words {
		mode := strings.ToLower(w)
		switch mode {
		case "off", "low", "medium", "high", "auto":
			f.modes[mode] = w
		}
		if n, err := strconv.Atoi(w); err == nil && n > 0 {
			f.speeds = append(f.speeds, w)
		}
	}
	slices.SortStableFunc(f.speeds, func(a, b string) int { return numeral(a) - numeral(b) })
	if len(f.speeds) == 0 {
		for _, mode := range []string{"low", "medium", "high"} {
			if w, ok := f.modes[mode]; ok {
				f.speeds = append(f.speeds, w)
			}
		}
	}
	if n := len(f.speeds); f.modes["low"] == "" && n >= 3 {
		f.modes["low"], f.modes["medium"], f.modes["high"] = f.speeds[0], f.speeds[n/2], f.speeds[n-1]
	}
	return f
}

func numeral(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// Modes returns the modes for the options of a part, or nil if there is only off, which is
// not a choice.
func (f *FanWords) Modes() []string {
	all := []string{"off"}
	for _, mode := range []string{"low", "medium", "high", "auto"} {
		if f.modes[mode] != "" {
			all = append(all, mode)
		}
	}
	if len(all) == 1 {
		return nil
	}
	return all
}

// Speeds returns the number of speeds that have words.
func (f *FanWords) Speeds() int { return len(f.speeds) }

// Mode returns the word for a mode of fan_mode, or "".
func (f *FanWords) Mode(mode string) string { return f.modes[mode] }

// Speed returns the word for a speed above 0, or "" if there are none.
func (f *FanWords) Speed(percent float64) string {
	n := len(f.speeds)
	if n == 0 {
		return ""
	}
	return f.speeds[max(0, min(n-1, int(math.Ceil(percent/100*float64(n)))-1))]
}

// SpeedPercent returns fan_percent for one of a fan's speeds. It rounds down, as Fan Control
// does (section 4.4.6.6): the second of three speeds is 66 %, which is medium, and 67 % is
// high. Where there are more speeds than percent, the nearest one is the one that was set.
func SpeedPercent(speed, speeds float64) device.Value {
	percent := Clamp(speed*100/speeds, 0, 100)
	if speeds > 100 {
		return device.Number(math.Round(percent))
	}
	return device.Number(math.Floor(percent))
}

// Read sets the values that a word stands for.
func (f *FanWords) Read(word string, out device.Values) {
	if word == f.modes["off"] || strings.EqualFold(word, "off") {
		out["fan_mode"], out["fan_percent"] = device.Text("off"), device.Number(0)
		return
	}
	if i := slices.Index(f.speeds, word); i >= 0 {
		out["fan_percent"] = SpeedPercent(float64(i+1), float64(len(f.speeds)))
	}
	for mode, w := range f.modes {
		if w == word {
			out["fan_mode"] = device.Text(mode)
		}
	}
}
