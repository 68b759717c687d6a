package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Facts are the input of the checks. Gather collects those about the host, and the
// caller adds those about the node.
type Facts struct {
	Named         []string // interfaces named in the configuration
	Interfaces    []host.Interface
	InterfacesErr error
	IPv6          bool            // the kernel has it
	IPv6Off       map[string]bool // interfaces on which it is turned off
	Container     string          // kind of the container that this runs in; empty if it does not run in one

	Port       uint16
	PortErr    error
	MDNSErr    error
	Responders []string      // other programs on the mDNS port
	Conntrack  time.Duration // how long connection tracking remembers a UDP flow; 0 without connection tracking

	Now      time.Time
	Unsynced bool // nothing synchronises the clock
	StateDir StateDir
	Unit     *Unit // nil if systemd does not start the daemon

	// About the node.
	Config      Config
	Validity    []Validity
	Store       Store
	Attestation *Attestation // nil if there is none yet
	MQTT        *MQTT        // nil without a broker
	Daemon      *Daemon      // nil if none runs
	Denied      bool         // a daemon may be running, but this user may not connect to it
}

// Validity is the validity period of something.
type Validity struct {
	What                string
	NotBefore, NotAfter time.Time // the zero time means no end
	Renew               string    // what to do after the end
}

// Config is the configuration.
type Config struct {
	File string // "": none
	Open bool   // it holds the passcode, and everybody can read it
}

// Store is the result of the store's check.
type Store struct {
	Missing bool // there is no store yet
	Err     error
	Remedy  string
}

// Attestation is the result of the verification of the material.
type Attestation struct {
	Test          bool
	Faults, Notes []string
}

// Daemon is a running daemon.
type Daemon struct {
	Err     error // why it cannot serve controllers
	Records []Record
	// Rivals has the addresses of other hosts that announce the node, or try to, by
	// interface name.
	Rivals map[string][]string
}

// MQTT is what a look at the configured broker has found.
type MQTT struct {
	URL         string            // without the password
	Err         string            // why it was not reached; empty: it was
	Refused     bool              // it was reached, and refused the client
	Zigbee2MQTT map[string]string // online, offline, or empty for nothing, by base topic
	Announced   int               // discovery messages of Home Assistant and of Tasmota
}

// Record is a service that the daemon announces on an interface.
type Record struct {
	Name      string
	Interface string // empty if there is none
	Err       error  // why the right records were not found
}

// Options of Gather.
type Options struct {
	Interfaces []string // names; empty: those that host.Choose selects
	Port       uint16
	StateDir   string
	Running    bool   // a daemon runs and has the port
	Unit       string // of systemd, for which the state directory is judged; "": none
}

// Gather collects the facts about the host. It opens and closes sockets, and sends
// nothing.
func Gather(opt Options) *Facts {
	f := &Facts{
		Named: opt.Interfaces, Port: opt.Port, Now: time.Now(), Container: container(os.Getenv, exists),
		IPv6: haveIPv6(), IPv6Off: map[string]bool{},
		Responders: others(), Conntrack: conntrack(), Unsynced: unsynced(), StateDir: stateDir(opt.StateDir), Unit: FindUnit(opt.Unit),
	}
	f.Interfaces, f.InterfacesErr = host.Interfaces(opt.Interfaces)
	for _, i := range f.Interfaces {
		f.IPv6Off[i.Name] = readNumber("/proc/sys/net/ipv6/conf", i.Name, "disable_ipv6") == 1
	}
	if !f.IPv6 {
		return f // the sockets would report the same
	}
	if !opt.Running {
		f.PortErr = tryPort(opt.Port)
	}
	f.MDNSErr = mdns.CheckPort()
	return f
}

func haveIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return exists("/proc/sys/net/ipv6")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readNumber reads a number from a file below dir. It returns -1 if there is none.
func readNumber(dir string, names ...string) int {
	for _, n := range names {
		if strings.ContainsRune(n, '/') {
			return -1
		}
	}
	b, err := os.ReadFile(filepath.Join(append([]string{dir}, names...)...))
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return n
}

// container returns the kind of container that this runs in, if it is a kind that
// usually has a network behind a bridge.
func container(env func(string) string, exists func(string) bool) string {
	switch {
	case env("KUBERNETES_SERVICE_HOST") != "":
		return "kubernetes"
	case exists("/run/.containerenv"):
		return "podman"
	case exists("/.dockerenv"):
		return "docker"
	}
	return ""
}

func conntrack() time.Duration {
	return time.Duration(max(0, readNumber("/proc/sys/net/netfilter", "nf_conntrack_udp_timeout_stream"))) * time.Second
}

// unsynced reports whether the kernel considers the clock unsynchronised.
func unsynced() bool {
	const staUnsync = 0x0040
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false // no permission
	}
	return t.Status&staUnsync != 0
}

// others returns the other programs on the mDNS port.
func others() []string {
	const mdnsPort = 5353
	list := host.Holders(mdnsPort)
	return slices.DeleteFunc(list, func(who string) bool { return strings.HasPrefix(who, `"opcredsd"`) })
}

func tryPort(port uint16) error {
	conns, err := transport.Listen(transport.Options{Port: port})
	for _, c := range conns {
		_ = c.Close()
	}
	return err
}

func stateDir(path string) (s StateDir) {
	s.Path = path
	info, err := os.Stat(path)
	switch {
	case err == nil:
		s.Exists, s.Mode = true, info.Mode()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			s.Owner = int(st.Uid)
		}
	case !errors.Is(err, fs.ErrNotExist):
		s.Err = err
		return s
	}
	at := path
	for !exists(at) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
	}
	s.Writable = unix.Access(at, unix.W_OK|unix.X_OK) == nil
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		s.Err = fmt.Errorf("%s: %w", at, err)
		return s
	}
	s.ReadOnly = st.Flags&unix.ST_RDONLY != 0
	s.Free = st.Bavail * uint64(st.Bsize)
	s.Mount, s.Err = MountOf(path)
	return s
}

// Limits of LookUp.
const (
	lookTime = 4 * time.Second // for one service
	maxLost  = 2               // services not found on an interface; the others are not looked up then
)

// LookUp looks up services on each of interfaces, as a controller there does. interfaces
// are those that the daemon uses.
func LookUp(ctx context.Context, interfaces []mdns.InterfaceStatus, services []mdns.Service) []Record {
	var out []Record
	if len(interfaces) == 0 {
		for _, s := range services {
			out = append(out, Record{Name: s.Instance + "." + s.Type, Err: errors.New("there is no interface to look on")})
		}
	}
	for _, on := range interfaces {
		lost := 0
		for _, s := range services {
			r := Record{Name: s.Instance + "." + s.Type, Interface: on.Name}
			if lost < maxLost {
				ctx, cancel := context.WithTimeout(ctx, lookTime)
				r.Err = mdns.Look(ctx, s, on, interfaces)
				cancel()
			} else {
				r.Err = errors.New("not looked for, as others were not found")
			}
			if r.Err != nil {
				lost++
			}
			out = append(out, r)
		}
	}
	return out
}
