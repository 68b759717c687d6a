package device

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// pressEvents are short names of the events of a button.
var pressEvents = map[string]string{
	"1{0:1}": "initial", "2{0:1}": "long", "3{0:1}": "short-release", "4{0:1}": "long-release",
	"5{0:1,1:2}": "ongoing-2", "5{0:1,1:3}": "ongoing-3",
	"6{0:1,1:0}": "complete-0", "6{0:1,1:1}": "complete-1", "6{0:1,1:2}": "complete-2", "6{0:1,1:3}": "complete-3",
}

// play executes a script, such as "press 200 release 700 single": gestures, with
// milliseconds in between.
func (r *rig) play(script string) (events string) {
	r.t.Helper()
	before := len(r.Events(clustertest.Admin(1), datamodel.SwitchID))
	for _, word := range strings.Fields(script) {
		if ms, err := strconv.Atoi(word); err == nil {
			r.after(time.Duration(ms) * time.Millisecond)
			continue
		}
		if err := r.e.Event(r.Now, Gesture(word)); err != nil {
			r.t.Fatalf("%s: %v", script, err)
		}
		r.Touch(2)
		r.Settle(r.Now)
	}
	var names []string
	for _, e := range r.Events(clustertest.Admin(1), datamodel.SwitchID)[before:] {
		name, ok := pressEvents[e]
		if !ok {
			name = e
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Section 1.13.6: each act with each set of features.
func TestButtonEvents(t *testing.T) {
	r := newRig(t, Part{Type: "generic_switch"})
	const (
		short  = "press 200 release "
		pause  = "5000 "
		single = "initial short-release"
		again  = "initial ongoing-2 short-release"
	)
	for _, tt := range []struct {
		gestures []string
		script   string
		want     string
	}{
		{[]string{"single"}, short + pause, single},
		{[]string{"single"}, "press 3000 release " + pause, single}, // section 1.13.6.4: also a long one
		{[]string{"single"}, short + "100 " + short + pause, single + " " + single},
		{[]string{"single"}, "single single", single + " " + single},

		{[]string{"single", "long"}, short + pause, single},
		{[]string{"single", "long"}, "press 900 release " + pause, single},
		{[]string{"single", "long"}, "press 1100 release " + pause, "initial long long-release"},
		{[]string{"single", "long"}, short + "100 press 2000 release " + pause, single + " initial long long-release"},

		{[]string{"double"}, short + pause, single + " complete-1"},
		{[]string{"double"}, "press 3000 release " + pause, single + " complete-1"},
		{[]string{"double"}, short + "100 " + short + pause, single + " " + again + " complete-2"},

		{nil, short + pause, single + " complete-1"},
		{nil, short + "500", single},
		{nil, short + "700 " + short + pause, single + " complete-1 " + single + " complete-1"},
		{nil, short + "500 " + short + pause, single + " " + again + " complete-2"},
		{nil, short + "300 " + short + "300 " + short + pause, single + " " + again + " initial ongoing-3 short-release complete-3"},
		// Section 1.13.5.3: too many presses do not count, and there are no events
		// until the button is idle.
		{nil, strings.Repeat(short+"300 ", 5) + pause, single + " " + again + " initial ongoing-3 short-release complete-0"},
		{nil, strings.Repeat(short+"300 ", 4) + pause + short + pause, single + " " + again + " initial ongoing-3 short-release complete-0 " + single + " complete-1"},
		{[]string{"double"}, strings.Repeat(short+"300 ", 3) + "press 3000 release " + pause, single + " " + again + " complete-0"},
		// Section 1.13.6.3: a long press is one of its own, or a counted press.
		{nil, "press 1100 release " + pause, "initial long long-release"},
		{nil, "press 1100", "initial long"},
		{nil, short + "300 press 5000 release " + pause, single + " " + again + " complete-2"},
		{nil, "press 5000 release 100 " + short + pause, "initial long long-release " + single + " complete-1"},

		// A gesture that the source has recognized is emitted completely and at once.
		{nil, "single", single + " complete-1"},
		{nil, "double", single + " " + again + " complete-2"},
		{nil, "triple", single + " " + again + " initial ongoing-3 short-release complete-3"},
		{[]string{"double"}, "double", single + " " + again + " complete-2"},
		{nil, "long", "initial long"},
		{nil, "long 3000 release", "initial long long-release"},
		{nil, "long 60000", "initial long long-release"}, // the source does not report the end
		{nil, "long 60000 release", "initial long long-release"},
		{nil, "long 3000 long 3000 release", "initial long long-release initial long long-release"},
		{nil, "long 3000 single", "initial long long-release " + single + " complete-1"},
		{nil, "single 10 single", single + " complete-1 " + single + " complete-1"},
		{nil, short + "100 double", single + " complete-1 " + single + " " + again + " complete-2"},
		{nil, "press 100 single", single + " complete-1 " + single + " complete-1"},

		// Invalid sequences.
		{nil, "release " + pause, ""},
		{nil, "press press 100 release release " + pause, single + " complete-1"},
	} {
		r.renew(Part{Type: "generic_switch", Options: Options{Gestures: tt.gestures}})
		if got := r.play(tt.script); got != tt.want {
			t.Errorf("%v: %s\ngot  %s\nwant %s", tt.gestures, tt.script, got, tt.want)
		}
	}
}

func TestButtonFeatures(t *testing.T) {
	for _, tt := range []struct {
		gestures string
		features string // MS 2, MSR 4, MSL 8, MSM 16
		most     string // MultiPressMax
	}{
		{"", "30", "3"}, {"single", "6", "UNSUPPORTED_ATTRIBUTE"}, {"single long", "14", "UNSUPPORTED_ATTRIBUTE"},
		{"single double", "22", "2"}, {"single double triple", "22", "3"}, {"single double long", "30", "2"}, {"triple", "22", "3"},
	} {
		r := newRig(t, Part{Type: "generic_switch", Options: Options{Gestures: strings.Fields(tt.gestures)}})
		sw := datamodel.SwitchID
		if got := r.read(sw, 0xFFFC); got != tt.features {
			t.Errorf("%q: FeatureMap %s, want %s", tt.gestures, got, tt.features)
		}
		if got := r.read(sw, datamodel.SwitchAttrMultiPressMax); got != tt.most {
			t.Errorf("%q: MultiPressMax %s, want %s", tt.gestures, got, tt.most)
		}
		if got := r.read(sw, datamodel.SwitchAttrNumberOfPositions); got != "2" {
			t.Errorf("%q: NumberOfPositions %s", tt.gestures, got)
		}
	}
	_, err := New("test:1", &Part{Type: "generic_switch", Options: Options{Gestures: []string{"single", "wink"}}}, nil)
	var option *OptionError
	if !errors.As(err, &option) || option.Option != "gestures" {
		t.Errorf("an unknown gesture: %v", err)
	}
}

func TestGestureThatAButtonLacks(t *testing.T) {
	r := newRig(t, Part{Type: "generic_switch", Options: Options{Gestures: []string{"single"}}})
	var refused *EventError
	for _, g := range []Gesture{Double, Triple, Long, "wink", ""} {
		if err := r.e.Event(r.Now, g); !errors.As(err, &refused) || refused.Event != g {
			t.Errorf("%q: %v", g, err)
		}
	}
	if got, want := refused.Error(), `event: the part has no ""; it has single, press, release`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := r.play(""); got != "" {
		t.Errorf("events %s", got)
	}
	r = newRig(t, Part{Type: "contact_sensor"})
	if err := r.e.Event(r.Now, Single); !errors.As(err, &refused) {
		t.Errorf("a contact: %v", err)
	}
}

// CurrentPosition changes to 1 and to 0, and each change is reported with its
// event.
func TestButtonPosition(t *testing.T) {
	r := newRig(t, Part{Type: "generic_switch"})
	position := func() string { return r.read(datamodel.SwitchID, datamodel.SwitchAttrCurrentPosition) }
	version := func() uint32 {
		return r.Version(2, datamodel.SwitchID, datamodel.SwitchAttrCurrentPosition)
	}
	last := version()
	for _, tt := range []struct{ script, want string }{{"press", "1"}, {"200 release", "0"}, {"5000 press 2000", "1"}, {"release", "0"}, {"long", "1"}, {"60000", "0"}} {
		r.play(tt.script)
		if got := position(); got != tt.want {
			t.Errorf("%s: CurrentPosition %s, want %s", tt.script, got, tt.want)
		}
		if v := version(); v == last {
			t.Errorf("%s: nothing is reported", tt.script)
		} else {
			last = v
		}
	}
	r.play("press")
	again := newBareRig(t, Part{Type: "generic_switch"})
	if err := again.e.Load(r.e.Save()); err != nil {
		t.Fatal(err)
	}
	again.add()
	if got := again.read(datamodel.SwitchID, datamodel.SwitchAttrCurrentPosition); got != "0" {
		t.Errorf("after a restart CurrentPosition is %s", got)
	}
}

func TestButtonRests(t *testing.T) {
	r := newRig(t, Part{Type: "generic_switch"})
	r.play("single 2000 press 5000 release 5000 long 20000")
	if at, ok := r.e.Deadline(); ok {
		t.Errorf("an idle button has something to do at %v", at)
	}
}

// A latching switch (section 1.13.4.1) stays in its position, over a restart too. Each
// change is SwitchLatched with the attribute; what it begins with is no change.
func TestLatchingSwitch(t *testing.T) {
	p := Part{Type: "generic_switch", Options: Options{Positions: 3}}
	r := newBareRig(t, p)
	if got := r.e.Waiting(); len(got) != 1 || got[0] != "position" {
		t.Errorf("waits for %v", got)
	}
	if err := r.e.Report(r.Now, Values{"position": Number(1)}); err != nil {
		t.Fatal(err)
	}
	r.add()
	r.wantAll("at first", datamodel.SwitchID, map[matter.AttributeID]string{
		matter.AttributeFeatureMap: "1", datamodel.SwitchAttrNumberOfPositions: "3", datamodel.SwitchAttrCurrentPosition: "1",
		datamodel.SwitchAttrMultiPressMax: "UNSUPPORTED_ATTRIBUTE",
	})
	r.wantEvents("at first", datamodel.SwitchID)
	for _, position := range []float64{2, 2, 0} {
		r.report(Values{"position": Number(position)})
		r.wantRead("moved", datamodel.SwitchID, datamodel.SwitchAttrCurrentPosition, fmt.Sprint(position))
	}
	r.report(Values{"position": Null})
	r.wantEvents("moved", datamodel.SwitchID, "0{0:2}", "0{0:0}")
	r.report(Values{"position": Number(2)})
	r.restart(p)
	r.wantRead("after a restart", datamodel.SwitchID, datamodel.SwitchAttrCurrentPosition, "2")
	p.Options.Positions = 2
	r.restart(p)
	r.wantRead("with fewer positions", datamodel.SwitchID, datamodel.SwitchAttrCurrentPosition, "1")
	var refused *EventError
	if err := r.e.Event(r.Now, Single); !errors.As(err, &refused) {
		t.Errorf("a gesture: %v", err)
	}
	for _, o := range []Options{{Positions: 1}, {Positions: -1}, {Positions: 33}, {Positions: 2, Gestures: []string{"single"}}} {
		var option *OptionError
		if _, err := New("test:1", &Part{Type: "generic_switch", Options: o}, nil); !errors.As(err, &option) || option.Option != "positions" {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
