// Package cluster defines clusters over a state.
//
// A cluster consists of its facts, which are in package datamodel, accessors from
// attributes to the fields of a state, and functions for its commands. The state is
// one comparable struct, shared by all clusters that depend on each other, for
// example on/off, level and color of a lamp. A [Unit] holds the state of one such
// group on one endpoint.
//
// A command, a write and a report of the device change a copy of the state. Then
// the rules that couple the clusters are applied, then the device is asked for what
// a controller wants, and then the copy replaces the state. An error at any point
// leaves everything unchanged. Nothing has to announce its changes:
// [Endpoint.Settle] compares the state with the one before and reports the
// differences.
package cluster
