package device

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// timed executes a command as a timed interaction.
func (r *rig) timed(cl matter.ClusterID, id matter.CommandID, fields func(w *tlv.Writer)) error {
	r.t.Helper()
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	if fields != nil {
		fields(w)
	}
	w.End()
	f := tlv.NewReader(w.Bytes())
	for _, c := range r.e.Clusters() {
		if c.Spec().ID == cl {
			err := c.Invoke(&im.Request{Now: r.Now, Subject: clustertest.Admin(1)}, id, f.Element(), tlv.NewWriter(nil))
			r.Touch(2)
			r.Settle(r.Now)
			return err
		}
	}
	r.t.Fatalf("no cluster 0x%04X", uint32(cl))
	return nil
}

func (r *rig) wantEvents(what string, cl matter.ClusterID, want ...string) {
	r.t.Helper()
	got := r.Events(clustertest.Admin(1), cl)
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && got[i] == want[i]
	}
	if !ok {
		r.t.Errorf("%s: events %q, want %q", what, got, want)
	}
}

// TestLockMovesFirst: the state changes after the bolt has moved, and the event
// contains the cause (section 5.2.11.3).
func TestLockMovesFirst(t *testing.T) {
	const lock = datamodel.DoorLockID
	r := newRig(t, Part{Type: "door_lock"})
	r.report(Values{"lock": Text("locked")})
	r.wantEvents("the first word of the lock", lock)
	if got := r.invoke(lock, datamodel.DoorLockCmdUnlockDoor, "{}"); got != "NEEDS_TIMED_INTERACTION" {
		t.Errorf("untimed: %s", got)
	}
	if err := r.timed(lock, datamodel.DoorLockCmdUnlockDoor, nil); err != nil {
		t.Fatal(err)
	}
	if len(r.sent) != 1 || r.sent[0].Do != Unlock || r.sent[0].Fabric != 1 {
		t.Fatalf("sent %+v", r.sent)
	}
	if got := r.read(lock, datamodel.DoorLockAttrLockState); got != "1" {
		t.Errorf("LockState %s before the bolt has moved", got)
	}
	r.report(Values{"lock": Text("unlocked")})
	r.wantEvents("unlocked by a controller", lock, "2{0:1,1:7,2:null,3:1,4:4097}")
	r.report(Values{"lock": Text("locked")})
	r.wantEvents("locked by hand", lock, "2{0:1,1:7,2:null,3:1,4:4097}", "2{0:0,1:0,2:null,3:null,4:null}")
	r.report(Values{"lock": Text("unknown")})
	if got := r.read(lock, datamodel.DoorLockAttrLockState); got != "1" {
		t.Errorf("LockState %s when it is not known", got)
	}
}

func TestLockThatDoesNotMove(t *testing.T) {
	const lock = datamodel.DoorLockID
	r := newRig(t, Part{Type: "door_lock"})
	r.report(Values{"lock": Text("unlocked")})
	r.timed(lock, datamodel.DoorLockCmdLockDoor, nil)
	r.after(time.Minute)
	r.wantEvents("nothing for half a minute", lock, "3{0:0,1:7,2:0,3:null,4:1,5:4097}")
	r.report(Values{"lock": Text("jammed")})
	r.wantEvents("jammed", lock, "3{0:0,1:7,2:0,3:null,4:1,5:4097}", "0{0:0}")
}

func TestLockPIN(t *testing.T) {
	const lock = datamodel.DoorLockID
	pin := func(w *tlv.Writer) { w.Octets(tlv.Context(0), []byte("1234")) }
	r := newRig(t, Part{Type: "door_lock"})
	if err := r.timed(lock, datamodel.DoorLockCmdUnlockDoor, pin); err != matter.StatusFailure {
		t.Errorf("a PIN for a lock without: %v", err)
	}
	r = newRig(t, Part{Type: "door_lock", Options: Options{PIN: true}})
	if err := r.timed(lock, datamodel.DoorLockCmdUnlockDoor, pin); err != nil || len(r.sent) != 1 || r.sent[0].PIN != "1234" {
		t.Errorf("%v, sent %+v", err, r.sent)
	}
}

