package mdns

import (
	"flag"
	"os"
	"testing"
)

// TestMain allows more parallel tests than there are processors: those in
// namespaces mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
