package homeassistant

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// builders build the entities of each component.
var builders = map[string]func(r *Reader, e *entity) error{
	"light":             (*Reader).light,
	"switch":            (*Reader).switches,
	"sensor":            (*Reader).sensor,
	"binary_sensor":     (*Reader).binarySensor,
	"cover":             (*Reader).cover,
	"lock":              (*Reader).lock,
	"climate":           (*Reader).climate,
	"fan":               (*Reader).fan,
	"valve":             (*Reader).valve,
	"event":             (*Reader).event,
	"device_automation": (*Reader).automation,
	"vacuum":            (*Reader).vacuum,
	"siren":             (*Reader).siren,
	"humidifier":        (*Reader).humidifier,
}

// build builds an entity by its component. The error is the reason why it is not
// shown.
func (r *Reader) build(e *entity) error {
	c := e.config
	f := builders[e.component]
	category := c.text("entity_category", "")
	class := c.text("device_class", "")
	battery := class == "battery" && e.component == "sensor" || ofBattery(class) && e.component == "binary_sensor"
	switch {
	case f == nil && slices.Contains(components, e.component):
		return reader.NoType("Matter has no type for " + e.component)
	case f == nil:
		return reader.NoType("the component is not known")
	case category == "config":
		return reader.Settings
	case category == "diagnostic" && !battery:
		return reader.Diagnostics
	case !c.truth("enabled_by_default", true):
		return reader.Reason{Kind: device.IgnoredSetting, Text: "the publisher has it switched off"}
	case c["encoding"] == "":
		return reader.Unreadable("raw octets are not read")
	}
	if err := r.presence(e); err != nil {
		return err
	}
	return f(r, e)
}

// ofBattery reports whether a device class of a binary sensor belongs to the battery.
func ofBattery(class string) bool { return class == "battery" || class == "battery_charging" }

// part adds a part of the entity to its device, and registers the entity for the
// part's commands.
func (e *entity) part(a *reader.Assembly, rank reader.Rank, typ string) *reader.Draft {
	p := a.Add(rank, typ, e.id, "")
	p.Name = e.name()
	e.unit.parts[p.ID] = e
	return p
}

// name returns the name of a part: none if the entity is the main function of its
// device.
func (e *entity) name() string {
	if v, ok := e.config["name"]; ok && v == nil {
		return ""
	}
	return reader.Text(e.config.text("name", ""))
}

// bindTo assigns the states of an entity to a part.
func bindTo(part string, bindings ...*binding) {
	for _, b := range bindings {
		if b != nil {
			b.part = part
		}
	}
}

// assume reports what was commanded, for an entity without a state topic.
func (e *entity) assume(o *output, c device.Command, stateTopic string) {
	if !e.config.truth("optimistic", !e.config.has(stateTopic)) {
		return
	}
	if o.assumed == nil {
		o.assumed = device.Values{}
	}
	for name, v := range c.Set {
		o.assumed[name] = v
	}
}
