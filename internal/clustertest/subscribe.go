package clustertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// sessions opens the exchanges of reports to subscribers.
type sessions struct {
	open []*reporting
}

// reporting is the exchange of a report.
type reporting struct {
	conn
	i      *im.Interaction
	sent   []sent // and not read so far
	last   uint8  // opcode of the last message
	closed bool
}

type sent struct {
	opcode  uint8
	payload []byte
}

func (c *reporting) Send(_ time.Time, opcode uint8, payload []byte) error {
	c.sent = append(c.sent, sent{opcode, append([]byte(nil), payload...)})
	c.last = opcode
	return nil
}

func (c *reporting) Close(time.Time) { c.closed = true }

func (s *sessions) Open(_ time.Time, _ uint64, i *im.Interaction) (im.Conn, error) {
	c := &reporting{i: i}
	s.open = append(s.open, c)
	return c, nil
}

// Everywhere stands for all endpoints.
const Everywhere matter.EndpointID = 0xFFFF

// Subscribe subscribes to all attributes of a cluster, or of an endpoint if cl is
// 0, with a minimum interval of 0. [Node.Reported] returns the reports.
func (n *Node) Subscribe(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID) {
	n.t.Helper()
	var path []string
	if ep != Everywhere {
		path = append(path, fmt.Sprintf("2:%d", ep))
	}
	if cl != 0 {
		path = append(path, fmt.Sprintf("3:%d", cl))
	}
	var w tlv.Writer
	write(n.t, &w, tlv.Anonymous, fmt.Sprintf("{0:true,1:0,2:3600,3:[<%s>],7:true}", strings.Join(path, ",")))
	c := &reporting{conn: conn{subject: s}}
	c.i = n.Open(n.Now, c)
	n.sessions.open = append(n.sessions.open, c)
	c.i.Receive(n.Now, im.OpcodeSubscribeRequest, w.Bytes())
	n.Reported()
	if c.last != im.OpcodeSubscribeResponse {
		n.t.Fatalf("clustertest: subscribing was answered by opcode %d", c.last)
	}
	c.i.Closed(n.Now, nil) // the response was acknowledged
}

// Reported settles, confirms the reports since the last call, and returns their
// attributes, each as "cluster/attribute=value" in decimal numbers.
func (n *Node) Reported() (list []string) {
	n.t.Helper()
	n.confirm(func(payload []byte) { list = append(list, n.reportText(payload)...) })
	return list
}

// Confirm is Reported without decoding the reports. It returns the number of
// messages.
func (n *Node) Confirm() (messages int) {
	n.confirm(func([]byte) { messages++ })
	return messages
}

// confirmation is a StatusResponse with SUCCESS.
var confirmation = []byte{0x15, 0x24, 0x00, 0x00, 0x24, 0xFF, 0x0E, 0x18}

func (n *Node) confirm(report func(payload []byte)) {
	n.Settle(n.Now)
	for again := true; again; {
		again = false
		for i := 0; i < len(n.sessions.open); i++ {
			c := n.sessions.open[i]
			for len(c.sent) > 0 {
				m := c.sent[0]
				c.sent = c.sent[1:]
				if again = true; m.opcode == im.OpcodeReportData {
					report(m.payload)
					c.i.Receive(n.Now, im.OpcodeStatusResponse, confirmation)
				}
			}
		}
		n.sessions.open = slices.DeleteFunc(n.sessions.open, func(c *reporting) bool { return c.closed && len(c.sent) == 0 })
		n.Settle(n.Now)
	}
}

// reportText returns the attributes of a ReportData.
func (n *Node) reportText(payload []byte) (list []string) {
	r := tlv.NewReader(payload)
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() != 1 {
			continue
		}
		for r.EnterArray(); r.Next(); {
			for r.EnterStruct(); r.Next(); {
				if r.ContextTag() == 1 {
					list = append(list, n.attributeText(&r))
				}
			}
			r.Exit()
		}
		r.Exit()
	}
	if err := r.End(); err != nil {
		n.t.Fatalf("clustertest: a report: %v", err)
	}
	return list
}

// attributeText reads an AttributeDataIB.
func (n *Node) attributeText(r *tlv.Reader) string {
	var path [8]uint64
	var value string
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 1:
			for r.EnterList(); r.Next(); {
				if t := r.ContextTag(); t >= 0 && t < len(path) && r.Type() == tlv.TypeUint {
					path[t] = r.Uint()
				}
			}
			r.Exit()
		case 2:
			e := r.Element()
			value = Text(n.t, e.Reader())
		}
	}
	r.Exit()
	return fmt.Sprintf("%d/%d=%s", path[3], path[4], value)
}
