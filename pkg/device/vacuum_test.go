package device

import (
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	runModeID   = datamodel.RVCRunModeID
	cleanModeID = datamodel.RVCCleanModeID
	operationID = datamodel.RVCOperationalStateID
	areaID      = datamodel.ServiceAreaID
)

// changeMode sends ChangeToMode and compares the status in its response.
func (r *rig) changeMode(what string, cl matter.ClusterID, mode, want string) {
	r.t.Helper()
	got := r.invoke(cl, datamodel.RVCRunModeCmdChangeToMode, "{0:"+mode+"}")
	if !strings.HasPrefix(got, "1{0:"+want+",1:") {
		r.t.Errorf("%s: %s, want status %s", what, got, want)
	}
	if (want == "0") != strings.HasSuffix(got, `,1:""}`) {
		r.t.Errorf("%s: the text is that of another status: %s", what, got)
	}
}

// A run begins and ends when the vacuum reports it. A run must end before another
// kind begins (section 7.2.5.1), and a fault prevents a run (section 7.2.7.1).
func TestVacuumRuns(t *testing.T) {
	r := newRig(t, Part{Type: "robotic_vacuum_cleaner"})
	r.report(Values{"state": Text("docked"), "run_mode": Text("idle")})
	r.changeMode("to where it is", runModeID, "0", "0")
	r.changeMode("no mode", runModeID, "3", "1")
	r.wantSent("nothing yet")
	r.changeMode("cleaning", runModeID, "1", "0")
	r.wantSent("cleaning", Values{"run_mode": Text("cleaning")})
	current := map[matter.AttributeID]string{datamodel.RVCRunModeAttrCurrentMode: "0"}
	r.wantAll("before it says so", runModeID, current)
	r.changeMode("not after all", runModeID, "0", "0")
	r.wantSent("not after all", Values{"run_mode": Text("idle")})
	r.report(Values{"state": Text("running"), "run_mode": Text("cleaning")})
	current[datamodel.RVCRunModeAttrCurrentMode] = "1"
	r.wantAll("it runs", runModeID, current)
	r.changeMode("to another run", runModeID, "2", "3")
	r.wantSent("to another run")
	r.wantEvents("during the run", operationID)
	r.report(Values{"state": Text("error"), "error": Text("stuck")})
	r.wantAll("stuck", operationID, map[matter.AttributeID]string{
		datamodel.RVCOperationalStateAttrOperationalState: "3", datamodel.RVCOperationalStateAttrOperationalError: "{0:65}",
	})
	r.report(Values{"run_mode": Text("idle")})
	r.wantEvents("the run has ended stuck", operationID, "0{0:{0:65}}", "1{0:65}")
	r.changeMode("while it is stuck", runModeID, "1", "65")
	r.report(Values{"error": Text("wheels_jammed")})
	r.changeMode("with a fault that has no status", runModeID, "1", "2")
	r.report(Values{"state": Text("docked"), "error": Text("none")})
	r.wantAll("mended", operationID, map[matter.AttributeID]string{
		datamodel.RVCOperationalStateAttrOperationalState: "66", datamodel.RVCOperationalStateAttrOperationalError: "{0:0}",
	})
	r.report(Values{"state": Text("error")})
	r.wantAll("an error without a word", operationID, map[matter.AttributeID]string{datamodel.RVCOperationalStateAttrOperationalError: "{0:2}"})
	r.restart(Part{Type: "robotic_vacuum_cleaner", Options: Options{Modes: []string{"cleaning"}}})
	r.wantAll("after a restart", runModeID, map[matter.AttributeID]string{
		datamodel.RVCRunModeAttrCurrentMode:    "0",
		datamodel.RVCRunModeAttrSupportedModes: `[{0:"Idle",1:0,2:[{1:16384}]},{0:"Cleaning",1:1,2:[{1:16385}]}]`,
	})
}

