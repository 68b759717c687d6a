package zigbee2mqtt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// gestures maps words of actions to gestures, longest first. Matter has no gesture
// of four presses or more.
var gestures = []struct {
	word    string
	gesture device.Gesture
}{
	{"hold_release", ""}, {"long_release", ""}, {"longpress_release", ""}, {"press_release", released}, {"release", ""}, {"released", ""},
	{"single_press", device.Single}, {"single_pressed", device.Single}, {"single_click", device.Single}, {"short_press", device.Single},
	{"double_press", device.Double}, {"double_pressed", device.Double}, {"double_click", device.Double},
	{"triple_press", device.Triple}, {"triple_pressed", device.Triple}, {"triple_click", device.Triple},
	{"single_long", ""}, {"double_long", ""}, {"triple_long", ""},
	{"quadruple_press", ""}, {"quadruple_pressed", ""}, {"quintuple_pressed", ""}, {"quintuple_press", ""},
	{"long_press", device.Long}, {"long_hold", device.Long},
	{"single", device.Single}, {"click", device.Single}, {"press", device.Single}, {"pressed", device.Single}, {"short", device.Single},
	{"double", device.Double}, {"doubleclick", device.Double}, {"triple", device.Triple},
	{"hold", device.Long}, {"held", device.Long}, {"long", device.Long}, {"longpress", device.Long},
	{"quadruple", ""}, {"quintuple", ""}, {"many", ""},
}

// released stands for the release after a short press. Such buttons send press
// before it, and also before a long press.
const released device.Gesture = "released"

// commands maps actions that stand for a button to its name. A remote that is bound
// to a lamp sends such actions.
var commands = map[string]string{
	"on": "on", "off": "off", "toggle": "toggle", "open": "open", "close": "close", "stop": "stop", "up": "up", "down": "down",
	"brightness_step_up": "brightness_up", "brightness_step_down": "brightness_down",
	"color_temperature_step_up": "color_temperature_up", "color_temperature_step_down": "color_temperature_down",
	"emergency": "emergency", "panic": "emergency", "sos": "emergency",
}

// moves lists the actions that are long presses of the buttons of commands. The
// first one that the device has is used.
var moves = map[string][]string{
	"brightness_move_up":   {"brightness_up", "on", "toggle", "up"},
	"brightness_move_down": {"brightness_down", "off", "down"},
}

// numberedCommands matches actions with the number of their button at the end.
var numberedCommands = reader.NewPattern(`^(?:scene|recall|button|key|bell)_?([0-9]{1,3})$`)

// noButtons matches actions that are not those of buttons: of locks, cubes, keypads
// and knobs, and commands to lamps that no button stands for.
var noButtons = reader.NewPattern(`lock|finger|password|rfid|keypad|pin_|_code|arm_|^disarm|_delay|shake|throw|slide|slider|flip|rotat|^fall|^drop|^tilt|vibration|side_up|inactivity|wakeup|knock|tap$|move_to_|_move$|hue|saturation|color_loop|color_move|color_temperature_move|brightness_stop|brightness_move_stop|color_stop|^store|^add|^remove|^view|^identify$|^unknown$|^none$|moving|^stopped$|non_access|ring_bell|\*`)

// gestureOf splits an action into the button's name and the gesture.
func gestureOf(action string) (button string, g device.Gesture, ok bool) {
	for _, w := range gestures {
		if action == w.word {
			return "", w.gesture, true
		}
		if s, cut := strings.CutSuffix(action, "_"+w.word); cut {
			return buttonName(s), w.gesture, true
		}
	}
	for _, w := range gestures {
		if s, cut := strings.CutPrefix(action, w.word+"_"); cut {
			return buttonName(s), w.gesture, true
		}
	}
	return "", "", false
}

// buttonName removes words that are common to all buttons.
func buttonName(s string) string {
	for _, word := range []string{"button_", "switch_", "key_", "btn_", "input_"} {
		s = strings.TrimPrefix(s, word)
	}
	switch s {
	case "button", "switch":
		return ""
	}
	return s
}

// button is a button under construction.
type button struct {
	gestures map[string]device.Gesture // by action
}

// actions adds a button for each one that the values of action name.
func (b *builder) actions(e *expose) {
	all := map[string]*button{}
	get := func(name string) *button {
		if all[name] == nil {
			all[name] = &button{map[string]device.Gesture{}}
		}
		return all[name]
	}
	words := b.named(e.words())
	if !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(scenes, w) }) {
		for _, w := range words {
			get(w).gestures[w] = device.Single
		}
		b.buttons(all)
		return
	}
	var rest []string
	for _, action := range words {
		if noButtons.MatchString(action) {
			b.Leave(reader.NoType("actions that are not those of buttons are not shown"), "action "+action)
			continue
		}
		if name, g, ok := gestureOf(action); ok {
			if g != "" {
				get(name).gestures[action] = g
			}
			continue
		}
		rest = append(rest, action)
	}
	// On a device that is not only a remote, such an action is a command that the
	// device received, and not a button.
	remote := len(b.Loads("")) == 0 && b.Of(reader.RankLock) == nil && b.Of(reader.RankThermostat) == nil
	explicit := len(all) > 0
	for _, action := range rest {
		b.command(action, explicit, remote, all, get)
	}
	for _, action := range rest {
		b.move(action, remote && !explicit, all, get)
	}
	b.buttons(all)
}

