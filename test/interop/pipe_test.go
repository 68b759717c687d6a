//go:build interop && certification

package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	devices "github.com/opcredsd/opcredsd/pkg/device"
)

// pipe receives the requests of a script to the SDK's example applications, and
// applies them to the bridged device.
type pipe struct {
	path   string
	file   *os.File
	source *source
	device string
	part   string
	alarms map[string]any // the levels of an alarm
	done   chan struct{}
	load   chan struct{} // closed to end the load or generator; nil: there is none
}

// request is a line in the pipe.
type request struct {
	Name                     string
	NewState                 bool
	Occupancy                uint8
	SensorFault              uint16
	PositionID               uint8 `json:"PositionId"`
	SoilMoistureValue        float64
	Error                    string
	EventTrigger             string
	MultiPressNumPresses     int
	LongPressDelayMillis     int
	LongPressDurationMillis  int
	MultiPressPressedMillis  int `json:"MultiPressPressedTimeMillis"`
	MultiPressReleasedMillis int `json:"MultiPressReleasedTimeMillis"`
	MultiPressMax            int
	FeatureMap               uint32
}

// openPipe makes the pipe, for one part of a device.
func (s *source) openPipe(path, device, part string) (*pipe, error) {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // also as a writer, so that there is no end of file
	if err != nil {
		return nil, err
	}
	p := &pipe{path: path, file: f, source: s, device: device, part: part, alarms: map[string]any{}, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var r request
			err := json.Unmarshal(lines.Bytes(), &r)
			if err == nil {
				err = p.obey(&r)
			}
			if err != nil {
				s.fail(fmt.Errorf("in the pipe, %s: %w", lines.Bytes(), err))
			}
		}
	}()
	return p, nil
}

func (p *pipe) close() {
	p.file.Close()
	<-p.done
	p.endLoad()
}

// loads are the triggers of a load, and of a generator, in watts.
var loads = map[string]float64{"0x0091000000000000": 0, "0x0091000000000001": 1000, "0x0091000000000002": -3000}

func (p *pipe) endLoad() {
	if p.load != nil {
		close(p.load)
		p.load = nil
	}
}

// run simulates a load, or a generator if watts is negative, whose power varies a
// little.
func (p *pipe) run(watts float64, end <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	energy := map[bool]string{true: "energy_kwh", false: "energy_exported_kwh"}[watts > 0]
	for n := 1.0; ; n++ {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		w := watts + n
		p.source.report(p.device, p.part, map[string]any{
			"power_watts": w, "voltage_volts": 230 + n/100, "current_amperes": w/230 + n/1000, energy: 2 + n/100,
		})
	}
}

// happenings maps the names of requests to states.
var happenings = map[string]map[string]any{
	"Reset":        {"state": "stopped", "error": "none", "run_mode": "idle", "clean_mode": "Vacuum", "areas": ""},
	"Docked":       {"state": "docked", "run_mode": "idle"},
	"Charging":     {"state": "charging"},
	"ChargerFound": {"state": "charging"},
	"Charged":      {"state": "docked"},
}

// triggers maps test event triggers to states, by their numbers without the
// endpoint.
var triggers = map[string]map[string]any{
	"0x005c000000000090": {"smoke": "warning"},
	"0x005c00000000009c": {"smoke": "critical"},
	"0x005c0000000000a0": {"smoke": "normal"},
	"0x005c000000000091": {"carbon_monoxide": "warning"},
	"0x005c00000000009d": {"carbon_monoxide": "critical"},
	"0x005c0000000000a1": {"carbon_monoxide": "normal"},
	"0x005c000000000093": {"hardware_fault": true},
	"0x005c0000000000a3": {"hardware_fault": false},
	"0x005c000000000096": {"contamination": "critical"},
	"0x005c000000000097": {"contamination": "low"},
	"0x005c0000000000a6": {"contamination": "normal"},
	"0x005c000000000098": {"smoke_sensitivity": "high"},
	"0x005c000000000099": {"smoke_sensitivity": "low"},
	"0x005c0000000000a8": {"smoke_sensitivity": "standard"},
	"0x005c00000000009b": {"muted": true},
	"0x005c0000000000ab": {"muted": false},
	"0x005c00000000009a": {"end_of_service": true},
	"0x005c0000000000aa": {"end_of_service": false},
}

