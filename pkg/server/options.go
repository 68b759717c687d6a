package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	exporter "github.com/prometheus/exporter-toolkit/web"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/transport"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// Defaults of Options.
const (
	DefaultPort                 = 5540
	DefaultMaxFabrics           = 16
	DefaultVendorID             = provision.DefaultVendorID
	DefaultProductID            = provision.DefaultProductID
	DefaultCommissioningTimeout = window.DefaultInitial
)

// Limits of Options.
const (
	MinWindow               = window.MinTimeout
	MaxWindow               = window.MaxTimeout
	MaxCommissioningTimeout = window.MaxInitial
	MaxDiscriminator        = window.MaxDiscriminator
	MaxName                 = 32 // octets of a name or a serial number
	MinMaxFabrics           = 5
	MaxMaxFabrics           = 254
)

// DACKey is the key of a DAC that is not in the store.
type DACKey = provision.DACKey

// Product is what Basic Information reports about the product. A vendor or product
// id of 0 is replaced with that of the attestation material.
type Product = node.Product

// Options configure a Server. The zero value of a field means its default, except
// where the comment says otherwise.
type Options struct {
	StateDir             string // required
	Port                 uint16 // UDP; with AnyPort, 0 picks a free one
	AnyPort              bool
	Interfaces           []string // names; empty: see host.Choose
	MetricsAddr          string   // "": no HTTP
	WebConfigFile        string   // TLS and users at MetricsAddr, in the form of Prometheus; "": neither
	AdminSocket          string   // path; "": no admin socket
	StatusSocket         string   // path of a socket for those who may only look; "": none
	Product              Product
	Passcode             uint32        // 0: drawn at the first start, then kept
	Discriminator        *uint16       // nil: drawn at the first start, then kept
	PasscodeVerifierOnly bool          // remove the passcode after it was shown or a fabric was added
	DACKey               *DACKey       // nil: in the store
	CommissioningTimeout time.Duration // 3 minutes to 48 hours
	MaxFabrics           int           // 5 to 254
	Bridge               *Bridge       // nil: only the devices that the program adds
	Web                  *Web          // nil: no page for browsers
	Version              string
	Revision             string // of the source; "": not known
	Log                  *slog.Logger
	LogLevel             *slog.LevelVar // of Log, may change while the node runs; nil: fixed

	// Reload reads the program's configuration again, at the operator's request. The
	// error wraps [admin.ErrConfiguration] if the configuration is wrong. nil: it
	// cannot be read again.
	Reload func() (admin.Reloaded, error)

	// Collectors are exported at MetricsAddr in addition to the node's own metrics,
	// whose names begin with "opcredsd_", "go_" and "process_". New returns an
	// error if a metric exists already.
	Collectors []prometheus.Collector

	// The network, if tests replace it.
	Conns     []transport.PacketConn
	Announcer Announcer
	Resolver  Resolver // nil with an Announcer: no node is found
	Watcher   Watcher  // nil with Conns: the host has no interfaces
	Rand      io.Reader

	// Synchronised reports whether the clock is synchronized. nil: ask the kernel.
	Synchronised func() bool
}

// Announcer announces the node's services on the network. *mdns.Announcer is one.
type Announcer interface {
	// Set replaces the announced services. It does not block.
	Set(services []mdns.Service)
	// Status returns what is announced on each interface, whether the node found
	// its own records there, and the counts of packets.
	Status() mdns.Status
	// Close withdraws all services.
	Close(ctx context.Context) error
}

// Watcher follows the network interfaces of the host. *host.Watcher is one.
type Watcher interface {
	// Interfaces returns the current interfaces.
	Interfaces() []host.Interface
	// Subscribe returns a channel that becomes ready after each change, until cancel is
	// called.
	Subscribe() (changed <-chan struct{}, cancel func())
}

// Resolver finds the nodes of a fabric on the network. *mdns.Responder is one.
type Resolver interface {
	// Resolve returns the addresses of an instance of a service, the best first. It
	// returns an error if there is no answer before ctx ends. It is called from
	// several goroutines.
	Resolve(ctx context.Context, s mdns.Service) ([]netip.AddrPort, error)
}

