package datamodel

import (
	"cmp"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// DeviceType holds what a device type demands of an endpoint ("Matter Device Library
// Specification").
type DeviceType struct {
	ID         matter.DeviceTypeID
	Name       string
	Revision   uint16
	Class      Class
	Superset   matter.DeviceTypeID // the device type of which this is one as well, or 0
	Conditions []string            // names that conformance expressions may use
	Clusters   []ClusterRequirement
}

// Class is the class of a device type (section 7.14).
type Class uint8

// The classes. Simple device types are application device types.
const (
	_ Class = iota
	ClassSimple
	ClassUtility
	ClassNode
)

// ClusterRequirement is a cluster that a device type speaks of, with the elements of
// which it says more than the cluster does.
type ClusterRequirement struct {
	ID          matter.ClusterID
	Name        string
	Server      bool // else the client
	Conformance Conformance
	Features    []FeatureRequirement
	Attributes  []AttributeRequirement
	Commands    []CommandRequirement
	Events      []EventRequirement
}

// FeatureRequirement replaces the conformance of a feature.
type FeatureRequirement struct {
	Code        string
	Conformance Conformance
}

// AttributeRequirement replaces the conformance of an attribute, its limit, or both:
// an empty one leaves what the cluster says.
type AttributeRequirement struct {
	ID          matter.AttributeID
	Name        string
	Limit       Limit
	Conformance Conformance
}

// CommandRequirement replaces the conformance of a command.
type CommandRequirement struct {
	ID          matter.CommandID
	Name        string
	Conformance Conformance
}

// EventRequirement replaces the conformance of an event.
type EventRequirement struct {
	ID          matter.EventID
	Name        string
	Conformance Conformance
}

// DeviceTypeByID returns the device type with the id, or nil.
func DeviceTypeByID(id matter.DeviceTypeID) *DeviceType {
	i, ok := slices.BinarySearchFunc(deviceTypes[:], id, func(d DeviceType, id matter.DeviceTypeID) int { return cmp.Compare(d.ID, id) })
	if !ok {
		return nil
	}
	return &deviceTypes[i]
}

// ClusterByID returns the cluster with the id, or nil.
func ClusterByID(id matter.ClusterID) *Cluster {
	i, ok := slices.BinarySearchFunc(clusters[:], id, func(c *Cluster, id matter.ClusterID) int { return cmp.Compare(c.ID, id) })
	if !ok {
		return nil
	}
	return clusters[i]
}
