package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// gcPercent lets the heap grow by half before it is collected, not to twice its
// size: of a few megabytes that is worth more than the time.
const gcPercent = 50

// economise fits Go's runtime to a daemon whose work is one goroutine's. With more
// than one thread to run Go code on, each datagram that the goroutine of a socket
// hands to the event loop wakes another thread, which takes longer than most
// requests. The runtime's own environment variables have the last word.
func economise() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
