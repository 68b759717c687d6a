// Package datamodel holds the facts of the Matter data model: ids, names, types,
// access, qualities, constraints and conformance of clusters and device types, at
// release 1.6. It knows no behaviour.
package datamodel
