// Package doctor finds out what on this host may keep controllers from finding or
// commissioning the node. [Gather] collects facts. Each check judges them, and says what
// is wrong and what to do about it.
package doctor
