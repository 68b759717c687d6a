package clustertest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Start is the start time of a Node's clock and process.
var Start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// Node is an engine with the clusters under test on its endpoints.
type Node struct {
	*im.Engine
	t     testing.TB
	Now   time.Time
	Store *store.Store
	Table *fabric.Table

	sessions sessions
}

// New returns a node without endpoints and with fabrics 1 to n, each with an
// administrator, see [Admin]. Its store is checked when the test ends.
func New(t testing.TB, n int) *Node {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), store.FileName), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(st.Check(), fabric.Check(st)); err != nil {
			t.Errorf("the store after the test: %v", err)
		}
		st.Close()
	})
	node := &Node{t: t, Now: Start, Store: st}
	if node.Table, err = fabric.Open(st, 16); err != nil {
		t.Fatal(err)
	}
	for range n {
		node.AddFabric()
	}
	numbers := uint64(1)
	node.Engine = im.New(im.Options{
		ACL:      acl.New(node.Table, func(matter.EndpointID) []matter.DeviceTypeID { return nil }),
		Rand:     rand.Reader,
		Boot:     Start,
		Sessions: &node.sessions,
		Events: func() (first, count uint64, err error) {
			first, numbers = numbers, numbers+100
			return first, 100, nil
		},
	})
	return node
}

// Admin is the administrator of a fabric.
func Admin(f matter.FabricIndex) acl.Subject {
	return acl.Subject{Fabric: f, AuthMode: matter.AuthModeCASE, Node: 0x1000 + matter.NodeID(f)}
}

// PASE is a commissioner, of fabric 0 before AddNOC.
func PASE(f matter.FabricIndex) acl.Subject {
	return acl.Subject{Fabric: f, AuthMode: matter.AuthModePASE}
}

// AddFabric adds a fabric and returns its index.
func (n *Node) AddFabric() matter.FabricIndex {
	n.t.Helper()
	must := func(err error) {
		if err != nil {
			n.t.Helper()
			n.t.Fatal(err)
		}
	}
	rootKey, err := mcrypto.GenerateKey(rand.Reader)
	must(err)
	own, err := mcrypto.GenerateKey(rand.Reader)
	must(err)
	a, err := cert.NewRoot(rand.Reader, rootKey, 1, 0, cert.Validity{NotBefore: 1})
	must(err)
	noc, err := a.IssueNOC(own.Public(), 0x10, 1)
	must(err)
	f, err := n.Table.Stage(store.Fabric{
		FabricID: 1, NodeID: 0x10, VendorID: 0xFFF1, Root: a.Certificate.Raw(), NOC: noc.Raw(), Key: own.Scalar(),
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: make([]byte, 16)}}}},
	})
	must(err)
	must(n.Table.Mutate(f.Index, func(r *store.Fabric) error {
		r.ACL = []store.ACLEntry{{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{Admin(f.Index).Node}}}
		return nil
	}))
	must(n.Table.Commit())
	return f.Index
}

// Add adds clusters to an endpoint. As on the real node, endpoints 0 and 1 are
// polled. For another endpoint, call [im.Engine.Touch] after a change of its state.
func (n *Node) Add(ep matter.EndpointID, clusters ...im.Cluster) {
	n.AddEndpoint(im.Endpoint{ID: ep, Clusters: clusters, Polled: ep <= 1})
}

// conn transports one interaction.
type conn struct {
	subject acl.Subject
	opcode  uint8
	payload []byte // of the answer
}

func (c *conn) Subject() acl.Subject               { return c.subject }
func (c *conn) Session() im.Session                { return im.Session{Serial: 1} }
func (c *conn) Group() ([]matter.EndpointID, bool) { return nil, false }
func (c *conn) AwaitResponse(time.Time)            {}
func (c *conn) AwaitRequest(time.Time)             {}
func (c *conn) Close(time.Time)                    {}
func (c *conn) Send(_ time.Time, opcode uint8, payload []byte) error {
	c.opcode, c.payload = opcode, append([]byte(nil), payload...)
	return nil
}

// ask sends one request and returns a Reader on the first member of the array with
// the given tag in the answer. The answer must have the given opcode.
func (n *Node) ask(s acl.Subject, opcode uint8, request func(w *tlv.Writer), want uint8, array int) tlv.Reader {
	n.t.Helper()
	var w tlv.Writer
	w.StartStruct(tlv.Anonymous)
	request(&w)
	w.End()
	c := &conn{subject: s}
	n.Open(n.Now, c).Receive(n.Now, opcode, w.Bytes())
	n.Settle(n.Now)
	r := tlv.NewReader(c.payload)
	if c.opcode != want {
		n.t.Fatalf("clustertest: answer with opcode %d: %s", c.opcode, Text(n.t, r))
	}
	all := r
	for all.EnterStruct(); all.Next(); {
		if want == im.OpcodeReportData && all.ContextTag() == 3 {
			n.t.Fatal("clustertest: the answer takes more than one message")
		}
	}
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == array {
			r.EnterArray()
			r.Next()
			return r
		}
	}
	n.t.Fatalf("clustertest: no array %d in the answer", array)
	return r
}

// Read returns an attribute as text, or the name of a status. It filters by
// fabric; see ReadAll.
func (n *Node) Read(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID) string {
	n.t.Helper()
	text, _ := n.read(s, ep, cl, id, true)
	return text
}

// ReadAll is Read with the entries of all fabrics.
func (n *Node) ReadAll(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID) string {
	n.t.Helper()
	text, _ := n.read(s, ep, cl, id, false)
	return text
}

