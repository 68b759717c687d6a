package operator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/node"
	"github.com/opcredsd/opcredsd/pkg/onboarding"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// Options are the parts of a running node that its operator's requests use. All are
// required, except where the comment says otherwise.
type Options struct {
	Node    *node.Node
	Store   *store.Store
	Bridge  *bridge.Registry // nil: no bridge is configured
	Backups *provision.Backups
	Version string
	Begun   time.Time
	// Announced returns what is announced on each interface.
	Announced func() mdns.Status
	// Probe sends the node a datagram, and waits for the answer until ctx ends.
	Probe func(ctx context.Context) error
	// NewURL returns an address of the page for browsers that lets somebody in once,
	// at an address of one of the interfaces; nil: there is no page.
	NewURL     func(interfaces []admin.Interface) admin.WebURL
	Configured provision.IDs     // by the operator
	DACKey     *provision.DACKey // nil: in the store
	Rand       io.Reader
	Log        *slog.Logger
	LogLevel   *slog.LevelVar                 // nil: it cannot be changed
	Reload     func() (admin.Reloaded, error) // nil: the configuration cannot be read again
}

// New returns the functions for an operator's requests to a running node. They may be
// called from any goroutine except the node's own.
func New(opt Options) admin.Operator {
	o := &operator{Options: opt}
	a := admin.Operator{
		Status: o.status, Pairing: o.pairing, Fabrics: o.fabrics, RemoveFabric: o.removeFabric,
		OpenWindow: o.openWindow, CloseWindow: o.closeWindow,
		Attestation: o.attestation, VerifyAttestation: o.verifyAttestation,
		ImportAttestation: o.importAttestation, GenerateAttestation: o.generateAttestation,
		FactoryReset: o.factoryReset, CheckStore: o.checkStore, Backup: o.backup,
		SetLogLevel: o.setLogLevel, Reload: o.reload, WebURL: o.webURL, Health: o.health,
	}
	if opt.Bridge != nil {
		devices{opt.Bridge}.answer(&a)
	}
	return a
}

// operator implements the requests of an operator. Those that need the node's state
// run on the loop.
type operator struct {
	Options
	replacing sync.Mutex // held while the attestation material is replaced
}

// pairing returns the node's own codes for display.
func (o *operator) pairing(ctx context.Context) (p admin.Pairing, err error) {
	err = o.Node.Ask(ctx, func(time.Time) error {
		codes, err := o.Node.ShowCodes()
		p = pairing(codes)
		return err
	})
	return p, err
}

func (o *operator) fabrics(ctx context.Context) (list []admin.Fabric, err error) {
	err = o.Node.Ask(ctx, func(now time.Time) error {
		list = []admin.Fabric{}
		for _, f := range o.Node.Snapshot(now).Fabrics {
			list = append(list, fabricState(&f))
		}
		return nil
	})
	return list, err
}

