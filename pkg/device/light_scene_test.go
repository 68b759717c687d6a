package device

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

const (
	scene    = datamodel.ScenesManagementID
	sceneSet = datamodel.ScenesManagementAttrFabricSceneInfo

	addScene    = datamodel.ScenesManagementCmdAddScene
	viewScene   = datamodel.ScenesManagementCmdViewScene
	removeScene = datamodel.ScenesManagementCmdRemoveScene
	removeAll   = datamodel.ScenesManagementCmdRemoveAllScenes
	storeScene  = datamodel.ScenesManagementCmdStoreScene
	recallScene = datamodel.ScenesManagementCmdRecallScene
	sceneList   = datamodel.ScenesManagementCmdGetSceneMembership
	copyScene   = datamodel.ScenesManagementCmdCopyScene
)

// joins makes the endpoint a member of groups 1 and 2 of a fabric.
func (r *rig) joins(f matter.FabricIndex) {
	r.t.Helper()
	if err := r.Table.Mutate(f, func(f *store.Fabric) error {
		if len(f.KeySets) == 1 {
			f.KeySets = append(f.KeySets, store.GroupKeySet{ID: 7, Keys: []store.GroupKey{{Key: make([]byte, 16)}}})
		}
		f.GroupKeyMap = []store.GroupKeyMapping{{Group: 1, KeySet: 7}, {Group: 2, KeySet: 7}}
		f.Groups = []store.Group{{ID: 1, Endpoints: []matter.EndpointID{2}}, {ID: 2, Endpoints: []matter.EndpointID{2}}}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
}

// wantScene compares the response to a command of Scenes Management.
func (r *rig) wantScene(what string, f matter.FabricIndex, id matter.CommandID, fields, want string) {
	r.t.Helper()
	if got := r.Invoke(clustertest.Admin(f), 2, scene, id, fields); got != want {
		r.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// scenic returns a dimmable lamp for tests of scenes.
func scenic(t *testing.T) *rig {
	r := dimmer(t, true, 40)
	r.joins(1)
	r.joins(2)
	return r
}

func TestStoreAndRecallScene(t *testing.T) {
	r := scenic(t)
	r.wantScene("1.4.9.10", 1, storeScene, "{0:1,1:1}", "4{0:0,1:1,2:1}")
	r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:0,2:0,3:0}")
	r.sent = nil
	r.wantScene("1.4.9.12", 1, recallScene, "{0:1,1:1}", "SUCCESS")
	r.wantRequests("one request", request{onAt(40), 0})
	r.wantRead("recalled", level, currentLevel, "102")

	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.sent = nil
	r.wantScene("in its own time", 1, recallScene, "{0:1,1:1,2:2000}", "SUCCESS")
	r.wantRequests("one request", request{onAt(40), 20})
	r.wantRead("switched at once", onOff, onOffAttr, "true")
	r.wantRead("from dark", level, currentLevel, "1")
	r.after(2 * time.Second)
	r.wantRead("arrived", level, currentLevel, "102")
	r.wantScene("1.4.9.13", 1, sceneList, "{0:1}", "6{0:0,1:14,2:1,3:[1]}")
}

func TestSceneOfALampThatIsOff(t *testing.T) {
	r := scenic(t)
	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.wantScene("store", 1, storeScene, "{0:1,1:1}", "4{0:0,1:1,2:1}")
	r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:0,2:0,3:0}")
	r.sent = nil
	r.wantScene("recall", 1, recallScene, "{0:1,1:1,2:null}", "SUCCESS")
	r.wantRequests("off, and no brightness that would switch it on", request{turnedOff, 0})
	r.wantRead("recalled", onOff, onOffAttr, "false")
	r.wantRead("recalled", level, currentLevel, "102")
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	r.wantSent("the brightness comes with On", onAt(40))

	// A scene with only the level, as in TC-LVL-9.1.
	r.do(onOff, datamodel.OnOffCmdOff, "{}")
	r.sent = nil
	r.wantScene("add", 1, addScene, `{0:1,1:2,2:0,3:"",4:[{0:8,1:[{0:0,1:100}]}]}`, "0{0:0,1:1,2:2}")
	r.wantScene("recall", 1, recallScene, "{0:1,1:2}", "SUCCESS")
	r.wantRead("ExecuteIfOff does not matter", level, currentLevel, "100")
	r.wantRequests("nothing")
}

func TestAddAndViewScene(t *testing.T) {
	r := bulb(t)
	r.joins(1)
	long := strings.Repeat("x", 17)
	for _, tt := range []struct{ name, fields, want string }{
		{"1.4.9.2", `{0:1,1:1,2:60000000,3:"Dusk",4:[{0:6,1:[{0:0,1:1}]},{0:8,1:[{0:0,1:100}]}]}`, "0{0:0,1:1,2:1}"},
		{"no extension", `{0:0,1:2,2:0,3:"",4:[]}`, "0{0:0,1:0,2:2}"},
		{"a group that the endpoint is not in", `{0:9,1:1,2:0,3:"",4:[]}`, "0{0:133,1:9,2:1}"},
		{"time", `{0:1,1:1,2:60000001,3:"",4:[]}`, "0{0:135,1:1,2:1}"},
		{"name", `{0:1,1:1,2:0,3:"` + long + `",4:[]}`, "0{0:135,1:1,2:1}"},
		{"scene 255", `{0:1,1:255,2:0,3:"",4:[]}`, "0{0:135,1:1,2:255}"},
		{"scene 255 before the group", `{0:9,1:255,2:0,3:"",4:[]}`, "0{0:135,1:9,2:255}"},
		{"an attribute that scenes do not keep", `{0:1,1:3,2:0,3:"",4:[{0:6,1:[{0:16401,1:1}]}]}`, "0{0:133,1:1,2:3}"},
		{"CurrentHue is none", `{0:1,1:3,2:0,3:"",4:[{0:768,1:[{0:0,1:1}]}]}`, "0{0:133,1:1,2:3}"},
		{"another field for the value", `{0:1,1:3,2:0,3:"",4:[{0:6,1:[{0:0,3:1}]}]}`, "0{0:133,1:1,2:3}"},
		{"two fields for the value", `{0:1,1:3,2:0,3:"",4:[{0:6,1:[{0:0,1:1,3:1}]}]}`, "0{0:133,1:1,2:3}"},
		{"no value", `{0:1,1:3,2:0,3:"",4:[{0:6,1:[{0:0}]}]}`, "0{0:133,1:1,2:3}"},
		{"an attribute twice", `{0:1,1:3,2:0,3:"",4:[{0:6,1:[{0:0,1:1},{0:0,1:1}]}]}`, "0{0:133,1:1,2:3}"},
		{"a cluster twice", `{0:1,1:3,2:0,3:"",4:[{0:6,1:[]},{0:6,1:[]}]}`, "0{0:133,1:1,2:3}"},
		{"a cluster that the endpoint has not", `{0:1,1:4,2:0,3:"",4:[{0:258,1:[{0:0,1:1}]}]}`, "0{0:0,1:1,2:4}"},
		{"a field missing", `{0:1,1:3,2:0,3:""}`, "INVALID_COMMAND"},
	} {
		r.wantScene(tt.name, 1, addScene, tt.fields, tt.want)
	}
	r.wantScene("1.4.9.4", 1, viewScene, "{0:1,1:1}", `1{0:0,1:1,2:1,3:60000000,4:"Dusk",5:[{0:6,1:[{0:0,1:1}]},{0:8,1:[{0:0,1:100}]}]}`)
	r.wantScene("no such scene", 1, viewScene, "{0:1,1:254}", "1{0:139,1:1,2:254}")
	r.wantScene("no such group", 1, viewScene, "{0:9,1:1}", "1{0:133,1:9,2:1}")
	r.wantScene("scene 255", 1, viewScene, "{0:1,1:255}", "1{0:135,1:1,2:255}")
	r.wantScene("recall 255", 1, recallScene, "{0:1,1:255}", "CONSTRAINT_ERROR")
	r.wantScene("recall for too long", 1, recallScene, "{0:1,1:1,2:60000001}", "CONSTRAINT_ERROR")
	r.wantScene("recall what is not there", 1, recallScene, "{0:1,1:77}", "NOT_FOUND")
	r.wantScene("recall of a group", 1, recallScene, "{0:9,1:1}", "INVALID_COMMAND")

	// Section 1.4.7.3.2: values out of their range.
	r.wantScene("out of range", 1, addScene,
		`{0:1,1:5,2:0,3:"",4:[{0:6,1:[{0:0,1:9}]},{0:8,1:[{0:0,1:255}]},{0:768,1:[{0:1,1:255},{0:3,3:65535},{0:16385,1:9}]}]}`, "0{0:0,1:1,2:5}")
	r.wantScene("null where that can be, else the nearest", 1, viewScene, "{0:1,1:5}",
		`1{0:0,1:1,2:5,3:0,4:"",5:[{0:6,1:[{0:0,1:1}]},{0:8,1:[{0:0,1:255}]},{0:768,1:[{0:1,1:254},{0:3,3:65279},{0:16385,1:3}]}]}`)
}

// A full table (section 1.4.8.1): replacing needs no room.
func TestSceneTableIsBounded(t *testing.T) {
	r := scenic(t)
	for f := matter.FabricIndex(1); f <= 2; f++ {
		for n := range 15 {
			r.wantScene("there is room", f, storeScene, fmt.Sprintf("{0:1,1:%d}", n), fmt.Sprintf("4{0:0,1:1,2:%d}", n))
		}
		r.wantScene("full", f, storeScene, "{0:1,1:15}", "4{0:137,1:1,2:15}")
		r.wantScene("full", f, addScene, `{0:1,1:15,2:0,3:"",4:[]}`, "0{0:137,1:1,2:15}")
		r.wantScene("full", f, copyScene, "{0:0,1:1,2:1,3:1,4:15}", "64{0:137,1:1,2:1}")
		r.wantScene("replaced", f, storeScene, "{0:1,1:14}", "4{0:0,1:1,2:14}")
		r.wantScene("none left", f, sceneList, "{0:2}", "6{0:0,1:0,2:2,3:[]}")
	}
	r.wantRead("the info", scene, sceneSet, "[{0:15,1:14,2:1,3:false,4:0,254:1}]")
}

func TestRemoveAndCopyScenes(t *testing.T) {
	r := scenic(t)
	r.wantScene("add", 1, addScene, `{0:1,1:1,2:7,3:"one",4:[]}`, "0{0:0,1:1,2:1}")
	r.wantScene("1.4.9.15", 1, copyScene, "{0:0,1:1,2:1,3:1,4:2}", "64{0:0,1:1,2:1}")
	r.wantScene("the copy", 1, viewScene, "{0:1,1:2}", `1{0:0,1:1,2:2,3:7,4:"one",5:[]}`)
	r.wantScene("no such scene", 1, copyScene, "{0:0,1:1,2:254,3:1,4:2}", "64{0:139,1:1,2:254}")
	r.wantScene("no such group", 1, copyScene, "{0:0,1:9,2:1,3:1,4:2}", "64{0:133,1:9,2:1}")
	r.wantScene("no such group to copy to", 1, copyScene, "{0:0,1:1,2:1,3:9,4:2}", "64{0:133,1:1,2:1}")
	r.wantScene("scene 255", 1, copyScene, "{0:0,1:1,2:1,3:1,4:255}", "64{0:135,1:1,2:1}")
	r.wantScene("all of a group", 1, copyScene, "{0:1,1:1,2:1,3:2,4:9}", "64{0:0,1:1,2:1}")
	r.wantScene("all of a group, whose scenes' numbers are ignored", 1, copyScene, "{0:1,1:1,2:255,3:2,4:255}", "64{0:0,1:1,2:255}")
	r.wantScene("the copies", 1, sceneList, "{0:2}", "6{0:0,1:11,2:2,3:[1,2]}")
	r.wantScene("of another fabric", 2, sceneList, "{0:2}", "6{0:0,1:15,2:2,3:[]}")
	r.wantScene("of a group that it is not in", 1, sceneList, "{0:9}", "6{0:133,1:null,2:9}")

	r.wantScene("1.4.9.6", 1, removeScene, "{0:1,1:1}", "2{0:0,1:1,2:1}")
	r.wantScene("again", 1, removeScene, "{0:1,1:1}", "2{0:139,1:1,2:1}")
	r.wantScene("another group", 1, removeScene, "{0:9,1:1}", "2{0:133,1:9,2:1}")
	r.wantScene("255", 1, removeScene, "{0:9,1:255}", "2{0:135,1:9,2:255}")
	r.wantScene("1.4.9.8", 1, removeAll, "{0:2}", "3{0:0,1:2}")
	r.wantScene("another group", 1, removeAll, "{0:9}", "3{0:133,1:9}")
	r.wantScene("what is left", 1, sceneList, "{0:1}", "6{0:0,1:14,2:1,3:[2]}")
}

// Leaving a group removes its scenes on the endpoint (section 1.3.7.4).
func TestScenesGoWithTheirGroup(t *testing.T) {
	r := scenic(t)
	for _, k := range []string{"{0:0,1:0}", "{0:1,1:1}", "{0:2,1:1}"} {
		r.Invoke(clustertest.Admin(1), 2, scene, storeScene, k)
		r.Invoke(clustertest.Admin(2), 2, scene, storeScene, k)
	}
	r.invoke(datamodel.GroupsID, datamodel.GroupsCmdRemoveGroup, "{0:1}")
	r.invoke(datamodel.GroupsID, datamodel.GroupsCmdAddGroup, `{0:1,1:"again"}`)
	r.wantScene("in the group again", 1, sceneList, "{0:1}", "6{0:0,1:13,2:1,3:[]}")
	r.invoke(datamodel.GroupsID, datamodel.GroupsCmdRemoveAllGroups, "{}")
	r.wantScene("the global scene", 1, sceneList, "{0:0}", "6{0:0,1:15,2:0,3:[]}")
	r.wantScene("of another fabric", 2, sceneList, "{0:1}", "6{0:0,1:12,2:1,3:[1]}")
}

func TestScenesGoWithTheirFabric(t *testing.T) {
	r := scenic(t)
	r.wantScene("add", 2, addScene, `{0:1,1:1,2:0,3:"theirs",4:[]}`, "0{0:0,1:1,2:1}")
	kept := func() bool { return bytes.Contains(r.e.Save(), []byte("theirs")) }
	if !kept() {
		t.Error("the scene is not kept")
	}
	if err := r.Table.Remove(2); err != nil {
		t.Fatal(err)
	}
	r.wantScene("store", 1, storeScene, "{0:1,1:1}", "4{0:0,1:1,2:1}")
	if kept() {
		t.Error("the scene of a fabric that is gone is kept")
	}
}

// SceneValid (section 1.4.7.2.4).
func TestSceneValid(t *testing.T) {
	r := scenic(t)
	info := func(what, one, two string) {
		t.Helper()
		r.wantRead(what, scene, sceneSet, "["+one+"]")
		if got := r.Read(clustertest.Admin(2), 2, scene, sceneSet); got != "["+two+"]" {
			t.Errorf("%s: fabric 2 reads %s, want %s", what, got, two)
		}
	}
	none := func(f int) string { return fmt.Sprintf("{0:0,1:255,2:0,3:false,4:15,254:%d}", f) }
	one := func(f int, valid bool) string { return fmt.Sprintf("{0:1,1:1,2:1,3:%v,4:14,254:%d}", valid, f) }
	info("at first", none(1), none(2))
	r.Invoke(clustertest.Admin(1), 2, scene, storeScene, "{0:1,1:1}")
	info("stored", one(1, true), none(2))
	r.Invoke(clustertest.Admin(2), 2, scene, storeScene, "{0:1,1:1}")
	info("stored by another", one(1, false), one(2, true))
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	info("a command that changes nothing", one(1, false), one(2, true))
	r.report(percent(50))
	info("changed by the device", one(1, false), one(2, false))
	r.Invoke(clustertest.Admin(1), 2, scene, recallScene, "{0:1,1:1,2:5000}")
	info("recalled", one(1, true), one(2, false))
	r.after(10 * time.Second)
	info("arrived", one(1, true), one(2, false))
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:5,1:100,2:0,3:0}")
	info("changed by a command", one(1, false), one(2, false))
	r.Invoke(clustertest.Admin(1), 2, scene, recallScene, "{0:1,1:1}")
	r.Invoke(clustertest.Admin(1), 2, scene, addScene, `{0:2,1:1,2:0,3:"",4:[]}`)
	r.Invoke(clustertest.Admin(1), 2, scene, copyScene, "{0:0,1:2,2:1,3:1,4:1}")
	r.Invoke(clustertest.Admin(1), 2, scene, removeScene, "{0:2,1:1}")
	info("replaced by a copy", one(1, false), one(2, false))
	r.Invoke(clustertest.Admin(1), 2, scene, storeScene, "{0:1,1:1}")
	r.do(onOff, datamodel.OnOffCmdOnWithTimedOff, "{0:0,1:10,2:0}")
	info("on for a time", one(1, true), one(2, false))
	r.after(2 * time.Second)
	info("changed by time", one(1, false), one(2, false))

	if got := r.ReadAll(clustertest.Admin(1), 2, scene, sceneSet); got != "["+one(1, false)+",{0:1,4:14,254:2}]" {
		t.Errorf("what is another fabric's business: %s", got)
	}
	r.Subscribe(clustertest.Admin(1), 2, scene)
	r.Invoke(clustertest.Admin(1), 2, scene, recallScene, "{0:1,1:1,2:10000}")
	got := r.after(20 * time.Second)
	r.report(percent(3))
	got = append(got, r.after(time.Second)...)
	if want := []string{"98/2=[" + one(1, true) + "]", "98/2=[" + one(1, false) + "]"}; !slices.Equal(got, want) {
		t.Errorf("reported %v, want %v", got, want)
	}
}

// The global scene (sections 1.5.7.4 and 1.5.7.5).
func TestGlobalScene(t *testing.T) {
	r := bulb(t)
	r.do(color, datamodel.ColorControlCmdMoveToColorTemperature, "{0:200,1:0,2:0,3:0}")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:127,1:0,2:0,3:0}")
	r.do(onOff, datamodel.OnOffCmdOffWithEffect, "{0:0,1:0}")
	r.wantRead("off", onOff, onOffAttr, "false")
	r.wantRead("its scene is stored", onOff, datamodel.OnOffAttrGlobalSceneControl, "false")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:5,1:0,2:1,3:1}")
	r.do(onOff, datamodel.OnOffCmdOffWithEffect, "{0:1,1:0}")
	r.sent = nil
	r.do(onOff, datamodel.OnOffCmdOnWithRecallGlobalScene, "{}")
	all := onAt(50)
	all["color_temperature_kelvin"] = Number(5000)
	r.wantSent("as it was", all)
	r.wantRead("on", onOff, onOffAttr, "true")
	r.wantRead("as it was", level, currentLevel, "127")
	r.wantRead("control", onOff, datamodel.OnOffAttrGlobalSceneControl, "true")
	r.do(level, datamodel.LevelControlCmdMoveToLevel, "{0:5,1:0,2:0,3:0}")
	r.sent = nil
	r.do(onOff, datamodel.OnOffCmdOnWithRecallGlobalScene, "{}")
	r.wantRequests("while GlobalSceneControl is true nothing happens")
	r.wantScene("it counts", 1, sceneList, "{0:0}", "6{0:0,1:14,2:0,3:[0]}")

	if got := r.invoke(onOff, datamodel.OnOffCmdOffWithEffect, "{0:2,1:0}"); got != "CONSTRAINT_ERROR" {
		t.Errorf("an effect that is none: %s", got)
	}
	r.do(onOff, datamodel.OnOffCmdOffWithEffect, "{0:0,1:77}")
	r.wantRead("a variant that is none", onOff, onOffAttr, "false")
	for n := 1; n < 16; n++ {
		r.Invoke(clustertest.Admin(2), 2, scene, storeScene, fmt.Sprintf("{0:0,1:%d}", n))
	}
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	if got := r.Invoke(clustertest.Admin(2), 2, onOff, datamodel.OnOffCmdOffWithEffect, "{0:0,1:0}"); got != "SUCCESS" {
		t.Errorf("no room for the global scene: %s", got)
	}
	r.wantRead("off all the same", onOff, onOffAttr, "false")
}

