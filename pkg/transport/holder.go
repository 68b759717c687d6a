package transport

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holder names the process that holds a UDP port of this host, as /proc tells
// it, for a message to the operator: `"avahi-daemon" (pid 412)`. Without the
// right to look into other users' processes it names the user. It reports
// false if nobody holds the port.
func Holder(port uint16) (string, bool) { return holder("/proc", port) }

func holder(proc string, port uint16) (string, bool) {
	for _, table := range []string{"udp6", "udp"} {
		f, err := os.Open(filepath.Join(proc, "net", table))
		if err != nil {
			continue
		}
		uid, inode, ok := findSocket(f, port)
		f.Close()
		if !ok {
			continue
		}
		if who, ok := socketOwner(proc, inode); ok {
			return who, true
		}
		return fmt.Sprintf("a process of user id %d", uid), true
	}
	return "", false
}

// findSocket finds the socket bound to port in a table such as /proc/net/udp6:
//
//	sl local_address remote_address st queues timer retransmits uid timeout inode …
func findSocket(table io.Reader, port uint16) (uid int, inode string, ok bool) {
	sc := bufio.NewScanner(table)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 10 {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err != nil || uint16(p) != port {
			continue
		}
		uid, err := strconv.Atoi(f[7])
		if err != nil {
			continue
		}
		return uid, f[9], true
	}
	return 0, "", false
}

// socketOwner finds the process that has the socket open.
func socketOwner(proc, inode string) (string, bool) {
	want := "socket:[" + inode + "]"
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err != nil || link != want {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		comm, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		return fmt.Sprintf("%q (pid %s)", strings.TrimSpace(string(comm)), filepath.Base(dir)), true
	}
	return "", false
}
