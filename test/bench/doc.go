// Command bench measures what the daemon costs: CPU time per operation, memory,
// allocations, syncs, time to start.
//
// It runs the real binary in a network namespace and itself in another one,
// connected by a veth pair, and acts as a commissioner over UDP. Next to each
// figure it prints a floor, measured in the same run: the bare cryptographic
// primitives, or a UDP echo that decrypts and encrypts. With PEER=matterjs it also
// measures the same operations with a matter.js device.
//
// The rows of the bridge have devices that a program adds over the API: plugs, one to a
// thousand, in daemons that run at the same time and are measured alternately, and 150
// devices of the kinds in a home.
//
// docs/performance.md explains the output.
package main
