// Package provision makes and keeps what a node is before anybody has commissioned it:
// its passcode, its ids, its attestation material and where the key for it is. It also
// has what is done to the store of a node that does not run, and says what a factory
// reset takes back.
package provision
