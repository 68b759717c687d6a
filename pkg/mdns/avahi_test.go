package mdns

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/internal/netlab"
)

const dbusConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_type="*"/>
    <allow receive_type="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

const avahiConfig = `[server]
host-name=other-host
use-ipv4=yes
use-ipv6=yes
[publish]
publish-hinfo=no
publish-workstation=no
`

const avahiReflector = `[reflector]
enable-reflector=yes
reflect-ipv=%s
`

// avahi runs avahi-daemon with additional lines in its configuration, started by
// start. It returns the environment for Avahi's tools.
func avahi(t *testing.T, start func(*exec.Cmd), more ...string) []string {
	t.Helper()
	for _, tool := range []string{"dbus-daemon", "avahi-daemon", "avahi-browse", "avahi-resolve"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: this test needs Debian's packages avahi-daemon, avahi-utils and dbus", err)
		}
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Avahi runs as a user of this namespace and gives its directory in /run, which
	// is private here, to that user.
	for file, text := range map[string]string{
		"passwd": "root:x:0:0::/:/bin/sh\navahi:x:0:0::/:/bin/sh\n",
		"group":  "root:x:0:\navahi:x:0:\n",
	} {
		if err := unix.Mount(write(file, text), "/etc/"+file, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("replace /etc/%s for this test: %v", file, err)
		}
	}
	bus := "/run/bus"
	env := append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS=unix:path="+bus)
	daemon := func(name string, arg ...string) {
		cmd := exec.Command(name, arg...)
		cmd.Env, cmd.Stdout, cmd.Stderr = env, t.Output(), t.Output()
		start(cmd)
	}
	daemon("dbus-daemon", "--nofork", "--nopidfile", "--config-file="+write("bus.conf", fmt.Sprintf(dbusConfig, bus)))
	until(t, "the bus", func() bool { _, err := os.Stat(bus); return err == nil })
	daemon("avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "--file="+write("avahi.conf", avahiConfig+strings.Join(more, "")))
	until(t, "avahi-daemon", func() bool { return exec.Command("avahi-daemon", "--check").Run() == nil })
	return env
}

// avahiTool runs one of Avahi's tools and returns the lines of its output.
func avahiTool(t *testing.T, start func(*exec.Cmd), env []string, arg ...string) <-chan string {
	t.Helper()
	cmd := exec.Command(arg[0], arg[1:]...)
	cmd.Env = env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(cmd)
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			lines <- sc.Text()
		}
	}()
	return lines
}

// seek reads lines until each of want was found: the start of a line, and texts in
// it.
func seek(t *testing.T, lines <-chan string, want ...[]string) {
	t.Helper()
	var all []string
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for len(want) > 0 {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("%q is not in:\n%s", want, strings.Join(all, "\n"))
			}
			all = append(all, line)
			want = slices.DeleteFunc(want, func(parts []string) bool {
				return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
			})
		case <-timer.C:
			t.Fatalf("waited in vain for %q after:\n%s", want, strings.Join(all, "\n"))
		}
	}
}

func TestAvahiFindsAndForgets(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "fd00:1::a/64")
	lab.AddPeerAddr("eth0", "fd00:1::b/64")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	env := avahi(t, lab.Start)
	r := start(t, commissionable(), operational(1))
	untilAnnounced(t, r)
	host := r.Status().Interfaces[0].Host
	host = strings.TrimSuffix(host, ".")

	udpLines := avahiTool(t, lab.Start, env, "avahi-browse", "--parsable", "--resolve", "_matterc._udp")
	seek(t, udpLines,
		[]string{"=;eth0;IPv6;" + commissionable().Instance, host, ";5540;", `"D=3840"`, `"CM=1"`},
		[]string{"=;eth0;IPv4;" + commissionable().Instance, host, ";5540;", `"D=3840"`})
	sub := avahiTool(t, lab.Start, env, "avahi-browse", "--parsable", "--resolve", "--terminate", "_L3840._sub._matterc._udp")
	seek(t, sub, []string{"=;eth0;IPv6;" + commissionable().Instance, ";5540;"})
	tcpLines := avahiTool(t, lab.Start, env, "avahi-browse", "--parsable", "--resolve", "_I"+cfid+"._sub._matter._tcp")
	seek(t, tcpLines, []string{"=;eth0;IPv6;" + operational(1).Instance, host, ";5540;", `"SII=5000"`})
	types := avahiTool(t, lab.Start, env, "avahi-browse", "--parsable", "--all", "--terminate")
	seek(t, types, []string{"_matterc._udp"}, []string{"_matter._tcp"})
	for _, a := range []string{"-6", "-4"} {
		want := "fd00:1::a"
		if a == "-4" {
			want = "10.0.1.1"
		}
		got := avahiTool(t, lab.Start, env, "avahi-resolve", a, "-n", strings.ToLower(host))
		select {
		case line := <-got:
			if !strings.Contains(line, want) && !strings.Contains(line, "fe80::") {
				t.Errorf("avahi-resolve %s: %q", a, line)
			}
		case <-time.After(patience):
			t.Errorf("avahi-resolve %s: nothing", a)
		}
	}

	// One service is withdrawn, then the responder ends: Avahi notices both.
	r.Set([]Service{operational(1)})
	seek(t, udpLines, []string{"-;eth0;IPv6;" + commissionable().Instance}, []string{"-;eth0;IPv4;" + commissionable().Instance})
	closeIt(t, r)
	seek(t, tcpLines, []string{"-;eth0;IPv6;" + operational(1).Instance}, []string{"-;eth0;IPv4;" + operational(1).Instance})
}

// startHere returns a function that starts programs in the test's namespace.
func startHere(t *testing.T) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// TestAvahiOnTheSameHost: both have the same addresses and port, and both work.
func TestAvahiOnTheSameHost(t *testing.T) {
	if !netlab.Isolated(t) {
		return
	}
	lab := netlab.New(t)
	lab.Join("eth0")
	lab.AddAddr("eth0", "10.0.1.1/24")
	lab.AddPeerAddr("eth0", "10.0.1.2/24")
	here := startHere(t)
	env := avahi(t, here)
	r := start(t, operational(1))
	untilAnnounced(t, r)
	lines := avahiTool(t, here, env, "avahi-browse", "--parsable", "--resolve", "_matter._tcp")
	seek(t, lines, []string{"=;eth0;IPv6;" + operational(1).Instance, ";5540;"})

	// Avahi answers unicast questions to the host.
	c := lab.ListenUDP("udp4", "10.0.1.2:0")
	q, err := asking("other-host.local.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	until(t, "Avahi to answer", func() bool { // it first probes for its name
		if _, err := c.WriteTo(q, &net.UDPAddr{IP: net.IPv4(10, 0, 1, 1), Port: port}); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		m := new(dns.Msg)
		return err == nil && m.Unpack(b[:n]) == nil && len(m.Answer) == 1
	})
	if s := r.Status(); s.Stats.Conflicts != 0 || !s.Announced() {
		t.Errorf("%+v", s)
	}
	r.Set(nil)
	seek(t, lines, []string{"-;eth0;IPv6;" + operational(1).Instance})
}
