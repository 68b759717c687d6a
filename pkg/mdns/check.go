package mdns

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/grandcat/zeroconf"
	"github.com/miekg/dns"
)

// ErrNotFound is returned when there is no answer for a service.
var ErrNotFound = errors.New("no answer")

// attempt is how long one resolver is used. A resolver stops asking when it receives any
// instance of the type.
const attempt = 3 * time.Second

// Found is the result of a lookup.
type Found struct {
	Host  string
	Port  uint16
	TXT   []string // in presentation format: some octets are escaped
	Addrs []netip.Addr
}

// Lookup asks for a service on interfaces by IPv6, as a controller does, and waits for an
// answer until ctx ends. Meanwhile unicast to port 5353 may reach it instead of the mDNS
// responder of the system.
func Lookup(ctx context.Context, interfaces []net.Interface, s Service) (Found, error) {
	for {
		f, err := lookupOnce(ctx, interfaces, s)
		if !errors.Is(err, ErrNotFound) || ctx.Err() != nil {
			return f, err
		}
	}
}

func lookupOnce(ctx context.Context, interfaces []net.Interface, s Service) (Found, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	resolver, err := zeroconf.NewResolver(zeroconf.SelectIfaces(interfaces), zeroconf.SelectIPTraffic(zeroconf.IPv6))
	if err != nil {
		return Found{}, fmt.Errorf("open a resolver: %w", err)
	}
	entries := make(chan *zeroconf.ServiceEntry)
	if err := resolver.Lookup(ctx, s.Instance, s.Type, domain, entries); err != nil {
		go drain(entries)
		return Found{}, fmt.Errorf("ask for %s: %w", s.name(), err)
	}
	found, err := Found{}, fmt.Errorf("%w for %s", ErrNotFound, s.name())
	for e := range entries { // closed when ctx ends
		if err != nil && fold(e.Instance) == fold(s.Instance) {
			found, err = foundEntry(e), nil
			cancel()
		}
	}
	return found, err
}

func drain(entries <-chan *zeroconf.ServiceEntry) {
	for range entries {
	}
}

func foundEntry(e *zeroconf.ServiceEntry) Found {
	f := Found{Host: e.HostName, Port: uint16(e.Port), TXT: e.Text}
	for _, ip := range slices.Concat(e.AddrIPv6, e.AddrIPv4) {
		if a, ok := netip.AddrFromSlice(ip); ok {
			f.Addrs = append(f.Addrs, a.Unmap())
		}
	}
	return f
}

// askSoon is the pause between two lookups: a record is not sent twice within a second.
const askSoon = time.Second

// Look looks up a service on an interface, as a controller on that network does, until it
// finds the records that this host announces there, or ctx ends. Allow it two seconds at
// least. The error says what is wrong with the records that were found. all are the
// interfaces in use, as a reflector may repeat the records of another one.
func Look(ctx context.Context, s Service, on InterfaceStatus, all []InterfaceStatus) error {
	ifi, err := net.InterfaceByIndex(on.Index)
	if err != nil {
		return err
	}
	var wrong error
	for {
		found, err := Lookup(ctx, []net.Interface{*ifi}, s)
		if err == nil {
			if wrong = found.compare(s, on, all); wrong == nil {
				return nil
			}
		}
		select {
		case <-time.After(askSoon):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return cmp.Or(wrong, err)
		}
	}
}

// ErrOtherHost is returned when another host announces a service of this node.
var ErrOtherHost = errors.New("this node is announced by another host, too")

// compare returns an error if f is not what s should yield on an interface.
func (f Found) compare(s Service, on InterfaceStatus, all []InterfaceStatus) error {
	i := slices.IndexFunc(all, func(i InterfaceStatus) bool { return fold(i.Host) == fold(f.Host) })
	if i < 0 {
		return fmt.Errorf("%w: %s at %v", ErrOtherHost, strings.TrimSuffix(f.Host, "."), f.Addrs)
	}
	var wrong []string
	if f.Port != s.Port {
		wrong = append(wrong, fmt.Sprintf("port %d instead of %d", f.Port, s.Port))
	}
	if want, got := txtData(s), txtDataOf(f.TXT); !bytes.Equal(want, got) {
		wrong = append(wrong, fmt.Sprintf("TXT %q instead of %q", f.TXT, s.TXT))
	}
	if fold(on.Host) != fold(f.Host) {
		wrong = append(wrong, fmt.Sprintf("the host name of %s only", all[i].Name))
	}
	for _, a := range f.Addrs {
		if !slices.Contains(on.Addrs, a) {
			wrong = append(wrong, fmt.Sprintf("address %s, which %s does not have", a, on.Name))
		}
	}
	if !slices.ContainsFunc(f.Addrs, netip.Addr.Is6) {
		wrong = append(wrong, "no IPv6 address")
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s is found with %s", s.name(), strings.Join(wrong, ", "))
	}
	return nil
}

func txtData(s Service) []byte { return serviceRecords(nil, s, domain)[1].rdata }

func txtDataOf(txt []string) []byte {
	data, err := rawData(&dns.TXT{Hdr: dns.RR_Header{Name: domain, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: txt})
	if err != nil {
		return nil
	}
	return data
}
