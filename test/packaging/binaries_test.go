//go:build packaging

package packaging

import (
	"debug/elf"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// machine is an architecture with releases.
type machine struct {
	arch          string // in the names of releases
	qemu          string // runs its programs, from qemu-user-static
	elf           elf.Machine
	goarch, goarm string
}

var machines = []machine{
	{"amd64", "qemu-x86_64-static", elf.EM_X86_64, "amd64", ""},
	{"arm64", "qemu-aarch64-static", elf.EM_AARCH64, "arm64", ""},
	{"armv7", "qemu-arm-static", elf.EM_ARM, "arm", "7"},
}

// emulate runs a program of another machine.
func (m machine) emulate(t *testing.T, args ...string) (string, int) {
	t.Helper()
	if arch, _ := native(t); arch == m.arch {
		return try(t, args[0], args[1:]...)
	}
	return try(t, need(t, m.qemu, "qemu-user-static"), args...)
}

func checkStatic(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != machine {
		t.Errorf("%s is for %v", path, f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static", path)
		}
	}
}

// TestBinaries runs the released binaries of every architecture.
func TestBinaries(t *testing.T) {
	for _, m := range machines {
		t.Run(m.arch, func(t *testing.T) {
			binary := filepath.Join(unpack(t, m.arch), "opcredsd")
			checkStatic(t, binary, m.elf)

			out, code := m.emulate(t, binary, "version", "--output", "json")
			var v struct{ Version, OS, Arch string }
			if err := json.Unmarshal([]byte(out), &v); code != 0 || err != nil {
				t.Fatalf("version: exit status %d, %v\n%s", code, err, out)
			}
			if v.Version != version || v.OS != "linux" || v.Arch != m.goarch {
				t.Errorf("version says %+v", v)
			}
			checkStore(t, m, binary)
		})
	}
}

// checkStore creates a store on this machine and checks it on the other one, since
// the file format is the same.
func checkStore(t *testing.T, m machine, binary string) {
	t.Helper()
	arch, _ := native(t)
	dir := filepath.Join(t.TempDir(), "state")
	if out, code := try(t, filepath.Join(unpack(t, arch), "opcredsd"), "attestation", "generate", "--state-dir", dir); code != 0 {
		t.Fatalf("attestation generate: exit status %d\n%s", code, out)
	}
	if out, code := m.emulate(t, binary, "store", "check", "--state-dir", dir); code != 0 {
		t.Errorf("store check: exit status %d\n%s", code, out)
	}
	db := filepath.Join(dir, "opcredsd.db")
	if err := os.Truncate(db, 4096); err != nil {
		t.Fatal(err)
	}
	if out, code := m.emulate(t, binary, "store", "check", "--state-dir", dir); code == 0 {
		t.Errorf("store check of a file cut off:\n%s", out)
	}
}

var passed = regexp.MustCompile(`(?m)^--- PASS: (\w+)`)

// TestCommissioning runs a whole commissioning on every architecture: cryptography,
// store, and alignment of 64-bit words.
func TestCommissioning(t *testing.T) {
	const tests = "^(TestCommission|TestWrongPasscode|TestRestart|TestRemoveLastFabric|TestFailSafeExpiry)$"
	for _, m := range machines {
		t.Run(m.arch, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "server.test")
			run(t, "env", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+m.goarch, "GOARM="+m.goarm,
				"go", "test", "-c", "-trimpath", "-o", binary, "./pkg/server")
			t.Chdir("../../pkg/server") // as go test would
			out, code := m.emulate(t, binary, "-test.v", "-test.run", tests, "-test.timeout", "5m")
			if n := len(passed.FindAllString(out, -1)); code != 0 || n != strings.Count(tests, "Test") {
				t.Errorf("exit status %d, %d tests passed\n%s", code, n, out)
			}
		})
	}
}
