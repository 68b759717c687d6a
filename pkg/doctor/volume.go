package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Mount is the mount of a path.
type Mount struct {
	Point  string
	FSType string
}

// CheckVolume returns an error unless dir is on a separate mount, which outlives a
// container. dir need not exist yet.
func CheckVolume(dir string) error {
	m, err := MountOf(dir)
	if err != nil {
		return err
	}
	return m.volume(dir)
}

func (m Mount) volume(dir string) error {
	if m.Point == "/" || passing(m.FSType) {
		return fmt.Errorf("%s lies on %s (%s) and would be lost with the container", dir, m.Point, m.FSType)
	}
	return nil
}

// passing reports whether the content of a file system is lost with its container
// or at the next boot.
func passing(fsType string) bool {
	return fsType == "overlay" || fsType == "tmpfs" || fsType == "ramfs" || fsType == "aufs"
}

// MountOf returns the mount of dir, which need not exist yet.
func MountOf(dir string) (Mount, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Mount{}, err
	}
	// Symbolic links are followed in the part of the path that exists. The rest
	// will be created below it.
	for p, rest := dir, ""; ; p, rest = filepath.Dir(p), filepath.Join(filepath.Base(p), rest) {
		real, err := filepath.EvalSymlinks(p)
		if err == nil {
			dir = filepath.Join(real, rest)
			break
		}
		if p == filepath.Dir(p) {
			return Mount{}, err
		}
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Mount{}, err
	}
	defer f.Close()
	return findMount(f, dir)
}

// findMount finds the mount of an absolute path in the text of mountinfo
// (proc_pid_mountinfo(5)), which has lines such as
//
//	36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw
func findMount(table io.Reader, path string) (m Mount, err error) {
	sc := bufio.NewScanner(table)
	for sc.Scan() {
		left, right, ok := strings.Cut(sc.Text(), " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 1 {
			continue
		}
		point := unescape(f[4])
		// Of two mounts at the same point, the later one is on top.
		if within(path, point) && len(point) >= len(m.Point) {
			m = Mount{point, g[0]}
		}
	}
	if err := sc.Err(); err != nil {
		return m, err
	}
	if m.Point == "" {
		return m, errors.New("no mount in /proc/self/mountinfo")
	}
	return m, nil
}

func within(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

// unescape decodes the octal escapes of mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
