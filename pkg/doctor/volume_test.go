package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const mountinfo = `22 1 0:21 / / rw,relatime - overlay overlay rw,lowerdir=/a
23 22 0:5 / /proc rw - proc proc rw
bad line
24 22 8:1 /volumes/x /var/lib/opcredsd rw,relatime shared:1 - ext4 /dev/sda1 rw
25 24 0:30 / /var/lib/opcredsd/with\040space rw - tmpfs tmpfs rw
26 22 8:2 / /mnt rw - ext4 /dev/sda2 rw
27 26 0:31 / /mnt rw - nfs4 host:/x rw
`

func TestFindMount(t *testing.T) {
	for _, tc := range []struct {
		path   string
		want   Mount
		volume bool
	}{
		{"/var/lib/opcredsd", Mount{"/var/lib/opcredsd", "ext4"}, true},
		{"/var/lib/opcredsd/below/it", Mount{"/var/lib/opcredsd", "ext4"}, true},
		{"/var/lib/opcredsd2", Mount{"/", "overlay"}, false},
		{"/var/lib/opcredsd/with space/x", Mount{"/var/lib/opcredsd/with space", "tmpfs"}, false},
		{"/mnt/x", Mount{"/mnt", "nfs4"}, true},
		{"/", Mount{"/", "overlay"}, false},
	} {
		m, err := findMount(strings.NewReader(mountinfo), tc.path)
		if err != nil || m != tc.want || (m.volume(tc.path) == nil) != tc.volume {
			t.Errorf("%s: %+v, %v, volume %v", tc.path, m, err, m.volume(tc.path))
		}
	}
	if _, err := findMount(strings.NewReader("nothing"), "/"); err == nil {
		t.Error("a mount out of nothing")
	}
}

// Symbolic links are followed. A missing path is on the mount of its parent.
func TestMountOf(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/proc", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	m, err := MountOf(filepath.Join(dir, "link", "sys"))
	if err != nil || !strings.HasPrefix(m.Point, "/proc") {
		t.Errorf("%+v, %v", m, err)
	}
	there, err := MountOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := MountOf(filepath.Join(dir, "not", "there")); err != nil || m != there {
		t.Errorf("%+v, %v, want %+v", m, err, there)
	}
}

func FuzzFindMount(f *testing.F) {
	f.Add(mountinfo, "/mnt/x")
	f.Add(`1 1 0:1 / /\04 rw - x`, "/")
	f.Fuzz(func(t *testing.T, table, path string) {
		if m, err := findMount(strings.NewReader(table), path); err == nil && m.Point == "" {
			t.Error("a mount without a point")
		}
	})
}
