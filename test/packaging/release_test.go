//go:build packaging

package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestVersionSorts checks that versions between releases sort by age, for dpkg and
// as text.
func TestVersionSorts(t *testing.T) {
	need(t, "dpkg", "dpkg")
	repo := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		run(t, "git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	}
	write(t, filepath.Join(repo, "packaging/version.sh"), read(t, "../../packaging/version.sh"), 0o755)
	git("init", "-q")
	var versions []string
	commit := func(tag string) {
		t.Helper()
		git("add", ".")
		git("commit", "-q", "--allow-empty", "-m", "x")
		if tag != "" {
			git("tag", tag)
		}
		versions = append(versions, strings.TrimSpace(run(t, filepath.Join(repo, "packaging/version.sh"))))
	}
	commit("")
	commit("")
	commit("v1.0.0")
	for range 11 {
		commit("")
	}
	commit("v1.0.1")
	t.Log(versions)
	deb := func(v string) string { return strings.Replace(v, "-", "~", 1) + "-1" }
	for i := range versions[1:] {
		if _, code := try(t, "dpkg", "--compare-versions", deb(versions[i]), "lt", deb(versions[i+1])); code != 0 {
			t.Errorf("%s is not before %s", versions[i], versions[i+1])
		}
	}
}

// TestBillOfMaterials checks that every architecture has a bill of materials, with
// the modules that the licences name.
func TestBillOfMaterials(t *testing.T) {
	for _, m := range machines {
		var bom struct {
			Format     string `json:"bomFormat"`
			Components []struct{ Name, Version string }
		}
		file := filepath.Join(dist(t), "opcredsd-"+version+"-linux-"+m.arch+".cdx.json")
		if err := json.Unmarshal([]byte(read(t, file)), &bom); err != nil || bom.Format != "CycloneDX" {
			t.Fatalf("%s: %v", file, err)
		}
		licences := read(t, filepath.Join(unpack(t, m.arch), "THIRD-PARTY-LICENSES"))
		for _, c := range bom.Components {
			if c.Name != "std" && !strings.Contains(licences, "\n"+c.Name+" "+c.Version+"\n") {
				t.Errorf("%s: %s %s has no licence in THIRD-PARTY-LICENSES", m.arch, c.Name, c.Version)
			}
		}
		if len(bom.Components) < 20 {
			t.Errorf("%s: %d components", m.arch, len(bom.Components))
		}
	}
}

// TestSignedChecksums signs the checksums, and verifies them as docs/install.md
// describes.
func TestSignedChecksums(t *testing.T) {
	need(t, "minisign", "minisign")
	arch, _ := native(t)
	keys, out := t.TempDir(), t.TempDir()
	run(t, "minisign", "-G", "-W", "-p", filepath.Join(keys, "minisign.pub"), "-s", filepath.Join(keys, "minisign.key"))
	run(t, "env", "VERSION="+version, "ARCHES="+arch, "MINISIGN_KEY="+filepath.Join(keys, "minisign.key"), "packaging/dist.sh", out)
	verify := func() int {
		_, code := try(t, "minisign", "-V", "-q", "-p", filepath.Join(keys, "minisign.pub"), "-m", filepath.Join(out, "SHA256SUMS"))
		return code
	}
	if verify() != 0 {
		t.Error("the signature is not good")
	}
	sums, err := os.OpenFile(filepath.Join(out, "SHA256SUMS"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sums.WriteString("\n"); err != nil || sums.Close() != nil {
		t.Fatal(err)
	}
	if verify() == 0 {
		t.Error("the signature of changed checksums is good")
	}
}

// aptKey creates a key for repositories, and returns its fingerprint.
func aptKey(t *testing.T) string {
	t.Helper()
	need(t, "gpg", "gnupg")
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	run(t, "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "opcredsd test <test@example.org>", "rsa2048", "sign", "1d")
	for line := range strings.Lines(run(t, "gpg", "--batch", "--with-colons", "--list-secret-keys")) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			return f[9]
		}
	}
	t.Fatal("no key")
	return ""
}

// installFromRepository checks that apt accepts the signed repository, and installs
// the package from it.
func installFromRepository(t *testing.T, dir string) {
	need(t, "apt-ftparchive", "apt-utils")
	repo := filepath.Join(dir, "root/apt")
	arch, _ := native(t)
	run(t, "env", "APT_KEY="+aptKey(t), "packaging/apt.sh", distFor(t, arch), repo)
	source := "deb [signed-by=/root/apt/opcredsd.gpg] file:/root/apt stable main\n"
	write(t, filepath.Join(dir, "etc/apt/sources.list.d/opcredsd.list"), source, 0o644)
	const own = "-o Dir::Etc::sourcelist=sources.list.d/opcredsd.list -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root "
	if out := inRoot(t, dir, "apt-get "+own+"update 2>&1"); strings.Contains(out, "W:") || strings.Contains(out, "Err:") {
		t.Errorf("apt-get update:\n%s", out)
	}
	inRoot(t, dir, "DEBIAN_FRONTEND=noninteractive apt-get -y install opcredsd")
	if got := inRoot(t, dir, "opcredsd version"); !strings.Contains(got, version) {
		t.Errorf("version: %q", got)
	}
	inRoot(t, dir, "dpkg -P opcredsd")
	release := filepath.Join(repo, "dists/stable/InRelease")
	write(t, release, strings.Replace(read(t, release), "Label: opcredsd", "Label: other", 1), 0o644)
	if out, code := try(t, "chroot", dir, "/bin/sh", "-ec", "apt-get "+own+"update 2>&1"); code == 0 && !strings.Contains(out, "W:") {
		t.Errorf("apt-get update takes a repository that somebody has changed:\n%s", out)
	}
	if err := os.Remove(filepath.Join(dir, "etc/apt/sources.list.d/opcredsd.list")); err != nil {
		t.Fatal(err)
	}
}