// keypadButton matches the endpoints of a keypad's buttons.
var keypadButton = reader.NewPattern(`^button_([0-9]{1,2})$`)

// named replaces actions of any button, such as *_single, by those of the keypad's buttons,
// which other exposes name.
func (b *builder) named(words []string) []string {
	if b.d == nil || !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "*_") }) {
		return words
	}
	var buttons []string
	for _, e := range b.d.Definition.Exposes {
		if m := keypadButton.FindStringSubmatch(e.Endpoint); m != nil && !slices.Contains(buttons, m[1]) && len(buttons) < reader.MaxButtons {
			buttons = append(buttons, m[1])
		}
	}
	var all []string
	for _, w := range words {
		rest, every := strings.CutPrefix(w, "*_")
		if !every || len(buttons) == 0 {
			all = append(all, w)
			continue
		}
		for _, n := range buttons { // the number alone in older versions
			all = append(all, "button_"+n+"_"+rest, n+"_"+rest)
		}
	}
	return all
}

// scenes are actions of remotes that stand for a button. Other devices use the same
// words for other things.
var scenes = []string{
	"at_home", "center", "cinema", "circle", "enter", "go_out", "hexagon", "leave", "repast", "sleep", "square", "triangle", "wakeup",
}

// suffixed splits the number or the place of a button from an action: on_1,
// off_left.
var suffixed = reader.NewPattern(`^((?:on|off|toggle|open|close|stop|up|down|brightness_(?:step|move)_(?:up|down)|color_temperature_step_(?:up|down)))_((?:l|s|b|e|row_)?[0-9]{1,2}|(?:b[0-9]_)?(?:up|down)|(?:left|right|center|top|bottom)(?:_(?:left|right|top|bottom))?|default|both|ext)(?:_sw)?$`)

func (b *builder) command(action string, explicit, remote bool, all map[string]*button, get func(string) *button) {
	word, place := action, ""
	if m := suffixed.FindStringSubmatch(action); m != nil {
		word, place = m[1], m[2]
	}
	if m := numberedCommands.FindStringSubmatch(action); m != nil {
		get(strings.TrimPrefix(action[:len(action)-len(m[1])]+m[1], "button_")).gestures[action] = device.Single
		return
	}
	name, ok := commands[word]
	switch {
	case !ok && moves[word] != nil:
	case !ok:
		b.Leave(reader.NoType("the action names no button that is known"), "action "+action)
	case !remote:
		b.Leave(reader.NoType("the action repeats a received command"), "action "+action)
	case strings.HasSuffix(place, "up") || strings.HasSuffix(place, "down"):
		get(place).gestures[action] = device.Single // a rocker, in one of its modes
	case place != "" && all[place] != nil && len(all[place].gestures) > 0:
		all[place].gestures[action] = device.Single // the same button, in another mode
	case explicit && place == "" && all[""] != nil:
		all[""].gestures[action] = device.Single
	default:
		get(join(name, place)).gestures[action] = device.Single
	}
}

func join(name, place string) string {
	if place == "" || place == "default" {
		return name
	}
	return name + "_" + place
}

// move adds a dimming action as the long press of its button.
func (b *builder) move(action string, alone bool, all map[string]*button, get func(string) *button) {
	word, place := action, ""
	if m := suffixed.FindStringSubmatch(action); m != nil {
		word, place = m[1], m[2]
	}
	names, ok := moves[word]
	if !ok {
		return
	}
	for _, name := range names {
		if x := all[join(name, place)]; x != nil {
			x.gestures[action] = device.Long
			return
		}
	}
	if alone { // a knob: each direction is a button
		get(join(names[0], place)).gestures[action] = device.Single
		return
	}
	b.Leave(reader.NoType("the action names no button that is known"), "action "+action)
}

// buttons adds the parts.
func (b *builder) buttons(all map[string]*button) {
	var names []string
	for name, x := range all {
		x.settle()
		if len(x.gestures) > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareButtons)
	for i, name := range names {
		if i >= reader.MaxButtons {
			b.Leave(reader.Other(fmt.Sprintf("%d buttons of a device are shown at most", reader.MaxButtons)), "button "+name)
			continue
		}
		p := b.Add(reader.RankButton, "generic_switch", "button", name)
		for _, g := range []device.Gesture{device.Single, device.Double, device.Triple, device.Long} {
			for _, has := range all[name].gestures {
				if has == g {
					p.Options.Gestures = append(p.Options.Gestures, string(g))
					break
				}
			}
		}
		for action, g := range all[name].gestures {
			b.t.buttons[action] = press{p.ID, g}
		}
	}
}

// settle decides between press and press_release. The action press also comes
// before a long press, so only press_release is a single press.
func (x *button) settle() {
	short := ""
	for action, g := range x.gestures {
		if g == released {
			short = action
		}
	}
	if short == "" {
		return
	}
	for action, g := range x.gestures {
		if g == device.Single {
			delete(x.gestures, action)
		}
	}
	x.gestures[short] = device.Single
}

// compareButtons sorts numbers by value.
func compareButtons(x, y string) int {
	if len(x) != len(y) && strings.Trim(x+y, "0123456789") == "" {
		return len(x) - len(y)
	}
	return strings.Compare(x, y)
}
