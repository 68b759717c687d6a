//go:build packaging

package packaging

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// verify returns the output of systemd-analyze for a unit, with the built binary
// instead of the installed one.
func verify(t *testing.T, name, unit string) string {
	t.Helper()
	arch, _ := native(t)
	file := filepath.Join(t.TempDir(), name)
	binary := filepath.Join(unpack(t, arch), "opcredsd")
	write(t, file, strings.ReplaceAll(unit, "/usr/bin/opcredsd", binary), 0o644)
	out, code := try(t, "systemd-analyze", "verify", "--man=no", file)
	if code != 0 && out == "" {
		t.Fatalf("systemd-analyze verify: exit status %d", code)
	}
	return out
}

func TestUnitVerify(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	unit := read(t, "../../systemd/opcredsd.service")
	for _, name := range []string{"opcredsd.service", "opcredsd-backup.service"} {
		if out := verify(t, name, read(t, "../../systemd/"+name)); out != "" {
			t.Errorf("systemd-analyze verify %s:\n%s", name, out)
		}
	}
	for name, bad := range map[string]string{
		"unknown key":   strings.Replace(unit, "[Service]\n", "[Service]\nProtectSytem=yes\n", 1),
		"unknown value": strings.Replace(unit, "ProtectSystem=strict", "ProtectSystem=strickt", 1),
		"no program":    strings.Replace(unit, "/usr/bin/opcredsd run", "/nowhere/opcredsd run", 1),
	} {
		if verify(t, "opcredsd.service", bad) == "" {
			t.Errorf("%s: systemd-analyze verify finds nothing wrong", name)
		}
	}
}

var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

func TestUnitSecurity(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	out := run(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", "systemd/opcredsd.service")
	m := exposure.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in:\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 1.5 {
		t.Errorf("exposure level %s, above 1.5\n%s", m[1], out)
	}
	t.Logf("exposure level %s", m[1])

	loose := filepath.Join(t.TempDir(), "opcredsd.service")
	write(t, loose, strings.Replace(read(t, "../../systemd/opcredsd.service"), "CapabilityBoundingSet=\n", "", 1), 0o644)
	if out, code := try(t, "systemd-analyze", "security", "--offline=true", "--threshold=15", loose); code == 0 {
		t.Errorf("a unit with all capabilities passes:\n%s", out)
	}
}

// TestUnitInstance checks that the unit of a further node differs from the first
// one's only in names.
func TestUnitInstance(t *testing.T) {
	instance := strings.NewReplacer("/%i.yaml", "/config.yaml", "opcredsd-%i", "opcredsd", "%i-dac-key", "dac-key", "the Matter node %i", "a Matter node").
		Replace(read(t, "../../systemd/opcredsd@.service"))
	_, want, _ := strings.Cut(read(t, "../../systemd/opcredsd.service"), "[Unit]")
	if _, got, _ := strings.Cut(instance, "[Unit]"); got != want {
		t.Errorf("opcredsd@.service is not opcredsd.service with another name:\n%s", got)
	}
}

// TestUnitPromises checks properties of the unit that systemd-analyze does not
// check.
func TestUnitPromises(t *testing.T) {
	lines := strings.Split(read(t, "../../systemd/opcredsd.service"), "\n")
	has := map[string]bool{}
	for _, l := range lines {
		has[l] = true
		if strings.Contains(l, "network-online") && !strings.HasPrefix(l, "#") {
			t.Errorf("waits for the network: %s", l)
		}
	}
	for _, l := range []string{
		"Type=notify", "TimeoutStartSec=60", "StartLimitIntervalSec=0", "WatchdogSec=30", "RestartPreventExitStatus=2", "After=network.target",
		"StateDirectory=opcredsd", "StateDirectoryMode=0700", "RuntimeDirectory=opcredsd",
		"# LoadCredentialEncrypted=dac-key:/etc/opcredsd/dac-key.cred",
	} {
		if !has[l] {
			t.Errorf("the unit has no line %q", l)
		}
	}
}

// TestConfigManual checks that the manual has a page for each command and for the
// settings, and none for shells.
func TestConfigManual(t *testing.T) {
	arch, _ := native(t)
	dir := filepath.Join(unpack(t, arch), "man")
	for page, want := range map[string][]string{
		"opcredsd.8":                {"SH FILES", "SH ENVIRONMENT", "SH EXIT STATUS", "opcredsd-run(8)", "opcredsd.yaml(5)", `--state-dir\fP="/var/lib/opcredsd"`},
		"opcredsd-store-backup.8":   {"SH FILES", "SH ENVIRONMENT", "SH EXIT STATUS", "opcredsd.yaml(5)"},
		"opcredsd-completion.8":     {"SH NAME"},
		"opcredsd.yaml.5":           {"SH SETTINGS", "fBmax_fabrics:", "fBmqtt_url:", "opcredsd(8)"},
		"opcredsd-fabrics-remove.8": {"index"},
	} {
		text := read(t, filepath.Join(dir, page))
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %s", page, w)
			}
		}
	}
	if shells, err := filepath.Glob(filepath.Join(dir, "opcredsd-completion-*")); err != nil || len(shells) > 0 {
		t.Errorf("pages of other programs: %v, %v", shells, err)
	}
	if out, code := try(t, filepath.Join(dir, "../opcredsd"), "man", t.TempDir(), "x"); code != 2 {
		t.Errorf("a release makes manual pages: exit status %d\n%s", code, out)
	}
}
