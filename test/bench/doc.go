// Command bench measures what the daemon costs: CPU of its process for each
// operation, memory, allocations, syncs, time to start.
//
// It starts the real binary in a network namespace of its own, joined by a veth
// pair to another one in which it runs itself, and drives it over UDP as a
// commissioner. Beside each figure stands a floor, measured in the same run: the
// bare cryptographic primitives, or a UDP echo that opens and seals. With
// PEER=matterjs the same operations run against a matter.js device too.
//
// docs/performance.md says how to read what it prints.
package main
