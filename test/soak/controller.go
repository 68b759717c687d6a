package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Clusters and attributes that controllers use.
const (
	clAccess  matter.ClusterID = 0x1F
	clOpCreds matter.ClusterID = 0x3E
)

// opLimit is the time limit of every operation of a controller.
const opLimit = 30 * time.Second

// from is a conn that sends from one address, even if its host has others.
type from struct {
	transport.PacketConn
	local netip.Addr
}

func (c from) WriteTo(b []byte, p transport.Path) error {
	if !p.Local.IsValid() {
		p.Local = c.local
	}
	return c.PacketConn.WriteTo(b, p)
}

// newClient returns a controller's end of the network.
func newClient() (*commissioner.Client, error) {
	conns, err := transport.Listen(transport.Options{})
	if err != nil {
		return nil, err
	}
	for _, c := range conns[1:] {
		c.Close()
	}
	return commissioner.New(from{conns[0], netip.MustParseAddr(controlULA)}), nil
}

// member is a fabric of the device, with its administrator.
type member struct {
	c     *commissioner.Client
	a     *commissioner.Authority
	at    netip.AddrPort // address of the device
	node  matter.NodeID
	index matter.FabricIndex
	s     *commissioner.Session
	last  *casesession.Result // of the last session, to resume it
	label string
	subs  []*commissioner.Subscription
}

// commission commissions the device into a new fabric, in one attempt.
func commission(ctx context.Context, c *commissioner.Client, at netip.AddrPort) (*member, error) {
	a, err := commissioner.NewAuthority(commissioner.AuthorityOptions{})
	if err != nil {
		return nil, err
	}
	done, err := c.Commission(ctx, at, passcode, a)
	if err != nil {
		return nil, err
	}
	return &member{c: c, a: a, at: at, node: done.Node, index: done.Fabric, s: done.CASE}, nil
}

// connect opens a session and replaces the current one.
func (m *member) connect(ctx context.Context, resume bool) error {
	var rec *casesession.Record
	if resume && m.last != nil {
		r := m.last.Record()
		rec = &r
	}
	s, res, err := m.c.CASE(ctx, m.at, m.a, m.node, rec)
	if err != nil {
		return err
	}
	if rec != nil && !res.Resumed {
		return fmt.Errorf("the session was not resumed")
	}
	m.s, m.last = s, res
	return nil
}

// read reads one attribute.
func (m *member) read(ctx context.Context) error {
	rep, err := m.s.Read(ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(0, clOpCreds, 5)}})
	if err != nil {
		return err
	}
	if len(rep.Attributes) != 1 || rep.Attributes[0].Status.Status != matter.StatusSuccess {
		return fmt.Errorf("%+v", rep.Attributes)
	}
	return nil
}

// readAll reads everything that the device has.
func (m *member) readAll(ctx context.Context) error {
	rep, err := m.s.Read(ctx, commissioner.ReadRequest{
		Attributes: []commissioner.Path{{}}, Events: []commissioner.Path{{}}, FabricFiltered: true,
	})
	if err != nil {
		return err
	}
	if len(rep.Attributes) < 100 || len(rep.Events) == 0 {
		return fmt.Errorf("%d attributes, %d events", len(rep.Attributes), len(rep.Events))
	}
	return nil
}

// instance returns the device's operational service on the fabric.
func (m *member) instance() string {
	return fmt.Sprintf("%X-%s", m.a.CompressedFabricID(), m.node)
}
