package device

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/cluster/vacuum"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

var vacuumKinds = map[string]kind{
	"robotic_vacuum_cleaner": {datamodel.DeviceTypeRoboticVacuumCleaner, buildVacuum},
}

// runModes are the modes of a vacuum by number.
var runModes = []string{vacuum.Idle: "idle", vacuum.Cleaning: "cleaning", vacuum.Mapping: "mapping"}

var vacuumStates = map[string]vacuum.State{
	"stopped":         datamodel.RVCOperationalStateOperationalStateStopped,
	"running":         datamodel.RVCOperationalStateOperationalStateRunning,
	"paused":          datamodel.RVCOperationalStateOperationalStatePaused,
	"error":           datamodel.RVCOperationalStateOperationalStateError,
	"seeking_charger": datamodel.RVCOperationalStateOperationalStateSeekingCharger,
	"charging":        datamodel.RVCOperationalStateOperationalStateCharging,
	"docked":          datamodel.RVCOperationalStateOperationalStateDocked,
}

var vacuumFaults = map[string]vacuum.Fault{
	"none":                         datamodel.RVCOperationalStateErrorStateNoError,
	"unable_to_start_or_resume":    datamodel.RVCOperationalStateErrorStateUnableToStartOrResume,
	"unable_to_complete_operation": datamodel.RVCOperationalStateErrorStateUnableToCompleteOperation,
	"command_invalid_in_state":     datamodel.RVCOperationalStateErrorStateCommandInvalidInState,
	"failed_to_find_charging_dock": datamodel.RVCOperationalStateErrorStateFailedToFindChargingDock,
	"stuck":                        datamodel.RVCOperationalStateErrorStateStuck,
	"dust_bin_missing":             datamodel.RVCOperationalStateErrorStateDustBinMissing,
	"dust_bin_full":                datamodel.RVCOperationalStateErrorStateDustBinFull,
	"water_tank_empty":             datamodel.RVCOperationalStateErrorStateWaterTankEmpty,
	"water_tank_missing":           datamodel.RVCOperationalStateErrorStateWaterTankMissing,
	"water_tank_lid_open":          datamodel.RVCOperationalStateErrorStateWaterTankLidOpen,
	"mop_cleaning_pad_missing":     datamodel.RVCOperationalStateErrorStateMopCleaningPadMissing,
	"low_battery":                  datamodel.RVCOperationalStateErrorStateLowBattery,
	"cannot_reach_target_area":     datamodel.RVCOperationalStateErrorStateCannotReachTargetArea,
	"dirty_water_tank_full":        datamodel.RVCOperationalStateErrorStateDirtyWaterTankFull,
	"dirty_water_tank_missing":     datamodel.RVCOperationalStateErrorStateDirtyWaterTankMissing,
	"wheels_jammed":                datamodel.RVCOperationalStateErrorStateWheelsJammed,
	"brush_jammed":                 datamodel.RVCOperationalStateErrorStateBrushJammed,
	"navigation_sensor_obscured":   datamodel.RVCOperationalStateErrorStateNavigationSensorObscured,
}

func buildVacuum(b *builder) error {
	o := &b.part.Options
	c := &vacuum.Config{CanMap: true, Areas: o.Areas}
	if len(o.Modes) > 0 {
		c.CanMap = false
		for _, name := range o.Modes {
			if !slices.Contains(runModes, name) {
				return &OptionError{"modes", fmt.Sprintf("%q is not one of %s", name, strings.Join(runModes, ", "))}
			}
			c.CanMap = c.CanMap || name == runModes[vacuum.Mapping]
		}
	}
	if err := checkNames("clean_modes", o.CleanModes, 64); err != nil {
		return err
	}
	if err := checkNames("areas", o.Areas, 128); err != nil {
		return err
	}
	if len(o.CleanModes) > 1 { // with a single clean mode there is no choice
		c.CleanModes = o.CleanModes
	}
	b.Identify = true
	u := addUnit(b.Endpoint, vacuum.New(c), vacuum.Rules(), vacuumProperties(c))
	u.Serve(vacuum.RunMode, cluster.Selection{})
	u.Serve(vacuum.OperationalState, vacuum.Operation)
	if len(c.CleanModes) > 0 {
		u.Serve(vacuum.CleanMode, cluster.Selection{Features: vacuum.CleanFeatures})
	}
	if len(c.Areas) > 0 {
		u.Serve(vacuum.ServiceArea, cluster.Selection{})
	}
	return nil
}

