//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// example is a program in a document.
type example struct {
	language string
	text     string
}

// interpreters run the examples of a language.
var interpreters = map[string][]string{
	"sh":     {"sh", "-eu"},
	"python": {"python3"},
	"js":     {"node"},
}

var (
	fence       = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	unitsSocket = "/run/opcredsd/bridge.sock"
)

// examples returns the programs of a document that contain words.
func (r *run) examples(file, words string) (all []example) {
	r.t.Helper()
	b, err := os.ReadFile(file)
	r.must(err)
	for _, m := range fence.FindAllStringSubmatch(string(b), -1) {
		if interpreters[m[1]] != nil && strings.Contains(m[2], words) {
			all = append(all, example{m[1], strings.ReplaceAll(m[2], unitsSocket, filepath.Join(r.device.state, "bridge.sock"))})
		}
	}
	return all
}

// run runs an example to its end.
func (e *example) run(r *run) error {
	out, err := r.device.ns.output(r.ctx, interpreters[e.language][0], append(interpreters[e.language][1:], e.file(r))...)
	if err == nil && !bytes.Contains(out, []byte("api:")) {
		err = fmt.Errorf("it printed %q", out)
	}
	return err
}

// file returns a file with the example.
func (e *example) file(r *run) string {
	name := filepath.Join(r.t.TempDir(), "example")
	r.must(os.WriteFile(name, []byte(e.text), 0o600))
	return name
}

// begin starts an example, which runs until end is called.
func (e *example) begin(r *run) (printed *bytes.Buffer, end func() error, err error) {
	printed = &bytes.Buffer{}
	cmd := exec.Command(interpreters[e.language][0], append(interpreters[e.language][1:], e.file(r))...)
	cmd.Stdout, cmd.Stderr, cmd.Env = printed, os.Stderr, environment()
	p, err := r.device.ns.start(e.language, cmd)
	if err != nil {
		return nil, nil, err
	}
	return printed, func() error { return p.signal(syscall.SIGKILL, stopLimit) }, nil
}

// TestExamples runs the programs of docs/bridging.md, and checks the result with a
// controller: a thermometer in each language, and a lamp that follows the
// controller.
func TestExamples(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	r.startAll()
	r.openController("one", args{})
	r.begin("examples")
	r.join("one")
	thermometers, lamps := r.examples("../../docs/bridging.md", "temperature_celsius"), r.examples("../../docs/bridging.md", "/v1/commands")
	if len(thermometers) != 4 || len(lamps) != 3 {
		t.Fatalf("%d thermometers, %d lamps", len(thermometers), len(lamps))
	}
	for i, e := range thermometers {
		if i > 0 {
			r.step("20 degrees", func() error {
				return r.device.api().do("PATCH", "/v1/devices/api:cellar", `{"state":{"temperature_celsius":20}}`, nil)
			})
		}
		r.step("a thermometer, "+e.language, func() error { return e.run(r) })
		want := 1250
		if strings.Contains(e.text, "12.6") {
			want = 1260
		}
		r.step("it is shown", func() error { return r.shown("api:cellar") })
		r.number(fmt.Sprintf("the controller reads %d", want), "api:cellar", temperature, 0, want)
	}
	for i, e := range lamps {
		var printed *bytes.Buffer
		var end func() error
		r.step("a lamp, "+e.language, func() (err error) {
			printed, end, err = e.begin(r)
			return err
		})
		r.step("it is there", func() error {
			return until(func() (bool, error) {
				var d bridged
				err := r.device.api().do("GET", "/v1/devices/api:lamp", "", &d)
				if err != nil && strings.Contains(err.Error(), "404") {
					return false, nil
				}
				return d.Exposed && d.Parts[0].State["on"] == false, err
			})
		})
		var d bridged
		r.step("api:lamp", func() error { return r.device.api().do("GET", "/v1/devices/api:lamp", "", &d) })
		on := command{endpoint: d.Endpoint, cluster: "OnOff", name: "on"}
		r.step("the controller switches it on, as soon as the program is there", func() error {
			return until(func() (bool, error) {
				var res struct{ Status int }
				_, err := r.ctl.call(r.ctx, "invoke", on.args("one"), &res)
				return res.Status == 0, err
			})
		})
		r.step("the program did it, and said so", func() error {
			return until(func() (bool, error) {
				out, err := r.device.ns.output(r.ctx, "curl", "-sS", "http://127.0.0.1:9540/metrics")
				return strings.Contains(string(out), fmt.Sprintf(`opcredsd_bridge_commands_total{result="confirmed",source="api"} %d`, i+1)), err
			})
		})
		r.step("the program ends", func() error {
			err := end()
			if !strings.Contains(printed.String(), "on") {
				err = errors.Join(err, fmt.Errorf("it printed %q", printed))
			}
			return err
		})
	}
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

// number reads a numeric attribute of a device with one part.
func (r *run) number(text, id string, cluster, attribute uint32, want int) {
	r.t.Helper()
	var d bridged
	r.step(id, func() error { return r.device.api().do("GET", "/v1/devices/"+id, "", &d) })
	var reports []report
	path := args{"endpoint": d.Endpoint, "cluster": cluster, "attribute": attribute}
	r.call(text, "read", args{"controller": "one", "paths": []args{path}}, &reports, func() error {
		var is int
		if err := value(reports, cluster, attribute, &is); err != nil {
			return err
		}
		if is != want {
			return fmt.Errorf("it is %d", is)
		}
		return nil
	})
}
