package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/admin"
)

// Completion offers the fabrics of the running daemon. Without a daemon it offers nothing.
func TestFabricsAreCompleted(t *testing.T) {
	t.Setenv("OPCREDSD_CONFIG", "")
	path := filepath.Join(t.TempDir(), "admin.sock")
	complete := func(args ...string) string {
		var out bytes.Buffer
		run(t.Context(), append([]string{"__complete", "--admin-socket", path, "fabrics", "remove"}, args...), &out, &out)
		return out.String()
	}
	if got := complete(""); !strings.HasPrefix(got, ":4\n") {
		t.Errorf("without a daemon: %q", got)
	}
	l, err := admin.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	node := admin.Operator{Fabrics: func(context.Context) ([]admin.Fabric, error) {
		return []admin.Fabric{{Index: 1, Label: "Home", VendorID: 0xFFF1}, {Index: 3, VendorID: 0x1349}}, nil
	}}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: admin.Handler(node, slog.New(slog.DiscardHandler)), ConnContext: admin.ConnContext}}
	srv.Start()
	defer srv.Close()
	if got := complete(""); !strings.HasPrefix(got, "1\t\"Home\", vendor 0xFFF1\n3\t\"\", vendor 0x1349\n:4\n") {
		t.Errorf("%q", got)
	}
	if got := complete("1", ""); !strings.HasPrefix(got, ":4\n") {
		t.Errorf("a second index: %q", got)
	}
}
