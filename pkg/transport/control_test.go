package transport

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestControlRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		local string
		index int
	}{
		{"fe80::1", 3}, {"2001:db8::1", 1 << 20}, {"10.0.0.1", 7},
	} {
		local := netip.MustParseAddr(tc.local)
		var oob []byte
		if local.Is6() {
			oob = appendControl6(nil, local, tc.index)
		} else {
			oob = appendControl4(nil, local, tc.index)
		}
		if len(oob) > controlSent {
			t.Errorf("%s: %d octets, more than the %d kept for it", tc.local, len(oob), controlSent)
		}
		if a, i := parseControl(oob); a != local || i != tc.index {
			t.Errorf("%s: read back %v, %d", tc.local, a, i)
		}
	}
}

func TestControlDestinationThatCannotAnswer(t *testing.T) {
	for _, a := range []string{"ff02::1", "::"} {
		if got, i := parseControl(appendControl6(nil, netip.MustParseAddr(a), 2)); got.IsValid() || i != 2 {
			t.Errorf("%s: local %v, interface %d", a, got, i)
		}
	}
}

// FuzzControl: the kernel writes control messages, but none may cause a read past
// the end.
func FuzzControl(f *testing.F) {
	f.Add(appendControl6(nil, netip.MustParseAddr("fe80::1"), 2))
	f.Add(appendControl4(appendHeader(nil, unix.SOL_SOCKET, unix.SCM_TIMESTAMP, 0), netip.MustParseAddr("10.0.0.1"), 2))
	f.Add(make([]byte, controlReceived))
	f.Fuzz(func(t *testing.T, oob []byte) {
		if a, _ := parseControl(oob); a.IsMulticast() || a.Zone() != "" {
			t.Fatalf("local address %v", a)
		}
	})
}
