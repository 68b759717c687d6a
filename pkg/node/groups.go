package node

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/cluster/groups"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/session"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// followed is the state that the reception of group messages was last set up for.
type followed struct {
	generation uint64 // of the fabric table; 0: outdated
	addrs      []netip.Addr
	err        string
}

// followGroups passes the group keys to the session table and the multicast
// addresses to the sockets, if the fabric table or the links have changed.
func (n *Node) followGroups() {
	g := &n.talk.groups
	if g.generation == n.trust.fabrics.Generation() {
		return
	}
	g.generation = n.trust.fabrics.Generation()
	var keys []session.GroupKey
	var addrs []netip.Addr
	for _, f := range n.trust.fabrics.All() {
		keys = appendGroupKeys(keys, f)
		for _, group := range f.Groups {
			if mapped(f, func(m store.GroupKeyMapping) bool { return m.Group == group.ID }) {
				addrs = append(addrs, groupAddr(f.FabricID, group.ID))
			}
		}
	}
	n.talk.sessions.SetGroupKeys(keys)
	for i := range keys {
		clear(keys[i].Key[:])
	}
	n.joinGroups(addrs)
}

func mapped(f *fabric.Fabric, which func(store.GroupKeyMapping) bool) bool {
	return slices.ContainsFunc(f.GroupKeyMap, which)
}

// appendGroupKeys appends the operational keys of all epochs of the key sets that a
// group of the fabric is mapped to. Start times are ignored, as not every sender's
// clock is right.
func appendGroupKeys(keys []session.GroupKey, f *fabric.Fabric) []session.GroupKey {
	for _, set := range f.KeySets {
		var ids []matter.GroupID
		for _, m := range f.GroupKeyMap {
			if m.KeySet == set.ID {
				ids = append(ids, m.Group)
			}
		}
		if len(ids) == 0 {
			continue
		}
		for _, k := range set.Keys {
			keys = append(keys, session.GroupKey{Fabric: f.Index, Key: [mcrypto.KeySize]byte(k.Key), Groups: ids})
		}
	}
	return keys
}

// groupAddr returns the multicast address of a group (section 2.5.6.2).
func groupAddr(id matter.FabricID, group matter.GroupID) netip.Addr {
	a := [16]byte{0: 0xFF, 1: 0x35, 3: 0x40, 4: 0xFD}
	binary.BigEndian.PutUint64(a[5:], uint64(id))
	binary.BigEndian.PutUint16(a[14:], uint16(group))
	return netip.AddrFrom16(a)
}

// joinGroups joins the groups on all served interfaces. A failure is logged once,
// and the next attempt follows a change of the links.
func (n *Node) joinGroups(addrs []netip.Addr) {
	g := &n.talk.groups
	if len(addrs) == 0 && len(g.addrs) == 0 {
		return
	}
	g.addrs = addrs
	text := ""
	if err := n.opt.Ports[0].SetGroups(addrs); err != nil {
		text = err.Error()
	}
	if text != g.err && text != "" {
		n.log.Warn("messages to groups do not all arrive", "error", text)
	}
	g.err = text
}

// receiveGroup passes a message to a group to the Interaction Model. Such a message is
// never answered, so there is no exchange.
func (n *Node) receiveGroup(now time.Time, in session.Incoming) {
	p := &in.Protocol
	if in.Header.Control || p.Vendor != 0 || p.Protocol != matter.ProtocolInteractionModel || !p.Initiator {
		n.drop(session.DropGroup)
		return
	}
	c := &groupConn{
		subject: acl.Subject{Fabric: in.Fabric, AuthMode: matter.AuthModeGroup, Node: in.Header.DestGroup.NodeID()},
		members: n.members(in.Fabric, in.Header.DestGroup),
	}
	n.model.engine.Open(now, c).Receive(now, p.Opcode, in.Payload)
}

// members returns the endpoints that belong to a group of a fabric.
func (n *Node) members(i matter.FabricIndex, id matter.GroupID) []matter.EndpointID {
	f := n.trust.fabrics.Get(i)
	if f == nil {
		return nil
	}
	for _, g := range f.Groups {
		if g.ID == id {
			return g.Endpoints
		}
	}
	return nil
}

// hasGroups reports whether an endpoint can belong to groups.
func (n *Node) hasGroups() bool {
	return slices.ContainsFunc(n.model.engine.Endpoints(), func(ep im.Endpoint) bool {
		return slices.ContainsFunc(ep.Clusters, func(c im.Cluster) bool { return c.Spec().ID == groups.ID })
	})
}

// groupConn is the im.Conn of a message to a group.
type groupConn struct {
	subject acl.Subject
	members []matter.EndpointID
}

func (c *groupConn) Subject() acl.Subject                { return c.subject }
func (c *groupConn) Session() im.Session                 { return im.Session{} }
func (c *groupConn) Group() ([]matter.EndpointID, bool)  { return c.members, true }
func (c *groupConn) AwaitResponse(time.Time)             {}
func (c *groupConn) AwaitRequest(time.Time)              {}
func (c *groupConn) Close(time.Time)                     {}
func (c *groupConn) Send(time.Time, uint8, []byte) error { panic("BUG: node: answer to a group") }