// Version returns the data version of a cluster, by one of its attributes.
func (n *Node) Version(ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID) uint32 {
	n.t.Helper()
	_, v := n.read(PASE(0), ep, cl, id, true)
	return v
}

func (n *Node) read(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID, filtered bool) (text string, version uint32) {
	n.t.Helper()
	r := n.ask(s, im.OpcodeReadRequest, func(w *tlv.Writer) {
		w.StartArray(tlv.Context(0))
		attributePath(w, tlv.Anonymous, ep, cl, id)
		w.End()
		w.Bool(tlv.Context(3), filtered)
	}, im.OpcodeReportData, 1)
	for r.EnterStruct(); r.Next(); {
		kind := r.ContextTag()
		for r.EnterStruct(); r.Next(); {
			switch tag := r.ContextTag(); {
			case kind == 0 && tag == 1:
				text = statusText(&r)
			case kind == 1 && tag == 0:
				version = r.Uint32()
			case kind == 1 && tag == 2:
				e := r.Element()
				text = Text(n.t, e.Reader())
			}
		}
		r.Exit()
	}
	return text, version
}

func attributePath(w *tlv.Writer, t tlv.Tag, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID) {
	w.StartList(t)
	w.Uint(tlv.Context(2), uint64(ep))
	w.Uint(tlv.Context(3), uint64(cl))
	w.Uint(tlv.Context(4), uint64(id))
	w.End()
}

// statusText reads a StatusIB.
func statusText(r *tlv.Reader) string {
	var st matter.ClusterStatus
	for r.EnterStruct(); r.Next(); {
		switch r.ContextTag() {
		case 0:
			st.Status = matter.Status(r.Uint8())
		case 1:
			st.Code = r.Uint8()
		}
	}
	r.Exit()
	if st.Code != 0 {
		return st.Error()
	}
	return st.Status.String()
}

// Write writes a whole attribute and returns the name of the status.
func (n *Node) Write(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID, value string) (status string) {
	n.t.Helper()
	r := n.ask(s, im.OpcodeWriteRequest, func(w *tlv.Writer) {
		w.Bool(tlv.Context(1), false)
		w.StartArray(tlv.Context(2))
		w.StartStruct(tlv.Anonymous)
		attributePath(w, tlv.Context(1), ep, cl, id)
		write(n.t, w, tlv.Context(2), value)
		w.End()
		w.End()
	}, im.OpcodeWriteResponse, 0)
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 1 {
			status = statusText(&r)
		}
	}
	return status
}

// Invoke executes a command with the given fields. It returns the id of the
// response command and its fields, such as "1{0:0}", or the name of a status.
func (n *Node) Invoke(s acl.Subject, ep matter.EndpointID, cl matter.ClusterID, id matter.CommandID, fields string) (result string) {
	n.t.Helper()
	r := n.ask(s, im.OpcodeInvokeRequest, func(w *tlv.Writer) {
		w.Bool(tlv.Context(0), false)
		w.Bool(tlv.Context(1), false)
		w.StartArray(tlv.Context(2))
		w.StartStruct(tlv.Anonymous)
		w.StartList(tlv.Context(0))
		w.Uint(tlv.Context(0), uint64(ep))
		w.Uint(tlv.Context(1), uint64(cl))
		w.Uint(tlv.Context(2), uint64(id))
		w.End()
		write(n.t, w, tlv.Context(1), fields)
		w.End()
		w.End()
	}, im.OpcodeInvokeResponse, 1)
	for r.EnterStruct(); r.Next(); {
		kind := r.ContextTag()
		for r.EnterStruct(); r.Next(); {
			switch tag := r.ContextTag(); {
			case kind == 0 && tag == 0:
				for r.EnterList(); r.Next(); {
					if r.ContextTag() == 2 {
						result = fmt.Sprint(r.Uint32())
					}
				}
				r.Exit()
			case kind == 0 && tag == 1:
				e := r.Element()
				result += Text(n.t, e.Reader())
			case kind == 1 && tag == 1:
				result = statusText(&r)
			}
		}
		r.Exit()
	}
	return result
}

// Events returns the events that a subject may read, each as its id and its data,
// such as "0{0:1}".
func (n *Node) Events(s acl.Subject, cl matter.ClusterID) (list []string) {
	n.t.Helper()
	c := &conn{subject: s}
	var w tlv.Writer
	write(n.t, &w, tlv.Anonymous, fmt.Sprintf("{1:[<2:%d>],3:true}", cl))
	n.Open(n.Now, c).Receive(n.Now, im.OpcodeReadRequest, w.Bytes())
	r := tlv.NewReader(c.payload)
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() != 2 {
			continue
		}
		for r.EnterArray(); r.Next(); {
			list = append(list, n.event(&r))
		}
		r.Exit()
	}
	if err := r.End(); err != nil || c.opcode != im.OpcodeReportData {
		n.t.Fatalf("clustertest: events: opcode %d, %v", c.opcode, err)
	}
	return list
}

func (n *Node) event(r *tlv.Reader) (text string) {
	for r.EnterStruct(); r.Next(); {
		for r.EnterStruct(); r.Next(); {
			switch r.ContextTag() {
			case 0:
				for r.EnterList(); r.Next(); {
					if r.ContextTag() == 3 {
						text = fmt.Sprint(r.Uint32())
					}
				}
				r.Exit()
			case 7:
				e := r.Element()
				text += Text(n.t, e.Reader())
			}
		}
		r.Exit()
	}
	r.Exit()
	return text
}
