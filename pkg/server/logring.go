package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// logLines is how many lines of the log are kept for Diagnostic Logs.
const logLines = 64

// shownAttrs are the attributes of a log record that the kept line shows. A log
// may be asked for by any controller that may operate the node, of whatever
// fabric: it tells nothing of who the others are.
var shownAttrs = []string{"reason", "result", "type", "command", "status", "fabrics", "port", "signal"}

// logRing is a log handler that keeps the latest lines, and hands everything on.
type logRing struct {
	next slog.Handler
	kept *keptLines
}

type keptLines struct {
	mu    sync.Mutex
	lines []logLine // oldest first
}

type logLine struct {
	at   time.Time
	text string
}

func newLogRing(next slog.Handler) *logRing { return &logRing{next: next, kept: new(keptLines)} }

// Enabled reports whether anybody wants records of the level.
func (r *logRing) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || r.next.Enabled(ctx, l)
}

// Handle keeps the record if it is of level Info or above.
func (r *logRing) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelInfo {
		r.kept.add(rec)
	}
	if r.next.Enabled(ctx, rec.Level) {
		return r.next.Handle(ctx, rec)
	}
	return nil
}

// WithAttrs returns a handler with the same lines. The attributes are not shown.
func (r *logRing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logRing{next: r.next.WithAttrs(attrs), kept: r.kept}
}

// WithGroup returns a handler with the same lines.
func (r *logRing) WithGroup(name string) slog.Handler {
	return &logRing{next: r.next.WithGroup(name), kept: r.kept}
}

func (k *keptLines) add(rec slog.Record) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", rec.Time.UTC().Format(time.RFC3339), rec.Level, rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		if slices.Contains(shownAttrs, a.Key) {
			fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		}
		return true
	})
	b.WriteByte('\n')
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.lines) == logLines {
		k.lines = slices.Delete(k.lines, 0, 1)
	}
	k.lines = append(k.lines, logLine{rec.Time, b.String()})
}

// newest returns the newest lines that fit into limit octets, oldest first, and
// the time of the first.
func (k *keptLines) newest(limit int) (text []byte, oldest time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := len(k.lines)
	for size := 0; first > 0; first-- {
		if size += len(k.lines[first-1].text); size > limit {
			break
		}
	}
	if first == len(k.lines) {
		return nil, time.Time{}
	}
	for _, l := range k.lines[first:] {
		text = append(text, l.text...)
	}
	return text, k.lines[first].at
}
