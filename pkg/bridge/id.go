package bridge

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of an id.
const (
	minID = 3
	maxID = 128
)

// fronts are the daemon's own sources.
var fronts = []string{"z2m", "ha", "tasmota", "mqtt", "demo"}

// Front returns the name of a source in metrics: the source's own name for one of
// the daemon's fronts, and otherwise "api".
func Front(source string) string {
	if slices.Contains(fronts, source) {
		return source
	}
	return "api"
}

// SourceOf returns the source of a device id.
func SourceOf(id string) string {
	source, _, _ := strings.Cut(id, ":")
	return source
}

// CheckID returns an error if a device id is not valid.
func CheckID(id string) error {
	if len(id) < minID || len(id) > maxID {
		return fmt.Errorf("id: %q has %d characters, not %d to %d", id, len(id), minID, maxID)
	}
	if i := strings.IndexFunc(id, func(r rune) bool { return !idRune(r) }); i >= 0 {
		return fmt.Errorf("id: %q has a character other than A-Z a-z 0-9 . _ : -", id)
	}
	source, key, ok := strings.Cut(id, ":")
	if !ok || source == "" || key == "" {
		return fmt.Errorf("id: %q is not SOURCE:KEY", id)
	}
	return nil
}

func idRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:-", r)
}
