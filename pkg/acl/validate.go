package acl

import (
	"math"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Limits for one fabric: the attributes SubjectsPerAccessControlEntry,
// TargetsPerAccessControlEntry and AccessControlEntriesPerFabric (section 9.10.6). A new
// release must not lower them.
const (
	MaxSubjects      = 4
	MaxTargets       = 3
	EntriesPerFabric = 4
)

// ValidateList returns the status for a fabric's whole list: that of the first faulty
// entry, or RESOURCE_EXHAUSTED for more than EntriesPerFabric.
func ValidateList(entries []store.ACLEntry) error {
	for i := range entries {
		if err := Validate(entries[i]); err != nil {
			return err
		}
	}
	if len(entries) > EntriesPerFabric {
		return matter.StatusResourceExhausted
	}
	return nil
}

// Validate returns the status for an entry that may not be stored (sections 6.6.2 and
// 9.10.5): CONSTRAINT_ERROR for an impossible combination, RESOURCE_EXHAUSTED for too many
// subjects or targets.
//
// ProxyView is deprecated and allowed. It grants View.
func Validate(e store.ACLEntry) error {
	if e.Privilege < matter.PrivilegeView || e.Privilege > matter.PrivilegeAdminister {
		return matter.StatusConstraintError
	}
	switch e.AuthMode {
	case matter.AuthModeCASE:
	case matter.AuthModeGroup:
		if e.Privilege == matter.PrivilegeAdminister {
			return matter.StatusConstraintError
		}
	default: // PASE needs no entry, and entries for it are not allowed
		return matter.StatusConstraintError
	}
	for _, s := range e.Subjects {
		if !validSubject(s, e.AuthMode) {
			return matter.StatusConstraintError
		}
	}
	for i := range e.Targets {
		if !validTarget(&e.Targets[i]) {
			return matter.StatusConstraintError
		}
	}
	if len(e.Subjects) > MaxSubjects || len(e.Targets) > MaxTargets {
		return matter.StatusResourceExhausted
	}
	return nil
}

func validSubject(s matter.NodeID, m matter.AuthMode) bool {
	if m == matter.AuthModeGroup { // the group id itself, of 16 bits
		return s != 0 && s <= math.MaxUint16
	}
	_, ok := s.CAT()
	return ok || s.Operational()
}

func validTarget(t *store.ACLTarget) bool {
	switch {
	case t.Cluster == nil && t.Endpoint == nil && t.DeviceType == nil:
		return false
	case t.Endpoint != nil && t.DeviceType != nil:
		return false
	}
	return (t.Cluster == nil || validCluster(*t.Cluster)) &&
		(t.Endpoint == nil || *t.Endpoint != 0xFFFF) &&
		(t.DeviceType == nil || validDeviceType(*t.DeviceType))
}

// validCluster reports whether an id is in the range of standard clusters, or of those of
// a manufacturer, with the vendor id in its upper half (chapter Data Model, Manufacturer
// Extensible Identifiers).
func validCluster(id matter.ClusterID) bool {
	vendor, suffix := uint16(id>>16), uint16(id)
	if vendor == 0 {
		return suffix <= 0x7FFF
	}
	return vendor != 0xFFFF && suffix >= 0xFC00 && suffix <= 0xFFFE
}

// validDeviceType is validCluster for device types.
func validDeviceType(id matter.DeviceTypeID) bool {
	return uint16(id>>16) != 0xFFFF && uint16(id) <= 0xBFFF
}
