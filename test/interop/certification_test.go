//go:build interop && certification

package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scripts are the certification scripts of the Matter SDK for a node like this one,
// with the input of their operator. test/interop/README.md lists those that are
// left out, and why.
var scripts = []struct {
	name string
	args []string
}{
	{"TC_OPCREDS_3_1", nil},
	{"TC_OPCREDS_3_2", nil},
	{"TC_OPCREDS_3_4", nil},
	{"TC_OPCREDS_3_5", nil},
	{"TC_OPCREDS_3_8", nil},
	{"TC_DeviceBasicComposition", nil},
	{"TC_DeviceConformance", nil},
	// The data of the test attestation.
	{"TC_DefaultWarnings", []string{"--bool-arg", "pixit_allow_default_vendor_id:true"}},
	{"TC_AccessChecker", nil},
	{"TC_ACE_1_2", nil},
	{"TC_ACE_1_3", nil},
	{"TC_ACE_1_5", nil},
	{"TC_ACL_2_2", nil},
	{"TC_ACL_2_4", nil},
	{"TC_ACL_2_7", nil},
	{"TC_ACL_2_9", nil},
	{"TC_ACL_2_10", nil},
	{"TC_BINFO_2_1", nil},
	{"TC_BINFO_2_2", nil},
	{"TC_CGEN_2_1", nil},
	{"TC_CGEN_2_2", []string{"--int-arg", "PIXIT.CGEN.FailsafeExpiryLengthSeconds:1"}},
	{"TC_CGEN_2_4", nil},
	{"TC_CADMIN_1_3_4", []string{"--timeout", "600"}},
	{"TC_CADMIN_1_5", nil},
	{"TC_CADMIN_1_9", nil},
	{"TC_CADMIN_1_10", nil},
	{"TC_CADMIN_1_11", nil},
	{"TC_CADMIN_1_15", nil},
	{"TC_CADMIN_1_19", nil},
	{"TC_CADMIN_1_22", nil},
	{"TC_CADMIN_1_25", nil},
	{"TC_CNET_1_4", nil},
	{"TC_CNET_4_3", nil},
	{"TC_DA_1_2", nil},
	{"TC_DA_1_5", nil},
	{"TC_DA_1_7", []string{"--bool-arg", "allow_sdk_dac:true"}},
	{"TC_DGGEN_2_4", nil},
	{"TC_DGGEN_2_5", nil},
	{"TC_DGGEN_3_2", nil},
	{"TC_IDM_2_2", nil},
	{"TC_IDM_2_3", nil},
	{"TC_IDM_3_2", nil},
	{"TC_IDM_4_2", nil},
	{"TC_IDM_5_2", nil},
	{"TC_IDM_9_1", nil},
	{"TC_SC_3_4", nil},
	{"TC_SC_3_6", nil},
	{"TC_SC_4_1", []string{"--manual-code", "{code}"}},
	{"TC_SC_4_3", nil},
	{"TC_SC_5_1", nil},
	{"TC_SC_5_2", nil},
	{"TC_SC_7_1", []string{"--bool-arg", "post_cert_test:true", "--manual-code", "{code}"}},
	{"TC_RR_1_1", nil},
	{"TestInvokeReturnCodes", nil},
	{"TestWriteReadOnlyAttributes", nil},
}

// uncommissioned are the scripts that test a device before it is commissioned.
var uncommissioned = map[string]bool{"TC_SC_7_1": true}

// scriptResult matches the test results of a script. The commissioning is one of
// the tests. After it is printed, the controller's library ends the process with an
// error.
var scriptResult = regexp.MustCompile(`Test results: Error 0, Executed (\d+), Failed 0, Passed (\d+), Requested (\d+), Skipped 0\n`)

// TestCertification runs each script with a daemon that is not commissioned. SDK
// names a checkout of connectedhomeip at Matter 1.6, and SCRIPT some of the scripts.
func TestCertification(t *testing.T) {
	sdk, all, only := sdkDirectory(t), openResults(t), selection(t)
	for _, s := range scripts {
		if len(only) > 0 && !slices.Contains(only, s.name) && !slices.Contains(only, theNode) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := newBareRun(t)
			r.begin("certification")
			r.must(r.device.start(r.ctx, testProduct))
			started := time.Now()
			did, err := r.script(sdk, s.name, s.args)
			all.add(theNode, s.name, err, time.Since(started), did, s.args...)
			r.step(s.name, func() error { return err })
			r.must(r.device.stop())
		})
	}
}

