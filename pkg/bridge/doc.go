// Package bridge is the registry of bridged devices and their permanent identities.
//
// Devices come from sources: programs that use the local API, and the daemon's own
// fronts. A source describes its devices and their state, and receives the commands
// of controllers. The registry assigns endpoints to each device and keeps them,
// whatever happens to the source. A device is only removed by its id, never because
// its source is silent.
//
// The methods of [Registry] may be called from any goroutine. They run on the
// node's.
package bridge
