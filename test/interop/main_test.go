//go:build interop

package interop

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/opcredsd/opcredsd/internal/netns"
)

// insideVar marks a process that is already in a network namespace of its own.
const insideVar = "OPCREDSD_INTEROP_INSIDE"

// TestMain isolates the test from the host's network. It runs five tests at a time
// unless -parallel is given: they mostly wait, but each one loads matter.js first.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "5"); err != nil {
			panic(err)
		}
	}
	if os.Getenv(insideVar) != "" {
		os.Exit(m.Run())
	}
	code, err := netns.Rerun(0, insideVar+"=1")
	if err != nil {
		fmt.Fprintf(os.Stderr, "interop: no network namespaces: %v\n%s\n", err, netns.Denied)
	}
	os.Exit(code)
}
