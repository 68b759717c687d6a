package lighting

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// The level range of a light (device types Dimmable Light, Dimmable Plug-In Unit).
const (
	MinLevel = 1
	MaxLevel = 254
)

// Level is the state of the Level Control cluster (section 1.6).
type Level struct {
	Current   cluster.Null[uint8] // never null
	Remaining uint16              // in tenths of a second
	LevelSettings

	fade
	from, to uint8
	then     ending
	back     uint8       // the level before a fade to off
	late     late[uint8] // the device's reports during the fade
	// deaf is until when reports show how the device fades: those of one that was just
	// switched off are ignored, and of one that has faded those on the way.
	deaf time.Time
	// owed means that the device was not sent Current, since it was changed while
	// the light was off. A brightness switches many lamps on.
	owed bool
}

// LevelSettings are the attributes of Level Control that controllers write.
type LevelSettings struct {
	Options         datamodel.LevelControlOptions
	OnLevel         cluster.Null[uint8]
	OnOffTransition uint16               // in tenths of a second
	OnTransition    cluster.Null[uint16] // in tenths of a second
	OffTransition   cluster.Null[uint16] // in tenths of a second
	MoveRate        cluster.Null[uint8]  // levels per second
	StartUp         cluster.Null[uint8]
}

// ending is what to do when a fade of the level is over.
type ending uint8

const (
	stay      ending = iota // nothing
	goOut                   // the light is off; the device fades by itself
	switchOff               // the light is off; switch the device off
)

// LevelControl is the Level Control cluster with the features OnOff and Lighting.
var LevelControl = cluster.Define(cluster.Def[Light]{
	Facts: datamodel.LevelControl,
	Attributes: []cluster.Attribute[Light]{
		cluster.NullUint(datamodel.LevelControlAttrCurrentLevel, func(s *Light) *cluster.Null[uint8] { return &s.Level.Current }).
			Quiet(cluster.EachSecond),
		cluster.Counted(datamodel.LevelControlAttrRemainingTime, func(s *Light) cluster.Number { return cluster.Number{V: int64(s.Level.Remaining)} }).
			ReportBy(func(s *Light) cluster.Number { return s.Level.reported() }).Quiet(quietRemaining),
		cluster.Constant[Light](datamodel.LevelControlAttrMinLevel, MinLevel),
		cluster.Constant[Light](datamodel.LevelControlAttrMaxLevel, MaxLevel),
		cluster.Uint(datamodel.LevelControlAttrOptions, func(s *Light) *datamodel.LevelControlOptions { return &s.Level.Options }).Keep(),
		cluster.Uint(datamodel.LevelControlAttrOnOffTransitionTime, func(s *Light) *uint16 { return &s.Level.OnOffTransition }).Keep(),
		cluster.NullUint(datamodel.LevelControlAttrOnLevel, func(s *Light) *cluster.Null[uint8] { return &s.Level.OnLevel }).Keep().
			Check(func(_ *cluster.Context, _, is *Light) error { return checkLevel(is.Level.OnLevel) }),
		cluster.NullUint(datamodel.LevelControlAttrOnTransitionTime, func(s *Light) *cluster.Null[uint16] { return &s.Level.OnTransition }).Keep(),
		cluster.NullUint(datamodel.LevelControlAttrOffTransitionTime, func(s *Light) *cluster.Null[uint16] { return &s.Level.OffTransition }).Keep(),
		cluster.NullUint(datamodel.LevelControlAttrDefaultMoveRate, func(s *Light) *cluster.Null[uint8] { return &s.Level.MoveRate }).Keep(),
		cluster.NullUint(datamodel.LevelControlAttrStartUpCurrentLevel, func(s *Light) *cluster.Null[uint8] { return &s.Level.StartUp }),
	},
	Commands: []cluster.Command[Light]{
		cluster.DoWith(datamodel.LevelControlCmdMoveToLevel, func(c *cluster.Context, s *Light, f *toLevel) error { return s.moveToLevel(c, f, false) }),
		cluster.DoWith(datamodel.LevelControlCmdMoveToLevelWithOnOff, func(c *cluster.Context, s *Light, f *toLevel) error { return s.moveToLevel(c, f, true) }),
		cluster.DoWith(datamodel.LevelControlCmdMove, func(c *cluster.Context, s *Light, f *moveLevel) error { return s.move(c, f, false) }),
		cluster.DoWith(datamodel.LevelControlCmdMoveWithOnOff, func(c *cluster.Context, s *Light, f *moveLevel) error { return s.move(c, f, true) }),
		cluster.DoWith(datamodel.LevelControlCmdStep, func(c *cluster.Context, s *Light, f *stepLevel) error { return s.step(c, f, false) }),
		cluster.DoWith(datamodel.LevelControlCmdStepWithOnOff, func(c *cluster.Context, s *Light, f *stepLevel) error { return s.step(c, f, true) }),
		cluster.DoWith(datamodel.LevelControlCmdStop, func(c *cluster.Context, s *Light, f *options) error { return s.stop(c, f, false) }),
		cluster.DoWith(datamodel.LevelControlCmdStopWithOnOff, func(c *cluster.Context, s *Light, f *options) error { return s.stop(c, f, true) }),
	},
})

