//go:build packaging

package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// engine is buildah with its own storage.
type engine struct{ args []string }

func newEngine(t *testing.T) *engine {
	t.Helper()
	needRoot(t)
	need(t, "buildah", "buildah")
	dir, err := os.MkdirTemp("", "opcredsd-buildah-")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{[]string{"--storage-driver=vfs", "--root=" + dir + "/root", "--runroot=" + dir + "/run"}}
	t.Cleanup(func() {
		_ = exec.Command("buildah", append(slices.Clone(e.args), "umount", "--all")...).Run() // otherwise RemoveAll fails
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return e
}

func (e *engine) run(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "buildah", append(slices.Clone(e.args), args...)...)
}

// builder creates the image for compiling: this machine's Go and busybox.
func (e *engine) builder(t *testing.T) string {
	t.Helper()
	busybox := need(t, "busybox", "busybox-static")
	checkStatic(t, busybox, machineOf(t).elf)
	dir := t.TempDir()
	rootfs := filepath.Join(dir, "rootfs")
	for _, d := range []string{"bin", "etc", "tmp", "usr/local/go"} {
		if err := os.MkdirAll(filepath.Join(rootfs, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "cp", busybox, rootfs+"/bin/busybox")
	for _, name := range strings.Fields(run(t, busybox, "--list")) {
		if name != "busybox" {
			if err := os.Symlink("busybox", filepath.Join(rootfs, "bin", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	goroot := strings.TrimSpace(run(t, "go", "env", "GOROOT"))
	for _, name := range []string{"VERSION", "go.env", "LICENSE", "bin", "pkg", "src"} {
		run(t, "cp", "-R", "-L", filepath.Join(goroot, name), rootfs+"/usr/local/go/")
	}
	write(t, filepath.Join(dir, "Containerfile"), read(t, "testdata/builder/Containerfile"), 0o644)
	const tag = "localhost/builder"
	e.run(t, "build", "--isolation=chroot", "--quiet", "--tag="+tag, dir)
	return tag
}

func machineOf(t *testing.T) machine {
	t.Helper()
	arch, _ := native(t)
	i := slices.IndexFunc(machines, func(m machine) bool { return m.arch == arch })
	return machines[i]
}

// platforms are the platforms of the image, in the order of machines.
var platforms = []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}

const imageName = "localhost/opcredsd"

// image builds the Dockerfile for all platforms.
func (e *engine) image(t *testing.T) {
	t.Helper()
	cache := func(name string) string { return strings.TrimSpace(run(t, "go", "env", name)) }
	e.run(t, "build", "--isolation=chroot", "--format=docker", "--pull-never",
		"--platform="+strings.Join(platforms, ","), "--manifest="+imageName,
		"--build-arg=BUILDER="+e.builder(t),
		"--build-arg=BUILDPLATFORM=linux/"+machineOf(t).goarch, // buildah 1.28 does not set it
		"--build-arg=VERSION="+version,
		"--volume="+cache("GOCACHE")+":/host/build:rw", "--volume="+cache("GOMODCACHE")+":/host/mod:rw", ".")
}

type imageConfig struct {
	User        string
	Env         []string
	Entrypoint  []string
	Cmd         []string
	Volumes     map[string]any
	Labels      map[string]string
	Healthcheck *struct{ Test []string }
}

func TestContainer(t *testing.T) {
	e := newEngine(t)
	e.image(t)
	for i, m := range machines {
		t.Run(m.arch, func(t *testing.T) {
			container := strings.TrimSpace(e.run(t, "from", "--pull-never", "--platform="+platforms[i], imageName))
			mount := strings.TrimSpace(e.run(t, "mount", container))
			var inspect struct {
				Docker struct {
					Architecture string
					Config       imageConfig
				}
			}
			if err := json.Unmarshal([]byte(e.run(t, "inspect", container)), &inspect); err != nil {
				t.Fatal(err)
			}
			if inspect.Docker.Architecture != m.goarch {
				t.Errorf("the image is for %s", inspect.Docker.Architecture)
			}
			checkImage(t, mount, &inspect.Docker.Config)
			checkStatic(t, mount+"/usr/bin/opcredsd", m.elf)
			if out, code := m.emulate(t, mount+"/usr/bin/opcredsd", "version"); code != 0 || !strings.Contains(out, version) {
				t.Errorf("version: exit status %d\n%s", code, out)
			}
			if m == machineOf(t) {
				e.run(t, "run", "--isolation=chroot", container, "--", "/usr/bin/opcredsd", "version")
				serve(t, mount, &inspect.Docker.Config)
			}
		})
	}
}

func checkImage(t *testing.T, mount string, c *imageConfig) {
	t.Helper()
	if c.User != "65532:65532" {
		t.Errorf("runs as %q", c.User)
	}
	if !slices.Equal(c.Entrypoint, []string{"/usr/bin/opcredsd"}) || !slices.Equal(c.Cmd, []string{"run"}) {
		t.Errorf("runs %q %q", c.Entrypoint, c.Cmd)
	}
	if c.Healthcheck == nil || !slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/bin/opcredsd", "healthcheck"}) {
		t.Errorf("health check %+v", c.Healthcheck)
	}
	if len(c.Volumes) != 0 {
		t.Errorf("volumes %v: an engine would make them up, and drop them with the container", c.Volumes)
	}
	if got := c.Labels["org.opencontainers.image.version"]; got != version {
		t.Errorf("label of version %q", got)
	}
	const want = `d 755 0:0 etc
f 644 0:0 etc/group
f 644 0:0 etc/passwd
d 755 0:0 run
d 750 65532:65532 run/opcredsd
d 755 0:0 usr
d 755 0:0 usr/bin
f 755 0:0 usr/bin/opcredsd
d 755 0:0 usr/share
d 755 0:0 usr/share/doc
d 755 0:0 usr/share/doc/opcredsd
f 644 0:0 usr/share/doc/opcredsd/LICENSE
f 644 0:0 usr/share/doc/opcredsd/THIRD-PARTY-LICENSES
d 755 0:0 var
d 755 0:0 var/lib
d 700 65532:65532 var/lib/opcredsd
`
	lines := strings.Split(strings.TrimSpace(run(t, "find", mount, "-mindepth", "1", "-printf", `%P %y %m %U:%G\n`)), "\n")
	slices.Sort(lines)
	var got strings.Builder
	for _, line := range lines {
		path, rest, _ := strings.Cut(line, " ")
		got.WriteString(rest + " " + path + "\n")
	}
	if got.String() != want {
		t.Errorf("the image holds\n%s\nand should hold\n%s", got.String(), want)
	}
}

// serve runs the image as a container engine would: with its user, without
// capabilities and new privileges, with a read-only root, and with a volume.
func serve(t *testing.T, mount string, c *imageConfig) {
	t.Helper()
	for command, pkg := range map[string]string{"unshare": "util-linux", "setpriv": "util-linux", "ip": "iproute2", "curl": "curl"} {
		need(t, command, pkg)
	}
	script := filepath.Join(t.TempDir(), "container.sh")
	write(t, script, read(t, "testdata/container.sh"), 0o755)
	args := append([]string{"-i"}, c.Env...)
	args = append(args, "PATH="+os.Getenv("PATH"), "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", script, mount)
	out, code := try(t, "env", args...)
	if code != 0 || !strings.HasSuffix(out, "all passed\n") {
		t.Fatalf("exit status %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "pass: ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
