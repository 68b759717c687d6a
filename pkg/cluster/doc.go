// Package cluster defines clusters over a state.
//
// A cluster is its facts, which [datamodel] has, accessors from attributes to the
// fields of a state, and functions for its commands. The state is one comparable
// struct, which all clusters that depend on each other share: on/off, level and color
// of a lamp, say. A [Unit] holds the state of one such group on one endpoint.
//
// A command, a write and a report of the device work on a copy of the state. Then the
// rules that couple its clusters run, then the device is asked for what a controller
// wants, and then the copy replaces the state. An error anywhere leaves everything as
// it was. Nobody says what has changed: [Endpoint.Settle] compares the state with what
// it was and reports the difference.
package cluster
