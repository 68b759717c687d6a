//go:build interop && certification

package interop

import devices "github.com/opcredsd/opcredsd/pkg/device"

// tryout is a set of scripts and plans for one endpoint of one device.
type tryout struct {
	// device is one of the library, without "api:", or one of the daemon's own simulated
	// devices, with "demo:". "" means all of the library, without a certain endpoint.
	device string
	part   string // of a device with several parts
	// scripts are names with the input of their operator, as on a command line.
	scripts []string
	// plans are plans in YAML, without "Test_".
	plans string
	// sets are settings of the plans, NAME=VALUE; see plan.py.
	sets []string
	// pics are capabilities of the device that its endpoint's lists do not show.
	pics []string
	// seconds is how long a script waits after each command and write, or a
	// plan after each step; see run.py.
	seconds string
}

// events are the arguments of scripts that trigger changes at a device.
const events = "--hex-arg enableKey:000102030405060708090a0b0c0d0e0f --app-pipe {pipe}"

// tryouts are the scripts and plans for the device library.
// test/interop/certification/README.md lists those that are left out, and why.
var tryouts = []tryout{
	{scripts: []string{"TC_DeviceConformance", "TC_DeviceBasicComposition"}},
	{device: "everything", scripts: []string{"TC_AccessChecker"}},

	{device: "on_off_light", scripts: []string{"TC_I_2_4", "TC_G_2_2", "TC_OO_2_7", "TC_BRBINFO_2_1"},
		plans: "TC_OO_2_1 TC_OO_2_2 TC_OO_2_3 TC_I_2_1 TC_I_2_2 TC_I_2_3 TC_G_2_1 TC_S_2_1"},
	{device: "on_off_plug", plans: "TC_OO_2_1 TC_OO_2_2 TC_I_2_1"},
	{device: "flat-gangs", part: "1", plans: "TC_G_2_4", sets: []string{"endpoint=0", "Groups.Endpoint1={0}", "Groups.Endpoint2={1}"}},
	{device: "dimmable_light", scripts: []string{"TC_LVL_2_3", "TC_LVL_9_1"}, pics: []string{"LVL.S.M.VarRate"},
		plans: "TC_LVL_2_1 TC_LVL_2_2 TC_LVL_3_1 TC_LVL_4_1 TC_LVL_5_1 TC_LVL_6_1 TC_LVL_7_1"},
	{device: "extended_color_light", scripts: []string{"TC_CC_2_1", "TC_CC_2_2", "TC_CC_10_1"},
		plans: "TC_CC_3_1 TC_CC_3_2 TC_CC_3_3 TC_CC_4_1 TC_CC_4_2"},
	{device: "extended_color_light", plans: "TC_CC_4_3 TC_CC_4_4 TC_CC_5_1 TC_CC_5_2 TC_CC_5_3 TC_CC_6_1"},
	{device: "extended_color_light", plans: "TC_CC_6_2 TC_CC_6_3 TC_CC_7_1 TC_CC_7_2 TC_CC_7_3"},
	{device: "extended_color_light", plans: "TC_CC_7_4 TC_CC_8_1"},
	// They read the hue 30 s after a loop of 30 s has begun, downwards from nearly 0, and want
	// it past 0: not before 0.07 s later. CC_9_2 then wants it to go back by less than that.
	{device: "extended_color_light", plans: "TC_CC_9_1", seconds: "0.3"},
	{device: "extended_color_light", plans: "TC_CC_9_2 TC_CC_9_3", seconds: "0.3"},
	// Color scenes, which the plans contain for the example applications.
	{device: "extended_color_light", pics: []string{"PICS_SDK_CI_ONLY"}, plans: "TC_S_2_1 TC_S_2_2 TC_S_2_4"},
	{device: "color_temperature_light", scripts: []string{"TC_CC_2_1", "TC_CC_2_2", "TC_COLORCONTROL"}, plans: "TC_CC_6_1 TC_CC_6_2 TC_CC_6_3"},
	// The power-up of a simulated lamp is the start of the daemon. Behind a bridge it is the
	// lamp's own.
	{device: demoLamp, scripts: []string{"TC_CC_6_5 " + events}},
	{device: demoLamp, pics: []string{"PICS_SDK_CI_ONLY"}, plans: "TC_OO_2_4"},

	{device: "generic_switch", scripts: []string{"TC_SWTCH " + events}, plans: "TC_SWTCH_2_1"},
	{device: "latching-generic_switch", scripts: []string{"TC_SWTCH " + events}, plans: "TC_SWTCH_2_1"},
	{device: "contact_sensor", scripts: []string{"TC_BOOL_2_2 " + events}, plans: "TC_BOOL_2_1"},
	{device: "water_leak_detector", scripts: []string{"TC_BOOL_2_2 " + events}, plans: "TC_BOOL_2_1"},
	{device: "configured-contact_sensor", scripts: []string{"TC_BOOLCFG_2_1", "TC_BOOLCFG_3_1", "TC_BOOLCFG_6_1 " + events}},
	{device: "configured-water_leak_detector", scripts: []string{"TC_BOOLCFG_2_1", "TC_BOOLCFG_6_1 " + events}},
	{device: "configured-occupancy_sensor", scripts: []string{"TC_BOOLCFG_2_1", "TC_BOOLCFG_3_1", "TC_OCC_2_1", "TC_OCC_2_2", "TC_OCC_2_3",
		"TC_OCC_3_1 --bool-arg simulate_occupancy:true " + events, "TC_OCC_3_2 --bool-arg simulate_occupancy:true " + events}},
	{device: "battery-smoke_co_alarm", seconds: "0.3", scripts: []string{"TC_SMOKECO_2_1 " + events, "TC_SMOKECO_2_2 " + events, "TC_SMOKECO_2_3 " + events,
		"TC_SMOKECO_2_4 " + events, "TC_SMOKECO_2_5 " + events,
		"TC_SMOKECO_2_6 --int-arg PIXIT.SMOKECO.HIEST_PRI_ALARM_1:1 PIXIT.SMOKECO.HIEST_PRI_ALARM_2:2 PIXIT.SMOKECO.HIEST_PRI_ALARM_3:3 " +
			"PIXIT.SMOKECO.HIEST_PRI_ALARM_4:3 PIXIT.SMOKECO.HIEST_PRI_ALARM_5:3 " + events}},
	{device: "occupancy_sensor", scripts: []string{"TC_OCC_2_1", "TC_OCC_2_2", "TC_OCC_2_3",
		"TC_OCC_3_1 --bool-arg simulate_occupancy:true " + events, "TC_OCC_3_2 --bool-arg simulate_occupancy:true " + events}},
	{device: "temperature_sensor", scripts: []string{"TC_TMP_2_1"}, plans: "TC_TMP_2_2"},
	// The device gets a battery, which the bridge shows a second later.
	{device: "humidity_sensor", seconds: "3", scripts: []string{"TC_BRBINFO_3_2 " + events}, pics: []string{"BRBINFO.S.M.DeviceConfigurationChange"}},
	{device: "humidity_sensor", plans: "TC_RH_2_1 TC_RH_2_2"},
	{device: "pressure_sensor", plans: "TC_PRS_2_1 TC_PRS_2_2"},
	{device: "flow_sensor", plans: "TC_FLW_2_1 TC_FLW_2_2"},
	{device: "light_sensor", plans: "TC_ILL_2_1 TC_ILL_2_2"},
	{device: "soil_sensor", seconds: "0.1", scripts: []string{"TC_SOIL_2_1", "TC_SOIL_2_2 " + events}},
	{device: "air_quality_sensor", plans: "TC_AIRQUAL_2_1 TC_CMOCONC_2_1 TC_CDOCONC_2_1 TC_NDOCONC_2_1 TC_OZCONC_2_1 TC_PMICONC_2_1 " +
		"TC_FLDCONC_2_1 TC_PMHCONC_2_1 TC_PMKCONC_2_1 TC_TVOCCONC_2_1 TC_RNCONC_2_1"},

	{device: "window_covering", pics: []string{"WNCV.S.M.Maintenance"}, plans: "TC_WNCV_2_1 TC_WNCV_2_2 TC_WNCV_2_3 TC_WNCV_2_4 TC_WNCV_2_5 " +
		"TC_WNCV_3_1 TC_WNCV_3_2 TC_WNCV_3_3 TC_WNCV_3_4 TC_WNCV_3_5 TC_WNCV_4_1 TC_WNCV_4_2 TC_WNCV_4_3 TC_WNCV_4_4 TC_WNCV_4_5"},
	{device: "door_lock", scripts: []string{"TC_DRLK_2_2", "TC_DRLK_2_3", "TC_DRLK_2_5", "TC_DRLK_2_9"},
		plans: "TC_DRLK_2_1", seconds: "0.3"},
	{device: "thermostat", scripts: []string{"TC_TSTAT_2_2"}, plans: "TC_TSTAT_2_1"},
	// FAN_3_1 and FAN_3_2 look at the reports right after their last read, from another thread
	// than the one that adds them.
	{device: "fan", seconds: "0.1", scripts: []string{"TC_FAN_2_1", "TC_FAN_3_1 --timeout 500", "TC_FAN_3_2 --timeout 500"},
		plans: "TC_FAN_2_2"},
	{device: "air_purifier", seconds: "0.1", scripts: []string{"TC_FAN_2_1", "TC_FAN_3_1 --timeout 500"}, plans: "TC_HEPAFREMON_2_1 TC_ACFREMON_2_1"},
	{device: "room_air_conditioner", seconds: "0.1", scripts: []string{"TC_TSTAT_2_2", "TC_FAN_3_1 --timeout 500"}, plans: "TC_OO_2_1 TC_TSTAT_2_1"},
	{device: "water_valve", seconds: "0.3", scripts: []string{"TC_VALCC_2_1", "TC_VALCC_3_1", "TC_VALCC_3_2", "TC_VALCC_3_3", "TC_VALCC_3_4",
		"TC_VALCC_4_1", "TC_VALCC_4_2", "TC_VALCC_4_3", "TC_VALCC_4_4", "TC_VALCC_4_5"}},
	{device: "pump", plans: "TC_PCC_2_1 TC_PCC_2_2 TC_PCC_2_3 TC_OO_2_1"},

	{device: "battery-contact_sensor", scripts: []string{"TC_PS_2_3", "TC_FLABEL_2_1"}, plans: "TC_PS_2_1 TC_ULABEL_2_1 TC_ULABEL_2_2 TC_ULABEL_2_3 TC_ULABEL_2_4"},
	{device: "charging", plans: "TC_PS_2_1"},
	{device: "meter-on_off_plug", scripts: []string{"TC_PWRTL_2_1", "TC_EPM_2_1", "TC_EEM_2_1", "TC_EPM_2_2 " + events, "TC_EEM_2_2 " + events,
		"TC_EEM_2_3 " + events}},

	{device: "robotic_vacuum_cleaner", seconds: "0.3", pics: vacuumPICS, scripts: []string{
		"TC_RVCRUNM_1_2", "TC_RVCCLEANM_1_2",
		"TC_RVCRUNM_2_1 --int-arg PIXIT.RVCRUNM.MODE_CHANGE_OK:0 PIXIT.RVCRUNM.MODE_CHANGE_FAIL:2 " + events,
		"TC_RVCRUNM_2_2 --int-arg PIXIT.RVCRUNM.MODE_A:1 PIXIT.RVCRUNM.MODE_B:2 " + events,
		"TC_RVCCLEANM_2_1 --int-arg PIXIT.RVCCLEANM.MODE_CHANGE_OK:1 PIXIT.RVCCLEANM.MODE_CHANGE_FAIL:2 " + events,
		"TC_RVCCLEANM_2_2 " + events,
		"TC_RVCOPSTATE_2_1 " + events, "TC_RVCOPSTATE_2_3 " + events, "TC_RVCOPSTATE_2_4 " + events, "TC_RVCOPSTATE_2_5 --int-arg runmode_cleanmode:1 " + events,
		"TC_SEAR_1_2 " + events, "TC_SEAR_1_3 " + events, "TC_SEAR_1_4 " + events,
	}},
}

