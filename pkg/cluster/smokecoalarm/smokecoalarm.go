// Package smokecoalarm implements the Smoke CO Alarm cluster, 0x005C revision 2
// ("Matter Application Cluster Specification", section 2.11).
package smokecoalarm

import (
	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Level is the severity of an alarm.
type Level = datamodel.SmokeCOAlarmAlarmState

// The levels.
const (
	Normal   = datamodel.SmokeCOAlarmAlarmStateNormal
	Warning  = datamodel.SmokeCOAlarmAlarmStateWarning
	Critical = datamodel.SmokeCOAlarmAlarmStateCritical
)

// Bits of [cluster.Context.Want].
const (
	WantTest uint32 = 1 << iota // a self-test
	WantSensitivity
)

// Alarm is the state of an alarm.
type Alarm struct {
	// What the device reports. null: it has not reported, and the stored state is
	// used. Gas has no attribute and is shown as smoke: the alarm is more important
	// than its kind.
	Smoke, Gas cluster.Null[Level]
	CO         Level
	Fault      cluster.Null[bool]

	Battery       Level // the same level as in the power source
	Testing       bool
	EndOfService  datamodel.SmokeCOAlarmEndOfService
	Contamination datamodel.SmokeCOAlarmContaminationState
	Sensitivity   datamodel.SmokeCOAlarmSensitivity
	Muted         cluster.Null[bool]

	smoke     Level // SmokeState
	fault     bool  // HardwareFaultAlert
	muted     datamodel.SmokeCOAlarmMuteState
	expressed datamodel.SmokeCOAlarmExpressedState
}

// Faulty reports whether the device has a fault, as far as it says so.
func (s *Alarm) Faulty() bool { return s.Fault.Or(s.fault) }

// Cluster is the Smoke CO Alarm cluster. Alarms are kept over a restart until the
// device reports otherwise.
var Cluster = cluster.Define(cluster.Def[Alarm]{
	Facts: datamodel.SmokeCOAlarm,
	Attributes: []cluster.Attribute[Alarm]{
		cluster.Uint(datamodel.SmokeCOAlarmAttrExpressedState, func(s *Alarm) *datamodel.SmokeCOAlarmExpressedState { return &s.expressed }),
		cluster.Uint(datamodel.SmokeCOAlarmAttrSmokeState, func(s *Alarm) *Level { return &s.smoke }),
		cluster.Uint(datamodel.SmokeCOAlarmAttrCOState, func(s *Alarm) *Level { return &s.CO }),
		cluster.Uint(datamodel.SmokeCOAlarmAttrBatteryAlert, func(s *Alarm) *Level { return &s.Battery }),
		cluster.Bool(datamodel.SmokeCOAlarmAttrTestInProgress, func(s *Alarm) *bool { return &s.Testing }),
		cluster.Bool(datamodel.SmokeCOAlarmAttrHardwareFaultAlert, func(s *Alarm) *bool { return &s.fault }),
		cluster.Uint(datamodel.SmokeCOAlarmAttrEndOfServiceAlert, func(s *Alarm) *datamodel.SmokeCOAlarmEndOfService { return &s.EndOfService }),
		cluster.Uint(datamodel.SmokeCOAlarmAttrContaminationState, func(s *Alarm) *datamodel.SmokeCOAlarmContaminationState {
			return &s.Contamination
		}),
		cluster.Uint(datamodel.SmokeCOAlarmAttrDeviceMuted, func(s *Alarm) *datamodel.SmokeCOAlarmMuteState { return &s.muted }),
		cluster.Uint(datamodel.SmokeCOAlarmAttrSmokeSensitivityLevel, func(s *Alarm) *datamodel.SmokeCOAlarmSensitivity { return &s.Sensitivity }).
			Keep().Check(func(c *cluster.Context, _, _ *Alarm) error { c.Want(WantSensitivity); return nil }),
	},
	Commands: []cluster.Command[Alarm]{cluster.Do(datamodel.SmokeCOAlarmCmdSelfTestRequest, selfTest)},
})

// selfTest requests a self-test (section 2.11.7.1). The device reports when it begins.
func selfTest(c *cluster.Context, s *Alarm) error {
	if s.smoke != Normal || s.CO != Normal || s.Testing {
		return matter.StatusBusy
	}
	c.Want(WantTest)
	return nil
}

// Rules returns the rules for the state of an alarm.
func Rules() cluster.Rules[Alarm] {
	return cluster.Rules[Alarm]{Couple: func(c *cluster.Context, was, is *Alarm) error {
		if is.Smoke != was.Smoke || is.Gas != was.Gas {
			is.smoke = max(is.Smoke.V, is.Gas.V)
		}
		if is.Fault != was.Fault || is.Contamination != was.Contamination {
			// An alarm that is too dirty does not work (section 2.11.6.11).
			is.fault = is.Faulty() || is.Contamination == datamodel.SmokeCOAlarmContaminationStateCritical
		}
		is.mute(is.Muted != was.Muted)
		is.expressed = is.highest()
		emit(c, was, is)
		return nil
	}}
}

// IsMuted reports whether the device's sounder is muted.
func (s *Alarm) IsMuted() bool { return s.muted != datamodel.SmokeCOAlarmMuteStateNotMuted }

// mute sets DeviceMuted to what the device has reported, if that is new. A critical alarm
// is not muted (section 2.11.6.5), and does not become so when it ends.
func (s *Alarm) mute(reported bool) {
	if reported {
		s.muted = datamodel.SmokeCOAlarmMuteStateNotMuted
		if s.Muted.V {
			s.muted = datamodel.SmokeCOAlarmMuteStateMuted
		}
	}
	if s.smoke == Critical || s.CO == Critical {
		s.muted, s.Muted = datamodel.SmokeCOAlarmMuteStateNotMuted, cluster.Some(false)
	}
}

// highest returns the expressed state: the one with the highest priority. The order
// is the manufacturer's (section 2.11.6.1); it puts people before the device.
func (s *Alarm) highest() datamodel.SmokeCOAlarmExpressedState {
	switch {
	case s.smoke != Normal:
		return datamodel.SmokeCOAlarmExpressedStateSmokeAlarm
	case s.CO != Normal:
		return datamodel.SmokeCOAlarmExpressedStateCOAlarm
	case s.fault:
		return datamodel.SmokeCOAlarmExpressedStateHardwareFault
	case s.Testing:
		return datamodel.SmokeCOAlarmExpressedStateTesting
	case s.EndOfService != datamodel.SmokeCOAlarmEndOfServiceNormal:
		return datamodel.SmokeCOAlarmExpressedStateEndOfService
	case s.Battery != Normal:
		return datamodel.SmokeCOAlarmExpressedStateBatteryAlert
	}
	return datamodel.SmokeCOAlarmExpressedStateNormal
}

// emit emits the events of a change (section 2.11.8), AllClear last.
func emit(c *cluster.Context, was, is *Alarm) {
	alarm := func(id matter.EventID, was, is Level) {
		if is != was && is != Normal {
			c.EmitNumber(datamodel.SmokeCOAlarmID, id, uint64(is))
		}
	}
	happened := func(id matter.EventID, is bool) {
		if is {
			c.Emit(datamodel.SmokeCOAlarmID, id, nil)
		}
	}
	alarm(datamodel.SmokeCOAlarmEventSmokeAlarm, was.smoke, is.smoke)
	alarm(datamodel.SmokeCOAlarmEventCOAlarm, was.CO, is.CO)
	alarm(datamodel.SmokeCOAlarmEventLowBattery, was.Battery, is.Battery)
	happened(datamodel.SmokeCOAlarmEventHardwareFault, is.fault && !was.fault)
	happened(datamodel.SmokeCOAlarmEventEndOfService, is.EndOfService > was.EndOfService)
	happened(datamodel.SmokeCOAlarmEventSelfTestComplete, was.Testing && !is.Testing)
	happened(datamodel.SmokeCOAlarmEventAlarmMuted, is.IsMuted() && !was.IsMuted())
	happened(datamodel.SmokeCOAlarmEventMuteEnded, was.IsMuted() && !is.IsMuted())
	happened(datamodel.SmokeCOAlarmEventAllClear, is.expressed == datamodel.SmokeCOAlarmExpressedStateNormal && was.expressed != is.expressed)
}
