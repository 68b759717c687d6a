package zigbee2mqtt

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/mqtt/reader"
)

// kind is what an expose stands for.
type kind uint8

const (
	isQuantity     kind = iota // a number that a sensor or a meter measures
	isContact                  // true: closed
	isDryContact               // on: closed
	isOpening                  // words: open, closed, tilted
	isOccupancy                // true: occupied
	isPresence                 // the same, detected by radar
	isPresenceWord             // none, or words for what is present
	isLeak                     // true: wet
	isRain                     // true: it rains
	isZone                     // an alarm whose kind is only in the description
	isSmokeWord                // alarm, and other words
	isSOS                      // true: somebody calls for help
	isSmoke                    // true: alarm
	isCO                       // the same, of carbon monoxide
	isGas                      // the same, of another gas
	isTest                     // true: the alarm tests itself
	isFault                    // true: the alarm has a fault
	isOld                      // true: the alarm is to be replaced
	isBattery                  // per cent
	isBatteryLow               // true: low
	isBatteryState             // low, medium, high
	isAirQuality               // words
	isAction                   // gestures at buttons
	isDoor                     // of a lock
	isMoving                   // of a cover
)

// rule applies to exposes with one of some names.
type rule struct {
	names      []string
	is         kind
	quantity   string // of isQuantity: a key of reader.Quantities
	diagnostic bool   // used although its category is diagnostic
	fallback   bool   // used only if no other expose provides the same
	why        string
}

// rules lists the exposes that are shown, apart from those of lights, switches,
// covers, locks, thermostats and fans. Only the name identifies an expose: units
// differ within a class, and the category of batteries and buttons is often
// diagnostic.
var rules = []rule{
	{names: []string{"temperature"}, quantity: "temperature", why: "others with temperature in their names are of a floor, a chip or a limit"},
	{names: []string{"local_temperature", "current_temperature", "room_temperature", "air_temp", "display_temperature"}, quantity: "temperature", fallback: true, why: "of the room, where neither a thermostat nor a sensor says it"},
	{names: []string{"humidity"}, quantity: "humidity", why: "relative, in per cent"},
	{names: []string{"pressure"}, quantity: "pressure", why: "hPa or kPa, by the model"},
	{names: []string{"illuminance", "illuminance_lux", "ambient_light"}, quantity: "illuminance", why: "before 2.0 illuminance was the raw value, and without a unit, beside illuminance_lux"},
	{names: []string{"soil_moisture", "moisture"}, quantity: "moisture", why: "of the ground, not of the air"},
	{names: []string{"flow", "flow_rate"}, quantity: "volume_flow_rate", why: "of valves and meters; the unit decides whether it is one"},

	{names: []string{"co2"}, quantity: "carbon_dioxide", why: "measured; eco2 is a guess from other gases"},
	{names: []string{"co"}, quantity: "carbon_monoxide", why: "the concentration; the alarm is carbon_monoxide"},
	{names: []string{"no2"}, quantity: "nitrogen_dioxide", why: "the unit decides"},
	{names: []string{"o3", "ozone"}, quantity: "ozone", why: "the unit decides"},
	{names: []string{"pm1"}, quantity: "pm1", why: "mass of particles; pm_n… are numbers of them"},
	{names: []string{"pm25"}, quantity: "pm25", why: "as pm1"},
	{names: []string{"pm10"}, quantity: "pm10", why: "as pm1"},
	{names: []string{"voc", "tvoc"}, quantity: "volatile_organic_compounds_parts", why: "in parts; mass and the index voc_index cannot be converted"},
	{names: []string{"formaldehyd", "formaldehyde", "formaldehyde_concentration", "hcho"}, quantity: "formaldehyde", why: "the name is misspelt in most models"},
	{names: []string{"radon"}, quantity: "radon", why: "in Bq/m³"},
	{names: []string{"air_quality"}, is: isAirQuality, why: "a level in words, beside the concentrations"},

	{names: []string{"power"}, quantity: "power", diagnostic: true, why: "some relays have it as a diagnostic"},
	{names: []string{"energy"}, quantity: "energy", diagnostic: true, why: "since the meter was made; energy_today and the like restart"},
	{names: []string{"EAST", "BASE"}, quantity: "energy", why: "the total of a French meter, by its labels; the others are of tariffs, or apparent power"},
	{names: []string{"produced_energy", "energy_produced", "reverse_energy"}, quantity: "energy_exported", why: "what goes into the grid"},
	{names: []string{"EAIT"}, quantity: "energy_exported", why: "of a French meter, too"},
	{names: []string{"voltage"}, quantity: "voltage", why: "in mV, with the category diagnostic, it is a battery's, and not a meter's"},
	{names: []string{"current"}, quantity: "current", why: "in A or mA"},

	{names: []string{"contact", "garage_door_contact", "contact_alarm_1"}, is: isContact, why: "true is closed, whatever value_on says"},
	{names: []string{"dry_contact", "input"}, is: isDryContact, why: "of a module for contacts: on is closed"},
	{names: []string{"opening_state"}, is: isOpening, why: "of windows; a tilted one is not closed"},
	{names: []string{"occupancy", "occupancy_alarm_1", "occupancy_or"}, is: isOccupancy, why: "seen by infrared; …_alarm_1 as with water_leak"},
	{names: []string{"presence"}, is: isPresence, why: "seen by radar; with occupancy beside it, that is the quicker one of the two"},
	{names: []string{"presence_state", "motion_state", "state"}, is: isPresenceWord, fallback: true, why: "radars that have no presence; a state in other words is something else"},
	{names: []string{"water_leak", "water_leak_alarm_1"}, is: isLeak, why: "…_alarm_1 is the first alarm of a zone of that kind, …_alarm_2 another bit of the same"},
	{names: []string{"rain", "rain_status"}, is: isRain, why: "it has no class anywhere else"},
	{names: []string{"smoke", "smoke_alarm_1"}, is: isSmoke, why: "as water_leak_alarm_1"},
	{names: []string{"carbon_monoxide", "carbon_monoxide_alarm_1"}, is: isCO, why: "a zone of its own kind, beside smoke in some alarms"},
	{names: []string{"gas", "gas_alarm_1"}, is: isGas, why: "a class of its own; Matter has none, and an alarm that arrives counts more than the word"},
	{names: []string{"smoke_state"}, is: isSmokeWord, fallback: true, why: "where there is no smoke"},
	{names: []string{"alarm", "alarm_1", "alarm_status"}, is: isZone, fallback: true, why: "of a zone without a kind; the description of the device says which"},
	{names: []string{"sos", "sos_alarm"}, is: isSOS, why: "a button for help, which is no action"},
	{names: []string{"test", "test_in_progress"}, is: isTest, diagnostic: true, why: "only where there is an alarm"},
	{names: []string{"fault", "fault_alarm", "trouble"}, is: isFault, diagnostic: true, why: "only where there is an alarm"},
	{names: []string{"end_of_life", "lifecycle"}, is: isOld, diagnostic: true, why: "only where there is an alarm; lifecycle true is the end of it"},
	{names: []string{"door_state"}, is: isDoor, why: "only where there is a lock"},
	{names: []string{"moving", "motor_state"}, is: isMoving, diagnostic: true, why: "only where there is a cover"},

	{names: []string{"battery"}, is: isBattery, diagnostic: true, why: "its category is diagnostic, and it belongs to the device"},
	{names: []string{"battery_low"}, is: isBatteryLow, diagnostic: true, why: "as battery"},
	{names: []string{"battery_state"}, is: isBatteryState, diagnostic: true, why: "as battery; some Tuya models have nothing else"},
	{names: []string{"action"}, is: isAction, diagnostic: true, why: "its category is diagnostic, and it is what a remote is for"},
}

