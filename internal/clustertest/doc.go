// Package clustertest sends requests to a cluster as a peer would: through a real
// Interaction Model engine with a real fabric table, without sessions and network.
// Requests and answers are written as text, see [Encode].
package clustertest