// batteries maps triggers to states of a battery.
var batteries = map[string]string{
	"0x005c000000000095": `{"percent":15,"low":true}`,
	"0x005c00000000009e": `{"percent":3,"low":true}`,
	"0x005c0000000000a5": `{"percent":80,"low":false}`,
}

func (p *pipe) obey(r *request) error {
	switch r.Name {
	case "SetBooleanState":
		name := "detected"
		if p.device == "api:contact_sensor" {
			name = "closed"
		}
		p.source.report(p.device, p.part, map[string]any{name: r.NewState})
	case "SetBooleanStateSensorFault":
		p.source.report(p.device, p.part, map[string]any{"sensor_fault": r.SensorFault != 0})
	case "SimulateLatchPosition":
		p.source.report(p.device, p.part, map[string]any{"position": r.PositionID})
	case "LongPress": // on the button of an alarm, which begins its test unless there is an alarm
		for _, level := range p.alarms {
			if level != "normal" {
				return nil
			}
		}
		p.source.obey(&wish{Device: p.device, Part: p.part, Set: map[string]any{"test_in_progress": true}})
	case "SetOccupancy":
		p.source.report(p.device, p.part, map[string]any{"occupied": r.Occupancy != 0})
	case "SetSimulatedSoilMoisture":
		p.source.report(p.device, p.part, map[string]any{"moisture_percent": r.SoilMoistureValue})
	case "ErrorEvent":
		p.source.report(p.device, p.part, map[string]any{"error": snake(r.Error)})
	case "SimulateLongPress":
		return p.press(time.Duration(r.LongPressDurationMillis)*time.Millisecond, 1, 0)
	case "SimulateMultiPress":
		return p.press(time.Duration(r.MultiPressPressedMillis)*time.Millisecond, r.MultiPressNumPresses, time.Duration(r.MultiPressReleasedMillis)*time.Millisecond)
	case "SimulateConfigurationVersionChange":
		return p.source.api.do("PATCH", "/v1/devices/"+p.device, `{"battery":{"percent":80}}`, nil)
	case "SimulateSwitchIdle":
	case "Reboot":
		return p.source.reboot()
	case "EventTrigger":
		return p.trigger(r.EventTrigger)
	default:
		state := happenings[r.Name]
		if state == nil {
			return errors.New("nothing of the kind")
		}
		p.source.report(p.device, p.part, maps.Clone(state))
	}
	return nil
}

// snake converts a name of the SDK to one of the API.
func snake(name string) string {
	if name == "BatteryLow" {
		return "low_battery"
	}
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// press presses and releases a button, while the script waits.
func (p *pipe) press(down time.Duration, times int, up time.Duration) error {
	event := func(name string) error {
		body := fmt.Sprintf(`{"part":%q,"event":%q}`, p.part, name)
		return p.source.api.do("POST", "/v1/devices/"+p.device+"/events", body, nil)
	}
	for range times {
		if err := event("press"); err != nil {
			return err
		}
		time.Sleep(down)
		if err := event("release"); err != nil {
			return err
		}
		time.Sleep(up)
	}
	return nil
}

// trigger applies a test event trigger. The number contains the endpoint in its
// third and fourth octet.
func (p *pipe) trigger(number string) error {
	if len(number) == 18 {
		number = number[:6] + "0000" + number[10:]
	}
	if watts, ok := loads[number]; ok {
		p.endLoad()
		if watts != 0 {
			p.load = make(chan struct{})
			go p.run(watts, p.load)
		}
		return nil
	}
	if battery, ok := batteries[number]; ok {
		return p.source.api.do("PATCH", "/v1/devices/"+p.device, `{"battery":`+battery+`}`, nil)
	}
	if state := triggers[number]; state != nil {
		for _, name := range []string{"smoke", "carbon_monoxide"} {
			if level, ok := state[name]; ok {
				p.alarms[name] = level
			}
		}
		p.source.report(p.device, p.part, maps.Clone(state))
		return nil
	}
	return fmt.Errorf("no such trigger %s", number)
}

// pics returns the PICS of an endpoint of the library, from its lists: those of the
// endpoint alone, and those that scripts need besides.
func pics(d devices.Device, part string, codes map[uint32]string) (lines, besides []string, err error) {
	a, err := devices.Assemble(&d, devices.Profile{}, nil)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(a.Nodes, func(n *devices.Node) bool { return n.Key == part })
	if i < 0 {
		return nil, nil, fmt.Errorf("%s has no part %q", d.ID, part)
	}
	n := a.Nodes[i]
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)+"=1") }
	for _, c := range slices.Concat(n.Clusters(), n.Other) {
		s, code := c.Spec(), codes[uint32(c.Spec().ID)]
		add("%s.S", code)
		for _, x := range s.Attributes {
			add("%s.S.A%04x", code, uint32(x.ID))
		}
		for _, x := range s.Commands {
			add("%s.S.C%02x.Rsp", code, uint32(x.ID))
			if x.Response != 0 {
				add("%s.S.C%02x.Tx", code, uint32(x.Response))
			}
		}
		for _, x := range s.Events {
			add("%s.S.E%02x", code, uint32(x.ID))
		}
		for bit := range 32 {
			if s.Features>>bit&1 != 0 {
				add("%s.S.F%02x", code, bit)
			}
		}
	}
	lines = append(lines, descriptorPICS...)
	if len(n.Tags) > 0 {
		lines = append(lines, "DESC.S.A0004=1", "DESC.S.F00=1")
	}
	if n.Identify {
		lines = append(lines, identifyPICS...)
	}
	if !n.Child {
		lines = append(lines, bridgedPICS...)
	}
	if n.Groups {
		lines = append(lines, groupsPICS...)
	}
	if n.Scenes {
		lines = append(lines, scenesPICS...)
	}
	return lines, nodePICS, nil
}

