package commissioner

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// Clusters and commands for setting up groups.
const (
	ClusterGroups             matter.ClusterID = 0x0004
	ClusterGroupKeyManagement matter.ClusterID = 0x003F

	cmdAddGroup    matter.CommandID = 0
	cmdKeySetWrite matter.CommandID = 0

	groupPort = 5540
)

// Group is the state of a sender to a group of its fabric.
type Group struct {
	From     *Authority
	ID       matter.GroupID
	EpochKey [16]byte

	// For the next messages.
	Counter uint32 // of the last message
	Control bool
	Private bool
}

// Addr returns the group's multicast address and port.
func (g *Group) Addr() netip.AddrPort {
	a := [16]byte{0: 0xFF, 1: 0x35, 3: 0x40, 4: 0xFD}
	binary.BigEndian.PutUint64(a[5:], uint64(g.From.FabricID))
	binary.BigEndian.PutUint16(a[14:], uint16(g.ID))
	return netip.AddrPortFrom(netip.AddrFrom16(a), groupPort)
}

// Seal returns the next message to the group.
func (g *Group) Seal(protocol uint16, opcode uint8, payload []byte) ([]byte, error) {
	key, err := mcrypto.OperationalGroupKey(g.EpochKey[:], g.From.CompressedFabricID())
	if err != nil {
		return nil, err
	}
	id, err := mcrypto.GroupSessionID(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := mcrypto.NewAEAD(key[:])
	if err != nil {
		return nil, err
	}
	g.Counter++
	h := message.Header{
		SessionID: id, Group: true, Control: g.Control, Privacy: g.Private, Counter: g.Counter,
		HasSource: true, Source: g.From.NodeID, HasDestGroup: true, DestGroup: g.ID,
	}
	p := message.ProtocolHeader{Initiator: true, Opcode: opcode, Exchange: uint16(g.Counter), Protocol: protocol}
	header := h.AppendTo(nil)
	size := len(header)
	nonce := mcrypto.MessageNonce(h.SecurityFlags(), h.Counter, h.Source)
	datagram := aead.Seal(header, nonce[:], append(p.AppendTo(nil), payload...), header)
	if g.Private {
		privacy, err := mcrypto.PrivacyKey(key[:])
		if err != nil {
			return nil, err
		}
		if err := mcrypto.ObfuscatePrivacy(privacy[:], id, datagram[len(datagram)-message.MICSize:], datagram[4:size]); err != nil {
			return nil, err
		}
	}
	return datagram, nil
}

// SendGroup sends the next message to a group. There is no answer.
func (c *Client) SendGroup(g *Group, opcode uint8, payload []byte) error {
	b, err := g.Seal(matter.ProtocolInteractionModel, opcode, payload)
	if err != nil {
		return err
	}
	return c.SendDatagram(g.Addr(), b)
}

// SendDatagram sends octets without changes.
func (c *Client) SendDatagram(to netip.AddrPort, b []byte) error {
	return c.conn.WriteTo(b, transport.Path{Peer: to})
}

// InvokeGroup sends a command to all endpoints of a group.
func (c *Client) InvokeGroup(g *Group, cl matter.ClusterID, cmd matter.CommandID, f Fields) error {
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), true)
	w.Bool(tlv.Context(1), false)
	w.StartArray(tlv.Context(2))
	w.StartStruct(tlv.Anonymous)
	w.StartList(tlv.Context(0))
	w.Uint(tlv.Context(1), uint64(cl))
	w.Uint(tlv.Context(2), uint64(cmd))
	w.End()
	if f != nil {
		w.StartStruct(tlv.Context(1))
		f(w)
		w.End()
	}
	w.End()
	w.End()
	finish(w)
	return c.SendGroup(g, im.OpcodeInvokeRequest, w.Bytes())
}

// WriteGroup writes an attribute on all endpoints of a group.
func (c *Client) WriteGroup(g *Group, cl matter.ClusterID, at matter.AttributeID, v Value) error {
	element := uint32(at)
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	w.Bool(tlv.Context(0), true)
	w.Bool(tlv.Context(1), false)
	w.StartArray(tlv.Context(2))
	w.StartStruct(tlv.Anonymous)
	Path{Cluster: &cl, Element: &element}.write(w, tlv.Context(1), attributeEndpoint)
	v(w, tlv.Context(2))
	w.End()
	w.End()
	finish(w)
	return c.SendGroup(g, im.OpcodeWriteRequest, w.Bytes())
}

// KeySetWrite writes a key set with epoch keys that start at 1, 2 and 3.
func (s *Session) KeySetWrite(ctx context.Context, id uint16, keys ...[16]byte) error {
	_, err := s.Invoke(ctx, 0, ClusterGroupKeyManagement, cmdKeySetWrite, func(w *tlv.Writer) {
		w.StartStruct(tlv.Context(0))
		w.Uint(tlv.Context(0), uint64(id))
		w.Uint(tlv.Context(1), 0)
		for i := range 3 {
			key, start := tlv.Context(uint8(2+2*i)), tlv.Context(uint8(3+2*i))
			if i < len(keys) {
				w.Octets(key, keys[i][:])
				w.Uint(start, uint64(i+1))
			} else {
				w.Null(key)
				w.Null(start)
			}
		}
		w.End()
	})
	return err
}

// MapGroups maps groups to a key set, and replaces all other mappings.
func (s *Session) MapGroups(ctx context.Context, set uint16, ids ...matter.GroupID) error {
	status, err := s.Write(ctx, 0, ClusterGroupKeyManagement, 0, func(w *tlv.Writer, t tlv.Tag) {
		w.StartArray(t)
		for _, id := range ids {
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(1), uint64(id))
			w.Uint(tlv.Context(2), uint64(set))
			w.End()
		}
		w.End()
	})
	if err == nil && status.Status != matter.StatusSuccess {
		return status
	}
	return err
}

// AddGroup makes an endpoint a member of a group.
func (s *Session) AddGroup(ctx context.Context, ep matter.EndpointID, id matter.GroupID, name string) error {
	rsp, err := s.Invoke(ctx, ep, ClusterGroups, cmdAddGroup, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(id))
		w.Text(tlv.Context(1), name)
	})
	if err != nil {
		return err
	}
	st := matter.StatusFailure
	r := rsp.Fields()
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 0 {
			st = matter.Status(r.Uint8())
		}
	}
	if err := r.End(); err != nil {
		return err
	}
	if st != matter.StatusSuccess {
		return fmt.Errorf("add group %d: %w", id, st)
	}
	return nil
}