func TestDoorOfALock(t *testing.T) {
	r := newRig(t, Part{Type: "door_lock", State: Values{"door": Null}})
	r.report(Values{"lock": Text("locked"), "door": Text("closed")})
	r.report(Values{"door": Text("open")})
	r.wantEvents("opened", datamodel.DoorLockID, "1{0:0}")
	if got := r.read(datamodel.DoorLockID, datamodel.DoorLockAttrDoorState); got != "0" {
		t.Errorf("DoorState %s", got)
	}
}

const valveID = datamodel.ValveConfigurationAndControlID

func (r *rig) wantValve(what, state, target, remaining string) {
	r.t.Helper()
	for id, want := range map[matter.AttributeID]string{
		datamodel.ValveConfigurationAndControlAttrCurrentState:      state,
		datamodel.ValveConfigurationAndControlAttrTargetState:       target,
		datamodel.ValveConfigurationAndControlAttrRemainingDuration: remaining,
	} {
		if got := r.read(valveID, id); got != want {
			r.t.Errorf("%s: attribute %d is %s, want %s", what, id, got, want)
		}
	}
}

// TestValveCloses: a valve that was opened for a time closes, even if the command
// must be repeated (section 4.6.8).
func TestValveCloses(t *testing.T) {
	r := newRig(t, Part{Type: "water_valve"})
	r.wantValve("at first", "0", "null", "null")
	if got := r.invoke(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:60}"); got != "SUCCESS" {
		t.Fatal(got)
	}
	r.wantSent("Open", Values{"open": Bool(true)})
	r.wantValve("asked to open", "2", "1", "60")
	r.report(Values{"open": Bool(true)})
	r.wantValve("open", "1", "null", "60")
	r.after(20 * time.Second)
	r.wantValve("20 s later", "1", "null", "40")
	r.after(40 * time.Second)
	r.wantSent("at the end", Values{"open": Bool(false)})
	r.wantValve("at the end", "2", "0", "null")
	r.after(10 * time.Second)
	r.wantSent("not closed yet", Values{"open": Bool(false)})
	r.report(Values{"open": Bool(true)})
	r.after(10 * time.Second)
	r.wantSent("it says that it is open", Values{"open": Bool(false)})
	r.report(Values{"open": Bool(false)})
	r.wantValve("closed", "0", "null", "null")
	r.after(time.Hour)
	r.wantSent("after it has closed")
	r.wantEvents("opened and closed", valveID, "0{0:1}", "0{0:1}", "0{0:0}")
}

