//go:build packaging

package packaging

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// need fails t unless command is installed, and names its package.
func need(t *testing.T, command, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install %s", command, debianPackage)
	}
	return path
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes system roots and namespaces: run it as root")
	}
}

// root returns the directory of the checkout.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a command in the checkout and returns its output. It fails t if the
// command fails.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := try(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit status %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

// try runs a command in the checkout and returns its output and its exit status.
func try(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root(t)
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", name, err, out.Bytes())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// version is the version of the test release.
const version = "1.2.3-rc.1"

var (
	distMu   sync.Mutex
	distDirs []string // to be removed at the end
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range distDirs {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// Variables with the directories of releases, for a test that runs again in its own
// namespaces.
const distEnv, nativeEnv = "OPCREDSD_TEST_DIST", "OPCREDSD_TEST_DIST_NATIVE"

// dist returns the folder with the release for all architectures. It is built once.
func dist(t *testing.T) string {
	t.Helper()
	return released(t, distEnv, "amd64 arm64 armv7")
}

// released returns the folder of a release. It builds the release if the variable
// is not set.
func released(t *testing.T, env, arches string) string {
	t.Helper()
	distMu.Lock()
	defer distMu.Unlock()
	if dir := os.Getenv(env); dir != "" {
		return dir
	}
	dir, err := os.MkdirTemp("", "opcredsd-dist-")
	if err != nil {
		t.Fatal(err)
	}
	distDirs = append(distDirs, dir)
	makeDist(t, dir, arches)
	if err := os.Setenv(env, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func makeDist(t *testing.T, dir, arches string) {
	t.Helper()
	run(t, "env", "VERSION="+version, "ARCHES="+arches, "packaging/dist.sh", dir)
}

// distFor returns the folder with a release for an architecture. It builds only
// that of this machine if others are not needed.
func distFor(t *testing.T, arch string) string {
	t.Helper()
	if own, _ := native(t); arch == own && os.Getenv(distEnv) == "" {
		return released(t, nativeEnv, arch)
	}
	return dist(t)
}

// unpack returns the folder with the content of a tarball.
func unpack(t *testing.T, arch string) string {
	t.Helper()
	name := "opcredsd-" + version + "-linux-" + arch
	dir := t.TempDir()
	run(t, "tar", "-C", dir, "-xzf", filepath.Join(distFor(t, arch), name+".tar.gz"))
	return filepath.Join(dir, name)
}

// native returns the name of this machine's architecture in releases.
func native(t *testing.T) (arch, debian string) {
	t.Helper()
	switch runtime.GOARCH {
	case "amd64", "arm64":
		return runtime.GOARCH, runtime.GOARCH
	case "arm":
		return "armv7", "armhf"
	}
	t.Fatalf("nothing is released for %s", runtime.GOARCH)
	return "", ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
