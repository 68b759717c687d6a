//go:build packaging

package packaging

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// deb returns the Debian package for an architecture.
func deb(t *testing.T, arch string) string {
	t.Helper()
	name, own := native(t)
	if arch != own {
		name = "" // any other: build all
	}
	files, err := filepath.Glob(filepath.Join(distFor(t, name), "opcredsd_*_"+arch+".deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("packages for %s: %v, %v", arch, files, err)
	}
	return files[0]
}

func TestDebContents(t *testing.T) {
	need(t, "dpkg-deb", "dpkg")
	for _, arch := range []string{"amd64", "arm64", "armhf"} {
		file := deb(t, arch)
		if got := strings.TrimSpace(run(t, "dpkg-deb", "--field", file, "Version")); got != "1.2.3~rc.1-1" {
			t.Errorf("%s: version %q", arch, got)
		}
		if got := strings.TrimSpace(run(t, "dpkg-deb", "--field", file, "Architecture")); got != arch {
			t.Errorf("%s: architecture %q", arch, got)
		}
		var names []string
		for line := range strings.Lines(run(t, "dpkg-deb", "--contents", file)) {
			f := strings.Fields(line)
			if f[1] != "root/root" {
				t.Errorf("%s: %s", arch, line)
			}
			names = append(names, f[5])
		}
		for _, want := range []string{
			"./usr/bin/opcredsd", "./etc/opcredsd/config.yaml", "./etc/opcredsd/devices.yaml",
			"./usr/lib/systemd/system/opcredsd.service", "./usr/lib/systemd/system/opcredsd@.service", "./usr/lib/systemd/system/opcredsd-backup.timer", "./usr/lib/systemd/system/opcredsd-backup.service", "./usr/share/doc/opcredsd/examples/instance.yaml", "./usr/lib/sysusers.d/opcredsd.conf", "./usr/lib/tmpfiles.d/opcredsd.conf",
			"./usr/share/bash-completion/completions/opcredsd", "./usr/share/zsh/vendor-completions/_opcredsd",
			"./usr/share/fish/vendor_completions.d/opcredsd.fish",
			"./usr/share/man/man8/opcredsd.8.gz", "./usr/share/man/man8/opcredsd-run.8.gz", "./usr/share/man/man5/opcredsd.yaml.5.gz",
			"./usr/share/doc/opcredsd/docs/quickstart.md", "./usr/share/doc/opcredsd/examples/prometheus/alerts.yaml",
			"./usr/share/doc/opcredsd/examples/prometheus/prometheus.yml", "./usr/share/doc/opcredsd/examples/prometheus/targets/gateways.yaml", "./usr/share/doc/opcredsd/examples/grafana/opcredsd.json",
			"./usr/share/doc/opcredsd/copyright", "./usr/share/doc/opcredsd/THIRD-PARTY-LICENSES",
		} {
			if !slices.Contains(names, want) {
				t.Errorf("%s: no %s", arch, want)
			}
		}
	}
}

func TestDebLintian(t *testing.T) {
	need(t, "lintian", "lintian")
	for _, arch := range []string{"amd64", "armhf"} {
		if out, code := try(t, "lintian", "--allow-root", "--fail-on", "error", deb(t, arch)); code != 0 {
			t.Errorf("lintian:\n%s", out)
		} else {
			t.Log(out)
		}
	}
}

// TestDistReproducible checks that the same source gives the same files.
func TestDistReproducible(t *testing.T) {
	arch, _ := native(t)
	again := t.TempDir()
	makeDist(t, again, arch)
	files, err := os.ReadDir(again)
	if err != nil || len(files) != 4 {
		t.Fatalf("one architecture makes %v, %v", files, err)
	}
	for _, f := range files {
		if f.Name() != "SHA256SUMS" && read(t, filepath.Join(again, f.Name())) != read(t, filepath.Join(dist(t), f.Name())) {
			t.Errorf("%s differs the second time", f.Name())
		}
	}
	if out, code := try(t, "env", "-C", dist(t), "sha256sum", "--check", "--strict", "SHA256SUMS"); code != 0 || strings.Count(out, ": OK\n") != 9 {
		t.Errorf("SHA256SUMS:\n%s", out)
	}
}

// debian creates a clean Debian with the usual packages and the dependencies, and
// copies the package to its /root.
func debian(t *testing.T) string {
	t.Helper()
	needRoot(t)
	need(t, "debootstrap", "debootstrap")
	_, arch := native(t)
	// Not t.TempDir, since its clean-up does not cross mounts.
	dir, err := os.MkdirTemp("", "opcredsd-debian-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { // it becomes /
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "opcredsd-debian")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "debootstrap", "--cache-dir="+cache, "--variant=minbase", "--include=systemd,systemd-sysv,dbus,iproute2,procps", "bookworm", dir)
	run(t, "cp", deb(t, arch), filepath.Join(dir, "root"))
	return dir
}

// TestDebInstall installs the package in a root that is not running, as image
// builders do, and in a running one, with systemd and the unit's whole sandbox.
func TestDebInstall(t *testing.T) {
	need(t, "systemd-nspawn", "systemd-container")
	dir := debian(t)
	if !t.Run("chroot", func(t *testing.T) { installChroot(t, dir) }) {
		return
	}
	t.Run("repository", func(t *testing.T) { installFromRepository(t, dir) })
	if !t.Run("offline", func(t *testing.T) { bootOffline(t, dir) }) {
		return
	}
	t.Run("booted", func(t *testing.T) { installBooted(t, dir) })
}

// inRoot runs a command in a root that is not running.
func inRoot(t *testing.T, dir, command string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "chroot", dir, "/bin/sh", "-ec", command))
}

