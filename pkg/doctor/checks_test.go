package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/mdns"
)

var today = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

const up = net.FlagUp | net.FlagMulticast | net.FlagBroadcast | net.FlagRunning

func link(name string, index int, flags net.Flags, addrs ...string) host.Interface {
	l := host.Interface{Name: name, Index: index, Flags: flags}
	for _, a := range addrs {
		ip := netip.MustParseAddr(a)
		l.Addrs = append(l.Addrs, host.Address{Prefix: netip.PrefixFrom(ip, ip.BitLen())})
	}
	return l
}

// veth is a link whose other end is in another network namespace.
func veth(f *Facts) {
	l := link("eth0", 2, up, "fe80::1", "192.0.2.1")
	l.Kind = "veth"
	f.links(l)
}

// goodHost is a host with nothing wrong.
func goodHost() *Facts {
	f := &Facts{
		IPv6: true, IPv6Off: map[string]bool{}, Port: 5540, Now: today,
		StateDir: StateDir{
			Path: "/var/lib/opcredsd", Owner: 990, Exists: true, Mode: fs.ModeDir | 0o700, Writable: true,
			Mount: Mount{"/", "ext4"}, Free: 1 << 30,
		},
		Attestation: &Attestation{},
		Daemon:      &Daemon{Records: []Record{{Name: "here._matter._tcp", Interface: "eth0"}}},
	}
	f.links(link("lo", 1, net.FlagUp|net.FlagLoopback, "::1"), link("eth0", 2, up, "fe80::1", "192.0.2.1"))
	return f
}

func (f *Facts) links(links ...host.Interface) { f.Interfaces = host.Choose(links, f.Named) }

func TestNothingWrong(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Examine(goodHost()) {
		if f.Result != OK || f.Text == "" || f.Remedy != "" {
			t.Errorf("%+v", f)
		}
		seen[f.Check] = true
	}
	if len(seen) != 15 {
		t.Errorf("%d checks speak: %v", len(seen), seen)
	}
}

