package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/onboarding"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// operator answers the admin socket. What touches state asks the loop.
type operator struct{ s *Server }

// Pairing returns the node's own codes, to show them.
func (o operator) Pairing(ctx context.Context) (p admin.Pairing, err error) {
	err = o.s.ask(ctx, func(time.Time) (err error) {
		p, err = o.s.showCodes()
		return err
	})
	return p, err
}

func (o operator) Fabrics(ctx context.Context) (list []admin.Fabric, err error) {
	err = o.s.ask(ctx, func(time.Time) error {
		list = fabricRows(o.s.trust.fabrics)
		return nil
	})
	return list, err
}

func (o operator) Status(ctx context.Context) (st admin.Status, err error) {
	s := o.s
	announced := s.ads.Status()
	st = admin.Status{
		Ready:   announced.Fault() == nil,
		Version: s.opt.Version, PID: os.Getpid(), Started: s.begun, Services: []admin.Service{}, Port: s.Port(), MaxFabrics: s.opt.MaxFabrics,
		Interfaces: interfaceRows(announced),
	}
	if fault := announced.Fault(); fault != nil {
		st.Fault = fault.Error()
	}
	err = s.ask(ctx, func(now time.Time) error {
		p := &s.opt.Product
		st.Attestation = s.attestation(admin.AttestationTrust{})
		st.Uptime = now.Sub(s.begun).Seconds()
		st.Product = admin.Product{
			VendorID: p.VendorID, VendorName: p.VendorName, ProductID: p.ProductID, ProductName: p.ProductName,
			SerialNumber: p.SerialNumber, UniqueID: s.trust.identity.UniqueID, NodeLabel: s.model.basic.NodeLabel(),
		}
		st.Window = admin.WindowState{Kind: s.trust.window.Kind().String(), Failures: s.trust.window.Failures(), Closes: instant(s.trust.window.Deadline())}
		f := s.trust.failsafe
		st.FailSafe = admin.FailSafe{Armed: f.Armed(), Fabric: f.Fabric(), Ends: instant(f.Deadline())}
		st.Fabrics = s.fabricStatus()
		st.Sessions = admin.Sessions{PASE: s.talk.sessions.Len(session.PASE), CASE: s.talk.sessions.Len(session.CASE)}
		st.Subscriptions, st.Interrupted = s.subscriptions()
		for _, v := range s.services() {
			st.Services = append(st.Services, admin.Service{Type: v.Type, Instance: v.Instance, Subtypes: v.Subtypes, Port: v.Port, TXT: v.TXT})
		}
		st.Exchanges = s.talk.exchanges.Stats().Open
		return nil
	})
	return st, err
}

// interfaceRows returns the interfaces as the operator sees them.
func interfaceRows(s mdns.Status) []admin.Interface {
	list := []admin.Interface{}
	for _, i := range s.Interfaces {
		row := admin.Interface{Name: i.Name, Host: i.Host, Reason: i.Reason, Found: i.Found, Addresses: []string{}}
		if i.Reason == "" {
			row.Problem = i.Problem()
		}
		for _, a := range i.Addrs {
			row.Addresses = append(row.Addresses, a.String())
		}
		list = append(list, row)
	}
	return list
}

// fabricStatus tells for each fabric what its members have open.
func (s *Server) fabricStatus() []admin.FabricStatus {
	rows := fabricRows(s.trust.fabrics)
	list := make([]admin.FabricStatus, len(rows))
	subscriptions := s.model.engine.Stats().Subscriptions
	for i, row := range rows {
		f := &list[i]
		f.Fabric = row
		for x := range s.talk.sessions.All() {
			if x.Kind == session.CASE && x.Fabric == row.Index {
				f.Sessions++
			}
		}
		for _, u := range subscriptions {
			if u.Fabric == row.Index {
				f.Subscriptions, f.Interrupted = u.Count, u.Interrupted
			}
		}
	}
	return list
}

func instant(t time.Time, ok bool) *time.Time {
	if !ok {
		return nil
	}
	t = t.Round(0).UTC()
	return &t
}

func (o operator) RemoveFabric(ctx context.Context, i matter.FabricIndex) error {
	return o.s.ask(ctx, func(time.Time) error { return noSuchFabric(i, o.s.trust.fabrics.Remove(i)) })
}

// noSuchFabric makes an error of fabric.Table.Remove the operator's.
func noSuchFabric(i matter.FabricIndex, err error) error {
	if errors.Is(err, fabric.ErrNotFound) {
		return admin.Refuse("there is no fabric with index %d", i)
	}
	return err
}