// Check returns the error that New would return for the options, without opening
// anything.
func (o Options) Check() error {
	if err := o.check(); err != nil {
		return &UsageError{err}
	}
	return nil
}

// check sets the defaults. Its errors contain the option, the value and the range.
func (o *Options) check() error {
	if o.StateDir == "" {
		return errors.New("state-dir: none given")
	}
	if o.Port == 0 && !o.AnyPort {
		o.Port = DefaultPort
	}
	if err := errors.Join(o.checkBridge(), o.checkWeb()); err != nil {
		return err
	}
	if o.MaxFabrics == 0 {
		o.MaxFabrics = DefaultMaxFabrics
	}
	if o.CommissioningTimeout == 0 {
		o.CommissioningTimeout = DefaultCommissioningTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Synchronised == nil {
		o.Synchronised = host.ClockSynchronised
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Version == "" {
		o.Version = "0.0.0"
	}
	p := &o.Product
	if p.VendorName == "" {
		p.VendorName = "opcredsd"
	}
	if p.ProductName == "" {
		p.ProductName = "Matter bridge"
	}
	switch {
	case o.MaxFabrics < MinMaxFabrics || o.MaxFabrics > MaxMaxFabrics:
		return fmt.Errorf("max-fabrics: %d is not between %d and %d", o.MaxFabrics, MinMaxFabrics, MaxMaxFabrics)
	case o.CommissioningTimeout < window.MinTimeout || o.CommissioningTimeout > window.MaxInitial:
		return fmt.Errorf("commissioning-timeout: %v is not between %v and %v", o.CommissioningTimeout, window.MinTimeout, window.MaxInitial)
	case o.Passcode != 0 && !mcrypto.PasscodeValid(o.Passcode):
		return fmt.Errorf("passcode: %08d is not one of 00000001 to 99999998, or is one of those that are too easy to guess", o.Passcode)
	case o.Discriminator != nil && *o.Discriminator > window.MaxDiscriminator:
		return fmt.Errorf("discriminator: %d is not between 0 and %d", *o.Discriminator, window.MaxDiscriminator)
	case p.VendorID != 0 && !p.VendorID.OperationallyValid():
		return fmt.Errorf("vendor-id: 0x%04X is not between 0x0001 and 0xFFF4", uint16(p.VendorID))
	}
	if err := o.checkPlaces(); err != nil {
		return err
	}
	for _, s := range []struct{ name, value string }{{"vendor-name", p.VendorName}, {"product-name", p.ProductName}, {"serial-number", p.SerialNumber}} {
		if len(s.value) > MaxName {
			return fmt.Errorf("%s: %q is longer than %d octets", s.name, s.value, MaxName)
		}
	}
	return nil
}

// Limits of the kernel: unix(7), netdevice(7).
const (
	socketPathOctets    = 107 // octets
	interfaceNameOctets = 15  // octets
)

// checkPlaces checks the form of addresses, and of socket and interface names.
func (o *Options) checkPlaces() error {
	if o.MetricsAddr != "" {
		_, port, err := net.SplitHostPort(o.MetricsAddr)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return fmt.Errorf("metrics-addr: %q is not a host and a port between 0 and 65535, such as 127.0.0.1:9540", o.MetricsAddr)
		}
	}
	if err := exporter.Validate(o.WebConfigFile); err != nil {
		return fmt.Errorf("web-config-file %s: %s", o.WebConfigFile, strings.Join(strings.Fields(err.Error()), " "))
	}
	for _, s := range []struct{ name, path string }{{"admin-socket", o.AdminSocket}, {"status-socket", o.StatusSocket}} {
		if len(s.path) > socketPathOctets {
			return fmt.Errorf("%s: %q is longer than %d octets", s.name, s.path, socketPathOctets)
		}
	}
	for _, name := range o.Interfaces {
		if name == "" || len(name) > interfaceNameOctets || strings.ContainsAny(name, "/ \t\n") {
			return fmt.Errorf("interface: %q is not the name of a network interface, 1 to %d octets", name, interfaceNameOctets)
		}
	}
	return nil
}
