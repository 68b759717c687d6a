package device

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// obedient is a lamp that does what it is asked for.
type obedient struct {
	is   Values
	mode string
}

// obey applies the commands that the lamp was sent.
func (o *obedient) obey(sent []Command) {
	for _, c := range sent {
		for name, v := range c.Set {
			o.is[name] = v
			switch name {
			case "hue_degrees":
				o.mode = "hs"
			case "color_x":
				o.mode = "xy"
			case "color_temperature_kelvin":
				o.mode = "temperature"
			}
		}
	}
}

// randomCommand executes any command of a light, with any fields, and returns a
// description.
func (r *rig) randomCommand(rnd *rand.Rand) string {
	n := func(most uint) uint { return rnd.UintN(most + 1) }
	often := func(v uint) uint { // mostly a short time
		if rnd.IntN(3) == 0 {
			return 0
		}
		return n(v)
	}
	options := func() string { return fmt.Sprintf("%d,%d", n(3), n(3)) }
	o := strings.Split(options(), ",")
	type command struct {
		cl     matter.ClusterID
		id     matter.CommandID
		fields string
	}
	all := []command{
		{onOff, datamodel.OnOffCmdOff, "{}"}, {onOff, datamodel.OnOffCmdOn, "{}"}, {onOff, datamodel.OnOffCmdToggle, "{}"},
		{onOff, datamodel.OnOffCmdOffWithEffect, "{0:0,1:0}"}, {onOff, datamodel.OnOffCmdOnWithRecallGlobalScene, "{}"},
		{onOff, datamodel.OnOffCmdOnWithTimedOff, fmt.Sprintf("{0:%d,1:%d,2:%d}", n(1), n(100), n(100))},
		{scene, storeScene, fmt.Sprintf("{0:1,1:%d}", n(2))}, {scene, recallScene, fmt.Sprintf("{0:1,1:%d,2:%d}", n(2), often(5000))},
		{color, datamodel.ColorControlCmdStopMoveStep, fmt.Sprintf("{0:%s,1:%s}", o[0], o[1])},
		{color, datamodel.ColorControlCmdMoveToColorTemperature, fmt.Sprintf("{0:%d,1:%d,2:%s,3:%s}", 100+n(500), often(100), o[0], o[1])},
		{color, datamodel.ColorControlCmdMoveColorTemperature, fmt.Sprintf("{0:%d,1:%d,2:0,3:0,4:%s,5:%s}", []uint{0, 1, 3}[n(2)], 1+n(100), o[0], o[1])},
		{color, datamodel.ColorControlCmdMoveToColor, fmt.Sprintf("{0:%d,1:%d,2:%d,3:%s,4:%s}", n(50000), n(50000), often(100), o[0], o[1])},
		{color, datamodel.ColorControlCmdMoveToHueAndSaturation, fmt.Sprintf("{0:%d,1:%d,2:%d,3:%s,4:%s}", n(254), n(254), often(100), o[0], o[1])},
		{color, datamodel.ColorControlCmdMoveToHue, fmt.Sprintf("{0:%d,1:%d,2:%d,3:%s,4:%s}", n(254), n(3), often(100), o[0], o[1])},
		{color, datamodel.ColorControlCmdStepSaturation, fmt.Sprintf("{0:1,1:%d,2:%d,3:%s,4:%s}", 1+n(100), often(100), o[0], o[1])},
	}
	for _, id := range []matter.CommandID{datamodel.LevelControlCmdMoveToLevel, datamodel.LevelControlCmdMoveToLevelWithOnOff} {
		all = append(all, command{level, id, fmt.Sprintf("{0:%d,1:%d,2:%s,3:%s}", n(254), often(100), o[0], o[1])})
	}
	for _, id := range []matter.CommandID{datamodel.LevelControlCmdMove, datamodel.LevelControlCmdMoveWithOnOff} {
		all = append(all, command{level, id, fmt.Sprintf("{0:%d,1:%d,2:%s,3:%s}", n(1), 1+n(200), o[0], o[1])})
	}
	for _, id := range []matter.CommandID{datamodel.LevelControlCmdStep, datamodel.LevelControlCmdStepWithOnOff} {
		all = append(all, command{level, id, fmt.Sprintf("{0:%d,1:%d,2:%d,3:%s,4:%s}", n(1), 1+n(200), often(100), o[0], o[1])})
	}
	for _, id := range []matter.CommandID{datamodel.LevelControlCmdStop, datamodel.LevelControlCmdStopWithOnOff} {
		all = append(all, command{level, id, fmt.Sprintf("{0:%s,1:%s}", o[0], o[1])})
	}
	c := all[rnd.IntN(len(all))]
	r.Invoke(clustertest.Admin(1), 2, c.cl, c.id, c.fields)
	return fmt.Sprintf("0x%04X/0x%02X%s", uint32(c.cl), uint32(c.id), c.fields)
}

