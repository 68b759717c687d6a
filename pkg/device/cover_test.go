package device

import (
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const covering = datamodel.WindowCoveringID

// wantCover compares position, target and status of lift.
func (r *rig) wantCover(what, current, target, status string) {
	r.t.Helper()
	for _, a := range []struct {
		id   matter.AttributeID
		want string
	}{
		{datamodel.WindowCoveringAttrCurrentPositionLiftPercent100ths, current},
		{datamodel.WindowCoveringAttrTargetPositionLiftPercent100ths, target},
		{datamodel.WindowCoveringAttrOperationalStatus, status},
	} {
		if got := r.read(covering, a.id); got != a.want {
			r.t.Errorf("%s: attribute 0x%04X is %s, want %s", what, uint32(a.id), got, a.want)
		}
	}
}

// TestCoverMoves follows the commands of a covering (section 5.3.7).
func TestCoverMoves(t *testing.T) {
	r := newRig(t, Part{Type: "window_covering"})
	r.report(Values{"position_percent": Number(100)})
	r.wantCover("open", "0", "0", "0")
	r.invoke(covering, datamodel.WindowCoveringCmdGoToLiftPercentage, "{0:4000}")
	r.wantSent("40 % closed", Values{"position_percent": Number(60)})
	r.wantCover("asked to close", "0", "4000", "10")
	r.report(Values{"position_percent": Number(80), "moving": Text("closing")})
	r.wantCover("on its way", "2000", "4000", "10")
	r.report(Values{"position_percent": Number(61)})
	r.wantCover("there, within a percent", "3900", "3900", "0")
	r.invoke(covering, datamodel.WindowCoveringCmdUpOrOpen, "{}")
	r.wantSent("UpOrOpen", Values{"position_percent": Number(100)})
	r.wantCover("asked to open", "3900", "0", "5")
	r.invoke(covering, datamodel.WindowCoveringCmdStopMotion, "{}")
	r.wantCover("stopped", "3900", "3900", "0")
	if len(r.sent) != 1 || r.sent[0].Do != Stop {
		t.Errorf("StopMotion sent %v", r.sent)
	}
	r.sent = nil
	r.invoke(covering, datamodel.WindowCoveringCmdDownOrClose, "{}")
	r.after(2 * time.Minute)
	r.wantCover("a device that says nothing has stopped", "3900", "3900", "0")
}

// TestCoverMovedAtTheDevice checks that the target also changes, since Apple shows
// a covering as moving while target and position differ.
func TestCoverMovedAtTheDevice(t *testing.T) {
	r := newRig(t, Part{Type: "window_covering"})
	r.report(Values{"position_percent": Number(50)})
	r.report(Values{"moving": Text("opening")})
	r.wantCover("opened by hand", "5000", "0", "5")
	r.report(Values{"position_percent": Number(70), "moving": Text("stopped")})
	r.wantCover("stopped", "3000", "3000", "0")
	r.report(Values{"position_percent": Number(0)})
	r.wantCover("a position alone", "10000", "10000", "0")
	r.wantSent("what the device does itself")
}

func TestCoverPositions(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		name     string
		options  Options
		features string
		typ      string
	}{
		{"position", Options{}, "5", "0"},
		{"no position", Options{Position: &no, Kind: "garage_door"}, "1", "0"},
		{"lift and tilt", Options{Position: &yes, Tilt: true, Kind: "blind"}, "23", "8"},
		{"tilt alone", Options{Position: &no, Tilt: true, Kind: "blind"}, "18", "7"},
		{"shutter", Options{Kind: "shutter"}, "5", "6"},
	} {
		r := newRig(t, Part{Type: "window_covering", Options: tt.options})
		if got := r.read(covering, matter.AttributeFeatureMap); got != tt.features {
			t.Errorf("%s: features %s, want %s", tt.name, got, tt.features)
		}
		if got := r.read(covering, datamodel.WindowCoveringAttrType); got != tt.typ {
			t.Errorf("%s: type %s, want %s", tt.name, got, tt.typ)
		}
	}
	r := newRig(t, Part{Type: "window_covering", Options: Options{Inverted: true}})
	for _, percent := range []float64{0, 0.5, 33, 100} {
		r.report(Values{"position_percent": Number(percent)})
		if got := r.e.State(r.Now)["position_percent"]; got != Number(percent) {
			t.Errorf("%v %% came back as %v", percent, got)
		}
	}
	r.wantCover("100 % of a source that counts the other way round", "10000", "10000", "0")
}

func TestCoverRefuses(t *testing.T) {
	r := newRig(t, Part{Type: "window_covering"})
	r.report(Values{"position_percent": Number(50)})
	for what, tt := range map[string][2]string{
		"out of range": {r.invoke(covering, datamodel.WindowCoveringCmdGoToLiftPercentage, "{0:10001}"), "CONSTRAINT_ERROR"},
		"no tilt":      {r.invoke(covering, datamodel.WindowCoveringCmdGoToTiltPercentage, "{0:0}"), "UNSUPPORTED_COMMAND"},
	} {
		if tt[0] != tt[1] {
			t.Errorf("%s: %s, want %s", what, tt[0], tt[1])
		}
	}
	r.wantSent("what is refused")
	if _, err := New("test:1", &Part{Type: "window_covering", Options: Options{Kind: "tent"}}, nil); err == nil {
		t.Error("an unknown kind was accepted")
	}
}