// The fields of the commands. Google omits TransitionTime and the options, although
// they are mandatory. Unknown bits of the options are ignored.
type (
	options struct {
		OptionsMask     cluster.Opt[uint8] `cluster:"unchecked"`
		OptionsOverride cluster.Opt[uint8] `cluster:"unchecked"`
	}
	toLevel struct {
		Level          uint8
		TransitionTime cluster.Opt[cluster.Null[uint16]]
		options
	}
	moveLevel struct {
		MoveMode datamodel.LevelControlMoveMode `cluster:"unchecked"`
		Rate     cluster.Null[uint8]
		options
	}
	stepLevel struct {
		StepMode       datamodel.LevelControlStepMode `cluster:"unchecked"`
		StepSize       uint8
		TransitionTime cluster.Opt[cluster.Null[uint16]]
		options
	}
)

// with returns the effective options of a command (sections 1.6.6.9 and 3.2.7.11).
func (o *options) with(standing uint8) uint8 {
	return standing&^o.OptionsMask.V | o.OptionsMask.V&o.OptionsOverride.V
}

func clampLevel(v int) uint8 { return uint8(min(max(v, MinLevel), MaxLevel)) }

func checkLevel(v cluster.Null[uint8]) error {
	if v.Valid && (v.V < MinLevel || v.V > MaxLevel) {
		return matter.StatusConstraintError
	}
	return nil
}

// levelOptions returns the effective Options of Level Control for a command.
func (s *Light) levelOptions(o *options) datamodel.LevelControlOptions {
	return datamodel.LevelControlOptions(o.with(uint8(s.Level.Options)))
}

// pace is the duration of a change. If known is false, no duration was given, and
// the device changes as fast as it can.
type pace struct {
	time.Duration
	known bool
}

// transition returns the pace of a command: its TransitionTime, or else the
// attribute OnOffTransitionTime.
func (s *Light) transition(t cluster.Opt[cluster.Null[uint16]]) pace {
	if t.V.Valid {
		return pace{time.Duration(t.V.V) * tenth, true}
	}
	return tenths(s.Level.OnOffTransition)
}

// tenths returns the pace for an attribute in tenths of a second.
func tenths(t uint16) pace { return pace{time.Duration(t) * tenth, t > 0} }

// moveToLevel handles MoveToLevel and MoveToLevelWithOnOff (section 1.6.7.1).
func (s *Light) moveToLevel(c *cluster.Context, f *toLevel, withOnOff bool) error {
	s.aim(c, aim{clampLevel(int(f.Level)), s.transition(f.TransitionTime), withOnOff, s.levelOptions(&f.options)})
	return nil
}

