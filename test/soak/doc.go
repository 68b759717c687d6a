// Command soak runs the daemon in a network namespace for a long time, under load
// and with disturbances of its network. It checks all the time that nothing grows
// and that everything works. docs/robustness.md contains its output.
package main