// Pause, Resume and GoHome in each state of the vacuum (sections 1.14.6 and 7.4.5).
func TestVacuumOperation(t *testing.T) {
	const (
		pause  = datamodel.RVCOperationalStateCmdPause
		resume = datamodel.RVCOperationalStateCmdResume
		home   = datamodel.RVCOperationalStateCmdGoHome
	)
	r := newRig(t, Part{Type: "robotic_vacuum_cleaner"})
	for _, tt := range []struct {
		state, run string
		command    matter.CommandID
		fault      string
		do         Action // "": nothing
	}{
		{"running", "cleaning", pause, "0", Pause},
		{"seeking_charger", "idle", pause, "0", Pause},
		{"paused", "cleaning", pause, "0", ""},
		{"stopped", "idle", pause, "3", ""},
		{"charging", "idle", pause, "3", ""},
		{"docked", "cleaning", pause, "3", ""},
		{"error", "cleaning", pause, "3", ""},
		{"running", "cleaning", resume, "0", ""},
		{"paused", "cleaning", resume, "0", Resume},
		{"paused", "idle", resume, "0", Resume}, // on its way to the dock
		{"charging", "cleaning", resume, "0", Resume},
		{"docked", "mapping", resume, "0", Resume},
		{"docked", "idle", resume, "3", ""},
		{"charging", "idle", resume, "3", ""},
		{"stopped", "idle", resume, "3", ""},
		{"error", "cleaning", resume, "3", ""},
		{"running", "cleaning", home, "0", GoHome},
		{"paused", "cleaning", home, "0", GoHome},
		{"stopped", "idle", home, "0", GoHome},
		{"seeking_charger", "idle", home, "0", ""},
		{"charging", "idle", home, "3", ""},
		{"docked", "idle", home, "3", ""},
		{"error", "idle", home, "3", ""},
	} {
		r.report(Values{"state": Text(tt.state), "run_mode": Text(tt.run)})
		r.sent = nil
		want := "4{0:{0:" + tt.fault + "}}"
		if got := r.invoke(operationID, tt.command, "{}"); got != want {
			t.Errorf("command 0x%02X, %s in a run of %s: %s, want %s", uint32(tt.command), tt.state, tt.run, got, want)
		}
		if tt.do == "" && len(r.sent) != 0 || tt.do != "" && (len(r.sent) != 1 || r.sent[0].Do != tt.do) {
			t.Errorf("command 0x%02X, %s in a run of %s: sent %+v", uint32(tt.command), tt.state, tt.run, r.sent)
		}
	}
	r.wantAll("lists", operationID, map[matter.AttributeID]string{
		datamodel.RVCOperationalStateAttrPhaseList: "null", datamodel.RVCOperationalStateAttrCurrentPhase: "null",
		datamodel.RVCOperationalStateAttrOperationalStateList: "[{0:0},{0:1},{0:2},{0:3},{0:64},{0:65},{0:66}]",
	})
}

// Ways to clean have different sets of tags, one of which at least is the specification's
// (section 1.10.6.1).
func TestVacuumCleanModes(t *testing.T) {
	names := []string{"Vacuum", "vacuum_and_mop", "Quiet", "turbo", "Extra", "vacation", "Spot"}
	r := newRig(t, Part{Type: "robotic_vacuum_cleaner", Options: Options{CleanModes: names}})
	r.wantAll("modes", cleanModeID, map[matter.AttributeID]string{
		datamodel.RVCCleanModeAttrSupportedModes: `[{0:"Vacuum",1:0,2:[{1:16385}]},{0:"vacuum_and_mop",1:1,2:[{1:16385},{1:16386}]},` +
			`{0:"Quiet",1:2,2:[{1:2},{1:16385}]},{0:"turbo",1:3,2:[{1:7},{1:16385}]},{0:"Extra",1:4,2:[{1:16385},{1:32772}]},` +
			`{0:"vacation",1:5,2:[{1:5},{1:16385}]},{0:"Spot",1:6,2:[{1:16385},{1:32774}]}]`,
	})
	r.report(Values{"state": Text("running"), "run_mode": Text("cleaning"), "clean_mode": Text("Extra")})
	r.changeMode("during a run", cleanModeID, "2", "0")
	r.wantSent("quiet", Values{"clean_mode": Text("Quiet")})
	r.wantAll("quiet", cleanModeID, map[matter.AttributeID]string{datamodel.RVCCleanModeAttrCurrentMode: "2"})
	r.changeMode("no mode", cleanModeID, "7", "1")
	one := newRig(t, Part{Type: "robotic_vacuum_cleaner", Options: Options{CleanModes: names[:1]}})
	if got := one.read(cleanModeID, datamodel.RVCCleanModeAttrCurrentMode); got != "UNSUPPORTED_CLUSTER" {
		t.Errorf("a single way to clean is shown: %s", got)
	}
}

