package session

import (
	"crypto/cipher"
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// maxGroupSenders is the number of senders per fabric whose counters are
// remembered, separately for data and control messages. Beyond it the sender that
// has been silent longest is dropped; its next message is then accepted with any
// counter. Each fabric has its own limit, so that none can displace another's
// senders.
const maxGroupSenders = 32

// GroupKey is an operational group key and the groups it is used for (section
// 4.17.2).
type GroupKey struct {
	Fabric matter.FabricIndex
	Key    [mcrypto.KeySize]byte
	Groups []matter.GroupID // those that GroupKeyMap maps to the key's set
}

// groups holds what is needed to receive messages to groups.
type groups struct {
	keys    map[uint16][]*groupKey // by group session id, which is not unique
	senders map[senderList][]groupSender
	past    arrivals

	// Scratch space. The key of a message is found by trial, so the message is not
	// decrypted in place, and headers are deobfuscated in a copy.
	header, plain [message.MaxReceived]byte
	nonce         [mcrypto.NonceSize]byte
}

type groupKey struct {
	fabric  matter.FabricIndex
	groups  []matter.GroupID
	open    cipher.AEAD
	privacy [mcrypto.KeySize]byte
}

// senderList identifies the senders of one kind of messages on a fabric. Data and
// control messages have separate counters.
type senderList struct {
	fabric  matter.FabricIndex
	control bool
}

// groupSender is a node that has sent to a group of the fabric.
type groupSender struct {
	node matter.NodeID
	in   window
}

// SetGroupKeys sets the keys for messages to groups: the operational keys of all
// epochs of all key sets that a group is mapped to. The counters of senders are
// kept as long as their fabric has a key.
func (t *Table) SetGroupKeys(keys []GroupKey) {
	g := &t.groups
	for _, old := range g.keys {
		for _, k := range old {
			clear(k.privacy[:])
		}
	}
	g.keys = make(map[uint16][]*groupKey)
	for _, k := range keys {
		id, err := mcrypto.GroupSessionID(k.Key[:])
		if err != nil {
			panic(fmt.Sprintf("BUG: session: %v", err))
		}
		n := &groupKey{fabric: k.Fabric, groups: slices.Clone(k.Groups)}
		if n.privacy, err = mcrypto.PrivacyKey(k.Key[:]); err != nil {
			panic(fmt.Sprintf("BUG: session: %v", err))
		}
		n.open = newAEAD(&k.Key)
		g.keys[id] = append(g.keys[id], n)
	}
	for list := range g.senders {
		if !slices.ContainsFunc(keys, func(k GroupKey) bool { return k.Fabric == list.fabric }) {
			delete(g.senders, list)
		}
	}
}

// Bits of the security flags that determine the format of the header (section
// 4.4.1.3).
const (
	securityType    = 0x03
	securityGroup   = 0x01
	securityPrivacy = 0x80
)

// toGroup reports whether a datagram claims to be a message to a group. With
// privacy, the header cannot be parsed before it is deobfuscated.
func toGroup(datagram []byte) bool {
	return len(datagram) > securityFlagsOffset && datagram[securityFlagsOffset]&securityType == securityGroup
}

// receiveGroup authenticates a message to a group by trying the keys with the
// session id in its header (section 4.7.2).
func (t *Table) receiveGroup(datagram []byte, via int) (Incoming, error) {
	if len(datagram) < message.MICSize+securityFlagsOffset+1 {
		return Incoming{}, DropMalformed
	}
	private := datagram[securityFlagsOffset]&securityPrivacy != 0
	if !private {
		if _, _, err := message.ParseHeader(datagram); err != nil {
			return Incoming{}, DropMalformed
		}
	}
	id := uint16(datagram[1]) | uint16(datagram[2])<<8
	reason := DropGroup
	for _, k := range t.groups.keys[id] {
		open := datagram
		if private {
			// If a header makes no sense, the cause is not known.
			open, reason = t.groups.reveal(k, id, datagram), DropAuthentication
		}
		h, size, err := message.ParseHeader(open)
		if err != nil || !h.HasDestGroup || !h.Source.Operational() || !slices.Contains(k.groups, h.DestGroup) {
			continue
		}
		reason = DropAuthentication
		if plain, ok := t.groups.unseal(k, &h, open[:size], datagram[size:]); ok {
			body := datagram[size:]
			return t.groups.received(k, &h, body[:copy(body, plain)], via)
		}
	}
	return Incoming{}, reason
}

// reveal returns a copy of the datagram with its header deobfuscated, if k is the
// right key. The rest of the copy is garbage. The length of the header is known
// only afterwards, so everything up to the MIC is deobfuscated.
func (g *groups) reveal(k *groupKey, id uint16, datagram []byte) []byte {
	b := g.header[:copy(g.header[:], datagram)]
	body := len(b) - message.MICSize
	if err := mcrypto.ObfuscatePrivacy(k.privacy[:], id, b[body:], b[securityFlagsOffset+1:body]); err != nil {
		panic(fmt.Sprintf("BUG: session: %v", err))
	}
	return b
}

// unseal authenticates and decrypts a message with a clear header into scratch
// space.
func (g *groups) unseal(k *groupKey, h *message.Header, header, sealed []byte) ([]byte, bool) {
	if len(sealed) < message.MICSize {
		return nil, false
	}
	g.nonce = mcrypto.MessageNonce(header[securityFlagsOffset], h.Counter, h.Source)
	plain, err := k.open.Open(g.plain[:0], g.nonce[:], sealed, header)
	return plain, err == nil
}

// received accepts an authentic message, unless it was received before.
func (g *groups) received(k *groupKey, h *message.Header, body []byte, via int) (Incoming, error) {
	in, err := parse(nil, h, body)
	if err != nil {
		return Incoming{}, err
	}
	list := senderList{k.fabric, h.Control}
	switch {
	case g.fresh(list, h.Source, h.Counter):
		g.past.put(list, h.Source, h.Counter, via)
	case g.past.copied(list, h.Source, h.Counter, via):
		return Incoming{}, DropCopy
	default:
		return Incoming{}, DropReplay
	}
	in.Fabric = k.fabric
	return in, nil
}

// fresh reports whether a sender's counter is new, and records it. The first
// counter of a sender is always accepted: the policy is trust-first (section
// 4.6.5.2.2).
func (g *groups) fresh(key senderList, node matter.NodeID, counter uint32) bool {
	list := g.senders[key] // the sender heard most recently is last
	i := slices.IndexFunc(list, func(s groupSender) bool { return s.node == node })
	s := groupSender{node: node}
	switch {
	case i >= 0:
		s = list[i]
	case len(list) == maxGroupSenders:
		i = 0
	}
	if !s.in.acceptGroup(counter) {
		return false
	}
	if i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if g.senders == nil {
		g.senders = make(map[senderList][]groupSender)
	}
	g.senders[key] = append(list, s)
	return true
}
