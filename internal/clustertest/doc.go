// Package clustertest lets the tests of a cluster ask it as a peer would: through
// a real Interaction Model engine, over a real fabric table, without sessions and
// network. What goes in and comes out is written as text, see [Encode].
package clustertest
