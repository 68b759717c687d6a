package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// doctorTime is the time limit of the command, including look-ups on the network.
const doctorTime = 30 * time.Second

func newDoctor(c *common) *cobra.Command {
	var interfaces []string
	var port uint16 = server.DefaultPort
	var dacKeyFile string
	var broker mqttFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find problems of this host that prevent commissioning",
		Long: `Find problems of this host that prevent controllers from finding or commissioning the
node, and print their remedies. While the daemon runs, its records are looked up on
the network, as a controller would. The exit status is 1 if there is a fault. Notes are
not faults.

Run it as root or as the daemon's user: others have no access to the daemon and the
store.`,
		Example: "  sudo opcredsd doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorTime)
			defer cancel()
			f := c.facts(ctx, interfaces, port, dacKeyFile)
			broker.probe(ctx, c.stateDir, f)
			list := doctor.Examine(f)
			if err := c.print(list, func(w io.Writer) error { return printFindings(w, list) }); err != nil {
				return err
			}
			if s := doctor.Summary(list); s != "" {
				return errors.New(s)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&interfaces, "interface", nil, "`name` of a network interface that the daemon serves; may be repeated (default: by rule)")
	fl.Var(number[uint16]{p: &port, max: 65535}, "port", "UDP port of the daemon")
	registerDACKey(fl, &dacKeyFile)
	broker.register(fl)
	return cmd
}

// facts collects facts about the host and about the node, whether it runs or not.
func (c *common) facts(ctx context.Context, interfaces []string, port uint16, dacKeyFile string) *doctor.Facts {
	s, err := c.daemon().Status(ctx)
	running, denied := !errors.Is(err, admin.ErrUnreachable), errors.Is(err, admin.ErrDenied)
	if running && err == nil {
		port = s.Port
	}
	f := doctor.Gather(doctor.Options{Interfaces: interfaces, Port: port, StateDir: c.stateDir, Running: running, Unit: c.unit()})
	f.Config = doctor.Config{File: c.read, Open: c.openPasscode()}
	f.Denied = denied
	if running {
		f.Daemon = daemonFacts(ctx, &c.daemon().Operator, &s, err)
	}
	err = c.nodeWithKey(ctx, reads, dacKeyFile, func(n *admin.Operator) error { return factsOf(ctx, n, f) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Store.Missing = true
	case err != nil:
		f.Store.Err = err
	}
	return f
}

// findings returns a function with the doctor's findings about a node in this process.
func (c *common) findings(interfaces []string, broker *mqttFlags) func(ctx context.Context, o *admin.Operator) []doctor.Finding {
	return func(ctx context.Context, o *admin.Operator) []doctor.Finding {
		s, err := o.Status(ctx)
		f := doctor.Gather(doctor.Options{Interfaces: interfaces, Port: s.Port, StateDir: c.stateDir, Running: true})
		f.Daemon = daemonFacts(ctx, o, &s, err)
		if err := factsOf(ctx, o, f); err != nil {
			f.Store.Err = err
		}
		broker.probe(ctx, c.stateDir, f)
		return doctor.Examine(f)
	}
}

// daemonFacts collects facts about a running node. s and err are its answer.
func daemonFacts(ctx context.Context, o *admin.Operator, s *admin.Status, err error) *doctor.Daemon {
	d := &doctor.Daemon{Err: err}
	if err == nil {
		d.Err = o.Health(ctx)
		look(ctx, s, d)
	}
	return d
}

// look looks up the records of a running daemon on the network, and sets the other
// hosts that announce the node.
func look(ctx context.Context, s *admin.Status, d *doctor.Daemon) {
	d.Rivals = map[string][]string{}
	var interfaces []mdns.InterfaceStatus
	for _, i := range s.Interfaces {
		ifi, err := net.InterfaceByName(i.Name)
		if i.Reason != "" || err != nil {
			continue
		}
		on := mdns.InterfaceStatus{Name: i.Name, Index: ifi.Index, Host: i.Host}
		for _, text := range i.Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				on.Addrs = append(on.Addrs, a)
			}
		}
		interfaces = append(interfaces, on)
		if len(i.Rivals) > 0 {
			d.Rivals[i.Name] = i.Rivals
		}
	}
	var services []mdns.Service
	for _, v := range s.Services {
		services = append(services, mdns.Service{Type: v.Type, Instance: v.Instance, Subtypes: v.Subtypes, Port: v.Port, TXT: v.TXT})
	}
	d.Records = doctor.LookUp(ctx, interfaces, services)
}

// factsOf collects facts from the node.
func factsOf(ctx context.Context, n *admin.Operator, f *doctor.Facts) error {
	if err := n.CheckStore(ctx); errors.Is(err, admin.ErrUnreachable) {
		return err
	} else if err != nil {
		f.Store.Err = err
	}
	a, err := n.Attestation(ctx)
	switch {
	case errors.Is(err, provision.ErrEmpty):
	case err != nil:
		return err
	default:
		f.Attestation = &doctor.Attestation{Test: a.Kind == "TEST", Faults: a.Faults, Notes: a.Notes}
		if x := a.DAC; x != nil {
			f.Validity = append(f.Validity, validity("the device attestation certificate", x.NotBefore, x.NotAfter, "import new material"))
		}
	}
	list, err := n.Fabrics(ctx)
	for _, r := range list {
		f.Validity = append(f.Validity, validity(fmt.Sprintf("the certificate of fabric %d", r.Index), time.Time{}, r.NOCNotAfter, "let its controller renew it"))
	}
	return err
}

func validity(what string, from time.Time, to *time.Time, renew string) doctor.Validity {
	v := doctor.Validity{What: what, NotBefore: from, Renew: renew}
	if to != nil {
		v.NotAfter = *to
	}
	return v
}

// printFindings writes a line for each finding, with its remedy.
func printFindings(w io.Writer, list []doctor.Finding) error {
	for _, f := range list {
		line := fmt.Sprintf("%-5s %-11s %s", strings.ToUpper(string(f.Result)), f.Check, f.Text)
		if f.Remedy != "" {
			line += " -> " + f.Remedy
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
