//go:build interop && (homeassistant || certification)

package interop

import (
	"errors"
	"os"
	"testing"
)

// makeSDKDirectory creates the directory that is compiled into the SDK's build. It
// is not removed, since another run may be using it.
func makeSDKDirectory(t *testing.T) {
	const dir = "/data"
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatalf("the SDK keeps a file in %s: make it, writable for you (%v)", dir, err)
	}
}
