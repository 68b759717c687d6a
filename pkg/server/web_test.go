package server

import (
	"strings"
	"testing"
)

func TestWebOptions(t *testing.T) {
	for want, w := range map[string]Web{
		"none given": {}, "is not a host and a port": {Addr: "8380"}, "belong together": {Addr: ":8380", KeyFile: "key.pem"},
	} {
		o := Options{StateDir: t.TempDir(), Web: &w}
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", w, err, want)
		}
	}
}
