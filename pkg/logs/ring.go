package logs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// ringLines is the number of log lines kept for Diagnostic Logs.
const ringLines = 64

// shownAttrs are the attributes that kept lines contain. Any controller with
// Operate, on any fabric, may read the lines, so they must not identify other
// controllers.
var shownAttrs = []string{"reason", "result", "type", "command", "status", "fabrics", "port", "signal"}

// Ring is a slog.Handler that keeps the newest lines of level Info and above, and
// passes every record on.
type Ring struct {
	next slog.Handler
	kept *lines
}

type lines struct {
	mu    sync.Mutex
	lines []line // oldest first
}

type line struct {
	at   time.Time
	text string
}

// NewRing returns a Ring that passes records on to next.
func NewRing(next slog.Handler) *Ring { return &Ring{next: next, kept: new(lines)} }

// Enabled reports whether the ring or the next handler uses the level.
func (r *Ring) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || r.next.Enabled(ctx, l)
}

// Handle keeps the record if it is of level Info or above.
func (r *Ring) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelInfo {
		r.kept.add(rec)
	}
	if r.next.Enabled(ctx, rec.Level) {
		return r.next.Handle(ctx, rec)
	}
	return nil
}

// WithAttrs returns a handler with the same lines. The attributes are not kept.
func (r *Ring) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Ring{next: r.next.WithAttrs(attrs), kept: r.kept}
}

// WithGroup returns a handler with the same lines.
func (r *Ring) WithGroup(name string) slog.Handler {
	return &Ring{next: r.next.WithGroup(name), kept: r.kept}
}

func (k *lines) add(rec slog.Record) {
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
	if len(k.lines) == ringLines {
		k.lines = slices.Delete(k.lines, 0, 1)
	}
	k.lines = append(k.lines, line{rec.Time, b.String()})
}

// Newest returns the newest lines that fit into limit octets, oldest first, and
// the time of the first. It may be called from any goroutine.
func (r *Ring) Newest(limit int) (text []byte, oldest time.Time) {
	k := r.kept
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
