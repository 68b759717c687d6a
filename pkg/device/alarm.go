package device

import (
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/powersource"
	"github.com/opcredsd/opcredsd/pkg/cluster/smokecoalarm"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

var alarmKinds = map[string]kind{
	"smoke_co_alarm": {datamodel.DeviceTypeSmokeCOAlarm, buildAlarm},
}

var alarmLevels = []string{smokecoalarm.Normal: "normal", smokecoalarm.Warning: "warning", smokecoalarm.Critical: "critical"}

// alarmLevel returns a property for a level, with its accessors.
func alarmLevel(name string, get func(*smokecoalarm.Alarm) smokecoalarm.Level, set func(*smokecoalarm.Alarm, smokecoalarm.Level)) property[smokecoalarm.Alarm] {
	return property[smokecoalarm.Alarm]{
		Property: Property{Name: name, Kind: KindText, Values: alarmLevels},
		get:      func(s *smokecoalarm.Alarm) Value { return Text(alarmLevels[get(s)]) },
		report: func(_ *cluster.Context, s *smokecoalarm.Alarm, v Value) {
			if level, ok := v.Text(); ok {
				set(s, smokecoalarm.Level(slices.Index(alarmLevels, level)))
			}
		},
	}
}

// The three alarms.
var (
	smokeProperty = alarmLevel("smoke",
		func(s *smokecoalarm.Alarm) smokecoalarm.Level { return s.Smoke.V },
		func(s *smokecoalarm.Alarm, l smokecoalarm.Level) { s.Smoke = cluster.Some(l) })
	gasProperty = alarmLevel("gas",
		func(s *smokecoalarm.Alarm) smokecoalarm.Level { return s.Gas.V },
		func(s *smokecoalarm.Alarm, l smokecoalarm.Level) { s.Gas = cluster.Some(l) })
	carbonMonoxideProperty = alarmLevel("carbon_monoxide",
		func(s *smokecoalarm.Alarm) smokecoalarm.Level { return s.CO },
		func(s *smokecoalarm.Alarm, l smokecoalarm.Level) { s.CO = l })
)

func alarmFlag(name string, get func(*smokecoalarm.Alarm) bool, set func(*smokecoalarm.Alarm, bool)) property[smokecoalarm.Alarm] {
	return property[smokecoalarm.Alarm]{
		Property: Property{Name: name, Kind: KindBool},
		get:      func(s *smokecoalarm.Alarm) Value { return Bool(get(s)) },
		report: func(_ *cluster.Context, s *smokecoalarm.Alarm, v Value) {
			if is, ok := v.Bool(); ok {
				set(s, is)
			}
		},
	}
}

var testProperty = alarmFlag("test_in_progress", func(s *smokecoalarm.Alarm) bool { return s.Testing }, func(s *smokecoalarm.Alarm, is bool) { s.Testing = is })

var contaminations = []string{"normal", "low", "warning", "critical"}

// contaminationProperty is how dirty the chamber of a smoke detector is.
var contaminationProperty = property[smokecoalarm.Alarm]{
	Property: Property{Name: "contamination", Kind: KindText, Values: contaminations},
	get:      func(s *smokecoalarm.Alarm) Value { return Text(contaminations[s.Contamination]) },
	report: func(_ *cluster.Context, s *smokecoalarm.Alarm, v Value) {
		if name, ok := v.Text(); ok {
			s.Contamination = datamodel.SmokeCOAlarmContaminationState(slices.Index(contaminations, name))
		}
	},
}

var sensitivities = []string{
	datamodel.SmokeCOAlarmSensitivityHigh: "high", datamodel.SmokeCOAlarmSensitivityStandard: "standard", datamodel.SmokeCOAlarmSensitivityLow: "low",
}

var sensitivityProperty = property[smokecoalarm.Alarm]{
	Property: Property{Name: "smoke_sensitivity", Kind: KindText, Values: sensitivities, Settable: true},
	want:     smokecoalarm.WantSensitivity,
	get:      func(s *smokecoalarm.Alarm) Value { return Text(sensitivities[s.Sensitivity]) },
	report: func(_ *cluster.Context, s *smokecoalarm.Alarm, v Value) {
		if name, ok := v.Text(); ok {
			s.Sensitivity = datamodel.SmokeCOAlarmSensitivity(slices.Index(sensitivities, name))
		}
	},
}

// mutedProperty is whether the sounder of an alarm is muted.
var mutedProperty = alarmFlag("muted", (*smokecoalarm.Alarm).IsMuted, func(s *smokecoalarm.Alarm, is bool) { s.Muted = cluster.Some(is) })

// alarmProperties are the properties that all alarms have.
var alarmProperties = []property[smokecoalarm.Alarm]{
	testProperty,
	alarmFlag("hardware_fault", (*smokecoalarm.Alarm).Faulty, func(s *smokecoalarm.Alarm, is bool) { s.Fault = cluster.Some(is) }),
	alarmFlag("end_of_service",
		func(s *smokecoalarm.Alarm) bool { return s.EndOfService != datamodel.SmokeCOAlarmEndOfServiceNormal },
		func(s *smokecoalarm.Alarm, is bool) {
			s.EndOfService = datamodel.SmokeCOAlarmEndOfServiceNormal
			if is {
				s.EndOfService = datamodel.SmokeCOAlarmEndOfServiceExpired
			}
		}),
}

// buildAlarm builds an alarm for the detectors in its options. Without options it
// uses those in the first state, or smoke.
func buildAlarm(b *builder) error {
	o := &b.part.Options
	if !o.Smoke && !o.CarbonMonoxide && !o.Gas {
		has := func(name string) bool { _, ok := b.part.State[name]; return ok }
		o.CarbonMonoxide, o.Gas = has("carbon_monoxide"), has("gas")
		o.Smoke = has("smoke") || !o.CarbonMonoxide && !o.Gas
	}
	var props []property[smokecoalarm.Alarm]
	var features uint32
	add := func(p property[smokecoalarm.Alarm], feature uint32) {
		p.Needed = len(props) == 0
		props = append(props, p)
		features |= feature
	}
	if o.Smoke {
		add(smokeProperty, datamodel.SmokeCOAlarmFeatureSmokeAlarm)
	}
	if o.Gas {
		add(gasProperty, datamodel.SmokeCOAlarmFeatureSmokeAlarm)
	}
	if o.CarbonMonoxide {
		add(carbonMonoxideProperty, datamodel.SmokeCOAlarmFeatureCOAlarm)
	}
	b.Identify = true
	sel := cluster.Selection{Features: features}
	props = append(props, b.alarmExtras(&sel)...)
	u := addUnit(b.Endpoint, smokecoalarm.Alarm{Sensitivity: datamodel.SmokeCOAlarmSensitivityStandard}, smokecoalarm.Rules(), props)
	u.Serve(smokecoalarm.Cluster, sel)
	// The alarm's battery level comes from the power source. SmartThings shows a
	// graver one as a hardware fault.
	var battery powersource.Source
	b.batteries = append(b.batteries, func(now time.Time, ch powersource.Charge) {
		battery.Set(ch)
		u.Report(now, func(_ *cluster.Context, s *smokecoalarm.Alarm) error {
			s.Battery = smokecoalarm.Level(battery.Level)
			return nil
		})
	})
	return nil
}

// optionalProperties are the properties that some alarms have, with what shows them. smoke
// means that they belong to a detector of smoke.
var optionalProperties = []struct {
	property[smokecoalarm.Alarm]
	smoke     bool
	attribute matter.AttributeID
	events    []matter.EventID
}{
	{contaminationProperty, true, datamodel.SmokeCOAlarmAttrContaminationState, nil},
	{sensitivityProperty, true, datamodel.SmokeCOAlarmAttrSmokeSensitivityLevel, nil},
	{mutedProperty, false, datamodel.SmokeCOAlarmAttrDeviceMuted, []matter.EventID{datamodel.SmokeCOAlarmEventAlarmMuted, datamodel.SmokeCOAlarmEventMuteEnded}},
}

// alarmExtras returns the properties besides the alarms, and selects what not all alarms
// have.
func (b *builder) alarmExtras(sel *cluster.Selection) []property[smokecoalarm.Alarm] {
	extras := slices.Clone(alarmProperties)
	if b.part.Options.SelfTest {
		sel.Commands = append(sel.Commands, datamodel.SmokeCOAlarmCmdSelfTestRequest)
		p := &extras[slices.IndexFunc(extras, func(p property[smokecoalarm.Alarm]) bool { return p.Name == testProperty.Name })]
		p.Settable, p.want, p.asked = true, smokecoalarm.WantTest, true
		p.wish = func(*smokecoalarm.Alarm) Value { return Bool(true) }
	}
	for _, x := range optionalProperties {
		if x.smoke && sel.Features&datamodel.SmokeCOAlarmFeatureSmokeAlarm == 0 || !b.optional(x.Name) {
			continue // for a detector without smoke, checkProperties reports this
		}
		sel.Attributes = append(sel.Attributes, x.attribute)
		sel.Events = append(sel.Events, x.events...)
		extras = append(extras, x.property)
	}
	return extras
}
