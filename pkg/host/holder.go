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

// Holder returns the process that uses a UDP port of this host, as text for the
// operator: `"avahi-daemon" (pid 412)`. If the process cannot be read, it returns
// the user. It reports false if the port is free.
func Holder(port uint16) (string, bool) {
	list := Holders(port)
	if len(list) == 0 {
		return "", false
	}
	return list[0], true
}

// Holders returns all processes that use a UDP port, in the form of Holder. Several
// processes can share a port.
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

// TakesUnicast reports whether a socket other than those with the given inodes
// receives unicast datagrams to a UDP port. A socket that is bound to a group does
// not.
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

// udpSockets returns the sockets of the network namespace that are bound to port.
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

// findSockets returns the sockets bound to port in a table such as /proc/self/net/udp6:
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

// hexAddr parses an address of such a table: words of 32 bits, each in the host's order of
// octets.
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

// socketOwner returns the process that has a socket.
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