// TestLampAndControllersAgree executes random commands at random times. When everything
// has come to rest, a lamp that has done what it was asked for is as controllers see it.
func TestLampAndControllersAgree(t *testing.T) {
	settings := []struct {
		id     matter.AttributeID
		values []string
	}{
		{datamodel.LevelControlAttrOnLevel, []string{"null", "null", "1", "254"}},
		{datamodel.LevelControlAttrOnOffTransitionTime, []string{"0", "0", "5", "30"}},
		{datamodel.LevelControlAttrOptions, []string{"0", "1", "2", "3"}},
	}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := bulb(t)
		r.joins(1)
		lamp := obedient{Values{}, "temperature"}
		start := Values{"on": Bool(true), "brightness_percent": Number(100), "color_mode": Text("temperature"), "color_temperature_kelvin": Number(2700)}
		r.report(start)
		for name, v := range start {
			lamp.is[name] = v
		}
		for _, s := range settings {
			r.write(level, s.id, s.values[rnd.IntN(len(s.values))])
		}
		var log []string
		for range 1 + rnd.IntN(12) {
			log = append(log, r.randomCommand(rnd))
			if wait := rnd.IntN(8); wait > 4 {
				d := time.Duration(rnd.IntN(4000)) * time.Millisecond
				r.after(d)
				log = append(log, d.String())
			}
		}
		r.do(color, datamodel.ColorControlCmdStopMoveStep, "{0:1,1:1}")
		r.after(2 * time.Hour)
		off := r.e.State(r.Now)["on"] == Bool(false)
		lamp.obey(r.sent)
		if r.sent = nil; lamp.is["on"] != r.e.State(r.Now)["on"] {
			t.Fatalf("seed %d: on is %s for the lamp\n%s", seed, lamp.is["on"], strings.Join(log, "\n"))
		}
		if off { // what was set meanwhile comes with the next On
			r.do(onOff, datamodel.OnOffCmdOn, "{}")
			r.after(time.Hour)
			lamp.obey(r.sent)
		}
		shown := r.e.State(r.Now)
		differs := func(name string) {
			t.Errorf("seed %d: %s of the lamp is %s, controllers see %s\n%s", seed, name, lamp.is[name], shown[name], strings.Join(log, "\n"))
		}
		names := append([]string{"on", "brightness_percent"}, colorsOf(lamp.mode)...)
		if shown["color_mode"] != Text(lamp.mode) {
			t.Errorf("seed %d: the lamp shows %s, controllers see mode %s\n%s", seed, lamp.mode, shown["color_mode"], strings.Join(log, "\n"))
		}
		for _, name := range names {
			if lamp.is[name] != shown[name] {
				differs(name)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// reporting is a lamp that fades by itself and reports what it does.
type reporting struct {
	obedient
	steps bool // it reports during a fade and at its end; else at once what it will be
	on    bool
	rest  float64 // brightness that it has when it is on and does not fade
	from  float64
	start time.Time
	d     time.Duration
	fades bool
	goes  bool // it fades out
	said  time.Time
}

// brightness returns the brightness at now.
func (l *reporting) brightness(now time.Time) float64 {
	to := l.rest
	if l.goes {
		to = 0
	}
	if !l.fades {
		return to
	}
	return l.from + (to-l.from)*float64(now.Sub(l.start))/float64(l.d)
}

// take does what a command asks for, and returns the report that follows at once.
func (l *reporting) take(now time.Time, c Command) Values {
	l.obey([]Command{c})
	from := l.brightness(now)
	if !l.on {
		from = 0
	}
	if v, ok := c.Set["brightness_percent"].Number(); ok {
		l.rest, l.on, l.goes = v, true, false
	}
	if on, ok := c.Set["on"].Bool(); ok {
		l.on, l.goes = l.on || on, !on
	}
	if d := c.Transition; d != nil && *d > 0 && l.on {
		l.from, l.start, l.d, l.fades, l.said = from, now, *d, true, now
	} else if l.fades = false; l.goes {
		l.on, l.goes = false, false
	}
	if l.steps && l.fades {
		return nil
	}
	return l.report(l.on && !l.goes, l.rest)
}

func (l *reporting) report(on bool, brightness float64) Values {
	v := Values{"on": Bool(on), "brightness_percent": Number(max(brightness, 0.4)), "color_mode": Text(l.mode)}
	for _, name := range colorsOf(l.mode) {
		v[name] = l.is[name]
	}
	return v
}

// look returns what the lamp reports at now by itself.
func (l *reporting) look(now time.Time) Values {
	switch {
	case !l.fades:
		return nil
	case now.Sub(l.start) >= l.d:
		if l.fades = false; l.goes {
			l.on, l.goes = false, false
		}
		return l.report(l.on, l.rest)
	case l.steps && now.Sub(l.said) >= time.Second:
		l.said = now
		return l.report(true, l.brightness(now))
	}
	return nil
}

// colorsOf returns the names of the properties of a color mode.
func colorsOf(mode string) []string {
	switch mode {
	case "hs":
		return []string{"hue_degrees", "saturation_percent"}
	case "xy":
		return []string{"color_x", "color_y"}
	}
	return []string{"color_temperature_kelvin"}
}

// TestReportingLampAndControllersAgree is TestLampAndControllersAgree with a lamp that
// reports, a moment later, what it does. What controllers see of a fade goes one way.
func TestReportingLampAndControllersAgree(t *testing.T) {
	const step = 250 * time.Millisecond
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		r := bulb(t)
		r.joins(1)
		lamp := &reporting{obedient: obedient{Values{"color_temperature_kelvin": Number(2700)}, "temperature"}, steps: rnd.IntN(2) == 0, on: true, rest: 100}
		r.report(lamp.report(true, 100))
		r.write(level, datamodel.LevelControlAttrOnOffTransitionTime, []string{"0", "0", "5", "30"}[rnd.IntN(4)])
		log := []string{fmt.Sprintf("reports steps: %v", lamp.steps)}
		var was, way float64 // brightness, and the direction of its change since the last command
		pass := func(d time.Duration) {
			for end := r.Now.Add(d); r.Now.Before(end); {
				sent := r.sent
				r.sent = nil
				r.after(step)
				shown := r.e.State(r.Now)
				is, _ := shown["brightness_percent"].Number()
				switch {
				case len(sent) > 0 || len(r.sent) > 0 || shown["on"] == Bool(false):
					way = 0
				case (is-was)*way < 0:
					t.Errorf("seed %d: the brightness jumps from %v to %v\n%s", seed, was, is, strings.Join(log, "\n"))
				case is != was:
					way = is - was
				}
				was = is
				for _, c := range sent {
					if v := lamp.take(r.Now, c); v != nil {
						r.report(v)
					}
				}
				if v := lamp.look(r.Now); v != nil {
					r.report(v)
				}
			}
		}
		for range 1 + rnd.IntN(8) {
			log = append(log, r.randomCommand(rnd))
			if wait := rnd.IntN(4); wait > 0 {
				d := time.Duration(1+rnd.IntN(20)) * step
				pass(d)
				log = append(log, d.String())
			}
		}
		r.do(color, datamodel.ColorControlCmdStopMoveStep, "{0:1,1:1}")
		pass(10 * time.Minute)
		shown := r.e.State(r.Now)
		want := lamp.report(lamp.on, lamp.rest)
		for name, v := range want {
			if shown[name] != v && (lamp.on || name == "on") {
				t.Errorf("seed %d: %s of the lamp is %s, controllers see %s\n%s", seed, name, v, shown[name], strings.Join(log, "\n"))
			}
		}
		if t.Failed() {
			return
		}
	}
}
