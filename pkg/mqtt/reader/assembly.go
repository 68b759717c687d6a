package reader

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/device"
)

// Rank orders the parts of a device: its main function comes first.
type Rank int

// The ranks.
const (
	RankLight Rank = iota
	RankCover
	RankLock
	RankThermostat
	RankFan
	RankVacuum
	RankValve
	RankPlug
	RankAlarm
	RankContact
	RankOccupancy
	RankWater
	RankSoil
	RankTemperature
	RankHumidity
	RankSensor
	RankAir
	RankMeter
	RankButton
)

// Assembly builds a device part by part.
type Assembly struct {
	Parts   []*Draft
	Battery bool

	used     map[string]bool
	left     map[Reason][]string // names of what is left out
	reasons  []Reason            // in order of their first use
	measures []measure
}

// Draft is a part under construction.
type Draft struct {
	device.Part
	Group string // parts of one group belong together, such as l1
	Rank  Rank
}

// load reports whether the part may have its own meter.
func (d *Draft) load() bool {
	switch d.Rank {
	case RankLight, RankCover, RankThermostat, RankFan, RankPlug:
		return true
	}
	return false
}

// measure is a measured quantity of a meter.
type measure struct {
	name, group, property string
	bind                  func(part string)
}

// NewAssembly returns a device without parts.
func NewAssembly() *Assembly {
	return &Assembly{used: map[string]bool{}, left: map[Reason][]string{}}
}

// PartID returns a valid part id for any text.
func PartID(s string) string {
	const most = 64
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, s)
	return cmp.Or(s[:min(len(s), most)], "part")
}

// Add adds a part of a type. Its id consists of what and of its group, so that it
// does not change when other parts are added or removed.
func (a *Assembly) Add(rank Rank, typ, what, group string) *Draft {
	p := &Draft{Group: group, Rank: rank}
	p.Type = typ
	p.ID = PartID(what)
	if group != "" {
		p.ID = PartID(what + "_" + group)
		p.Name = groupName(group)
	}
	for base, n := p.ID, 2; a.used[p.ID]; n++ {
		p.ID = PartID(base[:min(len(base), 60)]) + fmt.Sprintf("-%d", n)
	}
	a.used[p.ID] = true
	a.Parts = append(a.Parts, p)
	return p
}

// groupName returns a readable name of a group: 1 for l1, Bottom left for
// bottom_left.
func groupName(group string) string {
	s := strings.ReplaceAll(group, "_", " ")
	if n := strings.TrimPrefix(s, "l"); n != s && n != "" && strings.Trim(n, "0123456789") == "" {
		return n
	}
	first, size := utf8.DecodeRuneInString(s)
	return Text(string(unicode.ToUpper(first)) + s[size:])
}

// Leave records that something is left out, and why.
func (a *Assembly) Leave(reason Reason, name string) {
	if _, ok := a.left[reason]; !ok {
		a.reasons = append(a.reasons, reason)
	}
	if name = cmp.Or(Text(name), "(no name)"); !slices.Contains(a.left[reason], name) {
		a.left[reason] = append(a.left[reason], name)
	}
}

// Of returns the first part of a rank, or nil.
func (a *Assembly) Of(rank Rank) *Draft {
	for _, p := range a.Parts {
		if p.Rank == rank {
			return p
		}
	}
	return nil
}

// In returns the first part of a rank in a group, or nil.
func (a *Assembly) In(rank Rank, group string) *Draft {
	for _, p := range a.Parts {
		if p.Rank == rank && p.Group == group {
			return p
		}
	}
	return nil
}

// HasType reports whether a group has a part of a type.
func (a *Assembly) HasType(typ, group string) bool {
	return slices.ContainsFunc(a.Parts, func(p *Draft) bool { return p.Type == typ && p.Group == group })
}

// Loads returns the parts of a group, or of all groups, that may have a meter.
func (a *Assembly) Loads(group string) []*Draft {
	var out []*Draft
	for _, p := range a.Parts {
		if p.load() && (group == "" || p.Group == group) {
			out = append(out, p)
		}
	}
	return out
}

