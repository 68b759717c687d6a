// Package doctor looks for what on this host would keep controllers from finding
// or commissioning the node. [Gather] reads the facts, each check judges them; a
// check says what is wrong and what to do about it.
package doctor