// TestCoverMode: maintenance stops the covering, ConfigStatus follows, and
// unsupported modes are rejected (sections 5.3.6.5 and 5.3.6.14).
func TestCoverMode(t *testing.T) {
	r := newRig(t, Part{Type: "window_covering"})
	r.report(Values{"position_percent": Number(50)})
	const mode, config = datamodel.WindowCoveringAttrMode, datamodel.WindowCoveringAttrConfigStatus
	for _, tt := range []struct{ value, status, mode, config, move string }{
		{"0", "SUCCESS", "0", "9", "SUCCESS"},
		{"4", "SUCCESS", "4", "8", "BUSY"},
		{"1", "CONSTRAINT_ERROR", "4", "8", "BUSY"},
		{"2", "CONSTRAINT_ERROR", "4", "8", "BUSY"},
		{"12", "CONSTRAINT_ERROR", "4", "8", "BUSY"},
		{"16", "CONSTRAINT_ERROR", "4", "8", "BUSY"},
		{"0", "SUCCESS", "0", "9", "SUCCESS"},
	} {
		if got := r.Write(clustertest.Admin(1), 2, covering, mode, tt.value); got != tt.status {
			t.Errorf("Mode %s: %s, want %s", tt.value, got, tt.status)
		}
		r.wantAll("Mode "+tt.value, covering, map[matter.AttributeID]string{mode: tt.mode, config: tt.config})
		for _, id := range []matter.CommandID{datamodel.WindowCoveringCmdUpOrOpen, datamodel.WindowCoveringCmdDownOrClose} {
			if got := r.invoke(covering, id, "{}"); got != tt.move {
				t.Errorf("command %d in Mode %s: %s, want %s", id, tt.mode, got, tt.move)
			}
		}
		if got := r.invoke(covering, datamodel.WindowCoveringCmdGoToLiftPercentage, "{0:0}"); got != tt.move {
			t.Errorf("GoToLiftPercentage in Mode %s: %s, want %s", tt.mode, got, tt.move)
		}
	}
	r.write(covering, mode, "4")
	r.restart(Part{Type: "window_covering"})
	r.wantAll("after a restart", covering, map[matter.AttributeID]string{mode: "4", config: "8"})
}

// A covering without positions is opened and closed, and shows no position (section
// 5.3.4).
func TestCoverWithoutPosition(t *testing.T) {
	no := false
	r := newRig(t, Part{Type: "window_covering", Options: Options{Position: &no, Kind: "garage_door"}})
	for id, want := range map[matter.AttributeID]string{
		datamodel.WindowCoveringAttrCurrentPositionLiftPercent100ths: "UNSUPPORTED_ATTRIBUTE",
		datamodel.WindowCoveringAttrTargetPositionLiftPercent100ths:  "UNSUPPORTED_ATTRIBUTE",
		datamodel.WindowCoveringAttrCurrentPositionTiltPercent100ths: "UNSUPPORTED_ATTRIBUTE",
		datamodel.WindowCoveringAttrConfigStatus:                     "1",
	} {
		r.wantRead("no position", covering, id, want)
	}
	if got := r.invoke(covering, datamodel.WindowCoveringCmdGoToLiftPercentage, "{0:0}"); got != "UNSUPPORTED_COMMAND" {
		t.Errorf("GoToLiftPercentage: %s", got)
	}
	r.do(covering, datamodel.WindowCoveringCmdUpOrOpen, "{}")
	r.wantSent("UpOrOpen", Values{"position_percent": Number(100)})
	r.wantRead("opening", covering, datamodel.WindowCoveringAttrOperationalStatus, "5")
	r.do(covering, datamodel.WindowCoveringCmdDownOrClose, "{}")
	r.wantSent("DownOrClose", Values{"position_percent": Number(0)})
	r.wantRead("closing", covering, datamodel.WindowCoveringAttrOperationalStatus, "10")
}

// A blind with only slats has no lift (section 5.3.4).
func TestCoverOfTiltAlone(t *testing.T) {
	no := false
	r := newRig(t, Part{Type: "window_covering", Options: Options{Position: &no, Tilt: true, Kind: "blind"}})
	r.report(Values{"tilt_percent": Number(100)})
	if got := r.invoke(covering, datamodel.WindowCoveringCmdGoToLiftPercentage, "{0:0}"); got != "UNSUPPORTED_COMMAND" {
		t.Errorf("GoToLiftPercentage: %s", got)
	}
	r.do(covering, datamodel.WindowCoveringCmdGoToTiltPercentage, "{0:7500}")
	r.wantSent("GoToTiltPercentage", Values{"tilt_percent": Number(25)})
	r.wantAll("tilting", covering, map[matter.AttributeID]string{
		datamodel.WindowCoveringAttrTargetPositionTiltPercent100ths: "7500", datamodel.WindowCoveringAttrOperationalStatus: "34",
		datamodel.WindowCoveringAttrCurrentPositionLiftPercent100ths: "UNSUPPORTED_ATTRIBUTE",
	})
}