// Scenes of colors (CC-10.1).
func TestScenesOfColors(t *testing.T) {
	r := bulb(t, "hs", "xy", "loop")
	r.joins(1)
	add := func(n int, values string) {
		t.Helper()
		r.wantScene("add", 1, addScene, fmt.Sprintf(`{0:1,1:%d,2:0,3:"",4:[{0:768,1:[%s]}]}`, n, values), fmt.Sprintf("0{0:0,1:1,2:%d}", n))
	}
	add(1, "{0:16385,1:1},{0:3,3:16334},{0:4,3:13067}")
	add(2, "{0:16385,1:2},{0:7,3:250}")
	add(3, "{0:16385,1:3},{0:16384,3:12000},{0:1,1:70}")
	add(4, "{0:16386,1:1},{0:16387,1:1},{0:16388,3:5}")
	add(5, "{0:16385,1:0},{0:1,1:224}")
	recall := func(n int, want Values) {
		t.Helper()
		r.sent = nil
		r.wantScene("recall", 1, recallScene, fmt.Sprintf("{0:1,1:%d}", n), "SUCCESS")
		r.wantSent(fmt.Sprintf("scene %d", n), want)
	}
	recall(1, xy(0.2492, 0.1994))
	recall(2, kelvin(4000))
	recall(3, hs(65.9, 27.6))
	r.wantRead("enhanced", color, enhancedHue, "12000")
	recall(4, hs(155.9, 27.6)) // a quarter of a turn on the way
	r.wantRead("a loop", color, loopActive, "1")
	recall(2, kelvin(4000))
	r.wantRead("no loop any more", color, loopActive, "0")
	r.sent = nil
	recall(5, hs(30.8, 88))

	r = bulb(t)
	r.joins(1)
	r.do(color, datamodel.ColorControlCmdMoveToHueAndSaturation, "{0:169,1:254,2:0,3:0,4:0}")
	r.Invoke(clustertest.Admin(1), 2, scene, storeScene, "{0:1,1:1}")
	r.wantScene("without enhanced hue by coordinates", 1, viewScene, "{0:1,1:1}",
		`1{0:0,1:1,2:1,3:0,4:"",5:[{0:6,1:[{0:0,1:1}]},{0:8,1:[{0:0,1:254}]},{0:768,1:[{0:1,1:254},{0:3,3:9837},{0:4,3:3954},{0:7,3:153},{0:16385,1:1}]}]}`)
}

