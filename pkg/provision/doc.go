// Package provision creates what a node needs before it is commissioned: its passcode, its
// ids and its attestation material. It also has the operations on the store of a node that
// does not run, and defines what a factory reset removes.
package provision
