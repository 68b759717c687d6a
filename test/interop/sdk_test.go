//go:build interop && (homeassistant || certification)

package interop

import (
	"errors"
	"os"
	"testing"
)

// makeSDKDirectory makes the directory that the SDK's build has compiled in.
func makeSDKDirectory(t *testing.T) {
	const dir = "/data"
	err := os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		t.Fatalf("the SDK keeps a file in %s: make it, writable for you (%v)", dir, err)
	default:
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
}