func TestScenesAreKept(t *testing.T) {
	p := Part{Type: "dimmable_light"}
	r := scenic(t)
	r.wantScene("store", 1, storeScene, "{0:1,1:1}", "4{0:0,1:1,2:1}")
	r.wantScene("add", 2, addScene, `{0:2,1:3,2:1500,3:"Über",4:[{0:8,1:[{0:0,1:255}]}]}`, "0{0:0,1:2,2:3}")
	r.restart(p)
	r.wantScene("kept", 2, viewScene, "{0:2,1:3}", `1{0:0,1:2,2:3,3:1500,4:"Über",5:[{0:8,1:[{0:0,1:255}]}]}`)
	r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:0,2:0,3:0}")
	r.wantScene("recall", 1, recallScene, "{0:1,1:1}", "SUCCESS")
	r.wantRead("recalled", level, currentLevel, "102")

	r.e.Persist = func() error { return errors.New("disk full") }
	r.wantScene("cannot be kept", 1, storeScene, "{0:1,1:9}", "FAILURE")
	r.wantScene("cannot be kept", 1, removeScene, "{0:1,1:1}", "FAILURE")
	r.wantScene("as before", 1, sceneList, "{0:1}", "6{0:0,1:14,2:1,3:[1]}")
}

// A device that cannot be reached.
func TestRecallFails(t *testing.T) {
	r := scenic(t)
	r.wantScene("store", 1, storeScene, "{0:1,1:1}", "4{0:0,1:1,2:1}")
	r.do(level, datamodel.LevelControlCmdMoveToLevelWithOnOff, "{0:254,1:0,2:0,3:0}")
	r.fail = true
	r.wantScene("recall", 1, recallScene, "{0:1,1:1}", "FAILURE")
	r.wantRead("as before", level, currentLevel, "254")
}
