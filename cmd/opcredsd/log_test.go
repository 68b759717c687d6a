package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

func TestLogFormats(t *testing.T) {
	var out bytes.Buffer
	var sink logSink
	sink.set("info", "text")
	log := sink.logger(&out)
	early := log.With("part", "x")
	line := func(write func()) string {
		out.Reset()
		write()
		return strings.TrimSpace(out.String())
	}
	for _, tc := range []struct {
		level, format string
		write         func()
		want          string
	}{
		{"info", "text", func() { log.Info("ready", "port", 5540) }, `^time=\S+Z? level=INFO msg="ready" port=5540$`},
		{"info", "text", func() { log.Debug("detail") }, `^$`},
		{"debug", "text", func() { log.Debug("detail") }, `level=DEBUG msg="detail"$`},
		{"warn", "text", func() { log.Info("ready") }, `^$`},
		// A logger created before the change uses the new settings and keeps its
		// attributes.
		{"info", "json", func() { early.Warn("odd", "cause", "a \"b\"") }, `^{"time":"[^"]+","level":"WARN","msg":"odd","part":"x","cause":"a \\"b\\""}$`},
		{"info", "text", func() { early.Warn("odd") }, `level=WARN msg="odd" part=x$`},
		{"info", "text", func() { log.WithGroup("g").Info("in", "msg", 1) }, `msg="in" g.msg=1$`},
		{"info", "text", func() { log.Info("open", "for", 15*time.Minute) }, `^time=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d) .* for=15m0s$`},
		{"info", "json", func() { log.Info("open", "for", 15*time.Minute) }, `"for":"15m0s"}$`},
		{"info", "json", func() {
			log.Info("x", "peer", matter.NodeID(0xFEDCBA9876543210), "at", netip.MustParseAddr("fe80::1"), "error", io.EOF)
		}, `"msg":"x","peer":"FEDCBA9876543210","at":"fe80::1","error":"EOF"}$`},
		// A label that a controller has set cannot start a new line.
		{"info", "text", func() { log.Info("fabric removed", "label", "a\nb") }, `label="a\\nb"$`},
	} {
		sink.set(tc.level, tc.format)
		if got := line(tc.write); !regexp.MustCompile(tc.want).MatchString(got) {
			t.Errorf("%s, %s: %q, want %s", tc.level, tc.format, got, tc.want)
		}
	}
}

func TestLogToTheJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	stream := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for s, want := range map[string]bool{stream: true, "": false, "1:2": false} {
		if got := isJournal(f, s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	if isJournal(new(bytes.Buffer), stream) {
		t.Error("a buffer is no journal")
	}
	t.Setenv("JOURNAL_STREAM", stream)
	var sink logSink
	sink.set("debug", "text")
	log := sink.logger(f)
	log.Debug("a")
	log.Info("b", "port", 5540)
	log.Warn("c")
	log.With("x", 1).Log(t.Context(), slog.LevelError, "d")
	got, err := os.ReadFile(f.Name())
	if want := "<7>msg=\"a\"\n<6>msg=\"b\" port=5540\n<4>msg=\"c\"\n<3>msg=\"d\" x=1\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
