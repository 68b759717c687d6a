package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// residentFile returns how much of the program's file is mapped, in KiB.
func residentFile(t *testing.T) (kib int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "RssFile: %d kB", &kib); err == nil {
			return kib
		}
	}
	t.Fatal("no RssFile in /proc/self/status")
	return 0
}

func TestGiveBack(t *testing.T) {
	before := residentFile(t)
	if err := giveBack(); err != nil {
		t.Fatal(err)
	}
	if after := residentFile(t); after >= before {
		t.Errorf("%d KiB of the program mapped, %d before", after, before)
	}
}
