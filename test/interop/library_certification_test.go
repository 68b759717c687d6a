//go:build interop && certification

package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	devices "github.com/opcredsd/opcredsd/pkg/device"
)

// TestLibraryCertification runs scripts and plans with devices of the library. Each
// script and each set of plans gets a daemon that is not commissioned. SCRIPT names
// some of them, or devices.
func TestLibraryCertification(t *testing.T) {
	sdk, results := sdkDirectory(t), openResults(t)
	codes, err := clusterCodes(sdk)
	if err != nil {
		t.Fatal(err)
	}
	only := selection(t)
	all := slices.Concat(tryouts, endpointTryouts())
	for i := range all {
		x := &all[i]
		try := func(name string, f func(r *run, e *entered) error, devices int) {
			parts := slices.DeleteFunc([]string{x.device, x.part, name}, func(s string) bool { return s == "" })
			t.Run(strings.Join(parts, "-"), func(t *testing.T) {
				t.Parallel()
				r := newBareRun(t)
				r.begin(strings.TrimPrefix(t.Name(), "TestLibraryCertification/"))
				r.tryout(&entered{tryout: x, sdk: sdk, codes: codes, dir: t.TempDir(), log: name, count: devices, results: results}, f)
			})
		}
		wanted := func(name string) bool {
			return len(only) == 0 || slices.Contains(only, name) || slices.Contains(only, x.device) || x.device == "" && slices.Contains(only, x.place())
		}
		for _, line := range x.scripts {
			if words := strings.Fields(line); wanted(words[0]) {
				try(words[0], func(r *run, e *entered) error {
					started := time.Now()
					did, err := r.libraryScript(e, words)
					e.results.add(e.place(), words[0], err, time.Since(started), did, append(words[1:], e.settings()...)...)
					return err
				}, 1)
			}
		}
		if plans := slices.DeleteFunc(strings.Fields(x.plans), func(name string) bool { return !wanted(name) }); len(plans) > 0 {
			try("plans", func(r *run, e *entered) error { return r.runPlans(e, plans) }, len(plans))
		}
	}
}

// entered is the environment of a script or plan.
type entered struct {
	*tryout
	sdk       string
	codes     map[uint32]string // of clusters
	count     int               // of devices, all of the same kind
	endpoints []uint16          // of their parts
	pics      string            // file
	exact     string            // file of the endpoint's PICS alone
	pipe      string
	dir       string
	log       string // name
	results   *results
}

// tryout starts the daemon with the devices of e, and calls f.
func (r *run) tryout(e *entered, f func(*run, *entered) error) {
	r.t.Helper()
	if e.device == demoLamp {
		r.device.args = []string{"--demo"}
	}
	r.step("daemon ready", func() error { return r.device.start(r.ctx, testProduct) })
	s := r.startSource()
	switch e.device {
	case "":
		r.putAll(library())
		e.pics = filepath.Join(e.sdk, "src/app/tests/suites/certification/ci-pics-values")
	case demoLamp:
		r.must(r.enterDemo(e, s))
	default:
		r.must(r.enter(e, s))
	}
	r.step(e.log, func() error { return f(r, e) })
	r.step("the source did all that was wanted", s.stop)
	r.step("daemon stopped", r.device.stop)
}

// enter adds the devices of a tryout to the daemon, and describes the first of them.
func (r *run) enter(e *entered, s *source) error {
	all := library()
	i := slices.IndexFunc(all, func(d devices.Device) bool { return d.ID == "api:"+e.device })
	if i < 0 {
		return errors.New("the library has no such device")
	}
	d, part := all[i], e.part
	if part == "" {
		part = d.Parts[0].ID
	}
	copies := []devices.Device{d}
	for i := range e.count - 1 {
		c := d
		c.ID = fmt.Sprintf("%s-%d", d.ID, i+2)
		copies = append(copies, c)
	}
	endpoints := r.putAll(copies)
	for _, c := range copies {
		e.endpoints = append(e.endpoints, endpoints[c.ID+"/"+part])
	}
	return r.describe(e, s, d, part)
}

// demoLamp is the color lamp of --demo.
const demoLamp = "demo:lamp"

// enterDemo is enter for the lamp of --demo.
func (r *run) enterDemo(e *entered, s *source) error {
	if err := r.shown(demoLamp); err != nil {
		return err
	}
	var lamp bridged
	if err := r.device.api().do("GET", "/v1/devices/"+demoLamp, "", &lamp); err != nil {
		return err
	}
	e.endpoints = []uint16{lamp.Endpoint}
	d := devices.Device{ID: demoLamp, Parts: []devices.Part{{ID: lamp.Parts[0].ID, Type: "extended_color_light"}}}
	return r.describe(e, s, d, d.Parts[0].ID)
}

