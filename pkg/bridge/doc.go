// Package bridge is the registry of bridged devices: which there are, and who they are
// for ever.
//
// Devices come from sources: programs at the local API, and the daemon's own fronts. A
// source says what its devices are and what state they have, and takes what controllers
// want of them. The registry gives each device its endpoints and keeps them, whatever
// happens to the source: silence removes nothing, only a removal by name does.
//
// The methods of [Registry] may be called from any goroutine; they do their work on the
// node's.
package bridge