// OpenWindow opens a basic or enhanced window in the operator's name.
func (o operator) OpenWindow(ctx context.Context, r admin.WindowRequest) (w admin.Window, err error) {
	s := o.s
	d := time.Duration(r.Seconds) * time.Second
	if d < window.MinTimeout || d > window.MaxTimeout {
		return w, admin.Refuse("timeout: %v is not between %v and %v", d, window.MinTimeout, window.MaxTimeout)
	}
	var once window.Passcode
	if r.Enhanced {
		if once, w.Pairing, err = s.freshPasscode(); err != nil {
			return w, err
		}
	}
	err = s.ask(ctx, func(now time.Time) error {
		if s.trust.failsafe.Armed() {
			return admin.Refuse("a commissioner is at work: wait until it has finished")
		}
		if r.Enhanced {
			err = s.trust.window.OpenEnhanced(now, d, once, matter.NoFabric, 0)
		} else {
			err = s.trust.window.OpenBasic(now, d, matter.NoFabric, 0)
		}
		if errors.Is(err, window.ErrOpen) {
			return admin.Refuse("a commissioning window is open already: close it first, or use its codes")
		}
		if err != nil {
			return err
		}
		w.Closes = now.Add(d).Round(0).UTC()
		if !r.Enhanced {
			// Where the passcode is forgotten the codes are on the product's label.
			if p, err := s.showCodes(); err == nil {
				w.Pairing = p
			}
		}
		return nil
	})
	return w, err
}

// freshPasscode draws a passcode and a discriminator for one window.
func (s *Server) freshPasscode() (window.Passcode, admin.Pairing, error) {
	once, passcode, err := provision.FreshPasscode(s.opt.Rand)
	return once, pairing(onboarding.Payload{
		VendorID: s.opt.Product.VendorID, ProductID: s.opt.Product.ProductID,
		Discriminator: once.Discriminator, Passcode: passcode,
	}), err
}

func (o operator) CloseWindow(ctx context.Context) error {
	return o.s.ask(ctx, func(time.Time) error {
		if !o.s.trust.window.Open() {
			return admin.Refuse("no commissioning window is open")
		}
		o.s.trust.window.Close()
		return nil
	})
}

// FactoryReset removes all fabrics and what controllers have set, in one
// transaction; attestation, passcode and discriminator stay.
func (o operator) FactoryReset(ctx context.Context) error {
	s := o.s
	return s.ask(ctx, func(now time.Time) error {
		var node store.Node
		err := s.trust.fabrics.RemoveAll(func(tx *store.Tx) error {
			return tx.MutateNode(func(n *store.Node) error {
				err := provision.Reset(n, s.opt.Rand)
				node = *n
				return err
			})
		})
		if err != nil {
			return err
		}
		if err := s.trust.store.RemoveCopies(); err != nil {
			s.log.Warn("copies of the old store are not all removed", "error", err)
		}
		s.trust.failsafe.Expire(failsafe.FabricRemoved)
		s.trust.identity = node
		s.trust.window.Close()
		s.openInitialWindow(now)
		s.count.hours, s.count.since, s.seen.reset = 0, now, true
		for _, ep := range s.model.engine.Endpoints() {
			for _, c := range ep.Clusters {
				if c, ok := c.(*identify.Cluster); ok {
					c.Reset()
				}
			}
		}
		for _, c := range s.model.resets {
			c.Reset()
		}
		return s.model.basic.Reset()
	})
}

func (o operator) CheckStore(context.Context) error { return provision.Check(o.s.trust.store) }

func (o operator) Backup(_ context.Context, w io.Writer) error { return o.s.trust.store.Backup(w) }

func (o operator) SetLogLevel(_ context.Context, l admin.LogLevel) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return admin.Refuse("log-level: %q is not one of debug, info, warn, error", l.Level)
	}
	if o.s.opt.LogLevel == nil {
		return admin.Refuse("this node's log level cannot be changed")
	}
	o.s.opt.LogLevel.Set(level)
	return nil
}

// Health says whether controllers can be served: the loop answers, also to a
// datagram, the store reads, the node is announced.
func (o operator) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := o.s.ask(ctx, func(time.Time) error {
		return o.s.trust.store.View(func(*store.Tx) error { return nil })
	})
	if err != nil {
		return err
	}
	if err := o.s.ads.Status().Fault(); err != nil {
		return err
	}
	return o.s.Probe(ctx)
}

// pairing returns codes as the operator sees them.
func pairing(p onboarding.Payload) admin.Pairing {
	if p.Passcode == 0 {
		return admin.Pairing{}
	}
	return admin.Pairing{QR: p.QR(), Manual: p.Manual(), Discriminator: p.Discriminator, Passcode: p.Passcode}
}

// fabricRows returns the fabric table as the operator sees it.
func fabricRows(t *fabric.Table) []admin.Fabric {
	rows := []admin.Fabric{}
	for _, f := range t.All() {
		rows = append(rows, admin.Fabric{
			Index:              f.Index,
			FabricID:           f.FabricID.String(),
			NodeID:             f.NodeID.String(),
			VendorID:           f.VendorID,
			Label:              f.Label,
			RootPublicKey:      hex.EncodeToString(f.RootPublicKey[:]),
			CompressedFabricID: fmt.Sprintf("%X", f.CompressedID[:]),
			NOCNotAfter:        instant(notAfter(f.NOCCert.NotAfter), f.NOCCert.NotAfter != 0),
		})
	}
	return rows
}

// notAfter returns the end of validity of an operational certificate; 0 is none.
func notAfter(epoch uint32) time.Time {
	if epoch == 0 {
		return time.Time{}
	}
	return time.Unix(int64(epoch)+matter.EpochOffset, 0).UTC()
}
