//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The size of TestBridgeSteps, unless the environment sets another.
const (
	fewDevices = 20
	fewSteps   = 15
)

// bridgedDevice is a device in the registry's answer.
type bridgedDevice struct {
	ID        string
	Name      string
	Endpoint  uint16
	UniqueID  string `json:"unique_id"`
	Reachable bool
	Exposed   bool
	Reason    string
	Parts     []struct {
		ID       string
		Type     string
		Endpoint uint16
		State    map[string]any
	}
}

// household is the daemon, the expected state, and the view of a controller.
type household struct {
	*run
	rand    *rand.Rand
	view    map[[3]uint32]string // reported values by endpoint, cluster and attribute
	known   map[string]bool      // ids of the devices that must exist
	owner   map[uint16]string    // the device of each number, at any time
	leaving map[uint16]bool      // numbers of devices in their grace time
	streams map[string]io.Closer // of the connected sources
	next    int
	backup  string
	backed  map[string]bool // the devices at that time
}

const controllerOfSteps = "one"

// TestBridgeSteps makes matter.js subscribe to everything. In random steps devices
// are added, removed, renamed and changed, sources disconnect, and the daemon is
// restarted, killed, and restored from backups. After each step the controller's
// view must agree with the registry, and no endpoint number may have had two
// devices.
func TestBridgeSteps(t *testing.T) {
	t.Parallel()
	devices, steps, seed := fromEnv(t, "INTEROP_BRIDGE_DEVICES", fewDevices), fromEnv(t, "INTEROP_BRIDGE_STEPS", fewSteps), fromEnv(t, "INTEROP_BRIDGE_SEED", int(time.Now().UnixNano()%1e6))
	r := newRun(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with INTEROP_BRIDGE_SEED=%d INTEROP_BRIDGE_DEVICES=%d INTEROP_BRIDGE_STEPS=%d", seed, devices, steps)
		}
	})
	fmt.Fprintf(r.summary, "seed %d, %d devices, %d steps\n", seed, devices, steps)
	r.startAll()
	r.openController(controllerOfSteps, args{})
	r.begin("bridge, random steps")
	h := &household{run: r, rand: rand.New(rand.NewPCG(uint64(seed), 0)), known: map[string]bool{}, owner: map[uint16]string{}, leaving: map[uint16]bool{}, streams: map[string]io.Closer{}}
	t.Cleanup(func() {
		for _, s := range h.streams {
			s.Close()
		}
	})
	for _, source := range sources {
		h.comes(source)
	}
	h.fill(devices)
	r.join(controllerOfSteps)
	h.subscribe()
	h.agrees("at first")
	for i := range steps {
		name, do := h.choose(i, steps)
		r.step(fmt.Sprintf("step %d: %s", i+1, name), do)
		h.agrees(fmt.Sprintf("after step %d", i+1))
	}
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