// describe creates the file of PICS and the pipe for a part of a device.
func (r *run) describe(e *entered, s *source, d devices.Device, part string) error {
	lines, besides, err := pics(d, part, e.codes)
	if err != nil {
		return err
	}
	e.exact = filepath.Join(e.dir, "exact")
	if err := os.WriteFile(e.exact, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	lines = append(lines, besides...)
	for _, p := range e.tryout.pics {
		lines = append(lines, p+"=1")
	}
	e.pics, e.pipe = filepath.Join(e.dir, "pics"), filepath.Join(e.dir, "pipe")
	if err := os.WriteFile(e.pics, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	p, err := s.openPipe(e.pipe, d.ID, part)
	if err != nil {
		return err
	}
	r.t.Cleanup(p.close)
	return nil
}

// picsChecker is the script that compares an endpoint with its PICS, TC-IDM-10.4.
const picsChecker = "TC_pics_checker"

// libraryScript runs a script; words are its name and arguments. did is the number of
// its tests.
func (r *run) libraryScript(e *entered, words []string) (did string, err error) {
	codes, err := r.device.pairing(r.ctx)
	if err != nil {
		return "", err
	}
	endpoint := 0
	switch {
	case words[0] == picsChecker:
		e.pics, endpoint = e.exact, int(e.endpoints[0])
	case e.device != "":
		// Scripts use the pipe instead of questions to their operator. Plans do not
		// support pipes.
		if err := appendLine(e.pics, "PICS_SDK_CI_ONLY=1"); err != nil {
			return "", err
		}
		endpoint = int(e.endpoints[0])
	}
	args := []string{words[0] + ".py", "--endpoint", strconv.Itoa(endpoint),
		"--storage-path", filepath.Join(e.dir, "storage.json"), "--logs-path", e.dir,
		"--paa-trust-store-path", filepath.Join(e.sdk, "credentials/development/paa-root-certs"), "--PICS", e.pics}
	for _, w := range words[1:] {
		args = append(args, strings.ReplaceAll(w, "{pipe}", e.pipe))
	}
	out, err := r.python(e, append(args, scriptArgs(words[0], nil, codes)...))
	if err != nil {
		return "", err
	}
	m := libraryResult.FindStringSubmatch(out)
	switch {
	case m == nil:
		return "", errors.New("not all of it has run")
	case m[1] == m[5]: // the commissioning is one of the tests
		return "", errors.New("it found nothing to test")
	case m[2] != "0":
		return "", fmt.Errorf("%s of its tests failed", m[2])
	}
	if n, _ := strconv.Atoi(m[3]); n < 2 {
		return "", errors.New("it found nothing to test")
	}
	return testsOf(words[0], m[3], m[5]), nil
}

// libraryResult matches the test results of a script. A test skips itself if it is
// for another device.
var libraryResult = regexp.MustCompile(`Test results: Error 0, Executed (\d+), Failed (\d+), Passed (\d+), Requested (\d+), Skipped (\d+)\n`)

// runPlans runs plans in YAML.
func (r *run) runPlans(e *entered, plans []string) error {
	codes, err := r.device.pairing(r.ctx)
	if err != nil {
		return err
	}
	plan, err := filepath.Abs("certification/plan.py")
	if err != nil {
		return err
	}
	args := []string{plan, "--sdk", e.sdk, "--code", codes.Manual, "--pics", e.pics, "--pipe", e.pipe}
	for _, s := range e.sets {
		args = append(args, "--set", s)
	}
	for i, name := range plans {
		args = append(args, fmt.Sprintf("%s@%d", name, e.endpoints[i]))
	}
	out, err := r.python(e, args)
	if err != nil {
		return err
	}
	var wrong []error
	for _, name := range plans {
		m := regexp.MustCompile(`Plan ` + name + `: ran (\d+), failed (\d+), (skipped \d+, by hand \d+), seconds (\d+)\n`).FindStringSubmatch(out)
		var took time.Duration
		var did string
		switch {
		case m == nil:
			err = errors.New(name + " did not end")
		case m[2] != "0":
			err = errors.New(name + " failed")
		case m[1] == "1": // the first step waits for the device
			err = errors.New(name + " found nothing to test")
		default:
			err, did = nil, m[1]+", "+m[3]
			fmt.Fprintf(r.summary, "                 %s: ran %s\n", name, did)
		}
		if m != nil {
			seconds, _ := strconv.Atoi(m[4])
			took = time.Duration(seconds) * time.Second
		}
		e.results.add(e.place(), name, err, took, did, e.settings()...)
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// python runs run.py and returns its output.
func (r *run) python(e *entered, args []string) (string, error) {
	env := environment()
	if e.seconds != "" {
		env = append(env, "SOURCE_SECONDS="+e.seconds)
	}
	return r.runPython(e.sdk, e.log, e.dir, env, args)
}

// clusterCodes reads the PICS codes of the clusters from the data model of the SDK.
func clusterCodes(sdk string) (map[uint32]string, error) {
	names, err := filepath.Glob(filepath.Join(sdk, "data_model/1.6/clusters/*.xml"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no data model in %s: %v", sdk, err)
	}
	id := regexp.MustCompile(`<clusterId id="(0x[0-9A-Fa-f]+)"[^>]*?(?:picsCode="([^"]+)")?/>`)
	common := regexp.MustCompile(`<classification[^>]*picsCode="([^"]+)"`)
	codes := map[uint32]string{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		code := ""
		if m := common.FindSubmatch(b); m != nil {
			code = string(m[1])
		}
		for _, m := range id.FindAllSubmatch(b, -1) {
			n, err := strconv.ParseUint(string(m[1]), 0, 32)
			if err != nil {
				return nil, err
			}
			if codes[uint32(n)] = string(m[2]); codes[uint32(n)] == "" {
				codes[uint32(n)] = code
			}
		}
	}
	return codes, nil
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}