// selection returns the scripts, plans and devices in SCRIPT; none means all.
func selection(t *testing.T) []string {
	t.Helper()
	only := strings.Fields(os.Getenv("SCRIPT"))
	for _, name := range only {
		if !slices.ContainsFunc(certificationList(), func(k [2]string) bool {
			device, _, _ := strings.Cut(k[0], " ")
			return name == device || name == k[1]
		}) {
			t.Fatalf("SCRIPT: %s is not in the lists", name)
		}
	}
	return only
}

// TestCertificationBurst is TestBurst with the SDK's controller.
func TestCertificationBurst(t *testing.T) {
	sdk := sdkDirectory(t)
	r := newBareRun(t)
	r.must(r.device.start(r.ctx, testProduct))
	r.putPlugs(burstDevices)
	events, stream, err := r.device.api().commands("api")
	r.must(err)
	defer stream.Close()
	r.begin("bursts")
	r.step("script", func() error { _, err := r.script(sdk, "Burst", nil); return err })
	r.wantCommands(events, burstDevices, `"on":true`)
	r.step("daemon stopped", r.device.stop)
}

// sdkDirectory returns the checkout in SDK, and creates what its library needs.
func sdkDirectory(t *testing.T) string {
	t.Helper()
	sdk := os.Getenv("SDK")
	if _, err := os.Stat(filepath.Join(sdk, "src/python_testing")); sdk == "" || err != nil {
		t.Fatal("SDK=DIRECTORY must name a checkout of github.com/project-chip/connectedhomeip")
	}
	sdk, err := filepath.Abs(sdk)
	if err != nil {
		t.Fatal(err)
	}
	makeSDKDirectory(t)
	return sdk
}

// script runs one script and checks the results that it prints. did is their number.
func (r *run) script(sdk, name string, args []string) (did string, err error) {
	codes, err := r.device.pairing(r.ctx)
	if err != nil {
		return "", err
	}
	file := name + ".py"
	if own := filepath.Join("certification", file); exists(own) {
		if file, err = filepath.Abs(own); err != nil {
			return "", err
		}
	}
	dir := r.t.TempDir()
	out, err := r.runPython(sdk, name, dir, environment(), append([]string{
		file, "--endpoint", "0",
		"--storage-path", filepath.Join(dir, "storage.json"), "--logs-path", dir,
		"--paa-trust-store-path", filepath.Join(sdk, "credentials/development/paa-root-certs"),
		"--PICS", filepath.Join(sdk, "src/app/tests/suites/certification/ci-pics-values"),
	}, scriptArgs(name, args, codes)...))
	if err != nil {
		return "", err
	}
	m := scriptResult.FindStringSubmatch(out)
	if m == nil || m[1] != m[2] || m[1] != m[3] || m[1] == "1" && !uncommissioned[name] {
		return "", errors.New("not all of it has run")
	}
	return testsOf(name, m[2], "0"), nil
}

// testsOf says how many tests of a script have passed and skipped themselves. The
// commissioning, which the result counts, is none.
func testsOf(name, passed, skipped string) string {
	n, _ := strconv.Atoi(passed)
	if !uncommissioned[name] {
		n--
	}
	return fmt.Sprintf("%d, skipped %s", n, skipped)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// runPython runs certification/run.py in the controllers' namespace and returns its
// output, which it also writes to the log.
func (r *run) runPython(sdk, name, dir string, env, args []string) (string, error) {
	tools, err := filepath.Abs("certification")
	if err != nil {
		return "", err
	}
	log, err := os.Create(filepath.Join(r.logs, name+".log"))
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Minute)
	defer cancel()
	// The SDK stores a file in /data. Each controller gets its own.
	private := []string{"-m", "sh", "-c", `mount -t tmpfs tmpfs /data && exec "$@"`, "sh", filepath.Join(tools, ".venv/bin/python"), filepath.Join(tools, "run.py"), sdk}
	cmd := exec.CommandContext(ctx, "unshare", append(private, args...)...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdout, cmd.Stderr = log, log
	p, err := r.ctl.ns.start(name, cmd, log)
	if err != nil {
		return "", err
	}
	<-p.done
	out, err := os.ReadFile(log.Name())
	return string(out), err
}

// scriptArgs returns the arguments for the commissioning and those of the script.
func scriptArgs(name string, args []string, codes pairingCodes) (all []string) {
	code := false
	for _, a := range args {
		code = code || a == "{code}"
		all = append(all, strings.ReplaceAll(a, "{code}", codes.Manual))
	}
	if !uncommissioned[name] {
		all = append(all, "--commissioning-method", "on-network")
	}
	if !code {
		all = append(all, "--discriminator", strconv.Itoa(int(codes.Discriminator)), "--passcode", strconv.Itoa(int(codes.Passcode)))
	}
	return all
}
