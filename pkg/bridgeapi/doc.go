// Package bridgeapi is the local API of the bridge: HTTP with JSON, through which
// programs in any language add, update and remove devices, and take commands.
package bridgeapi
