package transport

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Control messages of the kernel (cmsg(3)) are read and written here, as the packages
// that do so allocate memory for every datagram.

const (
	cmsgLenSize = unix.SizeofCmsghdr - 8 // size_t, then two ints
	cmsgAlign   = cmsgLenSize

	pktinfo6Size = 20 // struct in6_pktinfo: address, index
	pktinfo4Size = 12 // struct in_pktinfo: index, local address, destination

	// controlReceived holds one packet info of either family, with padding.
	controlReceived = 64
	// controlSent holds the larger packet info.
	controlSent = unix.SizeofCmsghdr + pktinfo6Size + cmsgAlign
)

func aligned(n int) int { return (n + cmsgAlign - 1) &^ (cmsgAlign - 1) }

// parseControl returns the packet info in oob: this host's address that the datagram
// was sent to, and the index of the interface. Without packet info both are zero.
func parseControl(oob []byte) (local netip.Addr, index int) {
	for len(oob) >= unix.SizeofCmsghdr {
		size := cmsgLen(oob)
		if size < unix.SizeofCmsghdr || size > len(oob) {
			break
		}
		level := binary.NativeEndian.Uint32(oob[cmsgLenSize:])
		typ := binary.NativeEndian.Uint32(oob[cmsgLenSize+4:])
		data := oob[unix.SizeofCmsghdr:size]
		switch {
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_PKTINFO && len(data) >= pktinfo6Size:
			local = netip.AddrFrom16([16]byte(data))
			index = int(binary.NativeEndian.Uint32(data[16:]))
		case level == unix.IPPROTO_IP && typ == unix.IP_PKTINFO && len(data) >= pktinfo4Size:
			index = int(binary.NativeEndian.Uint32(data))
			local = netip.AddrFrom4([4]byte(data[4:]))
		}
		oob = oob[min(aligned(size), len(oob)):]
	}
	if local.IsMulticast() || local.IsUnspecified() {
		local = netip.Addr{} // an answer cannot come from it
	}
	return local, index
}

func cmsgLen(b []byte) int {
	if cmsgLenSize == 8 {
		n := binary.NativeEndian.Uint64(b)
		return int(min(n, 1<<16))
	}
	return int(min(binary.NativeEndian.Uint32(b), 1<<16))
}

// appendHeader appends the header of a control message with size octets of data.
func appendHeader(b []byte, level, typ uint32, size int) []byte {
	if cmsgLenSize == 8 {
		b = binary.NativeEndian.AppendUint64(b, uint64(unix.SizeofCmsghdr+size))
	} else {
		b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofCmsghdr+size))
	}
	b = binary.NativeEndian.AppendUint32(b, level)
	return binary.NativeEndian.AppendUint32(b, typ)
}

func pad(b []byte) []byte {
	for len(b) != aligned(len(b)) {
		b = append(b, 0)
	}
	return b
}

// appendControl6 appends an IPV6_PKTINFO that makes a datagram leave from the address
// local by the interface index. The kernel chooses what is zero.
func appendControl6(b []byte, local netip.Addr, index int) []byte {
	b = appendHeader(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, pktinfo6Size)
	var a [16]byte
	if local.Is6() {
		a = local.As16()
	}
	b = append(b, a[:]...)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	return pad(b)
}

// appendControl4 is appendControl6 for IPv4.
func appendControl4(b []byte, local netip.Addr, index int) []byte {
	b = appendHeader(b, unix.IPPROTO_IP, unix.IP_PKTINFO, pktinfo4Size)
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	var a [4]byte
	if local.Is4() {
		a = local.As4()
	}
	b = append(b, a[:]...)
	b = append(b, 0, 0, 0, 0) // the destination is an output only
	return pad(b)
}