func installChroot(t *testing.T, dir string) {
	in := func(command string) string { t.Helper(); return inRoot(t, dir, command) }
	if said := in("dpkg -i /root/opcredsd_*.deb"); !strings.Contains(said, "opcredsd doctor") || !strings.Contains(said, "opcredsd pairing") {
		t.Errorf("the installation does not say what to do next:\n%s", said)
	}
	if said := in("dpkg -i /root/opcredsd_*.deb"); strings.Contains(said, "Next steps") {
		t.Errorf("an upgrade says what to do after the first installation:\n%s", said)
	}
	if got := in("dpkg-query -W -f '${Status}' opcredsd"); got != "install ok installed" {
		t.Errorf("status %q", got)
	}
	if got := in("getent passwd opcredsd | cut -d: -f6,7"); got != "/var/lib/opcredsd:/usr/sbin/nologin" {
		t.Errorf("user: %q", got)
	}
	if got := in("readlink /etc/systemd/system/multi-user.target.wants/opcredsd.service"); got != "/lib/systemd/system/opcredsd.service" && got != "/usr/lib/systemd/system/opcredsd.service" {
		t.Errorf("the unit is not enabled: %q", got)
	}
	if got := in("opcredsd version"); !strings.Contains(got, version) {
		t.Errorf("version: %q", got)
	}
	in("opcredsd config check --config /etc/opcredsd/config.yaml")
	if got := in("systemd-analyze verify --man=no opcredsd.service 2>&1"); got != "" {
		t.Errorf("systemd-analyze verify of the installed unit:\n%s", got)
	}
	in("dpkg -P opcredsd")
	if got := in("find / -xdev -iname '*opcredsd*' ! -path '/root/*' ! -path '/var/cache/*' ! -path '/proc/*'"); got != "" {
		t.Errorf("purging leaves:\n%s", got)
	}
}

// driver runs checks in a booted system, and ends it.
const driver = `[Unit]
Description=Checks of the package
After=%s
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/bin/bash /root/%s >/root/result 2>&1; systemctl exit 0'
`

// quickstartInstall returns the commands of docs/quickstart.md to install the
// package, for one architecture, as root.
func quickstartInstall(t *testing.T, arch string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, "../../docs/quickstart.md"), "\n```sh\n")
	block, _, end := strings.Cut(rest, "```\n")
	if !ok || !end || !strings.Contains(block, "_arm64.deb") {
		t.Fatalf("no installation in the quickstart: %q", block)
	}
	return strings.NewReplacer("sudo ", "", "_arm64.deb", "_"+arch+".deb").Replace(block)
}

// bootOffline boots a root with the package installed, without a network.
func bootOffline(t *testing.T, dir string) {
	inRoot(t, dir, "dpkg -i /root/opcredsd_*.deb")
	boot(t, dir, "offline.sh", "multi-user.target")
	inRoot(t, dir, "dpkg -P opcredsd")
}

// documented returns the block of a document that is marked for tests, as root
// would type it.
func documented(t *testing.T, file, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, file), "<!-- test: "+name+" -->\n```sh\n")
	block, _, end := strings.Cut(rest, "```\n")
	if !ok || !end {
		t.Fatalf("%s has no block for the test %s", file, name)
	}
	return strings.ReplaceAll(block, "sudo ", "")
}

// writeMaterial writes attestation material as from a factory CA, with the roots to
// verify it.
func writeMaterial(t *testing.T, dir string) {
	t.Helper()
	a, err := attestation.Generate(rand.Reader, 0xFFF1, 0x8001, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := mcrypto.ParsePrivateKey(a.Key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := attestation.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"dac.pem": attestation.EncodeCertificate(a.DAC), "pai.pem": attestation.EncodeCertificate(a.PAI), "cd.der": a.CD, "dac-key.pem": text,
		// The published test roots are built in, so any certificate will do.
		"PAA.pem": attestation.EncodeCertificate(a.PAI), "CD-signer.pem": attestation.EncodeCertificate(a.PAI),
	} {
		write(t, filepath.Join(dir, name), string(b), 0o600)
	}
}

func installBooted(t *testing.T, dir string) {
	_, arch := native(t)
	write(t, filepath.Join(dir, "root/install.sh"), quickstartInstall(t, arch), 0o755)
	write(t, filepath.Join(dir, "root/credential.sh"), documented(t, "../../docs/install.md", "credential"), 0o755)
	writeMaterial(t, filepath.Join(dir, "root/material"))
	boot(t, dir, "booted.sh", "dbus.service")
}

// boot boots a root without a network, runs a script of testdata in it after a
// unit, and returns when both have ended.
func boot(t *testing.T, dir, script, after string) {
	t.Helper()
	for _, name := range []string{"checks.sh", script} {
		write(t, filepath.Join(dir, "root", name), read(t, filepath.Join("testdata", name)), 0o755)
	}
	write(t, filepath.Join(dir, "etc/systemd/system/checks.service"), fmt.Sprintf(driver, after, script), 0o644)
	wants := filepath.Join(dir, "etc/systemd/system/default.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../checks.service", filepath.Join(wants, "checks.service")); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "root/result")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	nspawn := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--directory="+dir, "--private-network",
		"--register=no", "--keep-unit", "--boot", "--console=pipe")
	var console bytes.Buffer
	nspawn.Stdout, nspawn.Stderr = &console, &console
	nspawn.WaitDelay = 10 * time.Second
	err := nspawn.Run()
	result, _ := os.ReadFile(filepath.Join(dir, "root/result"))
	if !strings.HasSuffix(string(result), "all passed\n") {
		t.Fatalf("in the booted system (%v):\n%s\n\nconsole:\n%.4000s", err, result, console.String())
	}
	for line := range strings.Lines(string(result)) {
		if strings.HasPrefix(line, "pass: ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