// Lift and tilt move separately (sections 5.3.6.12 and 5.3.7): the commands for the
// whole covering move both, and OperationalStatus is that of lift, or else of tilt.
func TestCoverOfBothAxes(t *testing.T) {
	p := Part{Type: "window_covering", Options: Options{Kind: "blind", Tilt: true}}
	r := newRig(t, p)
	r.report(Values{"position_percent": Number(100), "tilt_percent": Number(100)})
	const (
		targetLift = datamodel.WindowCoveringAttrTargetPositionLiftPercent100ths
		targetTilt = datamodel.WindowCoveringAttrTargetPositionTiltPercent100ths
		status     = datamodel.WindowCoveringAttrOperationalStatus
		percentage = datamodel.WindowCoveringAttrCurrentPositionLiftPercentage
	)
	r.wantAll("open", covering, map[matter.AttributeID]string{targetLift: "0", targetTilt: "0", status: "0", percentage: "0"})
	for _, tt := range []struct {
		name       string
		command    matter.CommandID
		fields     string
		sent       Values
		lift, tilt string
		status     string
	}{
		{"tilt alone", datamodel.WindowCoveringCmdGoToTiltPercentage, "{0:2500}", Values{"tilt_percent": Number(75)}, "0", "2500", "34"},
		{"lift besides", datamodel.WindowCoveringCmdGoToLiftPercentage, "{0:10000}", Values{"position_percent": Number(0)}, "10000", "2500", "42"},
		{"UpOrOpen", datamodel.WindowCoveringCmdUpOrOpen, "{}", Values{"position_percent": Number(100), "tilt_percent": Number(100)}, "0", "0", "0"},
		{"DownOrClose", datamodel.WindowCoveringCmdDownOrClose, "{}", Values{"position_percent": Number(0), "tilt_percent": Number(0)}, "10000", "10000", "42"},
	} {
		r.do(covering, tt.command, tt.fields)
		r.wantSent(tt.name, tt.sent)
		r.wantAll(tt.name, covering, map[matter.AttributeID]string{targetLift: tt.lift, targetTilt: tt.tilt, status: tt.status})
	}
	r.report(Values{"position_percent": Number(0)})
	r.wantAll("lift has arrived", covering, map[matter.AttributeID]string{targetLift: "10000", targetTilt: "10000", status: "34", percentage: "100"})
	r.do(covering, datamodel.WindowCoveringCmdStopMotion, "{}")
	r.wantAll("stopped", covering, map[matter.AttributeID]string{targetLift: "10000", targetTilt: "0", status: "0"})
}

// Positions are kept (section 5.3.6), and a covering at rest has its target where it
// is, also after a restart, since Apple shows any other one as moving.
func TestCoverAfterARestart(t *testing.T) {
	p := Part{Type: "window_covering", Options: Options{Kind: "blind", Tilt: true}}
	r := newRig(t, p)
	r.report(Values{"position_percent": Number(30), "tilt_percent": Number(0.5)})
	r.do(covering, datamodel.WindowCoveringCmdUpOrOpen, "{}")
	r.restart(p)
	r.wantCover("after a restart", "7000", "7000", "0")
	r.wantAll("after a restart", covering, map[matter.AttributeID]string{
		datamodel.WindowCoveringAttrCurrentPositionTiltPercent100ths: "9950",
		datamodel.WindowCoveringAttrTargetPositionTiltPercent100ths:  "9950",
		datamodel.WindowCoveringAttrCurrentPositionTiltPercentage:    "99",
	})
}

// Type and EndProductType belong together (sections 5.3.6.2 and 5.3.6.13).
func TestCoverKinds(t *testing.T) {
	no := false
	for _, tt := range []struct{ kind, lift, both string }{
		{"", "0/255", "8/255"}, {"roller_shade", "0/0", "8/255"}, {"curtain", "4/16", "8/255"}, {"awning", "5/19", "8/255"},
		{"shutter", "6/17", "6/17"}, {"blind", "0/255", "8/10"}, {"screen", "9/255", "8/255"}, {"garage_door", "0/255", "8/255"}, {"gate", "0/255", "8/255"},
	} {
		for want, o := range map[string]Options{
			tt.lift: {Kind: tt.kind, Position: &no},
			tt.both: {Kind: tt.kind, Tilt: true},
			"7/9":   {Kind: tt.kind, Tilt: true, Position: &no},
		} {
			r := newRig(t, Part{Type: "window_covering", Options: o})
			got := r.read(covering, datamodel.WindowCoveringAttrType) + "/" + r.read(covering, datamodel.WindowCoveringAttrEndProductType)
			if got != want {
				t.Errorf("%q, tilt %v: type/product %s, want %s", tt.kind, o.Tilt, got, want)
			}
		}
	}
}
