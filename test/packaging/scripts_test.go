//go:build packaging

package packaging

import "testing"

// TestManifests runs the schemas of Compose and Kubernetes. They are in a module of
// their own, since the daemon does not need their libraries.
func TestManifests(t *testing.T) {
	t.Log(run(t, "go", "-C", "test/packaging/manifests", "test", "-count=1", "./..."))
}

func TestShellcheck(t *testing.T) {
	need(t, "shellcheck", "shellcheck")
	run(t, "shellcheck", "packaging/dist.sh", "packaging/apt.sh", "packaging/licenses.sh", "packaging/version.sh",
		"deploy/kubernetes/monitoring/update.sh", "packaging/deb/postinst", "packaging/deb/prerm", "packaging/deb/postrm",
		"-x", "test/packaging/testdata/booted.sh", "test/packaging/testdata/offline.sh", "test/packaging/testdata/checks.sh",
		"test/packaging/testdata/container.sh")
}