func TestValveRefuses(t *testing.T) {
	r := newRig(t, Part{Type: "water_valve", Options: Options{Level: true}})
	for fields, want := range map[string]string{
		"{0:0}":          "CONSTRAINT_ERROR",
		"{1:0}":          "CONSTRAINT_ERROR",
		"{1:101}":        "CONSTRAINT_ERROR",
		"{0:null,1:100}": "SUCCESS",
	} {
		if got := r.invoke(valveID, datamodel.ValveConfigurationAndControlCmdOpen, fields); got != want {
			t.Errorf("Open %s: %s, want %s", fields, got, want)
		}
	}
	r.sent = nil
	r.invoke(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{1:40}")
	r.wantSent("Open at 40 %", Values{"open": Bool(true), "level_percent": Number(40)})
	r.report(Values{"level_percent": Number(40)})
	r.wantValve("at 40 %", "1", "null", "null")
}

// The least lock (section 5.2): no feature, and SupportedOperatingModes is inverted.
func TestLeastLock(t *testing.T) {
	const lock = datamodel.DoorLockID
	r := newRig(t, Part{Type: "door_lock"})
	r.wantAll("at first", lock, map[matter.AttributeID]string{
		matter.AttributeFeatureMap: "0", datamodel.DoorLockAttrLockState: "null", datamodel.DoorLockAttrLockType: "2",
		datamodel.DoorLockAttrActuatorEnabled: "true", datamodel.DoorLockAttrOperatingMode: "0",
		datamodel.DoorLockAttrSupportedOperatingModes: "65526", datamodel.DoorLockAttrDoorState: "UNSUPPORTED_ATTRIBUTE",
		matter.AttributeAcceptedCommandList: "[0,1]",
	})
	if r.e.Groups || r.e.Scenes {
		t.Error("a lock is in groups or scenes")
	}
	if got := r.Write(clustertest.Admin(1), 2, lock, datamodel.DoorLockAttrOperatingMode, "3"); got != "UNSUPPORTED_WRITE" {
		t.Errorf("OperatingMode was written: %s", got)
	}
}

// A command for what the lock is already (section 5.2.11.4): the lock has nothing to do,
// whether it says so or not, and that is not an error.
func TestLockIsThereAlready(t *testing.T) {
	const lock = datamodel.DoorLockID
	for _, says := range []Values{nil, {"lock": Text("locked")}} {
		r := newRig(t, Part{Type: "door_lock"})
		r.report(Values{"lock": Text("locked")})
		if err := r.timed(lock, datamodel.DoorLockCmdLockDoor, nil); err != nil || len(r.sent) != 1 {
			t.Errorf("LockDoor of a locked lock: %v, sent %+v", err, r.sent)
		}
		if says != nil {
			r.report(says)
		}
		r.after(time.Minute)
		r.wantEvents(fmt.Sprintf("the lock reports %v", says), lock)
		r.report(Values{"lock": Text("unlocked")})
		r.report(Values{"lock": Text("locked")})
		r.wantEvents("turned by hand later", lock, "2{0:1,1:0,2:null,3:null,4:null}", "2{0:0,1:0,2:null,3:null,4:null}")
	}
}

// If the lock repeats its old state during a command, that is not the result.
func TestLockRepeatsItsOldState(t *testing.T) {
	const lock = datamodel.DoorLockID
	r := newRig(t, Part{Type: "door_lock"})
	r.report(Values{"lock": Text("locked")})
	r.timed(lock, datamodel.DoorLockCmdUnlockDoor, nil)
	r.report(Values{"lock": Text("locked")})
	r.after(10 * time.Second)
	r.wantEvents("it still moves", lock)
	r.report(Values{"lock": Text("unlocked")})
	r.wantEvents("it has moved", lock, "2{0:1,1:7,2:null,3:1,4:4097}")
}

// A lock that cannot be reached fails at once and leaves nothing to wait for; a PIN
// has at most 32 octets.
func TestLockRefuses(t *testing.T) {
	const lock = datamodel.DoorLockID
	r := newRig(t, Part{Type: "door_lock", Options: Options{PIN: true}})
	r.report(Values{"lock": Text("locked")})
	r.fail = true
	if err := r.timed(lock, datamodel.DoorLockCmdUnlockDoor, nil); err == nil {
		t.Error("a lock that cannot be reached was unlocked")
	}
	r.fail = false
	long := func(w *tlv.Writer) { w.Octets(tlv.Context(0), make([]byte, 33)) }
	if err := r.timed(lock, datamodel.DoorLockCmdUnlockDoor, long); err != matter.StatusConstraintError {
		t.Errorf("a PIN of 33 octets: %v", err)
	}
	r.after(time.Minute)
	r.wantEvents("after refused commands", lock)
	if len(r.sent) != 0 {
		t.Errorf("sent %+v", r.sent)
	}
}

// Open without a duration (section 4.6.8.1): the attribute's, and none if that is
// null. Without a level: DefaultOpenLevel. Close ends both (section 4.6.8.2).
func TestValveDefaults(t *testing.T) {
	const (
		open, shut   = datamodel.ValveConfigurationAndControlCmdOpen, datamodel.ValveConfigurationAndControlCmdClose
		duration     = datamodel.ValveConfigurationAndControlAttrOpenDuration
		byDefault    = datamodel.ValveConfigurationAndControlAttrDefaultOpenDuration
		defaultLevel = datamodel.ValveConfigurationAndControlAttrDefaultOpenLevel
		level        = datamodel.ValveConfigurationAndControlAttrTargetLevel
	)
	p := Part{Type: "water_valve", Options: Options{Level: true}}
	r := newRig(t, p)
	for _, x := range []struct {
		id            matter.AttributeID
		value, status string
	}{
		{byDefault, "0", "CONSTRAINT_ERROR"}, {byDefault, "300", "SUCCESS"}, {defaultLevel, "0", "CONSTRAINT_ERROR"},
		{defaultLevel, "101", "CONSTRAINT_ERROR"}, {defaultLevel, "70", "SUCCESS"},
	} {
		if got := r.Write(clustertest.Admin(1), 2, valveID, x.id, x.value); got != x.status {
			t.Errorf("attribute %d = %s: %s, want %s", x.id, x.value, got, x.status)
		}
	}
	r.restart(p)
	for _, tt := range []struct {
		name, fields    string
		duration, level string
	}{
		{"all by default", "{}", "300", "70"},
		{"no limit", "{0:null}", "null", "70"},
		{"its own", "{0:20,1:30}", "20", "30"},
	} {
		r.sent = nil
		r.do(valveID, open, tt.fields)
		r.wantAll(tt.name, valveID, map[matter.AttributeID]string{
			duration: tt.duration, datamodel.ValveConfigurationAndControlAttrRemainingDuration: tt.duration, level: tt.level,
		})
	}
	r.report(Values{"level_percent": Number(30)})
	r.sent = nil
	r.do(valveID, shut, "{}")
	r.wantSent("Close", Values{"open": Bool(false)})
	r.wantValve("asked to close", "2", "0", "null")
	r.wantAll("asked to close", valveID, map[matter.AttributeID]string{duration: "null", level: "0"})
	r.report(Values{"level_percent": Number(0)})
	r.wantValve("closed", "0", "null", "null")
	r.wantEvents("with the level", valveID, "0{0:1,1:30}", "0{0:0,1:0}")
	r.fail = true
	if got := r.invoke(valveID, open, "{}"); got != "FAILURE" {
		t.Errorf("Open of a valve that cannot be reached: %s", got)
	}
	r.wantValve("after a failure", "0", "null", "null")
}

// The time at which a valve closes survives a restart, also if it passes meanwhile.
func TestValveClosesAfterARestart(t *testing.T) {
	for _, down := range []time.Duration{time.Second, time.Hour} {
		p := Part{Type: "water_valve"}
		r := newRig(t, p)
		r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:60}")
		r.report(Values{"open": Bool(true)})
		r.sent = nil
		r.Now = r.Now.Add(down)
		r.restart(p)
		r.report(Values{"open": Bool(true)})
		if down < time.Minute {
			r.wantSent("it has time")
			r.wantValve("it has time", "1", "null", "59")
			r.after(59 * time.Second)
		} else {
			r.after(time.Second)
		}
		r.wantSent("at the end", Values{"open": Bool(false)})
		r.after(11 * time.Second)
		r.wantSent("it must close", Values{"open": Bool(false)})
	}
}

