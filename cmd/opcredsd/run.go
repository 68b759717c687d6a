package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type runFlags struct {
	port                    uint16
	interfaces              []string
	metricsAddr             string
	vendorID, productID     number16
	vendorName, productName string
	serialNumber            string
	hardwareVersion         uint16
	passcode                uint32
	discriminator           uint16
	commissioningTimeout    time.Duration
	maxFabrics              int
	showCodes               string
}

func newRun(c *common) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground until SIGTERM or SIGINT.

The first start makes the store, a random passcode and discriminator, and
development attestation material. While no controller has commissioned the node,
it is open for commissioning for --commissioning-timeout after each start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, c) },
	}
	f.register(cmd.Flags())
	return cmd
}

// register makes the flags of run.
func (f *runFlags) register(fl *pflag.FlagSet) {
	fl.Uint16Var(&f.port, "port", server.DefaultPort, "UDP port")
	fl.StringArrayVar(&f.interfaces, "interface", nil, "network interface to serve; may be repeated (default: every one that is up, multicast-capable and not a container or VPN interface)")
	fl.StringVar(&f.metricsAddr, "metrics-addr", "127.0.0.1:9540", "address of the HTTP server for metrics and health; empty turns it off")
	fl.Var(&f.vendorID, "vendor-id", "vendor id (default: what the attestation material says; 0xFFF1 when it is made)")
	fl.Var(&f.productID, "product-id", "product id (default: what the attestation material says; 0x8001 when it is made)")
	fl.StringVar(&f.vendorName, "vendor-name", "", "vendor name, up to 32 octets")
	fl.StringVar(&f.productName, "product-name", "", "product name, up to 32 octets")
	fl.StringVar(&f.serialNumber, "serial-number", "", "serial number, up to 32 octets")
	fl.Uint16Var(&f.hardwareVersion, "hardware-version", 0, "hardware version")
	fl.Uint32Var(&f.passcode, "passcode", 0, "setup passcode (default: drawn at the first start, then kept)")
	fl.Uint16Var(&f.discriminator, "discriminator", 0, "discriminator, 0 to 4095 (default: drawn at the first start, then kept)")
	fl.DurationVar(&f.commissioningTimeout, "commissioning-timeout", server.DefaultCommissioningTimeout, "how long a node without fabrics stays open for commissioning, 3m to 48h")
	fl.IntVar(&f.maxFabrics, "max-fabrics", server.DefaultMaxFabrics, "largest number of fabrics, 5 to 254")
	fl.StringVar(&f.showCodes, "show-codes", "auto", "print the pairing codes of a node without fabrics: auto (at a terminal), always or never")
}

// options returns what the flags ask for. The server checks ranges.
func (f *runFlags) options(cmd *cobra.Command, c *common) (server.Options, error) {
	if !slices.Contains([]string{"auto", "always", "never"}, f.showCodes) {
		return server.Options{}, usageError{fmt.Errorf("show-codes: %q is not one of auto, always, never", f.showCodes)}
	}
	opt := server.Options{
		StateDir:    c.stateDir,
		Port:        f.port,
		AnyPort:     true,
		Interfaces:  f.interfaces,
		MetricsAddr: f.metricsAddr,
		AdminSocket: c.adminSocket,
		Product: server.Product{
			VendorID: matter.VendorID(f.vendorID), ProductID: matter.ProductID(f.productID),
			VendorName: f.vendorName, ProductName: f.productName,
			SerialNumber: f.serialNumber, HardwareVersion: f.hardwareVersion,
		},
		Passcode:             f.passcode,
		CommissioningTimeout: f.commissioningTimeout,
		MaxFabrics:           f.maxFabrics,
		Version:              version(),
		Log:                  c.log(),
		LogLevel:             &c.level,
	}
	if cmd.Flags().Changed("discriminator") {
		opt.Discriminator = &f.discriminator
	}
	return opt, nil
}

func (f *runFlags) run(cmd *cobra.Command, c *common) error {
	opt, err := f.options(cmd, c)
	if err != nil {
		return err
	}
	show := f.showCodes == "always" || f.showCodes == "auto" && isTerminal(c.stdout)
	srv, err := server.New(opt)
	if err != nil {
		return err
	}
	if show && !srv.Commissioned() {
		if err := f.printCodes(srv, c.stdout); err != nil {
			_ = srv.Stop()
			return err
		}
	}
	return srv.Run(cmd.Context(), nil)
}

func (f *runFlags) printCodes(srv *server.Server, w io.Writer) error {
	p, err := srv.Pairing()
	if err != nil {
		return err
	}
	return printPairing(w, p)
}

// number16 is a flag for a 16-bit number in decimal or, with 0x, hexadecimal.
type number16 uint16

func (n *number16) Set(s string) error {
	v, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		return fmt.Errorf("not a number between 0 and 0xFFFF")
	}
	*n = number16(v)
	return nil
}

func (n *number16) String() string {
	if *n == 0 {
		return ""
	}
	return "0x" + strings.ToUpper(strconv.FormatUint(uint64(*n), 16))
}

func (n *number16) Type() string { return "number" }
