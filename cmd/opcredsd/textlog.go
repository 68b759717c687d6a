package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// textHandler writes lines of key=value. The message is always quoted, so that a
// line can be found by its message; slog's own handler quotes only if necessary.
// That handler writes the attributes.
type textHandler struct {
	out     *lineWriter
	attrs   slog.Handler
	journal bool // the journal adds time and level itself: sd-daemon(3)
}

type lineWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf bytes.Buffer
}

func (l *lineWriter) Write(b []byte) (int, error) { return l.buf.Write(b) }

func newTextHandler(w io.Writer, level slog.Leveler, journal bool) *textHandler {
	out := &lineWriter{w: w}
	drop := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}
	return &textHandler{out, slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: drop}), journal}
}

func (h *textHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.attrs.Enabled(ctx, l)
}

func (h *textHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	b := &h.out.buf
	b.Reset()
	if h.journal {
		b.WriteString(priority(r.Level))
	} else {
		b.WriteString("time=")
		b.WriteString(r.Time.Format(timeLayout))
		b.WriteString(" level=")
		b.WriteString(r.Level.String())
		b.WriteByte(' ')
	}
	b.WriteString("msg=")
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
	return &textHandler{h.out, h.attrs.WithAttrs(attrs), h.journal}
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	return &textHandler{h.out, h.attrs.WithGroup(name), h.journal}
}

// priority returns the prefix with the level of a line for the journal.
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// isJournal reports whether w is the journal, from its device and inode in
// $JOURNAL_STREAM (systemd.exec(5)).
func isJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
