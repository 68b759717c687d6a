package device

import (
	"testing"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// TestPump checks a pump that can only be switched (section 4.2.7).
func TestPump(t *testing.T) {
	const id = datamodel.PumpConfigurationAndControlID
	r := newRig(t, Part{Type: "pump"})
	r.do(onOff, datamodel.OnOffCmdOn, "{}")
	r.wantSent("On", Values{"on": Bool(true)})
	r.report(Values{"on": Bool(false)})
	r.wantAll("switched off at the pump", onOff, map[matter.AttributeID]string{datamodel.OnOffAttrOnOff: "false", matter.AttributeFeatureMap: "0"})
	r.wantAll("at first", id, map[matter.AttributeID]string{
		datamodel.PumpConfigurationAndControlAttrMaxPressure:            "null",
		datamodel.PumpConfigurationAndControlAttrMaxSpeed:               "null",
		datamodel.PumpConfigurationAndControlAttrMaxFlow:                "null",
		datamodel.PumpConfigurationAndControlAttrCapacity:               "null",
		datamodel.PumpConfigurationAndControlAttrEffectiveOperationMode: "0",
		datamodel.PumpConfigurationAndControlAttrEffectiveControlMode:   "0",
		datamodel.PumpConfigurationAndControlAttrOperationMode:          "0",
	})
	for _, tt := range []struct{ mode, status, is string }{
		{"2", "SUCCESS", "2"}, {"3", "CONSTRAINT_ERROR", "2"}, {"4", "CONSTRAINT_ERROR", "2"}, {"1", "SUCCESS", "1"},
	} {
		if got := r.Write(clustertest.Admin(1), 2, id, datamodel.PumpConfigurationAndControlAttrOperationMode, tt.mode); got != tt.status {
			t.Errorf("OperationMode %s: %s, want %s", tt.mode, got, tt.status)
		}
		r.wantAll("OperationMode "+tt.mode, id, map[matter.AttributeID]string{
			datamodel.PumpConfigurationAndControlAttrEffectiveOperationMode: tt.is,
			datamodel.PumpConfigurationAndControlAttrOperationMode:          tt.is,
		})
	}
	r.wantSent("modes of a pump with one speed")
	r.restart(Part{Type: "pump"})
	r.wantAll("after a restart", id, map[matter.AttributeID]string{datamodel.PumpConfigurationAndControlAttrOperationMode: "1"})
}
