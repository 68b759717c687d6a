package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// runFlags are the flags of run.
type runFlags struct {
	port                    uint16
	interfaces              []string
	metricsAddr             string
	webConfigFile           string
	vendorID                matter.VendorID
	productID               matter.ProductID
	vendorName, productName string
	serialNumber            string
	hardwareVersion         uint16
	passcode                uint32
	verifierOnly            bool
	discriminator           uint16
	dacKeyFile              string
	commissioningTimeout    time.Duration
	maxFabrics              int
	showCodes               string
	requireVolume           bool
	bridge                  bridgeFlags
	web                     webFlags
}

func newRun(c *common) *cobra.Command {
	f := &c.run
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground until SIGTERM or SIGINT.

The first start makes the store, a random passcode and discriminator, and
development attestation material. While no controller has commissioned the node,
it is open for commissioning for --commissioning-timeout after each start.

SIGHUP reads the configuration again, as "opcredsd reload" does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, c) },
	}
	f.register(cmd.Flags())
	return cmd
}

// register defines the flags of run.
func (f *runFlags) register(fl *pflag.FlagSet) {
	f.port, f.maxFabrics, f.commissioningTimeout, f.showCodes = server.DefaultPort, server.DefaultMaxFabrics, server.DefaultCommissioningTimeout, "auto"
	fl.Var(number[uint16]{p: &f.port, max: 65535}, "port", "UDP port; 0 chooses a free one")
	fl.StringArrayVar(&f.interfaces, "interface", nil, "`name` of a network interface to serve; may be repeated (default: every one that is up, multicast-capable and not a container or VPN interface)")
	fl.StringVar(&f.metricsAddr, "metrics-addr", "127.0.0.1:9540", "`address` of the HTTP server for metrics and health; empty turns it off")
	fl.StringVar(&f.webConfigFile, "web-config-file", "", "`file` with TLS and users for --metrics-addr, in the form of Prometheus (default: neither)")
	registerIDs(fl, &f.vendorID, &f.productID)
	fl.Var(text{&f.vendorName, server.MaxName}, "vendor-name", "vendor name, up to 32 octets (default: opcredsd)")
	fl.Var(text{&f.productName, server.MaxName}, "product-name", "product name, up to 32 octets (default: Matter bridge)")
	fl.Var(text{&f.serialNumber, server.MaxName}, "serial-number", "serial number, up to 32 octets (default: none)")
	fl.Var(number[uint16]{p: &f.hardwareVersion, max: 65535}, "hardware-version", "hardware version (default: 0)")
	fl.Var(code{&f.passcode}, "passcode", "setup passcode (default: drawn at the first start, then kept)")
	fl.BoolVar(&f.verifierOnly, "passcode-verifier-only", false, "keep only the verifier of the passcode after the codes were shown or the node is commissioned")
	fl.Var(number[uint16]{p: &f.discriminator, max: server.MaxDiscriminator}, "discriminator", "discriminator, 0 to 4095 (default: drawn at the first start, then kept)")
	registerDACKey(fl, &f.dacKeyFile)
	fl.Var(span{&f.commissioningTimeout, server.MinWindow, server.MaxCommissioningTimeout}, "commissioning-timeout", "how long a node without fabrics stays open for commissioning, 3m to 48h")
	fl.Var(number[int]{p: &f.maxFabrics, min: server.MinMaxFabrics, max: server.MaxMaxFabrics}, "max-fabrics", "maximum number of fabrics, 5 to 254")
	fl.Var(choice{&f.showCodes, []string{"auto", "always", "never"}}, "show-codes", "print the pairing codes of a node without fabrics: auto (at a terminal), always or never")
	f.bridge.register(fl)
	f.web.register(fl)
	fl.BoolVar(&f.requireVolume, "require-volume", false, "reject a state directory in a container's own file system")
}

func registerIDs(fl *pflag.FlagSet, vid *matter.VendorID, pid *matter.ProductID) {
	fl.Var(number[matter.VendorID]{p: vid, min: 1, max: 0xFFF4, hex: true}, "vendor-id", "vendor id (default: that of the attestation material, 0xFFF1 for new material)")
	fl.Var(number[matter.ProductID]{p: pid, min: 1, max: 0xFFFF, hex: true}, "product-id", "product id (default: that of the attestation material, 0x8001 for new material)")
}