func (o *operator) status(ctx context.Context) (st admin.Status, err error) {
	announced := o.Announced()
	st = admin.Status{
		Version: o.Version, PID: os.Getpid(), Started: o.Begun, Port: o.Node.Port(),
		Ready: true, Interfaces: interfaceRows(announced), Services: []admin.Service{}, Fabrics: []admin.FabricStatus{},
	}
	if fault := announced.Fault(); fault != nil {
		st.Ready, st.Fault = false, fault.Error()
	}
	var m node.Snapshot
	err = o.Node.Ask(ctx, func(now time.Time) error {
		m = o.Node.Snapshot(now)
		st.Uptime = now.Sub(o.Begun).Seconds()
		return nil
	})
	if err != nil {
		return st, err
	}
	if st.Attestation, err = o.attestation(ctx); err != nil {
		return st, err
	}
	p := &m.Product
	st.Product = admin.Product{
		VendorID: p.VendorID, VendorName: p.VendorName, ProductID: p.ProductID, ProductName: p.ProductName,
		SerialNumber: p.SerialNumber, UniqueID: m.UniqueID, NodeLabel: m.NodeLabel,
	}
	st.Window = admin.WindowState{Kind: m.Window.Kind, Failures: m.Window.Failures, Closes: instant(m.Window.Closes)}
	st.FailSafe = admin.FailSafe{Armed: m.FailSafe.Armed, Fabric: m.FailSafe.Fabric, Ends: instant(m.FailSafe.Ends)}
	for _, f := range m.Fabrics {
		st.Fabrics = append(st.Fabrics, admin.FabricStatus{
			Fabric: fabricState(&f), NOCNotBefore: matterTime(f.NOCCert.NotBefore),
			Sessions: f.Sessions, Subscriptions: f.Subscriptions, Interrupted: f.Interrupted,
			LastHeard: instant(f.LastHeard),
		})
	}
	st.MaxFabrics = m.MaxFabrics
	st.Sessions = admin.Sessions{PASE: m.PASESessions, CASE: m.CASESessions}
	st.Subscriptions, st.Interrupted, st.Exchanges = m.Subscriptions, m.Interrupted, m.Exchanges
	for _, v := range m.Services {
		st.Services = append(st.Services, admin.Service(v))
	}
	return st, nil
}

// interfaceRows returns the interfaces in the operator's form.
func interfaceRows(s mdns.Status) []admin.Interface {
	list := []admin.Interface{}
	for _, i := range s.Interfaces {
		row := admin.Interface{Name: i.Name, Host: i.Host, Reason: i.Reason, Found: i.Found, Addresses: []string{}}
		if i.Reason == "" {
			row.Problem = i.Problem()
			for _, a := range i.Rivals() {
				row.Rivals = append(row.Rivals, a.String())
			}
		}
		for _, a := range i.Addrs {
			row.Addresses = append(row.Addresses, a.String())
		}
		list = append(list, row)
	}
	return list
}

// instant returns a time in the operator's form: nil for the zero time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.Round(0).UTC()
	return &t
}

func (o *operator) removeFabric(ctx context.Context, i matter.FabricIndex) error {
	return o.Node.Ask(ctx, func(time.Time) error { return noSuchFabric(i, o.Node.RemoveFabric(i)) })
}

// noSuchFabric turns fabric.ErrNotFound into a refusal.
func noSuchFabric(i matter.FabricIndex, err error) error {
	if errors.Is(err, fabric.ErrNotFound) {
		return admin.Refuse("there is no fabric with index %d", i)
	}
	return err
}

// openWindow opens a basic or enhanced window.
func (o *operator) openWindow(ctx context.Context, r admin.WindowRequest) (w admin.Window, err error) {
	d := time.Duration(r.Seconds) * time.Second
	if d < window.MinTimeout || d > window.MaxTimeout {
		return w, admin.Refuse("timeout: %v is not between %v and %v", d, window.MinTimeout, window.MaxTimeout)
	}
	var once *window.Passcode
	if r.Enhanced {
		fresh, passcode, err := provision.FreshPasscode(o.Rand)
		if err != nil {
			return w, err
		}
		ids := o.Node.IDs()
		once, w.Pairing = &fresh, pairing(onboarding.Payload{
			VendorID: ids.Vendor, ProductID: ids.Product,
			Discriminator: fresh.Discriminator, Passcode: passcode,
		})
	}
	err = o.Node.Ask(ctx, func(now time.Time) error {
		switch err := o.Node.OpenWindow(now, d, once); {
		case errors.Is(err, node.ErrCommissioning):
			return admin.Refuse("a commissioner is at work: wait until it has finished")
		case errors.Is(err, window.ErrOpen):
			return admin.Refuse("a commissioning window is open already: close it first, or use its codes")
		case err != nil:
			return err
		}
		w.Closes = now.Add(d).Round(0).UTC()
		if once == nil {
			// If the store has no passcode, the codes are on the product's label.
			if p, err := o.Node.ShowCodes(); err == nil {
				w.Pairing = pairing(p)
			}
		}
		return nil
	})
	return w, err
}