func TestChecks(t *testing.T) {
	unit := parseUnit("opcredsd.service", []byte("LoadState=loaded\nUser=opcredsd\nProtectSystem=strict\nProtectHome=yes\nReadWritePaths=-/srv/matter /mnt/x\nStateDirectory=opcredsd\n"))
	unit.UID = 990
	for _, tc := range []struct {
		name   string
		change func(f *Facts)
		check  string
		want   Result
		text   string
	}{
		{"no IPv6", func(f *Facts) { f.IPv6 = false }, "ipv6", Fault, "no IPv6"},
		{"IPv6 off", func(f *Facts) {
			f.IPv6Off["eth0"] = true
			f.links(link("eth0", 2, up, "192.0.2.1"))
		}, "ipv6", Fault, "turned off on eth0"},
		{"IPv6 off on one of two", func(f *Facts) {
			f.IPv6Off["wlan0"] = true
			f.links(link("eth0", 2, up, "fe80::1"), link("wlan0", 3, up))
		}, "ipv6", Note, "turned off on wlan0"},
		{"IPv6 off on the one that is named", func(f *Facts) {
			f.Named, f.IPv6Off["wlan0"] = []string{"wlan0", "eth0"}, true
			f.links(link("eth0", 2, up, "fe80::1"), link("wlan0", 3, up))
		}, "ipv6", Fault, "turned off on wlan0"},
		{"no link-local address", func(f *Facts) { f.links(link("eth0", 2, up, "2001:db8::1")) }, "link-local", Fault, "eth0 has no IPv6 link-local"},
		{"no link-local address on one of two", func(f *Facts) {
			f.links(link("eth0", 2, up, "fe80::1"), link("wlan0", 3, up))
		}, "link-local", Note, "wlan0 has no IPv6 link-local"},
		{"no interface at all", func(f *Facts) { f.links() }, "link-local", Fault, "no interface has"},
		{"no usable interface", func(f *Facts) {
			f.links(link("lo", 1, net.FlagUp|net.FlagLoopback), link("docker0", 2, up, "fe80::1"), link("eth0", 3, net.FlagMulticast))
		}, "interface", Fault, "lo (loopback), docker0 (a container bridge by its name), eth0 (down)"},
		{"no multicast", func(f *Facts) { f.links(link("eth0", 2, net.FlagUp|net.FlagRunning, "fe80::1")) }, "interface", Fault, "cannot multicast"},
		{"named, not there", func(f *Facts) {
			f.Named = []string{"eth7"}
			f.links(link("eth0", 2, up, "fe80::1"))
		}, "interface", Fault, "eth7 is named with --interface and cannot be used: named, but there is no such"},
		{"interfaces unknown", func(f *Facts) { f.InterfacesErr = errors.New("not allowed") }, "interface", Fault, "not allowed"},
		{"container with its own network", func(f *Facts) { f.Container = "docker"; veth(f) }, "container", Fault, "docker"},
		{"container with the host's network", func(f *Facts) {
			f.Container, f.StateDir.Mount.Point = "docker", "/var/lib/opcredsd"
		}, "container", OK, "docker"},
		{"veth without a container", func(f *Facts) { veth(f) }, "container", OK, "not in"},
		{"port taken", func(f *Facts) { f.PortErr = errors.New(`UDP port 5540 is already in use by "x"`) }, "port", Fault, `by "x"`},
		{"another port", func(f *Facts) { f.Port = 5541 }, "port", Note, "5541"},
		{"port free", func(f *Facts) { f.Daemon = nil }, "port", OK, "free"},
		{"mDNS port taken", func(f *Facts) {
			f.MDNSErr = fmt.Errorf("%w: %s", mdns.ErrPortTaken, `"x" (pid 7)`)
		}, "mdns", Fault, `does not share UDP port 5353: "x" (pid 7)`},
		{"avahi", func(f *Facts) { f.Responders = []string{`"avahi-daemon" (pid 7)`} }, "mdns", Note, "avahi-daemon"},
		{"forgetful connection tracking", func(f *Facts) { f.Conntrack = 2 * time.Minute }, "conntrack", Note, "2m0s"},
		{"patient connection tracking", func(f *Facts) { f.Conntrack = time.Hour }, "conntrack", OK, "1h"},
		{"1970", func(f *Facts) { f.Now = time.Unix(100, 0) }, "clock", Fault, "1970-01-01"},
		{"2025", func(f *Facts) { f.Now = time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC) }, "clock", Fault, "2025-12-31"},
		{"before a certificate", func(f *Facts) {
			f.Validity = []Validity{{What: "the DAC", NotBefore: today.Add(time.Hour)}}
		}, "clock", Fault, "before the DAC begins"},
		{"after a certificate", func(f *Facts) {
			f.Validity = []Validity{{What: "the DAC", NotAfter: today.Add(-24 * time.Hour), Renew: "renew it"}}
		}, "clock", Fault, "after the DAC has ended (2026-11-22)"},
		{"within a certificate", func(f *Facts) {
			f.Validity = []Validity{{NotBefore: today.Add(-time.Hour), NotAfter: today.Add(time.Hour)}, {}}
		}, "clock", OK, "2026-11-23"},
		{"nothing steers the clock", func(f *Facts) { f.Unsynced = true }, "clock", Note, "nothing keeps it right"},
		{"state unreadable", func(f *Facts) { f.StateDir = StateDir{Err: fs.ErrPermission} }, "state-dir", Fault, "permission"},
		{"state is a file", func(f *Facts) { f.StateDir.Mode = 0o600 }, "state-dir", Fault, "not a directory"},
		{"state open to all", func(f *Facts) { f.StateDir.Mode = fs.ModeDir | 0o777 }, "state-dir", Fault, "0777"},
		{"state open to some", func(f *Facts) { f.StateDir.Mode = fs.ModeDir | 0o750 }, "state-dir", Note, "0750"},
		{"state of another user", func(f *Facts) { f.StateDir.Writable = false }, "state-dir", Note, "cannot write"},
		{"state read-only", func(f *Facts) { f.StateDir.ReadOnly, f.StateDir.Free = true, 0 }, "state-dir", Fault, "read-only"},
		{"state on a network", func(f *Facts) { f.StateDir.Mount.FSType = "nfs4" }, "state-dir", Fault, "nfs4"},
		{"state in a container", func(f *Facts) {
			f.Container, f.StateDir.Mount = "podman", Mount{"/", "overlay"}
		}, "state-dir", Fault, "lost with the container"},
		{"state on a volume", func(f *Facts) {
			f.Container, f.StateDir.Mount = "podman", Mount{"/var/lib/opcredsd", "ext4"}
		}, "state-dir", OK, "/var/lib"},
		{"state in memory", func(f *Facts) { f.StateDir.Mount = Mount{"/tmp", "tmpfs"} }, "state-dir", Note, "reboot"},
		{"a live system's overlay", func(f *Facts) { f.StateDir.Mount.FSType = "overlay" }, "state-dir", OK, ""},
		{"no room", func(f *Facts) { f.StateDir.Free = 4 << 20 }, "state-dir", Fault, "4096 kB"},
		{"no state yet", func(f *Facts) { f.StateDir.Exists, f.StateDir.Mode = false, 0 }, "state-dir", OK, "first start"},
		{"no store yet", func(f *Facts) { f.Store.Missing = true }, "store", OK, "first start"},
		{"store damaged", func(f *Facts) { f.Store.Err = errors.New("damaged") }, "store", Fault, "damaged"},
		{"no material yet", func(f *Facts) { f.Attestation = nil }, "attestation", OK, "first start"},
		{"test material", func(f *Facts) { f.Attestation.Test = true }, "attestation", Note, "TEST"},
		{"bad material", func(f *Facts) { f.Attestation.Faults = []string{"bad chain"} }, "attestation", Fault, "bad chain"},
		{"root unknown", func(f *Facts) { f.Attestation.Notes = []string{"PAA not known"} }, "attestation", Note, "PAA"},
		{"no daemon", func(f *Facts) { f.Daemon = nil }, "daemon", Note, "no daemon"},
		{"sick daemon", func(f *Facts) { f.Daemon.Err = errors.New("not announced") }, "daemon", Fault, "not announced"},
		{"not allowed to ask: the daemon", denied, "daemon", Note, "may not ask"},
		{"not allowed to ask: its port", denied, "port", Note, "this may be the daemon: taken"},
		{"not allowed to ask: the store", denied, "store", Note, "may not look"},
		{"not allowed to ask: the material", denied, "attestation", Note, "not looked at"},
		{"not allowed to ask: records", denied, "records", Note, "not looked for"},
		{"material in a damaged store", func(f *Facts) { f.Attestation, f.Store.Err = nil, errors.New("damaged") }, "store", Fault, "damaged"},
		{"no daemon, no records", func(f *Facts) { f.Daemon = nil }, "records", OK, "not looked for"},
		{"nothing announced", func(f *Facts) { f.Daemon.Records = nil }, "records", Note, "window"},
		{"a record lost", func(f *Facts) {
			f.Daemon.Records = append(f.Daemon.Records, Record{"gone._matter._tcp", "eth1", errors.New("no answer")})
		}, "records", Fault, "gone._matter._tcp on eth1: no answer"},
		{"no interface to look on", func(f *Facts) {
			f.Daemon.Records = LookUp(t.Context(), nil, []mdns.Service{{Type: "_matter._tcp", Instance: "here"}})
		}, "records", Fault, "here._matter._tcp: there is no interface"},
		{"a clone, which has the names", func(f *Facts) {
			f.Daemon.Records[0].Err = fmt.Errorf("%w: X.local at [fe80::9]", mdns.ErrOtherHost)
		}, "records", Fault, "this node is announced by another host, too: X.local at [fe80::9]"},
		{"a clone, which wants the names", func(f *Facts) {
			f.Daemon.Rivals = map[string][]string{"eth0": {"fe80::9"}}
		}, "records", Fault, "this node is announced by another host, too: fe80::9 on eth0"},
		{"settings", func(f *Facts) {
			f.Config.File = "/etc/opcredsd/config.yaml"
		}, "config", OK, "/etc/opcredsd/config.yaml"},
		{"a passcode for everybody", func(f *Facts) {
			f.Config = Config{File: "/etc/opcredsd/config.yaml", Open: true}
		}, "config", Note, "everybody can read the passcode in /etc/opcredsd/config.yaml"},
		{"a directory that the unit may write to", func(f *Facts) {
			f.Daemon, f.Unit = nil, unit
		}, "state-dir", OK, "/var/lib/opcredsd"},
		{"a directory that the unit may not write to", func(f *Facts) {
			f.Daemon, f.Unit, f.StateDir.Path = nil, unit, "/data/opcredsd"
		}, "state-dir", Fault, "opcredsd.service may not write to /data/opcredsd"},
		{"one that it may write to by configuration", func(f *Facts) {
			f.Daemon, f.Unit, f.StateDir.Path = nil, unit, "/srv/matter/one"
		}, "state-dir", OK, "/srv/matter/one"},
		{"one in a home", func(f *Facts) {
			f.Daemon, f.Unit, f.StateDir.Path = nil, unit, "/home/me/matter"
		}, "state-dir", Fault, "opcredsd.service cannot see /home/me/matter"},
		{"one of another user", func(f *Facts) {
			f.Daemon, f.Unit, f.StateDir.Owner = nil, unit, 0
		}, "state-dir", Fault, "belongs to user id 0, and opcredsd.service runs as opcredsd"},
		{"one that the daemon has shown to be good", func(f *Facts) {
			f.Unit, f.StateDir.Path = unit, "/data/opcredsd"
		}, "state-dir", OK, "/data/opcredsd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := goodHost()
			tc.change(f)
			list := Examine(f)
			worst, found := OK, false
			for _, g := range list {
				if g.Check != tc.check {
					continue
				}
				if g.Result == Fault || worst == OK {
					worst = g.Result
				}
				found = found || g.Result == tc.want && strings.Contains(g.Text, tc.text)
				if (g.Result == OK) != (g.Remedy == "") && g.Check != "store" {
					t.Errorf("a remedy for nothing, or none: %+v", g)
				}
			}
			if worst != tc.want || !found {
				t.Errorf("want %s with %q, got %+v", tc.want, tc.text, list)
			}
			if sum := Summary(list); (sum != "") != (tc.want == Fault) || sum != "" && !strings.Contains(sum, tc.check) {
				t.Errorf("summary %q", sum)
			}
		})
	}
}

