// Package mdns makes the node's services known by Multicast DNS and DNS-based
// Service Discovery.
package mdns
