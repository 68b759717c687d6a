package tasmota

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// Kinds of relays.
const (
	relayNone    = 0
	relayPlain   = 1
	relayLight   = 2
	relayShutter = 3
)

// Kinds of lights.
const (
	lightSingle = 1
	lightCW     = 2
	lightRGB    = 3
	lightRGBW   = 4
	lightRGBCW  = 5
)

// config is the message tasmota/discovery/MAC/config.
type config struct {
	DeviceName    string         `json:"dn"`
	FriendlyNames []*string      `json:"fn"`
	Hostname      string         `json:"hn"`
	MAC           string         `json:"mac"`
	Model         string         `json:"md"`
	Offline       string         `json:"ofln"`
	Online        string         `json:"onln"`
	States        []string       `json:"state"` // texts for off, on, toggle, hold
	Software      string         `json:"sw"`
	Topic         string         `json:"t"`
	FullTopic     string         `json:"ft"`
	Prefixes      []string       `json:"tp"` // cmnd, stat, tele
	Relays        []int          `json:"rl"`
	Buttons       []int          `json:"btn"`
	Options       map[string]int `json:"so"`
	Light         int            `json:"lt_st"`
	Fan           int            `json:"if"` // 1: a ceiling fan
	Battery       int            `json:"bat"`
	DeepSleep     int            `json:"dslp"`
	ShutterTilt   [][]int        `json:"sht"`
}

// sensors is the message tasmota/discovery/MAC/sensors: a sample of the state of
// the sensors.
type sensors struct {
	Sample map[string]any `json:"sn"`
}

// decode decodes JSON. It skips members of another kind than expected.
func decode(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return nil
	}
	return err
}

var macForm = reader.NewPattern(`^[0-9A-F]{12}$`)

// bounds of what is read of one device.
const maxRelays = 28 // as many as Tasmota has

// check returns what is wrong with a configuration, or "".
func (c *config) check() string {
	switch {
	case !macForm.MatchString(strings.ToUpper(c.MAC)):
		return "its MAC address is not valid"
	case len(c.Prefixes) < 3 || c.Topic == "" || c.FullTopic == "":
		return "its topics are missing"
	case len(c.Relays) > maxRelays:
		return "it has more relays than Tasmota can have"
	}
	for i := range 3 {
		if !reader.PublishableTopic(c.topic(i, "X")) {
			return "its topics are none"
		}
	}
	return ""
}

// topic returns one of the device's topics: 0 of commands, 1 of states, 2 of telemetry.
func (c *config) topic(prefix int, name string) string {
	id := c.MAC
	if len(id) == 12 {
		id = id[6:]
	}
	base := strings.NewReplacer("%prefix%", c.Prefixes[prefix], "%topic%", c.Topic, "%hostname%", c.Hostname, "%id%", id).Replace(c.FullTopic)
	if !strings.HasSuffix(base, "/") {
		base += "/"
	}
	return base + name
}

// state returns the text for on or off.
func (c *config) state(on bool) string {
	i := 0
	if on {
		i = 1
	}
	if i < len(c.States) && c.States[i] != "" {
		return c.States[i]
	}
	return []string{"OFF", "ON"}[i]
}

// name returns the name of a relay, if it has its own.
func (c *config) name(i int) string {
	if i < len(c.FriendlyNames) && c.FriendlyNames[i] != nil {
		if n := reader.Text(*c.FriendlyNames[i]); n != c.DeviceName {
			return n
		}
	}
	return ""
}

// option reports whether an option (SetOption) is on.
func (c *config) option(n string) bool { return c.Options[n] == 1 }