// areaSeparator separates the names of areas in the property "areas".
const areaSeparator = ", "

// checkNames checks that the clusters can show a list of names.
func checkNames(option string, names []string, longest int) error {
	if len(names) > vacuum.MaxAreas {
		return &OptionError{option, fmt.Sprintf("%d are more than %d", len(names), vacuum.MaxAreas)}
	}
	for i, name := range names {
		switch {
		case name == "" || len(name) > longest:
			return &OptionError{option, fmt.Sprintf("%q is empty, or longer than %d octets", name, longest)}
		case strings.Contains(name, areaSeparator):
			return &OptionError{option, fmt.Sprintf("%q has a comma with a blank, which stands between names", name)}
		case slices.Contains(names[:i], name):
			return &OptionError{option, fmt.Sprintf("%q is there twice", name)}
		}
	}
	return nil
}

// vacuumProperties returns the properties of a vacuum. The operational state comes
// before the mode, so that the event of a finished run contains the result.
func vacuumProperties(c *vacuum.Config) []property[vacuum.Vacuum] {
	type state = vacuum.Vacuum
	known := runModes
	if !c.CanMap {
		known = runModes[:vacuum.Mapping]
	}
	all := []property[state]{
		{
			Property: Property{Name: "error", Kind: KindText, Values: sortedNames(vacuumFaults)},
			get:      func(s *state) Value { return nameOf(vacuumFaults, s.Fault) },
			report: func(c *cluster.Context, s *state, v Value) {
				name, _ := v.Text()
				if is, ok := vacuumFaults[name]; ok {
					s.ReportFault(c, is)
				}
			},
		},
		{
			Property: Property{Name: "state", Kind: KindText, Values: sortedNames(vacuumStates), Needed: true},
			get:      func(s *state) Value { return nameOf(vacuumStates, s.State) },
			report: func(c *cluster.Context, s *state, v Value) {
				name, _ := v.Text()
				if is, ok := vacuumStates[name]; ok {
					s.ReportState(c, is)
				}
			},
		},
		{
			Property: Property{Name: "run_mode", Kind: KindText, Values: known, Settable: true, Slow: vacuum.OperationTime},
			want:     vacuum.WantRun, asked: true,
			get:  func(s *state) Value { return Text(runModes[s.Run]) },
			wish: func(s *state) Value { return Text(runModes[s.WantedRun()]) },
			report: func(c *cluster.Context, s *state, v Value) {
				name, _ := v.Text()
				if n := slices.Index(runModes, name); n >= 0 {
					s.ReportRun(c, uint8(n))
				}
			},
		},
	}
	if names := c.CleanModes; len(names) > 0 {
		all = append(all, property[state]{
			Property: Property{Name: "clean_mode", Kind: KindText, Values: names, Settable: true},
			want:     vacuum.WantClean, asked: true,
			get: func(s *state) Value { return Text(names[s.Clean]) },
			report: func(_ *cluster.Context, s *state, v Value) {
				name, _ := v.Text()
				if n := slices.Index(names, name); n >= 0 {
					s.Clean = uint8(n)
				}
			},
		})
	}
	if len(c.Areas) > 0 {
		all = append(all, areasProperty(c.Areas))
	}
	return all
}

// areasProperty returns the property with the names of the areas to clean. An empty
// text means everywhere. Unknown names are ignored.
func areasProperty(names []string) property[vacuum.Vacuum] {
	return property[vacuum.Vacuum]{
		Property: Property{Name: "areas", Kind: KindText, Settable: true},
		want:     vacuum.WantAreas, asked: true,
		get: func(s *vacuum.Vacuum) Value {
			var chosen []string
			for i, name := range names {
				if s.Areas&(1<<i) != 0 {
					chosen = append(chosen, name)
				}
			}
			return Text(strings.Join(chosen, areaSeparator))
		},
		report: func(_ *cluster.Context, s *vacuum.Vacuum, v Value) {
			text, ok := v.Text()
			if !ok {
				return
			}
			s.Areas = 0
			for _, name := range strings.Split(text, areaSeparator) {
				if n := slices.Index(names, name); n >= 0 {
					s.Areas |= 1 << n
				}
			}
		},
	}
}