// numbered matches names that contain the endpoint: temperature_1, contact_l2.
var numbered = reader.NewPattern(`^([a-z][a-z_0-9]*?)_(l?[0-9]{1,2})$`)

// Names of quantities on one of a meter's lines, and of their sum.
var (
	phases = reader.NewPattern(`^(power|energy|voltage|current|produced_energy|energy_produced)_((?:phase_)?[abcABCXYZ]|l[123])$`)
	totals = reader.NewPattern(`^(?:total_(?:active_)?(power|energy)|(power|energy)_all)$`)
)

// places matches names that contain the place of a temperature, for sensors on a
// cable or with several probes. Limits and calibrations have other names.
var places = reader.NewPattern(`^(outdoor|outdoor_air|out|outside|floor|external|probe|soil|water|ntc[12]?|inlet_water|outlet_water|return_water|boiler_water|dhw|cable_sensor)_temp(?:erature)?$`)

// find returns the rule for an expose, and its endpoint if only the name contains
// it.
func find(e *expose) (r *rule, endpoint string) {
	byName := func(name string) *rule {
		for i := range rules {
			if slices.Contains(rules[i].names, name) {
				return &rules[i]
			}
		}
		return nil
	}
	if r := byName(e.Name); r != nil {
		return r, e.Endpoint
	}
	if m := numbered.FindStringSubmatch(e.Name); m != nil && e.Endpoint == "" {
		if r := byName(m[1]); r != nil && (r.is == isQuantity || r.is == isContact || r.is == isOccupancy || r.is == isLeak) {
			return r, m[2]
		}
	}
	if m := phases.FindStringSubmatch(e.Name); m != nil && e.Endpoint == "" {
		return byName(m[1]), m[2]
	}
	if m := totals.FindStringSubmatch(e.Name); m != nil && e.Endpoint == "" {
		return byName(m[1] + m[2]), total
	}
	if m := places.FindStringSubmatch(e.Name); m != nil && e.Endpoint == "" && !e.settable() {
		return byName("temperature"), m[1]
	}
	return nil, ""
}

// total is the endpoint for the sum of a meter's lines.
const total = "total"