// nodePICS is Group Key Management, which is on endpoint 0, and settings of plans.
var nodePICS = []string{
	"GRPKEY.S=1", "GRPKEY.S.A0000=1", "GRPKEY.S.A0001=1", "GRPKEY.S.A0002=1", "GRPKEY.S.A0003=1", "GRPKEY.S.C00.Rsp=1",
	"PICS_SKIP_SAMPLE_APP=1", "PICS_USER_PROMPT=1", "PICS_SF_AddFabric=1", "PICS_EVENT_LIST_ENABLED=0",
}

// The clusters that the node adds to the endpoints of the library.

// descriptorPICS is Descriptor.
var descriptorPICS = []string{"DESC.S=1", "DESC.S.A0000=1", "DESC.S.A0001=1", "DESC.S.A0002=1", "DESC.S.A0003=1"}

// identifyPICS is Identify.
var identifyPICS = []string{"I.S=1", "I.S.A0000=1", "I.S.A0001=1", "I.S.C00.Rsp=1", "I.S.C40.Rsp=1"}

// bridgedPICS is Bridged Device Basic Information, as far as the library's devices are
// described.
var bridgedPICS = []string{"BRBINFO.S=1", "BRBINFO.S.A0001=1", "BRBINFO.S.A0003=1", "BRBINFO.S.A0005=1", "BRBINFO.S.A0011=1", "BRBINFO.S.A0012=1", "BRBINFO.S.A0018=1"}

// groupsPICS is Groups.
var groupsPICS = []string{
	"G.S=1", "G.S.A0000=1", "G.S.C00.Rsp=1", "G.S.C01.Rsp=1", "G.S.C02.Rsp=1", "G.S.C03.Rsp=1",
	"G.S.C04.Rsp=1", "G.S.C05.Rsp=1", "G.S.C00.Tx=1", "G.S.C01.Tx=1", "G.S.C02.Tx=1", "G.S.C03.Tx=1",
	"G.S.F00=1",
}

// scenesPICS is Scenes Management.
var scenesPICS = []string{
	"S.S=1", "S.S.A0001=1", "S.S.A0002=1", "S.S.C00.Rsp=1", "S.S.C01.Rsp=1", "S.S.C02.Rsp=1",
	"S.S.C03.Rsp=1", "S.S.C04.Rsp=1", "S.S.C05.Rsp=1", "S.S.C06.Rsp=1", "S.S.C40.Rsp=1", "S.S.C00.Tx=1",
	"S.S.C01.Tx=1", "S.S.C02.Tx=1", "S.S.C03.Tx=1", "S.S.C04.Tx=1", "S.S.C06.Tx=1", "S.S.C40.Tx=1",
	"S.S.F00=1",
}