// denied is the result for a user other than root and the daemon's own.
func denied(f *Facts) {
	f.Denied, f.Daemon, f.Attestation = true, nil, nil
	f.PortErr, f.Store.Err = errors.New("taken"), fs.ErrPermission
}

func TestContainer(t *testing.T) {
	for _, tc := range []struct{ file, env, want string }{
		{"", "", ""}, {"/run/.containerenv", "", "podman"}, {"/.dockerenv", "", "docker"}, {"/.dockerenv", "10.0.0.1", "kubernetes"},
	} {
		got := container(func(string) string { return tc.env }, func(p string) bool { return p == tc.file })
		if got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

func TestSummary(t *testing.T) {
	for want, faults := range map[string][]string{
		"": nil, "1 fault: port": {"port"}, "2 faults: state-dir, records": {"state-dir", "records"}, "3 faults: state-dir, records": {"state-dir", "records", "records"},
	} {
		list := []Finding{{Check: "ipv6", Result: OK}, {Check: "clock", Result: Note}}
		for _, c := range faults {
			list = append(list, Finding{Check: c, Result: Fault})
		}
		if got := Summary(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNoUnit(t *testing.T) {
	for _, out := range []string{"", "LoadState=not-found\n", "LoadState=masked\nProtectSystem=strict\n"} {
		if u := parseUnit("opcredsd.service", []byte(out)); u != nil {
			t.Errorf("%q: %+v", out, u)
		}
	}
	if err := (*Unit)(nil).Check("/anywhere"); err != nil {
		t.Errorf("without a unit: %v", err)
	}
}

func TestCheckForUnit(t *testing.T) {
	u := parseUnit("opcredsd@kitchen.service", []byte("LoadState=loaded\nProtectSystem=strict\nReadWritePaths=/srv/matter\nStateDirectory=opcredsd-kitchen\n"))
	for path, want := range map[string]string{
		"/var/lib/opcredsd-kitchen":   "",
		"/srv/matter":                 "",
		"/srv/matter/state":           "",
		"/srv/matter2":                "opcredsd@kitchen.service may not write to /srv/matter2",
		"/var/lib/opcredsd/elsewhere": "ReadWritePaths=/var/lib/opcredsd/elsewhere",
	} {
		if err := u.Check(path); (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
