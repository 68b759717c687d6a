// Command soak runs the daemon in a network namespace of its own for a long time,
// works it and its network, and checks all the while that nothing grows and
// everything still works. It prints what docs/robustness.md shows.
package main