// move handles Move and MoveWithOnOff (section 1.6.7.2), which go to the end of the
// range.
func (s *Light) move(c *cluster.Context, f *moveLevel, withOnOff bool) error {
	rate := f.Rate
	if !rate.Valid {
		rate = s.Level.MoveRate
	}
	a := aim{withOnOff: withOnOff, options: s.levelOptions(&f.options)}
	switch {
	case f.MoveMode > datamodel.LevelControlMoveModeDown, rate.Valid && rate.V == 0:
		return matter.StatusInvalidCommand
	case f.MoveMode == datamodel.LevelControlMoveModeUp:
		a.level = MaxLevel
	default:
		a.level = MinLevel
	}
	if withOnOff && !s.Switch.On {
		if a.level == MinLevel {
			return nil // the light is off and keeps its level
		}
		s.Level.Current.V = MinLevel
	}
	if rate.Valid {
		way := abs(int64(a.level) - int64(s.Level.Current.V))
		a.pace = pace{time.Duration(way) * time.Second / time.Duration(rate.V), true}
	}
	s.aim(c, a)
	return nil
}

// step handles Step and StepWithOnOff (section 1.6.7.3). A step that is cut off at
// the end of the range takes less time.
func (s *Light) step(c *cluster.Context, f *stepLevel, withOnOff bool) error {
	if f.StepMode > datamodel.LevelControlStepModeDown || f.StepSize == 0 {
		return matter.StatusInvalidCommand
	}
	by := int(f.StepSize)
	if f.StepMode == datamodel.LevelControlStepModeDown {
		by = -by
		if withOnOff && !s.Switch.On {
			return nil // the light is off and keeps its level
		}
	}
	was := int(s.Level.Current.V)
	a := aim{clampLevel(was + by), s.transition(f.TransitionTime), withOnOff, s.levelOptions(&f.options)}
	a.pace.Duration = a.pace.Duration * time.Duration(int(a.level)-was) / time.Duration(by)
	s.aim(c, a)
	return nil
}

// stop handles Stop and StopWithOnOff (section 1.6.7.4).
func (s *Light) stop(c *cluster.Context, f *options, withOnOff bool) error {
	if !s.Level.moving() {
		return nil
	}
	o := s.levelOptions(f)
	if withOnOff {
		o |= datamodel.LevelControlOptionsExecuteIfOff
	}
	s.aim(c, aim{level: s.Level.Current.V, pace: pace{known: true}, options: o})
	return nil
}

// aim is the goal of a command for the level.
type aim struct {
	level     uint8
	pace      pace
	withOnOff bool
	options   datamodel.LevelControlOptions
}

// aim carries out a command of Level Control.
func (s *Light) aim(c *cluster.Context, a aim) {
	l := &s.Level
	if !a.withOnOff && !s.Switch.On && a.options&datamodel.LevelControlOptionsExecuteIfOff == 0 {
		return
	}
	if a.options&datamodel.LevelControlOptionsCoupleColorTempToLevel != 0 {
		s.coupleTemperature(c, a.level, a.pace)
	}
	if a.pace.known {
		c.SetTransition(a.pace.Duration)
	}
	from, then := l.Current.V, stay
	if l.then == stay {
		l.back = from
	}
	switch {
	case !a.withOnOff && !s.Switch.On: // the device receives it when it is switched on
		l.owed = true
	case a.withOnOff && a.level == MinLevel && !s.Switch.On:
		l.owed, a.pace = true, pace{}
	case a.withOnOff && a.level == MinLevel && a.pace.Duration == 0:
		c.Want(WantOn)
		then = switchOff
	case a.withOnOff && a.level == MinLevel:
		c.Want(WantLevel)
		then = switchOff
	case a.withOnOff:
		c.Want(WantOn | WantLevel)
		if !s.Switch.On {
			from = MinLevel
		}
		s.Switch.set(true)
	default:
		c.Want(WantLevel)
		if l.then != stay {
			c.Want(WantOn)
		}
	}
	s.startLevel(c, from, a.level, a.pace.Duration, then)
	s.sendOwed(c)
}

// startLevel begins a fade.
func (s *Light) startLevel(c *cluster.Context, from, to uint8, d time.Duration, then ending) {
	l := &s.Level
	l.fade, l.from, l.to, l.then, l.late = fade{c.Now, d}, from, to, then, late[uint8]{}
	l.Current.V = from
	l.Remaining = l.left(c.Now)
	if d == 0 {
		s.arrive(c)
	}
}

