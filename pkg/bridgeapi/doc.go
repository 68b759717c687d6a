// Package bridgeapi is the local API of the bridge: HTTP with JSON. With it
// programs in any language add, update and remove devices, and receive commands.
package bridgeapi
