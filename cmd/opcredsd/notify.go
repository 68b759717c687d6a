package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/opcredsd/opcredsd/pkg/server"
)

// statusEvery is how often the node's state is sent to systemd, unless the watchdog
// needs it more often.
const statusEvery = 30 * time.Second

// notifier sends the state of the daemon to systemd. Without systemd it does nothing.
type notifier struct {
	log *slog.Logger
	srv *server.Server
}

// heard reports whether systemd listens. Otherwise the node is not asked for its
// state.
func heard() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

func (n *notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("systemd cannot be notified", "error", err)
	}
}

// ready reports that the store is open and the sockets are bound. It does not wait
// until the node can be discovered, because a machine without a network must finish
// booting too.
func (n *notifier) ready() {
	if heard() {
		n.send(daemon.SdNotifyReady + "\nSTATUS=" + n.summary(context.Background()))
	}
}

// status sends the node's state.
func (n *notifier) status() {
	if heard() {
		n.send("STATUS=" + n.summary(context.Background()))
	}
}

// reloading reports that the configuration is being read again.
func (n *notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	n.send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// reloaded reports the end of reloading.
func (n *notifier) reloaded() { n.send(daemon.SdNotifyReady) }

// run sends the node's state until ctx ends, and triggers the watchdog, if there is
// one, as long as the node answers a datagram.
func (n *notifier) run(ctx context.Context) {
	if !heard() {
		<-ctx.Done()
		return
	}
	every := statusEvery
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("the watchdog's interval cannot be read", "error", err)
	}
	if watchdog > 0 {
		every = watchdog / 2
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ctx.Err() == nil {
			n.report(ctx, watchdog > 0, every/2)
		}
		select {
		case <-ctx.Done():
			n.send(daemon.SdNotifyStopping + "\nSTATUS=stopping")
			return
		case <-tick.C:
		}
	}
}

// report sends the state of the node, as far as it is available within limit.
func (n *notifier) report(ctx context.Context, watchdog bool, limit time.Duration) {
	state := "STATUS=" + n.summary(ctx)
	if watchdog {
		probe, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if err := n.srv.Probe(probe); err == nil {
			state += "\n" + daemon.SdNotifyWatchdog
		} else if ctx.Err() == nil {
			n.log.Error("the node does not answer itself, the watchdog is not triggered", "error", err)
			state = "STATUS=the node does not answer itself"
		}
	}
	n.send(state)
}

// summary returns the state of the node in one line.
func (n *notifier) summary(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := n.srv.Operator().Status(ctx)
	if err != nil {
		return "the event loop does not answer"
	}
	text := fmt.Sprintf("%s, %s, %s, window %s", count(len(s.Fabrics), "fabric"), count(s.Sessions.CASE+s.Sessions.PASE, "session"),
		count(s.Subscriptions, "subscription"), s.Window.Kind)
	if !s.Ready {
		text += "; " + s.Fault
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
