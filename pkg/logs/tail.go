package logs

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a Tail.
const (
	maxTailLines = 500
	maxTailLine  = 1024 // octets of a line; the rest is cut off
)

// Line is a line of the log as the operator sees it.
type Line struct {
	N     uint64 // counts lines, from 1
	At    time.Time
	Level slog.Level
	Text  string // the message
	Attrs string // the attributes, as slog.TextHandler writes them
}

// Tail is a slog.Handler that keeps the newest lines whole, for the operator, and hands
// every record on. It keeps lines of level Info and above, and those of lower levels that
// the next handler wants.
type Tail struct {
	next slog.Handler
	text slog.Handler // writes the attributes into kept.out
	kept *tail
}

type tail struct {
	mu      sync.Mutex
	out     bytes.Buffer
	lines   []Line // oldest first
	last    uint64
	changed chan struct{} // closed with the next line
}

// NewTail returns a Tail that hands records on to next.
func NewTail(next slog.Handler) *Tail {
	k := &tail{changed: make(chan struct{})}
	// The handler is called with the lock held, so that it may write into the buffer.
	text := slog.NewTextHandler(&k.out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutHead})
	return &Tail{next: next, text: text, kept: k}
}

// withoutHead leaves out what a Line has fields for.
func withoutHead(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && slices.Contains([]string{slog.TimeKey, slog.LevelKey, slog.MessageKey}, a.Key) {
		return slog.Attr{}
	}
	return a
}

// Enabled reports whether anybody wants records of the level.
func (t *Tail) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || t.next.Enabled(ctx, l)
}

// Handle keeps the record.
func (t *Tail) Handle(ctx context.Context, rec slog.Record) error {
	t.keep(ctx, rec)
	if t.next.Enabled(ctx, rec.Level) {
		return t.next.Handle(ctx, rec)
	}
	return nil
}

func (t *Tail) keep(ctx context.Context, rec slog.Record) {
	k := t.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	k.out.Reset()
	_ = t.text.Handle(ctx, rec) // a buffer takes everything
	k.last++
	if len(k.lines) == maxTailLines {
		k.lines = slices.Delete(k.lines, 0, 1)
	}
	k.lines = append(k.lines, Line{
		N: k.last, At: rec.Time, Level: rec.Level,
		Text: cut(rec.Message), Attrs: cut(strings.TrimSpace(k.out.String())),
	})
	close(k.changed)
	k.changed = make(chan struct{})
}

// cut shortens a text that is too long. It keeps no part of a longer one in memory.
func cut(s string) string {
	if len(s) <= maxTailLine {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:maxTailLine]), "") + "…"
}

// WithAttrs returns a handler with the same lines.
func (t *Tail) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Tail{next: t.next.WithAttrs(attrs), text: t.text.WithAttrs(attrs), kept: t.kept}
}

// WithGroup returns a handler with the same lines.
func (t *Tail) WithGroup(name string) slog.Handler {
	return &Tail{next: t.next.WithGroup(name), text: t.text.WithGroup(name), kept: t.kept}
}

// Since returns the lines after number n, oldest first, as far as they are kept, and a
// channel that is closed when there is another. It may be called from any goroutine.
func (t *Tail) Since(n uint64) (lines []Line, changed <-chan struct{}) {
	k := t.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	i, _ := slices.BinarySearchFunc(k.lines, n+1, func(l Line, n uint64) int { return int(l.N) - int(n) })
	return slices.Clone(k.lines[i:]), k.changed
}
