package device

import (
	"testing"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

const onOff = datamodel.OnOffID

func TestCommandReachesTheDevice(t *testing.T) {
	r := newRig(t, Part{Type: "on_off_light"})
	if got := r.invoke(onOff, datamodel.OnOffCmdOn, "{}"); got != "SUCCESS" {
		t.Fatal(got)
	}
	if got := r.read(onOff, datamodel.OnOffAttrOnOff); got != "true" {
		t.Errorf("OnOff is %s", got)
	}
	c := r.sent[0]
	if c.Device != "test:1" || c.Part != "main" || c.Fabric != 1 || c.Node != 0x1001 || c.Transition != nil {
		t.Errorf("sent %+v", c)
	}
	r.wantSent("On", Values{"on": Bool(true)})
	r.invoke(onOff, datamodel.OnOffCmdOn, "{}")
	r.wantSent("On when on, as the device may have missed the first", Values{"on": Bool(true)})
}

func TestDeviceThatCannotBeReached(t *testing.T) {
	r := newRig(t, Part{Type: "on_off_light"})
	r.fail = true
	version := r.Version(2, onOff, datamodel.OnOffAttrOnOff)
	if got := r.invoke(onOff, datamodel.OnOffCmdOn, "{}"); got != "FAILURE" {
		t.Errorf("answered %s", got)
	}
	if got := r.read(onOff, datamodel.OnOffAttrOnOff); got != "false" {
		t.Errorf("OnOff is %s", got)
	}
	if r.Version(2, onOff, datamodel.OnOffAttrOnOff) != version {
		t.Error("something was reported")
	}
}

func TestReportOfTheDevice(t *testing.T) {
	r := newRig(t, Part{Type: "on_off_plug"})
	version := r.Version(2, onOff, datamodel.OnOffAttrOnOff)
	r.report(Values{"on": Bool(true)})
	if got := r.read(onOff, datamodel.OnOffAttrOnOff); got != "true" {
		t.Errorf("OnOff is %s", got)
	}
	if r.Version(2, onOff, datamodel.OnOffAttrOnOff) == version {
		t.Error("nothing was reported")
	}
	r.wantSent("a report makes no command")
	r.report(Values{"on": Null})
	if got := r.read(onOff, datamodel.OnOffAttrOnOff); got != "true" {
		t.Errorf("unknown made OnOff %s", got)
	}
}

func TestDeviceTypesOfSwitches(t *testing.T) {
	for name, want := range map[string][]matter.DeviceTypeID{
		"on_off_light":           {0x0100},
		"on_off_plug":            {0x010A},
		"mounted_on_off_control": {0x010A, 0x010F},
	} {
		e := newRig(t, Part{Type: name}).e
		if len(e.Types) != len(want) {
			t.Errorf("%s is %v", name, e.Types)
			continue
		}
		for i, id := range want {
			if e.Types[i].ID != id || e.Types[i].Revision != datamodel.DeviceTypeByID(id).Revision {
				t.Errorf("%s is %v", name, e.Types)
			}
		}
	}
}
