package logs

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

// The operator sees all of a line, and lines of low levels only if the log has them.
func TestTail(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	level.Set(slog.LevelWarn)
	tail := NewTail(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: &level}))
	log := slog.New(tail)
	log.Debug("small talk")
	log.Info("started", "port", 5540)
	log.With("fabric", 3).WithGroup("g").Warn("failed", "cause", errors.New("no such\nnode"))
	lines, changed := tail.Since(0)
	if len(lines) != 2 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	if l := lines[0]; l.N != 1 || l.Level != slog.LevelInfo || l.Text != "started" || l.Attrs != "port=5540" {
		t.Errorf("%+v", l)
	}
	if l := lines[1]; l.Level != slog.LevelWarn || l.Text != "failed" || l.Attrs != `fabric=3 g.cause="no such\nnode"` {
		t.Errorf("%+v", l)
	}
	if s := out.String(); strings.Contains(s, "started") || !strings.Contains(s, "failed") {
		t.Errorf("handed on: %q", s)
	}
	select {
	case <-changed:
		t.Error("changed without a line")
	default:
	}
	level.Set(slog.LevelDebug)
	log.Debug("small talk")
	<-changed
	if lines, _ := tail.Since(2); len(lines) != 1 || lines[0].N != 3 || lines[0].Level != slog.LevelDebug {
		t.Errorf("after the second: %v", lines)
	}
}

func TestTailIsBounded(t *testing.T) {
	tail := NewTail(slog.DiscardHandler)
	log := slog.New(tail)
	for range 3 * maxTailLines {
		log.Info(strings.Repeat("ä", maxTailLine), "value", strings.Repeat("x", 2*maxTailLine))
	}
	lines, _ := tail.Since(0)
	if len(lines) != maxTailLines || lines[0].N != 2*maxTailLines+1 {
		t.Errorf("%d lines from %d", len(lines), lines[0].N)
	}
	for _, l := range lines {
		if n := max(len(l.Text), len(l.Attrs)); n > maxTailLine+len("…") || !utf8.ValidString(l.Text) {
			t.Fatalf("a line of %d octets: %q", n, l.Text)
		}
	}
	if lines, _ := tail.Since(1 << 40); len(lines) != 0 {
		t.Errorf("%d lines after the last", len(lines))
	}
}
