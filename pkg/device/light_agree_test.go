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
		names := []string{"on", "brightness_percent"}
		switch lamp.mode {
		case "hs":
			names = append(names, "hue_degrees", "saturation_percent")
		case "xy":
			names = append(names, "color_x", "color_y")
		default:
			names = append(names, "color_temperature_kelvin")
		}
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