// RemainingDuration is always current when it is read, and reported only when it
// begins, changes in another way, or ends (section 4.6.7.4).
func TestValveReports(t *testing.T) {
	r := newRig(t, Part{Type: "water_valve"})
	r.Subscribe(clustertest.Admin(1), 2, valveID)
	r.Reported()
	remaining := fmt.Sprintf("%d/%d=", valveID, datamodel.ValveConfigurationAndControlAttrRemainingDuration)
	only := func(all []string) (list []string) {
		for _, s := range all {
			if v, ok := strings.CutPrefix(s, remaining); ok {
				list = append(list, v)
			}
		}
		return list
	}
	for _, tt := range []struct {
		name   string
		act    func()
		pass   time.Duration
		values []string
	}{
		{"opened", func() { r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:60}") }, time.Second, []string{"60"}},
		{"open", func() { r.report(Values{"open": Bool(true)}) }, 28 * time.Second, nil},
		{"opened again", func() { r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:100}") }, 99 * time.Second, []string{"100"}},
		{"at the end", func() {}, 2 * time.Second, []string{"null"}},
	} {
		tt.act()
		r.Touch(2)
		r.Settle(r.Now)
		if got := only(r.after(tt.pass)); !slices.Equal(got, tt.values) {
			t.Errorf("%s: reported %v, want %v", tt.name, got, tt.values)
		}
	}
}

// A valve that takes its time, or repeats its old state meanwhile, still closes at the
// end of its duration: otherwise the water would run until somebody sees it.
func TestValveOpensLate(t *testing.T) {
	open := func(t *testing.T, says Values, after time.Duration) *rig {
		r := newRig(t, Part{Type: "water_valve"})
		r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:60}")
		r.sent = nil
		r.report(says)
		r.after(after)
		r.report(Values{"open": Bool(true)})
		return r
	}
	no := Values{"open": Bool(false)}
	t.Run("within its duration", func(t *testing.T) {
		r := open(t, no, 20*time.Second)
		r.wantValve("open", "1", "null", "40")
		r.wantRead("open", valveID, datamodel.ValveConfigurationAndControlAttrOpenDuration, "60")
		r.wantSent("open")
		r.after(40 * time.Second)
		r.wantSent("at the end", no)
	})
	t.Run("after its duration", func(t *testing.T) {
		r := open(t, no, 90*time.Second)
		r.after(time.Second)
		r.wantSent("too late", no)
		r.after(10 * time.Second)
		r.wantSent("it must close", no)
	})
	t.Run("when nobody expects it", func(t *testing.T) {
		r := open(t, no, 10*time.Minute)
		r.wantValve("opened by hand", "1", "null", "null")
		r.after(time.Hour)
		r.wantSent("opened by hand")
	})
	t.Run("after Close", func(t *testing.T) {
		r := newRig(t, Part{Type: "water_valve"})
		r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:60}")
		r.report(no)
		r.do(valveID, datamodel.ValveConfigurationAndControlCmdClose, "{}")
		r.wantValve("it was closed", "0", "null", "null")
		r.sent = nil
		r.report(Values{"open": Bool(true)})
		r.wantValve("opened by hand", "1", "null", "null")
		r.after(time.Hour)
		r.wantSent("opened by hand")
	})
}

// A valve that was asked to close and has not is asked again after a restart.
func TestValveMustStillClose(t *testing.T) {
	for name, ask := range map[string]func(r *rig){
		"the end of a duration": func(r *rig) {
			r.do(valveID, datamodel.ValveConfigurationAndControlCmdOpen, "{0:60}")
			r.report(Values{"open": Bool(true)})
			r.after(61 * time.Second)
		},
		"Close": func(r *rig) {
			r.report(Values{"open": Bool(true)})
			r.do(valveID, datamodel.ValveConfigurationAndControlCmdClose, "{}")
		},
	} {
		p := Part{Type: "water_valve"}
		r := newRig(t, p)
		ask(r)
		r.restart(p)
		r.sent = nil
		r.report(Values{"open": Bool(true)})
		r.after(11 * time.Second)
		if len(r.sent) == 0 || r.sent[0].Set["open"] != Bool(false) {
			t.Errorf("%s: after a restart sent %s", name, r.asked())
		}
		r.report(Values{"open": Bool(false)})
		r.sent = nil
		r.restart(p)
		r.report(Values{"open": Bool(true)})
		r.after(time.Hour)
		r.wantSent(name + ": it has closed")
	}
}