// why lists the reasons for exposes without a rule.
var why = []struct {
	names  *reader.Pattern
	reason reader.Reason
}{
	{reader.NewPattern(`^$`), reader.Unreadable("it has no name")},
	{reader.NewPattern(`^linkquality$|^last_seen$|^rssi$|^uptime|_count(_\d+)?$|^update`), reader.Reason{Kind: device.IgnoredDiagnostic, Text: "data about the radio and the software is not shown"}},
	{reader.NewPattern(`_alarm_2$|^alarm_2$`), reader.Other("it is the second alarm of the same zone")},
	{reader.NewPattern(`^(bar|psi|Bar)$`), reader.Other("the pressure is shown in another unit")},
	{reader.NewPattern(`^alarm(_1|_alarm_1)?$`), reader.NoType("the kind of the alarm is not known")},
	{reader.NewPattern(`^tamper|^vibration$|^tilt|^noise|^sound`), reader.NoType("Matter has no type for tamper and vibration")},
	{reader.NewPattern(`^effect$|^identify$|^color_options$|^level_config$`), reader.NoType("effects are not shown")},
	{reader.NewPattern(`^eco2$`), reader.NoType("it is estimated and not measured")},
	{reader.NewPattern(`_phase_[abc]$|_[abc]$|^total_`), reader.NoType("of a meter only power, energy, voltage and current of each line are shown")},
	{reader.NewPattern(`^warning$|^squawk$|^siren|alarm_switch|^alarm_(state|sound|light)`), reader.NoType("the buzzer of a device is not shown")},
	{reader.NewPattern(`temperature`), reader.NoType("only the name says which temperature it is")},
}

// reasonFor returns why an expose is left out.
func reasonFor(e *expose) reader.Reason {
	switch e.Category {
	case "config":
		return reader.Settings
	case "diagnostic":
		return reader.Diagnostics
	}
	for _, w := range why {
		if w.names.MatchString(e.Name) {
			return w.reason
		}
	}
	switch {
	case e.settable():
		return reader.Settings
	case e.Type == "composite" || e.Type == "list":
		return reader.NoType("objects with members are not shown")
	}
	return reader.NoType("there is no rule for this name")
}

// greenPower matches models that stand for any Green Power device. They expose the
// union of what such devices have.
var greenPower = reader.NewPattern(`^GreenPower`)

// loads matches the endpoints whose switch is a load: relays with a number or a
// place in their name. Other endpoints of this form are modes of the device.
var loads = reader.NewPattern(`^((l|s|ch|out|relay|load|channel|socket|outlet|plug|switch|line|zone|port|gang|t|b)_?[0-9]{1,2}|[0-9]{1,3}|(left|right|center|centre|middle|top|bottom|upper|lower|up|down|main)(_(left|right|center|middle|top|bottom|up|down))*|relay|load|socket|outlet|plug|usb(_[abc])?|holes|default|switch|lights?|lamp|p[0-9])$`)

// valves match devices whose switch is a valve, which only their description shows.
var (
	valves    = reader.NewPattern(`(?i)\bvalve|\birrigation|\bwatering\b|\bsprinkler|\bwater timer|\bwater walve|\bgas valve`)
	notValves = reader.NewPattern(`(?i)radiator|thermo|heat|sensor\b.*\bvalve|remote`)
)

// zones are the kinds of alarms that are just called alarm, by words of the
// description. The first match wins.
var zones = []struct {
	words *reader.Pattern
	is    kind
}{
	{reader.NewPattern(`(?i)\bsirens?\b|sound and (flash|light)|vibration|\bvalve`), isZone}, // the description does not give the kind of alarm
	{reader.NewPattern(`(?i)smoke|\bfire\b`), isSmoke},
	{reader.NewPattern(`(?i)carbon monoxide|\bCO\b`), isCO},
	{reader.NewPattern(`(?i)\bgas\b`), isGas},
	{reader.NewPattern(`(?i)water leak|leakage|\bleak\b|flood`), isLeak},
	{reader.NewPattern(`(?i)\bdoor\b|window|opening|open/close|contact sensor`), isContact},
	{reader.NewPattern(`(?i)motion|\bPIR\b|occupancy|presence`), isOccupancy},
}

// covers are kinds of window coverings, by words of the description. The first
// match wins.
var covers = []struct {
	words *reader.Pattern
	kind  string
}{
	{reader.NewPattern(`(?i)garage`), "garage_door"},
	{reader.NewPattern(`(?i)\bgate\b`), "gate"},
	{reader.NewPattern(`(?i)awning`), "awning"},
	{reader.NewPattern(`(?i)shutter`), "shutter"},
	{reader.NewPattern(`(?i)venetian`), "blind"},
	{reader.NewPattern(`(?i)curtain|drape`), "curtain"},
	{reader.NewPattern(`(?i)screen`), "screen"},
	{reader.NewPattern(`(?i)roller|shade`), "roller_shade"},
	{reader.NewPattern(`(?i)\bblind`), "blind"},
}
