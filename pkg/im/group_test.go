package im

import (
	"slices"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// askGroup passes the node a message to a group with these members.
func (h *harness) askGroup(s acl.Subject, members []matter.EndpointID, opcode uint8, text string) *fakeConn {
	h.t.Helper()
	c := h.newConn(s)
	c.group = members
	h.Open(h.now, c).Receive(h.now, opcode, encode(h.t, text))
	if len(c.sent) != 0 || !c.closed || h.Stats().Waiting != 0 {
		h.t.Errorf("a message to a group left %d messages, closed %v", len(c.sent), c.closed)
	}
	return c
}

func TestGroup(t *testing.T) {
	both := []matter.EndpointID{0, 2}
	tests := []struct {
		name    string
		members []matter.EndpointID
		opcode  uint8
		text    string
		did     []string // writes, then commands, on endpoint 0 and then 2
	}{
		{"write", both, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<3:6,4:0>,2:8}]}`, []string{"0/6/0=8", "2/6/0=8"}},
		{"write to the endpoints that have it", []matter.EndpointID{0, 1, 2, 9}, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<3:6,4:0>,2:8}]}`, []string{"0/6/0=8", "2/6/0=8"}},
		{"write to one", both, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<2:2,3:6,4:0>,2:8}]}`, []string{"2/6/0=8"}},
		{"write to one that is no member", []matter.EndpointID{2}, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<2:0,3:6,4:0>,2:8}]}`, nil},
		{"write without suppression", both[:1], OpcodeWriteRequest, `{1:false,2:[{1:<3:6,4:0>,2:8}]}`, []string{"0/6/0=8"}},
		{"list in parts", both, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<3:6,4:3>,2:["a"]},{1:<3:6,4:3,5:null>,2:"b"},{1:<3:6,4:0>,2:8}]}`,
			[]string{`0/6/3=["a","b"]`, "0/6/0=8", `2/6/3=["a","b"]`, "2/6/0=8"}},
		{"write of another version", both, OpcodeWriteRequest, `{0:true,1:false,2:[{0:6,1:<3:6,4:0>,2:8}]}`, nil},
		{"write of any attribute", both, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<3:6>,2:8}]}`, nil},
		{"write of any cluster", both, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<4:65532>,2:8}]}`, nil},
		{"chunked write", both, OpcodeWriteRequest, `{1:false,2:[{1:<3:6,4:0>,2:8}],3:true}`, nil},
		{"timed write", both, OpcodeWriteRequest, `{0:true,1:true,2:[{1:<3:6,4:0>,2:8}]}`, nil},
		{"command", both, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<1:6,2:0>}]}`, []string{"0/6/0{}", "2/6/0{}"}},
		{"command with a response", both, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<1:6,2:1>,1:{0:5}}]}`, []string{"0/6/1{0:5}", "2/6/1{0:5}"}},
		{"command to one", both, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<0:0,1:6,2:0>}]}`, []string{"0/6/0{}"}},
		{"command to one that is no member", both[1:], OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<0:0,1:6,2:0>}]}`, nil},
		{"command without suppression", both[:1], OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<1:6,2:0>}]}`, []string{"0/6/0{}"}},
		{"command that needs to be timed", both, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<1:6,2:3>}]}`, nil},
		{"timed command", both, OpcodeInvokeRequest, `{0:true,1:true,2:[{0:<1:6,2:3>}]}`, nil},
		{"command without a cluster", both, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<2:0>}]}`, nil},
		{"more commands than one", both, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<1:6,2:0>,2:1},{0:<1:6,2:1>,2:2}]}`, nil},
		{"no members", []matter.EndpointID{}, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<1:6,2:0>}]}`, nil},
		{"malformed command", both, OpcodeInvokeRequest, `{}`, nil},
		{"malformed write", both, OpcodeWriteRequest, `{}`, nil},
		{"read", both, OpcodeReadRequest, `{0:[<2:0,3:6,4:0>],3:false}`, nil},
		{"subscription", both, OpcodeSubscribeRequest, `{0:true,1:0,2:9,3:[<2:0,3:6,4:0>],7:false}`, nil},
		{"announcement", both, OpcodeTimedRequest, `{0:100}`, nil},
		{"report", both, OpcodeReportData, `{0:1}`, nil},
		{"unknown", both, 99, `{}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.askGroup(pase(1), tt.members, tt.opcode, tt.text)
			got := slices.Concat(n.sw0.writes, n.sw0.invokes, n.sw2.writes, n.sw2.invokes)
			if !slices.Equal(got, tt.did) {
				t.Errorf("did %q, want %q", got, tt.did)
			}
			if len(n.outcomes) > 1 {
				t.Errorf("outcomes %q", n.outcomes)
			}
		})
	}
}

// Entries for groups grant access, with the group as the subject. An item without
// access is skipped, and the others are carried out.
func TestGroupAccess(t *testing.T) {
	x := newFabricOne(t)
	const group matter.GroupID = 7
	two := matter.EndpointID(2)
	err := x.table.Mutate(1, func(r *store.Fabric) error {
		r.ACL = append(r.ACL, store.ACLEntry{
			Privilege: matter.PrivilegeOperate, AuthMode: matter.AuthModeGroup,
			Subjects: []matter.NodeID{matter.NodeID(group)}, Targets: []store.ACLTarget{{Endpoint: &two}},
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		subject acl.Subject
		did     []string
	}{
		{"the group", acl.Subject{Fabric: 1, AuthMode: matter.AuthModeGroup, Node: group.NodeID()}, []string{"2/6/0{}"}},
		{"another group", acl.Subject{Fabric: 1, AuthMode: matter.AuthModeGroup, Node: matter.GroupID(8).NodeID()}, nil},
		{"another fabric", acl.Subject{Fabric: 2, AuthMode: matter.AuthModeGroup, Node: group.NodeID()}, nil},
		{"the administrator's id", acl.Subject{Fabric: 1, AuthMode: matter.AuthModeGroup, Node: peerAdmin}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, func(o *Options) { o.ACL = x.list })
			n.askGroup(tt.subject, []matter.EndpointID{0, 2}, OpcodeInvokeRequest, `{0:true,1:false,2:[{0:<1:6,2:0>}]}`)
			n.askGroup(tt.subject, []matter.EndpointID{0, 2}, OpcodeWriteRequest, `{0:true,1:false,2:[{1:<3:6,4:1>,2:"x"}]}`)
			if got := slices.Concat(n.sw0.writes, n.sw0.invokes, n.sw2.writes, n.sw2.invokes); !slices.Equal(got, tt.did) {
				t.Errorf("did %q, want %q", got, tt.did)
			}
		})
	}
}

// Paths without an endpoint are for groups only.
func TestOpenEndpointOnSession(t *testing.T) {
	n := newNode(t, nil)
	_, c := n.ask(pase(1), OpcodeInvokeRequest, `{0:false,1:false,2:[{0:<1:6,2:0>}]}`)
	wantStatus(t, c, matter.StatusInvalidAction)
	_, c = n.ask(pase(1), OpcodeWriteRequest, `{1:false,2:[{1:<3:6,4:0>,2:8}]}`)
	wantStatus(t, c, matter.StatusInvalidAction)
	if len(n.sw0.invokes)+len(n.sw0.writes) != 0 {
		t.Errorf("did %q %q", n.sw0.invokes, n.sw0.writes)
	}
}
