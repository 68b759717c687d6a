package main

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/pkg/logs"
)

var logLevels = []string{"debug", "info", "warn", "error"}

// logSink is the destination of the log. Level and format may change while the
// daemon runs, for existing loggers too.
type logSink struct {
	level slog.LevelVar
	json  atomic.Bool
	tail  *logs.Tail // what the page for browsers shows of it; nil: there is no page
}

// set sets level and format, which must be valid.
func (s *logSink) set(level, format string) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		panic("BUG: opcredsd: unchecked log level")
	}
	s.level.Set(l)
	s.json.Store(format == "json")
}

func (s *logSink) logger(w io.Writer) *slog.Logger {
	if s.tail != nil {
		return slog.New(s.tail)
	}
	return slog.New(s.handler(w))
}

func (s *logSink) handler(w io.Writer) slog.Handler {
	return &logHandler{
		asJSON: &s.json,
		text:   newTextHandler(w, &s.level, isJournal(w, os.Getenv("JOURNAL_STREAM"))),
		json:   slog.NewJSONHandler(w, &slog.HandlerOptions{Level: &s.level, ReplaceAttr: readable}),
	}
}

// keep keeps the newest lines of the log from now on.
func (s *logSink) keep(w io.Writer) *logs.Tail {
	s.tail = logs.NewTail(s.handler(w))
	return s.tail
}

// readable makes values in JSON the same as in text: "15m0s", "CASE", and 16 hex
// digits of a node id, where slog would write numbers.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case error, json.Marshaler, encoding.TextMarshaler, time.Time, slog.Level:
	case fmt.Stringer:
		a.Value = slog.StringValue(v.String())
	}
	return a
}

// logHandler writes each line in the current format.
type logHandler struct {
	asJSON     *atomic.Bool
	text, json slog.Handler
}

func (h *logHandler) current() slog.Handler {
	if h.asJSON.Load() {
		return h.json
	}
	return h.text
}

func (h *logHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.text.Enabled(ctx, l)
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.current().Handle(ctx, r)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.asJSON, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.asJSON, h.text.WithGroup(name), h.json.WithGroup(name)}
}
