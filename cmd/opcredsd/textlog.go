package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// textHandler writes lines of key=value with the message always in quotes, so
// that a line can be found by its message; slog's own handler quotes only where
// it must. Attributes are left to that handler.
type textHandler struct {
	out   *lineWriter
	attrs slog.Handler
}

type lineWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf bytes.Buffer
}

func (l *lineWriter) Write(b []byte) (int, error) { return l.buf.Write(b) }

func newTextHandler(w io.Writer, level slog.Leveler) *textHandler {
	out := &lineWriter{w: w}
	drop := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}
	return &textHandler{out, slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: drop})}
}

func (h *textHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.attrs.Enabled(ctx, l)
}

func (h *textHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	b := &h.out.buf
	b.Reset()
	b.WriteString("time=")
	b.WriteString(r.Time.Format(time.RFC3339Nano))
	b.WriteString(" level=")
	b.WriteString(r.Level.String())
	b.WriteString(" msg=")
	b.WriteString(strconv.Quote(r.Message))
	b.WriteByte(' ')
	if err := h.attrs.Handle(ctx, r); err != nil {
		return err
	}
	line := append(bytes.TrimRight(b.Bytes(), " \n"), '\n')
	_, err := h.out.w.Write(line)
	return err
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &textHandler{h.out, h.attrs.WithAttrs(attrs)}
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	return &textHandler{h.out, h.attrs.WithGroup(name)}
}