// options returns the options from the flags. The server checks ranges.
func (f *runFlags) options(cmd *cobra.Command, c *common) (server.Options, error) {
	page := f.web.options(c, f) // before anybody logs
	opt := server.Options{
		StateDir:    c.stateDir,
		Port:        f.port,
		AnyPort:     true,
		Interfaces:  f.interfaces,
		MetricsAddr: f.metricsAddr, WebConfigFile: f.webConfigFile,
		AdminSocket: c.adminSocket, StatusSocket: c.statusSocket,
		Product: server.Product{
			VendorID: f.vendorID, ProductID: f.productID,
			VendorName: f.vendorName, ProductName: f.productName,
			SerialNumber: f.serialNumber, HardwareVersion: f.hardwareVersion,
		},
		Passcode:             f.passcode,
		PasscodeVerifierOnly: f.verifierOnly,
		DACKey:               dacKey(f.dacKeyFile),
		CommissioningTimeout: f.commissioningTimeout,
		MaxFabrics:           f.maxFabrics,
		Web:                  page,
		Version:              version(),
		Revision:             revision(),
		Log:                  c.log(),
		LogLevel:             &c.sink.level,
	}
	var err error
	if opt.Bridge, err = f.bridge.options(cmd, c); err != nil {
		return opt, err
	}
	if cmd.Flags().Changed("discriminator") {
		opt.Discriminator = &f.discriminator
	}
	if f.requireVolume {
		if err := doctor.CheckVolume(c.stateDir); err != nil {
			return opt, usageError{fmt.Errorf("state-dir: %w: mount a volume there, or start without --require-volume", err)}
		}
	}
	return opt, nil
}

func (f *runFlags) run(cmd *cobra.Command, c *common) error {
	economise()
	hup := make(chan os.Signal, 1) // from the start, as the signal must not end the process
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	opt, err := f.options(cmd, c)
	if err != nil {
		return err
	}
	n := &notifier{log: opt.Log}
	r := newReloader(cmd, c, n)
	opt.Reload = r.reload
	opt.Collectors = append(r.metrics.Collectors(), f.bridge.mqtt.collectors()...)
	show := f.showCodes == "always" || f.showCodes == "auto" && isTerminal(c.stdout)
	srv, err := server.New(opt)
	if err != nil {
		return err
	}
	opt.Log.Info("starting", "version", opt.Version, "go", runtime.Version(), "state_dir", c.stateDir, "config", cmp.Or(c.read, "none"))
	if c.openPasscode() {
		opt.Log.Warn("everybody can read the passcode in the configuration file", "file", c.read)
	}
	if show && !srv.Commissioned() {
		if err := printOwnCodes(srv, f.commissioningTimeout, c.stdout); err != nil {
			_ = srv.Stop()
			return err
		}
	}
	if show && opt.Web != nil {
		if err := printWebURL(cmd.Context(), srv, c.stdout); err != nil {
			_ = srv.Stop()
			return err
		}
	}
	n.srv = srv
	r.devices, r.overrides = srv.Devices(), f.bridge.overrides
	r.mqtt, r.own = f.bridge.mqtt.running, f.bridge.mqtt.own
	srv.Start()
	n.ready()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(cmd.Context())
	wg.Go(func() { n.run(ctx) })
	wg.Go(func() { r.serve(ctx, hup) })
	err = srv.Wait(cmd.Context(), func() {
		n.status()
		if err := giveBack(); err != nil {
			opt.Log.Debug("memory of the start is not released", "error", err)
		}
	})
	cancel()
	wg.Wait()
	return err
}

// printOwnCodes prints the codes of a node that is not commissioned, and how long
// they are valid.
func printOwnCodes(srv *server.Server, open time.Duration, w io.Writer) error {
	p, err := srv.Pairing()
	if err != nil {
		_, err = fmt.Fprintf(w, "%v\n", err)
		return err
	}
	if err := printPairing(w, p); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Open for:        %s; after that, run \"opcredsd window open\"\n", short(open))
	return err
}
