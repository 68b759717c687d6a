package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRing(t *testing.T) {
	var out bytes.Buffer
	ring := NewRing(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	log := slog.New(ring)
	if text, _ := ring.Newest(1024); text != nil {
		t.Errorf("lines before the first: %q", text)
	}
	log.Debug("small talk")
	log.Info("started", "port", 5540, "peer", "fe80::1")
	log.With("fabric", 3).WithGroup("g").Warn("handshake failed", "type", "case", "cause", errors.New("node 1234"), "result", "timeout")
	text, oldest := ring.Newest(1024)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	want := []string{" INFO started port=5540", " WARN handshake failed type=case result=timeout"}
	if len(lines) != 2 || !strings.HasSuffix(lines[0], want[0]) || !strings.HasSuffix(lines[1], want[1]) {
		t.Errorf("lines %q, want %q", lines, want)
	}
	if age := time.Since(oldest); age < 0 || age > time.Minute {
		t.Errorf("the oldest is of %v", oldest)
	}
	// The next handler decides on its level and writes all attributes.
	if s := out.String(); strings.Contains(s, "started") || !strings.Contains(s, "fabric=3") || !strings.Contains(s, "node 1234") {
		t.Errorf("log %q", s)
	}
	if !ring.Enabled(context.Background(), slog.LevelInfo) || ring.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("levels")
	}
}

// The newest lines are kept. As many whole lines are returned as fit.
func TestRingIsBounded(t *testing.T) {
	ring := NewRing(slog.DiscardHandler)
	log := slog.New(ring)
	for i := range 3 * ringLines {
		log.Info(fmt.Sprintf("line %03d", i))
	}
	all, _ := ring.Newest(1 << 20)
	if n := bytes.Count(all, []byte("\n")); n != ringLines {
		t.Errorf("%d lines are kept", n)
	}
	for limit := range 200 {
		text, _ := ring.Newest(limit)
		if len(text) > limit {
			t.Errorf("%d octets for %d", len(text), limit)
		}
		if !bytes.HasSuffix(all, text) || len(text) > 0 && len(text) < len(all) && all[len(all)-len(text)-1] != '\n' {
			t.Errorf("limit %d: %q are no whole lines", limit, text)
		}
	}
	if text, _ := ring.Newest(100); !bytes.HasSuffix(text, []byte(fmt.Sprintf("line %03d\n", 3*ringLines-1))) {
		t.Errorf("the newest is missing in %q", text)
	}
	log.Info(strings.Repeat("x", 2000))
	if text, _ := ring.Newest(1024); text != nil {
		t.Errorf("a line that does not fit: %q", text)
	}
}

func TestRingConcurrently(t *testing.T) {
	ring := NewRing(slog.DiscardHandler)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				slog.New(ring).Info("line")
				ring.Newest(1024)
			}
		})
	}
	wg.Wait()
}