// arrive ends a fade.
func (s *Light) arrive(c *cluster.Context) {
	l := &s.Level
	then, gradual := l.then, l.moving()
	l.fade, l.then = fade{}, stay
	l.Current.V, l.Remaining = l.to, 0
	if l.deaf = c.Now.Add(slowReport); then == stay {
		if !gradual {
			l.deaf = time.Time{}
		}
		l.late.wait(c.Now)
		return
	}
	l.late = late[uint8]{}
	s.Switch.set(false)
	switch then {
	case goOut:
		// A light that is off shows the level for the next time it is on (section
		// 1.6.4.1).
		if l.OnLevel.Valid {
			l.owed = true
		} else {
			l.Current.V = l.back
		}
	case switchOff:
		c.Want(WantOn)
		l.owed = true
	}
}

// runLevel computes the level at c.Now, and returns the time of the next call.
func (s *Light) runLevel(c *cluster.Context) time.Time {
	l := &s.Level
	switch {
	case !l.moving():
		if level, ok := l.late.due(c.Now); ok {
			l.Current.V = level
		}
		return l.late.at
	case l.over(c.Now):
		s.arrive(c)
		return l.late.at
	}
	l.Current.V = uint8(l.fade.at(c.Now, int32(l.from), int32(l.to)))
	l.Remaining = l.left(c.Now)
	return l.next(c.Now)
}

// turnOn handles On for a dimmable light (section 1.6.4.1): it fades in to OnLevel,
// or to the previous level.
func (s *Light) turnOn(c *cluster.Context) {
	l := &s.Level
	from, level := uint8(MinLevel), l.Current.V
	if s.Switch.On {
		if l.then == stay {
			s.Switch.set(true)
			return
		}
		from, level, l.owed = level, l.back, true
	}
	if l.OnLevel.Valid {
		level, l.owed = l.OnLevel.V, true
	}
	s.Switch.set(true)
	t := tenths(l.OnTransition.Or(l.OnOffTransition))
	if t.known {
		c.SetTransition(t.Duration)
	}
	if l.OnLevel.Valid && l.Options&datamodel.LevelControlOptionsCoupleColorTempToLevel != 0 {
		s.coupleTemperature(c, level, t)
	}
	s.startLevel(c, from, level, t.Duration, stay)
	s.sendOwed(c)
}

// turnOff handles Off for a dimmable light: it fades out, and then shows the
// previous level.
func (s *Light) turnOff(c *cluster.Context) {
	l := &s.Level
	if !s.Switch.On {
		s.Switch.set(false)
		return
	}
	s.Switch.OnTime = 0
	t := tenths(l.OffTransition.Or(l.OnOffTransition))
	if t.known {
		c.SetTransition(t.Duration)
	}
	if l.then == goOut {
		return
	}
	l.owed = l.owed || l.moving() // a device that is switched off during a fade may keep another level
	if l.then == stay {
		l.back = l.Current.V
	}
	s.startLevel(c, l.Current.V, MinLevel, t.Duration, goOut)
}

// WantedLevel returns the level that the device is to have at the end of a fade.
func (s *Light) WantedLevel() uint8 {
	if s.Level.moving() {
		return s.Level.to
	}
	return s.Level.Current.V
}

// ReportLevel sets the level that the device reports. Reports during a fade, and those
// shortly after it that lie on its way, are late and intermediate: one is used only if no
// other follows. The reports of a
// light that is off show how it fades out; they do not replace a level that was set
// meanwhile.
func (s *Light) ReportLevel(c *cluster.Context, level uint8) {
	l := &s.Level
	level = clampLevel(int(level))
	if l.moving() {
		l.late.heard(level)
		return
	}
	l.late = late[uint8]{}
	switch lags := c.Now.Before(l.deaf); {
	case !s.Switch.On && (l.owed || lags):
	case s.Switch.On && lags && level != l.to && min(l.from, l.to) <= level && level <= max(l.from, l.to): // on the way
		l.late.heard(level)
		l.late.wait(c.Now)
	default:
		l.Current.V = level
	}
}
