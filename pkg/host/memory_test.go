package host

import (
	"os"
	"path/filepath"
	"testing"
)

// The lowest limit of the group and its parents counts. A missing file is no limit.
func TestMemoryLimit(t *testing.T) {
	for _, tc := range []struct {
		name, self string
		files      map[string]string
		want       uint64
	}{
		{"a unit", "0::/system.slice/opcredsd.service\n", map[string]string{"system.slice/opcredsd.service": "268435456", "system.slice": "max"}, 256 << 20},
		{"the slice has less", "0::/system.slice/opcredsd.service\n", map[string]string{"system.slice/opcredsd.service": "268435456", "system.slice": "1048576"}, 1 << 20},
		{"a container", "0::/\n", map[string]string{"": "134217728"}, 128 << 20},
		{"no limit", "0::/user.slice\n", map[string]string{"user.slice": "max"}, 0},
		{"no cgroup v2", "4:memory:/x\n", map[string]string{"x": "4096"}, 0},
		{"outside of what is mounted", "0::/../../x\n", nil, 0},
		{"nobody says", "", nil, 0},
	} {
		root := t.TempDir()
		for dir, limit := range tc.files {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, dir, "memory.max"), []byte(limit+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		self := filepath.Join(t.TempDir(), "cgroup")
		if err := os.WriteFile(self, []byte(tc.self), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := memoryLimit(self, root); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}
