//go:build interop

package interop

import (
	"net/netip"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// link is the name of the interface at both ends of the pair.
const link = "eth0"

type namespace struct{ *netns.Namespace }

// newPair returns two namespaces joined by a veth pair, with an IPv6 link-local
// address, a ULA and an IPv4 address at each end, and no other link.
func newPair() (device, controller *namespace, err error) {
	a, err := netns.New()
	if err != nil {
		return nil, nil, err
	}
	b, err := netns.New()
	if err != nil {
		a.Close()
		return nil, nil, err
	}
	end := func(n *netns.Namespace, prefixes ...string) netns.End {
		return netns.End{Namespace: n, Prefixes: prefixes, Also: []func(string) error{netns.MulticastV4}}
	}
	err = netns.Connect(link,
		end(a, "fd00:6f70:6372:6564::a/64", "10.83.7.1/24"), end(b, "fd00:6f70:6372:6564::b/64", "10.83.7.2/24"))
	if err != nil {
		a.Close()
		b.Close()
		return nil, nil, err
	}
	return &namespace{a}, &namespace{b}, nil
}

// addresses returns all addresses of the namespace's end of the link, once all of
// them are usable.
func (n *namespace) addresses() (found []netip.Addr, err error) {
	err = n.Do(func() error {
		found, err = netns.Await(link)
		return err
	})
	return found, err
}