// endpointTryouts compare an endpoint of each type, and of some compositions, with its
// PICS.
func endpointTryouts() (all []tryout) {
	check := []string{picsChecker}
	for _, typ := range devices.Types() {
		all = append(all, tryout{device: typ, scripts: check})
	}
	for _, x := range [][2]string{
		{"charging"}, {"latching-generic_switch"}, {"configured-contact_sensor"}, {"configured-occupancy_sensor"},
		{"battery-contact_sensor"}, {"meter-on_off_plug"}, {"meter-extended_color_light"}, {"gangs", "1"}, {"flat-gangs", "1"}, {"remote", "up"}, {"purifier", "p"},
	} {
		all = append(all, tryout{device: x[0], part: x[1], scripts: check})
	}
	return all
}

// vacuumPICS lists the changes that can be triggered at the vacuum.
var vacuumPICS = []string{
	"RVCRUNM.S.M.CAN_TEST_MODE_FAILURE", "RVCRUNM.S.M.CAN_MANUALLY_CONTROLLED", "RVCCLEANM.S.M.CAN_MANUALLY_CONTROLLED",
	"RVCOPSTATE.S.M.CAN_MANUALLY_CONTROLLED", "RVCOPSTATE.S.M.ST_STOPPED", "RVCOPSTATE.S.M.ST_RUNNING", "RVCOPSTATE.S.M.ST_PAUSED",
	"RVCOPSTATE.S.M.ST_ERROR", "RVCOPSTATE.S.M.ST_SEEKING_CHARGER", "RVCOPSTATE.S.M.ST_CHARGING", "RVCOPSTATE.S.M.ST_DOCKED",
	"RVCOPSTATE.S.M.ERR_NO_ERROR", "RVCOPSTATE.S.M.ERR_UNABLE_TO_START_OR_RESUME", "RVCOPSTATE.S.M.ERR_UNABLE_TO_COMPLETE_OPERATION",
	"RVCOPSTATE.S.M.ERR_COMMAND_INVALID_IN_STATE", "RVCOPSTATE.S.M.ERR_FAILED_TO_FIND_CHARGING_DOCK", "RVCOPSTATE.S.M.ERR_STUCK",
	"RVCOPSTATE.S.M.ERR_DUST_BIN_MISSING", "RVCOPSTATE.S.M.ERR_DUST_BIN_FULL", "RVCOPSTATE.S.M.ERR_WATER_TANK_EMPTY",
	"RVCOPSTATE.S.M.ERR_WATER_TANK_MISSING", "RVCOPSTATE.S.M.ERR_WATER_TANK_LID_OPEN", "RVCOPSTATE.S.M.ERR_MOP_CLEANING_PAD_MISSING",
	"SEAR.S.M.INVALID_STATE_FOR_SELECT_AREAS", "SEAR.S.M.VALID_STATE_FOR_SELECT_AREAS", "SEAR.S.M.HAS_MANUAL_SELAREA_STATE_CONTROL", "SEAR.S.M.SELECT_AREAS_WHILE_NON_IDLE",
}
