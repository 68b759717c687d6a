package host

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
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
	for _, s := range udpSockets(proc, port) {
		who, ok := socketOwner(proc, s.inode)
		if !ok {
			who = fmt.Sprintf("a process of user id %d", s.uid)
		}
		if !slices.Contains(list, who) {
			list = append(list, who)
		}
	}
	return list
}

// TakesUnicast reports whether a socket takes the unicast datagrams to a UDP port, other
// than those with the given inodes: one that is bound to no group.
func TakesUnicast(port uint16, except ...uint64) bool { return takesUnicast("/proc", port, except) }

func takesUnicast(proc string, port uint16, except []uint64) bool {
	return slices.ContainsFunc(udpSockets(proc, port), func(s udpSocket) bool {
		inode, err := strconv.ParseUint(s.inode, 10, 64)
		return !s.group && (err != nil || !slices.Contains(except, inode))
	})
}

type udpSocket struct {
	uid   int
	inode string
	group bool // bound to a multicast group
}

// udpSockets finds the sockets of the network namespace that are bound to port.
func udpSockets(proc string, port uint16) (list []udpSocket) {
	for _, table := range []string{"udp6", "udp"} {
		f, err := os.Open(filepath.Join(proc, "self", "net", table))
		if err != nil {
			continue
		}
		list = append(list, findSockets(f, port)...)
		f.Close()
	}
	return list
}

// findSockets finds the sockets bound to port in a table such as /proc/self/net/udp6:
//
//	sl local_address remote_address st queues timer retransmits uid timeout inode …
func findSockets(table io.Reader, port uint16) (list []udpSocket) {
	sc := bufio.NewScanner(table)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 10 {
			continue
		}
		addr, number, _ := strings.Cut(f[1], ":")
		if p, err := strconv.ParseUint(number, 16, 16); err != nil || uint16(p) != port {
			continue
		}
		if uid, err := strconv.Atoi(f[7]); err == nil {
			list = append(list, udpSocket{uid, f[9], hexAddr(addr).IsMulticast()})
		}
	}
	return list
}

// hexAddr reads an address of such a table: words of 32 bits, each in the order of the
// host's octets.
func hexAddr(s string) netip.Addr {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}
	}
	for w := b; len(w) > 0; w = w[4:] {
		binary.NativeEndian.PutUint32(w, binary.BigEndian.Uint32(w))
	}
	a, _ := netip.AddrFromSlice(b)
	return a
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