// Areas are chosen between runs; none means everywhere (section 1.17.7.1).
func TestVacuumAreas(t *testing.T) {
	p := Part{Type: "robotic_vacuum_cleaner", Options: Options{Areas: []string{"Kitchen", "Hall", "Bath"}}}
	r := newRig(t, p)
	r.report(Values{"state": Text("docked"), "run_mode": Text("idle")})
	for _, tt := range []struct {
		name, areas, status, selected string
		sent                          []Values
	}{
		{"two, one twice", "[3,1,3]", "0", "[1,3]", []Values{{"areas": Text("Kitchen, Bath")}}},
		{"the same", "[1,3]", "0", "[1,3]", nil},
		{"none such", "[1,4]", "1", "[1,3]", nil},
		{"zero", "[0]", "1", "[1,3]", nil},
		{"all", "[]", "0", "[]", []Values{{"areas": Text("")}}},
	} {
		got := r.invoke(areaID, datamodel.ServiceAreaCmdSelectAreas, "{0:"+tt.areas+"}")
		if !strings.HasPrefix(got, "1{0:"+tt.status+",1:") {
			t.Errorf("%s: %s, want status %s", tt.name, got, tt.status)
		}
		r.wantSent(tt.name, tt.sent...)
		r.wantAll(tt.name, areaID, map[matter.AttributeID]string{datamodel.ServiceAreaAttrSelectedAreas: tt.selected})
	}
	r.report(Values{"areas": Text("Bath, Cellar, Hall")})
	r.wantAll("what the vacuum says", areaID, map[matter.AttributeID]string{
		datamodel.ServiceAreaAttrSelectedAreas:  "[2,3]",
		datamodel.ServiceAreaAttrSupportedAreas: `[{0:1,1:null,2:{0:{0:"Kitchen",1:null,2:null},1:null}},{0:2,1:null,2:{0:{0:"Hall",1:null,2:null},1:null}},{0:3,1:null,2:{0:{0:"Bath",1:null,2:null},1:null}}]`,
	})
	if got := r.e.State(r.Now)["areas"]; got != Text("Hall, Bath") {
		t.Errorf("areas %s", got)
	}
	r.report(Values{"state": Text("running"), "run_mode": Text("cleaning")})
	if got := r.invoke(areaID, datamodel.ServiceAreaCmdSelectAreas, "{0:[1]}"); !strings.HasPrefix(got, "1{0:2,") {
		t.Errorf("during a run: %s", got)
	}
}

func TestVacuumOptions(t *testing.T) {
	many := make([]string, 65)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for _, o := range []Options{
		{Modes: []string{"cleaning", "dancing"}}, {CleanModes: []string{"a", "a"}}, {CleanModes: []string{""}}, {CleanModes: []string{strings.Repeat("é", 33)}},
		{Areas: []string{"Kitchen, Hall"}}, {Areas: many}, {Areas: []string{strings.Repeat("x", 129)}},
	} {
		if _, err := New("test:1", &Part{Type: "robotic_vacuum_cleaner", Options: o}, nil); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	r := newRig(t, Part{Type: "robotic_vacuum_cleaner"})
	if got := r.e.Waiting(); !slices.Equal(got, []string{"state"}) {
		t.Errorf("waits for %v", got)
	}
}

// Apple's app is not given a vacuum on a bridge.
func TestVacuumInProfiles(t *testing.T) {
	d := Device{ID: "test:1", Parts: []Part{{ID: "main", Type: "robotic_vacuum_cleaner"}}}
	for _, name := range Profiles() {
		p, _ := ProfileNamed(name)
		a, err := Assemble(&d, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if hidden := len(a.Nodes) == 0; hidden != (name == "apple") || hidden && !strings.Contains(a.Notes[0], "a node of its own") {
			t.Errorf("profile %s: %d endpoints, %q", name, len(a.Nodes), a.Notes)
		}
	}
}