func fromEnv(t *testing.T, name string, other int) int {
	v := os.Getenv(name)
	if v == "" {
		return other
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// sources of the devices.
var sources = []string{"north", "south", "west"}

// choose returns a step. In a short run the slowest steps are at fixed places, so
// that each run contains them.
func (h *household) choose(i, of int) (string, func() error) {
	switch {
	case i == of/5:
		return "backup", h.takeBackup
	case i == of*2/5:
		return "SIGKILL", func() error { return h.restart(h.device.kill) }
	case i == of*3/5:
		return "restart", func() error { return h.restart(h.device.stop) }
	case i == of*4/5:
		return "the backup is restored", h.restore
	}
	n := h.rand.IntN(100)
	switch {
	case n < 20:
		return "add", h.add
	case n < 35:
		return "remove", h.remove
	case n < 65:
		return "update", h.update
	case n < 75:
		return "rename", h.rename
	case n < 85:
		return "a source goes, or comes", h.source
	case n < 90:
		return "a list of a whole source", h.list
	case n < 95 && of > fewSteps:
		return "SIGKILL", func() error { return h.restart(h.device.kill) }
	case of > fewSteps && n < 97:
		return "restart", func() error { return h.restart(h.device.stop) }
	case of > fewSteps && n < 98:
		return "backup", h.takeBackup
	case of > fewSteps && n < 99 && h.backup != "":
		return "the backup is restored", h.restore
	}
	return "update", h.update
}

// descriptions of devices, with a placeholder for a value that changes.
var descriptions = []string{
	`"type":"on_off_light","state":{"on":false}`,
	`"type":"dimmable_light","state":{"on":true,"brightness_percent":50}`,
	`"type":"extended_color_light","state":{"on":true,"color_temperature_kelvin":2700}`,
	`"type":"on_off_plug","state":{"on":false}`,
	`"type":"contact_sensor","battery":{"percent":80},"state":{"closed":true}`,
	`"type":"occupancy_sensor","state":{"occupied":false}`,
	`"layout":"composed","parts":[{"id":"t","type":"temperature_sensor","state":{"temperature_celsius":21}},{"id":"h","type":"humidity_sensor","state":{"humidity_percent":40}}]`,
	`"layout":"flat","parts":[{"id":"1","type":"on_off_light","state":{"on":false}},{"id":"2","type":"on_off_light","state":{"on":true}}]`,
	`"parts":[{"id":"1","type":"generic_switch"},{"id":"2","type":"generic_switch"}]`,
}

// toggled are the properties that updates change.
var toggled = []string{"on", "closed", "occupied"}

func (h *household) newDevice() (id, description string) {
	id = fmt.Sprintf("%s:%d", sources[h.rand.IntN(len(sources))], h.next)
	h.next++
	return id, fmt.Sprintf(`{"id":%q,"name":"Device %d",%s}`, id, h.next, descriptions[h.rand.IntN(len(descriptions))])
}

func (h *household) add() error {
	for range 1 + h.rand.IntN(3) {
		id, d := h.newDevice()
		if err := h.device.api().do("PUT", "/v1/devices/"+id, d, nil); err != nil {
			return err
		}
		h.known[id] = true
	}
	return nil
}

// fill adds a number of devices, with one request for each source.
func (h *household) fill(devices int) {
	h.t.Helper()
	by := map[string][]string{}
	for range devices {
		id, d := h.newDevice()
		source, _, _ := strings.Cut(id, ":")
		by[source] = append(by[source], d)
		h.known[id] = true
	}
	for _, source := range slices.Sorted(maps.Keys(by)) {
		h.step("devices of "+source, func() error {
			return h.device.api().do("PUT", "/v1/devices?source="+source, "["+strings.Join(by[source], ",")+"]", nil)
		})
	}
}

// any returns one of the devices.
func (h *household) any() string {
	all := slices.Sorted(maps.Keys(h.known))
	return all[h.rand.IntN(len(all))]
}

func (h *household) remove() error {
	id := h.any()
	delete(h.known, id)
	return h.device.api().do("DELETE", "/v1/devices/"+url.PathEscape(id)+"?now=1", "", nil)
}

// update changes values of some devices.
func (h *household) update() error {
	for range 1 + h.rand.IntN(5) {
		id := h.any()
		var d bridgedDevice
		if err := h.device.api().do("GET", "/v1/devices/"+id, "", &d); err != nil {
			return err
		}
		for _, p := range d.Parts {
			for _, name := range toggled {
				is, ok := p.State[name].(bool)
				if !ok {
					continue
				}
				body := fmt.Sprintf(`{"parts":[{"id":%q,"state":{%q:%v}}]}`, p.ID, name, !is)
				if err := h.device.api().do("PATCH", "/v1/devices/"+id, body, nil); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// rename makes a source, the operator or the controller rename a device.
func (h *household) rename() error {
	id, name := h.any(), fmt.Sprintf("Name %d", h.rand.IntN(1000))
	switch h.rand.IntN(3) {
	case 0:
		return h.device.api().do("PATCH", "/v1/devices/"+id, fmt.Sprintf(`{"name":%q}`, name), nil)
	case 1:
		_, err := h.device.ns.output(h.ctx, h.device.binary, "devices", "rename", id, name, "--state-dir", h.device.state)
		return err
	}
	var d bridgedDevice
	if err := h.device.api().do("GET", "/v1/devices/"+id, "", &d); err != nil || !d.Exposed {
		return err
	}
	var res struct{ Status int }
	_, err := h.ctl.call(h.ctx, "write", args{"controller": controllerOfSteps, "endpoint": d.Endpoint, "cluster": "BridgedDeviceBasicInformation", "attribute": "nodeLabel", "value": name}, &res)
	if err == nil && res.Status != 0 && res.Status != statusInvalidInState { // the operator's name has priority
		err = fmt.Errorf("status %#x", res.Status)
	}
	return err
}

const statusInvalidInState = 0xCB

// source disconnects a source, or connects one.
func (h *household) source() error {
	name := sources[h.rand.IntN(len(sources))]
	if s := h.streams[name]; s != nil {
		delete(h.streams, name)
		return s.Close()
	}
	h.comes(name)
	return nil
}

func (h *household) comes(name string) {
	h.t.Helper()
	_, s, err := h.device.api().commands(name + "&linger_seconds=0")
	h.must(err)
	h.streams[name] = s
}

// list sends all devices of a source except one.
func (h *household) list() error {
	name := sources[h.rand.IntN(len(sources))]
	var all []json.RawMessage
	if err := h.device.api().do("GET", "/v1/devices", "", &all); err != nil {
		return err
	}
	var keep []string
	for _, raw := range all {
		var d bridgedDevice
		if err := json.Unmarshal(raw, &d); err != nil {
			return err
		}
		if strings.HasPrefix(d.ID, name+":") {
			keep = append(keep, string(raw))
		}
	}
	if len(keep) == 0 {
		return nil
	}
	var gone bridgedDevice
	if err := json.Unmarshal([]byte(keep[0]), &gone); err != nil {
		return err
	}
	delete(h.known, gone.ID)
	for _, n := range gone.numbers() {
		h.leaving[n] = true // for one minute
	}
	return h.device.api().do("PUT", "/v1/devices?source="+name, "["+strings.Join(keep[1:], ",")+"]", nil)
}

// restart restarts the daemon. The controller tries to connect from before the
// start; its first report must have the list of all devices.
func (h *household) restart(end func() error) error {
	h.lose()
	before := h.numbers()
	if err := end(); err != nil {
		return err
	}
	return h.comeUp(before)
}

// lose closes the streams, which end with the daemon.
func (h *household) lose() {
	for _, name := range slices.Collect(maps.Keys(h.streams)) {
		h.streams[name].Close()
		delete(h.streams, name)
	}
}

// comeUp starts the daemon. The controller tries to connect from before the start,
// and its first report must contain the endpoints in want.
func (h *household) comeUp(want []uint16) error {
	came := make(chan error, 1)
	go func() {
		_, err := h.ctl.call(h.ctx, "reconnect", args{"controller": controllerOfSteps}, nil)
		came <- err
	}()
	if err := h.device.start(h.ctx, testProduct); err != nil {
		return err
	}
	if err := <-came; err != nil {
		return fmt.Errorf("the controller comes back: %w", err)
	}
	h.subscribe()
	clear(h.leaving) // a restart ends the grace times
	got := h.reported()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("the first report after the start lists %v, not %v", got, want)
	}
	for _, name := range sources {
		h.comes(name)
	}
	// Devices are reachable again after their sources have described them.
	for id := range h.known {
		if err := h.device.api().do("PATCH", "/v1/devices/"+id, `{"reachable":true}`, nil); err != nil {
			return err
		}
	}
	return nil
}

func (h *household) takeBackup() error {
	h.backup = filepath.Join(h.t.TempDir(), "backup.db")
	h.backed = maps.Clone(h.known)
	_, err := h.device.ns.output(h.ctx, h.device.binary, "store", "backup", h.backup, "--state-dir", h.device.state)
	return err
}

// restore replaces the state with the backup.
func (h *household) restore() error {
	h.lose()
	if err := h.device.stop(); err != nil {
		return err
	}
	if _, err := h.device.ns.output(h.ctx, h.device.binary, "store", "restore", h.backup, "--state-dir", h.device.state); err != nil {
		return err
	}
	h.known = maps.Clone(h.backed)
	var want []uint16
	for number, id := range h.owner {
		if h.known[id] {
			want = append(want, number)
		}
	}
	slices.Sort(want)
	if err := h.comeUp(want); err != nil {
		return err
	}
	id, d := h.newDevice() // gets a number that was never used, also since the backup
	h.known[id] = true
	return h.device.api().do("PUT", "/v1/devices/"+id, d, nil)
}

// subscribe makes the controller subscribe to everything, and reads the first
// report.
func (h *household) subscribe() {
	h.t.Helper()
	var first reported
	h.call("subscription to everything", "subscribe", args{"controller": controllerOfSteps, "min": 0, "max": 60, "everything": true}, &first, nil)
	h.view = map[[3]uint32]string{}
	h.take(&first)
}

func (h *household) take(p *reported) {
	for _, a := range p.Attributes {
		h.view[[3]uint32{uint32(a.Endpoint), a.Cluster, a.Attribute}] = string(a.Value)
	}
}

// reported returns the aggregator's parts in the controller's view.
func (h *household) reported() (all []uint16) {
	_ = json.Unmarshal([]byte(h.view[[3]uint32{aggregator, descriptorCluster, attrPartsList}]), &all) // none
	return all
}

// numbers returns the endpoints of the registry, sorted.
func (h *household) numbers() (all []uint16) {
	h.t.Helper()
	devices, err := h.devices()
	h.must(err)
	for _, d := range devices {
		all = append(all, d.numbers()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (d *bridgedDevice) numbers() (all []uint16) {
	if !d.Exposed {
		return nil
	}
	all = append(all, d.Endpoint)
	for _, p := range d.Parts {
		all = append(all, p.Endpoint)
	}
	return all
}

func (h *household) devices() (all []bridgedDevice, err error) {
	err = h.device.api().do("GET", "/v1/devices", "", &all)
	return all, err
}

// agrees waits until the controller's view agrees with the registry.
func (h *household) agrees(when string) {
	h.t.Helper()
	h.step("the views agree "+when, func() error {
		for end := time.Now().Add(20 * time.Second); ; {
			problem, err := h.compare()
			if err != nil || problem == nil {
				return err
			}
			if time.Now().After(end) {
				return problem
			}
			var p *reported
			if _, err := h.ctl.call(h.ctx, "report", args{"controller": controllerOfSteps, "timeoutMs": 300}, &p); err != nil {
				return err
			}
			if p != nil {
				h.take(p)
			}
		}
	})
}

// compare returns the difference between the views in problem, and in err a failure
// that does not go away.
func (h *household) compare() (problem, err error) {
	all, err := h.devices()
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	var numbers []uint16
	for _, d := range all {
		there[d.ID] = true
		if !h.known[d.ID] {
			return nil, fmt.Errorf("there is %s, which is to be gone", d.ID)
		}
		if !d.Exposed {
			problem = fmt.Errorf("%s is not shown: %s", d.ID, d.Reason)
		}
		for _, n := range d.numbers() {
			if who, ok := h.owner[n]; ok && who != d.ID {
				return nil, fmt.Errorf("endpoint %d was %s and is %s", n, who, d.ID)
			}
			h.owner[n] = d.ID
			numbers = append(numbers, n)
		}
		problem = errors.Join(problem, h.differs(&d))
	}
	for id := range h.known {
		if !there[id] {
			return nil, fmt.Errorf("%s is gone", id)
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	view := slices.DeleteFunc(h.reported(), func(n uint16) bool { return h.leaving[n] })
	slices.Sort(view)
	if !slices.Equal(view, numbers) {
		problem = errors.Join(problem, fmt.Errorf("the controller has %v, and the registry has %v", view, numbers))
	}
	return problem, nil
}

// attributes maps properties to the attributes that show them.
var attributes = map[string][2]uint32{"on": {onOff, 0}, "closed": {booleanState, 0}, "occupied": {occupancySensing, 0}}

const (
	booleanState     = 0x45
	occupancySensing = 0x406
	attrBridgedLabel = 5
)

// differs compares the view of one device.
func (h *household) differs(d *bridgedDevice) error {
	var errs []error
	want := func(endpoint uint16, cluster, attribute uint32, is string) {
		if view := h.view[[3]uint32{uint32(endpoint), cluster, attribute}]; view != is {
			errs = append(errs, fmt.Errorf("%s: endpoint %d, cluster 0x%02X, attribute %d: the controller has %q, and the registry has %s", d.ID, endpoint, cluster, attribute, view, is))
		}
	}
	want(d.Endpoint, bridgedInformation, attrReachable, fmt.Sprint(d.Reachable))
	flat := len(d.Parts) > 1 && d.Endpoint == d.Parts[0].Endpoint
	if !flat {
		want(d.Endpoint, bridgedInformation, attrBridgedLabel, strconv.Quote(d.Name))
	}
	for _, p := range d.Parts {
		for name, at := range attributes {
			is, ok := p.State[name].(bool)
			switch {
			case !ok:
			case name == "occupied":
				want(p.Endpoint, at[0], at[1], map[bool]string{true: `{"occupied":true}`, false: `{"occupied":false}`}[is])
			default:
				want(p.Endpoint, at[0], at[1], fmt.Sprint(is))
			}
		}
	}
	return errors.Join(errs...)
}
