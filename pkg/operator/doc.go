// Package operator answers an operator's requests: those to a running node with its
// parts ([New]), and those to the store of a node that is not running ([OpenOffline]).
// The requests themselves, and how they travel to a daemon, are in package admin.
package operator
