package acl

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Subject is the authenticated sender of a request: the peer of a session, or the sender
// of a group message.
type Subject struct {
	Fabric   matter.FabricIndex // accessing fabric; NoFabric over PASE before AddNOC
	AuthMode matter.AuthMode
	Node     matter.NodeID // of the peer with CASE; with Group, the group's form as a node id
	CATs     [3]matter.CAT // of the peer's NOC with CASE; 0 for none
}

// Target is the cluster that a request is for.
type Target struct {
	Endpoint matter.EndpointID
	Cluster  matter.ClusterID
}

// List is the node's access control list.
type List struct {
	fabrics     *fabric.Table  // nil: the list of a removed fabric only
	former      *fabric.Fabric // that has been removed, or nil
	deviceTypes func(matter.EndpointID) []matter.DeviceTypeID
}

// New returns the list of a fabric table. deviceTypes returns the device types of an
// endpoint, or none if it does not exist. It should not allocate.
func New(t *fabric.Table, deviceTypes func(matter.EndpointID) []matter.DeviceTypeID) *List {
	if t == nil || deviceTypes == nil {
		panic("BUG: acl: New without a table or device types")
	}
	return &List{fabrics: t, deviceTypes: deviceTypes}
}

// Former returns the list of a fabric that has been removed. Its members still get the
// report of the removal. The list grants nothing to others.
func (l *List) Former(f *fabric.Fabric) *List {
	return &List{former: f, deviceTypes: l.deviceTypes}
}

// fabric returns a fabric of the list, or nil.
func (l *List) fabric(i matter.FabricIndex) *fabric.Fabric {
	switch {
	case l.fabrics != nil:
		return l.fabrics.Get(i)
	case l.former.Index == i:
		return l.former
	}
	return nil
}

// Check reports whether the subject has the privilege for the target (section 6.6.6.2).
// Over PASE it has every privilege. CASE and Group have the privileges that entries of
// their fabric grant.
func (l *List) Check(s Subject, t Target, p matter.Privilege) bool {
	if p < matter.PrivilegeView || p > matter.PrivilegeAdminister {
		return false
	}
	switch s.AuthMode {
	case matter.AuthModePASE:
		return true
	case matter.AuthModeCASE, matter.AuthModeGroup:
	default:
		return false
	}
	f := l.fabric(s.Fabric)
	if f == nil {
		return false
	}
	for i := range f.ACL {
		e := &f.ACL[i]
		if e.AuthMode == s.AuthMode && grants(e.Privilege, p) && matchesSubject(e, &s) && l.matchesTarget(e, t) {
			return true
		}
	}
	return false
}

// grants reports whether an entry's privilege includes the wanted one.
func grants(has, want matter.Privilege) bool {
	return has <= matter.PrivilegeAdminister && has.Includes(want)
}

// matchesSubject reports whether an entry names the subject. An entry has the id of a
// group itself, not its form as a node id (section 9.10.5.7.3).
func matchesSubject(e *store.ACLEntry, s *Subject) bool {
	if len(e.Subjects) == 0 {
		return true
	}
	id := s.Node
	if s.AuthMode == matter.AuthModeGroup {
		group, ok := s.Node.Group()
		if !ok {
			return false
		}
		id = matter.NodeID(group)
	}
	for _, subject := range e.Subjects {
		if tag, ok := subject.CAT(); ok {
			if s.AuthMode == matter.AuthModeCASE && hasCAT(s.CATs, tag) {
				return true
			}
		} else if subject == id {
			return true
		}
	}
	return false
}

// hasCAT reports whether one of the peer's tags has the same identifier in the
// same or a later version (section 6.6.2.1.2).
func hasCAT(cats [3]matter.CAT, tag matter.CAT) bool {
	for _, c := range cats {
		if c.Valid() && c.Identifier() == tag.Identifier() && c.Version() >= tag.Version() {
			return true
		}
	}
	return false
}

func (l *List) matchesTarget(e *store.ACLEntry, t Target) bool {
	if len(e.Targets) == 0 {
		return true
	}
	for i := range e.Targets {
		want := &e.Targets[i]
		switch {
		case want.Cluster == nil && want.Endpoint == nil && want.DeviceType == nil:
			// Validate does not allow this target, as it would match everything.
		case want.Cluster != nil && *want.Cluster != t.Cluster:
		case want.Endpoint != nil && *want.Endpoint != t.Endpoint:
		case want.DeviceType != nil && !slices.Contains(l.deviceTypes(t.Endpoint), *want.DeviceType):
		default:
			return true
		}
	}
	return false
}
