// Package doctor finds out what on this host may prevent controllers from finding
// or commissioning the node. [Gather] collects facts. Each check evaluates them and
// reports the problem and its remedy.
package doctor