func (o *operator) closeWindow(ctx context.Context) error {
	return o.Node.Ask(ctx, func(time.Time) error {
		if !o.Node.CloseWindow() {
			return admin.Refuse("no commissioning window is open")
		}
		return nil
	})
}

// factoryReset removes all fabrics and the settings of controllers. Attestation,
// passcode and discriminator stay.
func (o *operator) factoryReset(ctx context.Context) error {
	return o.Node.Ask(ctx, func(now time.Time) error {
		if o.Bridge == nil {
			return o.Node.FactoryReset(now)
		}
		return o.Bridge.Reset(now, func(also func(*store.Tx) error) error { return o.Node.FactoryReset(now, also) })
	})
}

func (o *operator) checkStore(context.Context) error { return provision.Check(o.Store, bridge.Check) }

func (o *operator) backup(_ context.Context, w io.Writer) error {
	if err := o.Store.Backup(w); err != nil {
		return err
	}
	if err := o.Backups.Made(time.Now()); err != nil {
		o.Log.Warn("the time of this backup is lost at the next start", "error", err)
	}
	return nil
}

func (o *operator) setLogLevel(_ context.Context, l admin.LogLevel) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return admin.Refuse("log-level: %q is not one of debug, info, warn, error", l.Level)
	}
	if o.LogLevel == nil {
		return admin.Refuse("this node's log level cannot be changed")
	}
	o.LogLevel.Set(level)
	return nil
}

func (o *operator) reload(context.Context) (admin.Reloaded, error) {
	if o.Reload == nil {
		return admin.Reloaded{}, admin.Refuse("this node's configuration cannot be read again")
	}
	return o.Reload()
}

// healthTimeout is how long health waits for the node.
const healthTimeout = 2 * time.Second

// health returns nil if the node can serve controllers: the loop answers the operator and
// a datagram, the store can be read, and the node is announced.
func (o *operator) health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	err := o.Node.Ask(ctx, func(time.Time) error {
		return o.Store.View(func(*store.Tx) error { return nil })
	})
	if err != nil {
		return err
	}
	if err := o.Announced().Fault(); err != nil {
		return err
	}
	return o.Probe(ctx)
}

// webURL returns an address of the page with a token.
func (o *operator) webURL(ctx context.Context) (u admin.WebURL, err error) {
	if o.NewURL == nil {
		return u, admin.Refuse("this node has no page for browsers: start it with --web-addr")
	}
	return o.NewURL(interfaceRows(o.Announced())), nil
}

// pairing returns codes in the operator's form.
func pairing(p onboarding.Payload) admin.Pairing {
	if p.Passcode == 0 {
		return admin.Pairing{}
	}
	return admin.Pairing{QR: p.QR(), Manual: p.Manual(), Discriminator: p.Discriminator, Passcode: p.Passcode}
}

// fabricRow returns a fabric in the operator's form.
func fabricRow(f *fabric.Fabric) admin.Fabric {
	row := admin.Fabric{
		Index:              f.Index,
		FabricID:           f.FabricID.String(),
		NodeID:             f.NodeID.String(),
		VendorID:           f.VendorID,
		Label:              f.Label,
		RootPublicKey:      hex.EncodeToString(f.RootPublicKey[:]),
		CompressedFabricID: fmt.Sprintf("%X", f.CompressedID[:]),
	}
	row.NOCNotAfter, row.Added = matterTime(f.NOCCert.NotAfter), matterTime(f.Added)
	return row
}

// fabricState returns a fabric of the running node in the operator's form.
func fabricState(f *node.FabricState) admin.Fabric {
	row := fabricRow(f.Fabric)
	row.Added = instant(f.Added)
	return row
}

// matterTime returns a time in seconds since the Matter epoch as the operator sees it; nil for 0.
func matterTime(seconds uint32) *time.Time {
	if seconds == 0 {
		return nil
	}
	return instant(time.Unix(int64(seconds)+matter.EpochOffset, 0))
}
