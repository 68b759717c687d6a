package clustertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Target is a command or an attribute that can be written: what takes something from a
// peer.
type Target struct {
	Endpoint  matter.EndpointID
	Spec      *im.Spec
	Command   *im.Command   // nil: Attribute is the target
	Attribute *im.Attribute // nil: Command is the target
}

// Targets returns the targets of all endpoints.
func (n *Node) Targets() (list []Target) {
	for _, ep := range n.Endpoints() {
		for _, c := range ep.Clusters {
			s := c.Spec()
			for i := range s.Commands {
				list = append(list, Target{ep.ID, s, &s.Commands[i], nil})
			}
			for i := range s.Attributes {
				if s.Attributes[i].Write != 0 {
					list = append(list, Target{ep.ID, s, nil, &s.Attributes[i]})
				}
			}
		}
	}
	return list
}

// Shown returns all attributes of a cluster as text, a line each, as the administrator of
// fabric 1 reads them.
func (n *Node) Shown(ep matter.EndpointID, s *im.Spec) string {
	n.t.Helper()
	var b strings.Builder
	for i := range s.Attributes {
		if a := &s.Attributes[i]; a.Read != 0 {
			fmt.Fprintf(&b, "%s=%s\n", a.Name, n.ReadAll(Admin(1), ep, s.ID, a.ID))
		}
	}
	return b.String()
}

// Ask sends a target a value, in a timed interaction, and reports whether that was
// carried out. It fails the test if there is no answer.
func (n *Node) Ask(s acl.Subject, x Target, value tlv.Element) (done bool) {
	n.t.Helper()
	c := &conn{subject: s}
	i := n.Open(n.Now, c)
	var m tlv.Writer
	m.StartStruct(tlv.Anonymous)
	m.Uint(tlv.Context(0), 1000)
	m.End()
	i.Receive(n.Now, im.OpcodeTimedRequest, m.Bytes())
	m.Reset(nil)
	m.StartStruct(tlv.Anonymous)
	opcode, want := uint8(im.OpcodeWriteRequest), uint8(im.OpcodeWriteResponse)
	if x.Command != nil {
		opcode, want = im.OpcodeInvokeRequest, im.OpcodeInvokeResponse
		m.Bool(tlv.Context(0), false)
	}
	m.Bool(tlv.Context(1), true)
	m.StartArray(tlv.Context(2))
	m.StartStruct(tlv.Anonymous)
	if x.Command != nil {
		m.StartList(tlv.Context(0))
		m.Uint(tlv.Context(0), uint64(x.Endpoint))
		m.Uint(tlv.Context(1), uint64(x.Spec.ID))
		m.Uint(tlv.Context(2), uint64(x.Command.ID))
		m.End()
		m.Element(tlv.Context(1), value)
	} else {
		attributePath(&m, tlv.Context(1), x.Endpoint, x.Spec.ID, x.Attribute.ID)
		m.Element(tlv.Context(2), value)
	}
	m.End()
	m.End()
	m.End()
	i.Receive(n.Now, opcode, m.Bytes())
	n.Settle(n.Now)
	if c.opcode == im.OpcodeStatusResponse {
		return false
	}
	if c.opcode != want {
		n.t.Fatalf("clustertest: answered with opcode %d", c.opcode)
	}
	return accepted(n.t, c.payload)
}

// accepted reports whether an InvokeResponse has a command in it, or one of these
// messages a status of SUCCESS.
func accepted(t testing.TB, payload []byte) (yes bool) {
	t.Helper()
	r := tlv.NewReader(payload)
	text := Text(t, r)
	_, command, _ := strings.Cut(text, "1:[{0:{0:<")
	return command != "" || strings.Contains(text, "1:{0:0}")
}

// SetT makes t the test that what goes wrong is reported to: a node may be made for
// many inputs of a fuzz test.
func (n *Node) SetT(t testing.TB) { n.t = t }
