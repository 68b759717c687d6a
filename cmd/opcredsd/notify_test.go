package main

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// Without systemd the node is not asked for its state, which would wake it every 30
// s.
func TestNotifierWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			(&notifier{log: slog.New(slog.DiscardHandler)}).run(ctx) // there is no node to ask
		}()
		time.Sleep(2 * statusEvery)
		stop()
		<-ended
	})
}
