package doctor

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/host"
)

// Result of a check.
type Result string

// The results: no problem; a hint; the node cannot work.
const (
	OK    Result = "ok"
	Note  Result = "note"
	Fault Result = "fault"
)

// Finding is a result of a check.
type Finding struct {
	Check  string `json:"check"`
	Result Result `json:"result"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"` // what to do about it
}

// Examine runs all checks. A check comes after those that it depends on. Each check
// returns at least one finding.
func Examine(f *Facts) []Finding {
	var all []Finding
	for _, c := range []struct {
		name string
		run  func(f *Facts) []Finding
	}{
		{"ipv6", checkIPv6},
		{"link-local", checkLinkLocal},
		{"interface", checkInterfaces},
		{"container", checkContainer},
		{"port", checkPort},
		{"mdns", checkMDNS},
		{"conntrack", checkConntrack},
		{"clock", checkClock},
		{"config", checkConfig},
		{"state-dir", checkStateDir},
		{"store", checkStore},
		{"attestation", checkAttestation},
		{"daemon", checkDaemon},
		{"records", checkRecords},
		{"mqtt", checkMQTT},
	} {
		for _, found := range c.run(f) {
			found.Check = c.name
			all = append(all, found)
		}
	}
	return all
}

// Summary lists the checks that have found faults, such as "2 faults: state-dir,
// records". It is empty if there are none.
func Summary(list []Finding) string {
	var n int
	var checks []string
	for _, f := range list {
		if f.Result != Fault {
			continue
		}
		n++
		if !slices.Contains(checks, f.Check) {
			checks = append(checks, f.Check)
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "1 fault: " + checks[0]
	}
	return fmt.Sprintf("%d faults: %s", n, strings.Join(checks, ", "))
}

func ok(format string, args ...any) []Finding {
	return []Finding{{Result: OK, Text: fmt.Sprintf(format, args...)}}
}

// candidates returns the interfaces that are up and not excluded by name or kind.
func (f *Facts) candidates() (list []host.Interface) {
	for _, i := range f.Interfaces {
		if i.Candidate && i.Flags&net.FlagUp != 0 {
			list = append(list, i)
		}
	}
	return list
}

// used returns the interfaces that the node serves.
func (f *Facts) used() (list []host.Interface) {
	for _, i := range f.Interfaces {
		if i.Use {
			list = append(list, i)
		}
	}
	return list
}

// blocking returns the result for an interface that is not usable.
func (f *Facts) blocking(name string) Result {
	if len(f.used()) == 0 || slices.Contains(f.Named, name) {
		return Fault
	}
	return Note // another one is usable
}

func checkIPv6(f *Facts) (out []Finding) {
	if !f.IPv6 {
		return []Finding{{
			Result: Fault, Text: "this host has no IPv6, which Matter needs",
			Remedy: "take ipv6.disable=1 off the kernel's command line; in a container, use the host's network",
		}}
	}
	for _, i := range f.candidates() {
		if f.IPv6Off[i.Name] {
			out = append(out, Finding{
				Result: f.blocking(i.Name), Text: "IPv6 is turned off on " + i.Name,
				Remedy: fmt.Sprintf("sysctl -w net.ipv6.conf.%s.disable_ipv6=0, and look in /etc/sysctl.d for what turned it off", i.Name),
			})
		}
	}
	if out == nil {
		return ok("IPv6 is on")
	}
	return out
}

func checkLinkLocal(f *Facts) (out []Finding) {
	var good []string
	for _, i := range f.candidates() {
		switch {
		case slices.ContainsFunc(i.Addrs, host.Address.LinkLocal6):
			good = append(good, i.Name)
		case f.IPv6 && !f.IPv6Off[i.Name]:
			out = append(out, Finding{
				Result: f.blocking(i.Name), Text: i.Name + " has no IPv6 link-local address",
				Remedy: fmt.Sprintf("see that it is connected, and that net.ipv6.conf.%s.addr_gen_mode is not 1", i.Name),
			})
		}
	}
	switch {
	case len(good) > 0:
		return append(out, ok("%s", "on "+strings.Join(good, ", "))...)
	case out == nil:
		return []Finding{{Result: Fault, Text: "no interface has an IPv6 link-local address", Remedy: "see the other checks of IPv6 and interfaces"}}
	}
	return out
}

func checkInterfaces(f *Facts) (out []Finding) {
	if f.InterfacesErr != nil {
		return []Finding{{Result: Fault, Text: f.InterfacesErr.Error(), Remedy: "run this as the daemon's user, or as root"}}
	}
	var used, not []string
	for _, i := range f.Interfaces {
		switch {
		case i.Use:
			used = append(used, i.Name)
		case slices.Contains(f.Named, i.Name):
			out = append(out, Finding{
				Result: Fault, Text: fmt.Sprintf("%s is named with --interface and cannot be used: %s", i.Name, i.Reason),
				Remedy: "bring it up and connect it, or name another",
			})
		default:
			not = append(not, fmt.Sprintf("%s (%s)", i.Name, i.Reason))
		}
	}
	switch {
	case len(used) > 0:
		text := "used: " + strings.Join(used, ", ")
		if len(not) > 0 {
			text += "; not used: " + strings.Join(not, ", ")
		}
		return append(out, ok("%s", text)...)
	case out != nil:
		return out
	}
	text := "no network interface can be used"
	if len(not) > 0 {
		text += ": " + strings.Join(not, ", ")
	}
	return []Finding{{Result: Fault, Text: text, Remedy: "bring one up, or name one with --interface that the rule leaves out"}}
}

func checkContainer(f *Facts) []Finding {
	if f.Container == "" {
		return ok("not in a container")
	}
	used := f.used()
	if len(used) > 0 && !slices.ContainsFunc(used, func(i host.Interface) bool { return i.Kind != "veth" }) {
		return []Finding{{
			Result: Fault, Text: fmt.Sprintf("this container (%s) has a network of its own, which mDNS does not cross", f.Container),
			Remedy: "use the host's network: docker run --network host, network_mode: host, hostNetwork: true",
		}}
	}
	return ok("in a container (%s), not behind a bridge", f.Container)
}

// askAsRoot is the remedy if this user lacks a permission.
const askAsRoot = "run this as root or as the daemon's user"

// onlyPort is the port on which some controllers look for nodes, even if mDNS
// announces another one.
const onlyPort = 5540

func checkPort(f *Facts) []Finding {
	switch {
	case f.PortErr != nil && f.Denied:
		return []Finding{{Result: Note, Text: "this may be the daemon: " + f.PortErr.Error(), Remedy: askAsRoot}}
	case f.PortErr != nil:
		return []Finding{{Result: Fault, Text: f.PortErr.Error(), Remedy: "choose another with --port, if its holder is to stay"}}
	case f.Port != onlyPort && f.Port != 0:
		return []Finding{{
			Result: Note, Text: fmt.Sprintf("the UDP port is %d: some controllers, such as Alexa, only find a node on %d", f.Port, onlyPort),
			Remedy: "leave --port out, unless two nodes share this host",
		}}
	case f.Daemon != nil:
		return ok("UDP port %d is the running daemon's", f.Port)
	}
	return ok("UDP port %d is free", f.Port)
}

func checkMDNS(f *Facts) []Finding {
	if f.MDNSErr != nil {
		return []Finding{{
			Result: Fault, Text: f.MDNSErr.Error(),
			Remedy: "stop it, or let it share the port (avahi: disallow-other-stacks=no)",
		}}
	}
	if len(f.Responders) > 0 {
		return []Finding{{
			Result: Note, Text: "another mDNS program shares UDP port 5353: " + strings.Join(f.Responders, ", "),
			Remedy: "nothing, as long as the records are found; otherwise stop it for a try",
		}}
	}
	return ok("no other program uses UDP port 5353")
}

// longestInterval is how long a session may be silent: the longest usual interval
// of subscriptions.
const longestInterval = time.Hour

func checkConntrack(f *Facts) []Finding {
	if f.Conntrack == 0 {
		return ok("no connection tracking")
	}
	if f.Conntrack >= longestInterval {
		return ok("connection tracking keeps UDP flows for %v", f.Conntrack)
	}
	return []Finding{{
		Result: Note, Text: fmt.Sprintf("connection tracking forgets UDP flows after %v: a stateful firewall then blocks messages on idle sessions", f.Conntrack),
		Remedy: fmt.Sprintf("allow UDP ports %d and 5353 with firewall rules, or sysctl -w net.netfilter.nf_conntrack_udp_timeout_stream=%d", f.Port, int(longestInterval.Seconds())),
	}}
}
