package transport

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Holder names the process that holds a UDP port of this host, as /proc tells
// it, for a message to the operator: `"avahi-daemon" (pid 412)`. Without the
// right to look into other users' processes it names the user. It reports
// false if nobody holds the port.
func Holder(port uint16) (string, bool) {
	list := Holders(port)
	if len(list) == 0 {
		return "", false
	}
	return list[0], true
}

// Holders names, as Holder does, all processes that hold a UDP port: several can
// share it.
func Holders(port uint16) []string { return holders("/proc", port) }

func holders(proc string, port uint16) (list []string) {
	for _, table := range []string{"udp6", "udp"} {
		f, err := os.Open(filepath.Join(proc, "net", table))
		if err != nil {
			continue
		}
		found := findSockets(f, port)
		f.Close()
		for _, s := range found {
			who, ok := socketOwner(proc, s.inode)
			if !ok {
				who = fmt.Sprintf("a process of user id %d", s.uid)
			}
			if !slices.Contains(list, who) {
				list = append(list, who)
			}
		}
	}
	return list
}

type socket struct {
	uid   int
	inode string
}

// findSockets finds the sockets bound to port in a table such as /proc/net/udp6:
//
//	sl local_address remote_address st queues timer retransmits uid timeout inode …
func findSockets(table io.Reader, port uint16) (list []socket) {
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
		if uid, err := strconv.Atoi(f[7]); err == nil {
			list = append(list, socket{uid, f[9]})
		}
	}
	return list
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