// Sensor returns a part for a quantity: a new one, or the air quality sensor for
// all quantities of the air. It returns nil if the device has this quantity
// already. Use Measure for the quantities of meters.
func (a *Assembly) Sensor(q Quantity, what, group string) *Draft {
	if q.Type == AirQuality {
		p := a.Air()
		if slices.Contains(p.Options.Properties, q.Property) {
			return nil
		}
		p.Options.Properties = append(p.Options.Properties, q.Property)
		return p
	}
	name, rank := strings.TrimSuffix(q.Type, "_sensor"), RankSensor
	switch q.Type {
	case "light_sensor":
		name = "illuminance" // "light" would suggest a lamp
	case "temperature_sensor":
		rank = RankTemperature
	case "humidity_sensor":
		rank = RankHumidity
	case "soil_sensor":
		rank = RankSoil
	}
	return a.Add(rank, q.Type, cmp.Or(what, name), group)
}

// Air returns the air quality sensor, which has all quantities of the air.
func (a *Assembly) Air() *Draft {
	if p := a.Of(RankAir); p != nil {
		return p
	}
	return a.Add(RankAir, AirQuality, "air_quality", "")
}

// Alarm returns the part that has all alarms of the device, and the property for
// this one. It returns nil if the device has this alarm already.
func (a *Assembly) Alarm(what string) (p *Draft, property string) {
	if p = a.Of(RankAlarm); p == nil {
		p = a.Add(RankAlarm, "smoke_co_alarm", "alarm", "")
	}
	o := &p.Options
	has := map[string]*bool{"smoke": &o.Smoke, "carbon_monoxide": &o.CarbonMonoxide, "gas": &o.Gas}[what]
	if *has {
		return nil, ""
	}
	*has = true
	if o.Gas && !o.Smoke && !o.CarbonMonoxide {
		p.Name = "Gas"
	} else if p.Name == "Gas" {
		p.Name = ""
	}
	return p, what
}

// Alarmed returns the state of an alarm.
func Alarmed(is bool) device.Value {
	if is {
		return device.Text("critical")
	}
	return device.Text("normal")
}

// Measure adds a quantity of a meter. Finish calls bind with the id of the part
// that has the meter, if there is one.
func (a *Assembly) Measure(name, group, property string, bind func(part string)) {
	a.measures = append(a.measures, measure{name, group, property, bind})
}

// meters assigns meters to loads: the meter of a load's group, or the device's
// meter if there is only one load. A meter that belongs to no load becomes a part.
func (a *Assembly) meters() {
	real := map[string]bool{} // groups that measure more than a voltage
	for _, m := range a.measures {
		real[m.group] = real[m.group] || m.property != "voltage_volts"
	}
	single := len(a.Loads("")) == 1
	for _, m := range a.measures {
		if !real[m.group] { // a voltage alone does not make a meter
			a.Leave(NoType("a voltage alone is not shown"), m.name)
			continue
		}
		p := a.In(RankMeter, m.group)
		if all := a.Loads(m.group); len(all) == 1 && (m.group != "" || single) {
			p = all[0]
		} else if p == nil {
			p = a.Add(RankMeter, Meter, "meter", m.group)
		}
		if slices.Contains(p.Options.Properties, m.property) {
			a.Leave(Twice, m.name)
			continue
		}
		p.Meter = p.Type != Meter
		p.Options.Properties = append(p.Options.Properties, m.property)
		m.bind(p.ID)
	}
	a.measures = nil
}

// Finish returns the parts in order, and what is left out. It also leaves out parts
// beyond MaxParts, and returns their ids.
func (a *Assembly) Finish(source, id string) (parts []device.Part, ignored []device.Ignored, dropped []string) {
	a.meters()
	slices.SortStableFunc(a.Parts, func(x, y *Draft) int { return cmp.Compare(x.Rank, y.Rank) })
	for i, p := range a.Parts {
		if i >= MaxParts {
			a.Leave(Other(fmt.Sprintf("a device is shown with %d parts at most", MaxParts)), p.ID)
			dropped = append(dropped, p.ID)
			continue
		}
		parts = append(parts, p.Part)
	}
	for _, reason := range a.reasons {
		names := a.left[reason]
		const most = 40
		if n := len(names); n > most {
			names = append(names[:most:most], fmt.Sprintf("and %d more", n-most))
		}
		ignored = append(ignored, reason.Ignored(source, id, strings.Join(names, ", ")))
	}
	return parts, ignored, dropped
}
