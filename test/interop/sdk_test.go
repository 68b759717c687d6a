//go:build interop && (homeassistant || certification)

package interop

import (
	"errors"
	"os"
	"testing"
)

// makeSDKDirectory makes the directory that the SDK's build has compiled in. It stays, as
// another run may be using it.
func makeSDKDirectory(t *testing.T) {
	const dir = "/data"
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatalf("the SDK keeps a file in %s: make it, writable for you (%v)", dir, err)
	}
}
