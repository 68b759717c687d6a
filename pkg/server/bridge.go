package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/bridgeapi"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/stream"
)

// Bridge configures the bridge of a Server.
type Bridge struct {
	Socket string        // path of the API's Unix socket; "": none
	Addr   string        // TCP address of the API; "": none
	Token  string        // token that requests at Addr must have; required with Addr
	Expose bridge.Filter // which devices are shown
	// Overrides is what the operator says of devices; see [bridge.Options].
	Overrides map[string]bridge.Override
	Profile   device.Profile
	Fronts    []Front
	// Resident are the sources whose devices are part of this program; see
	// [bridge.Options].
	Resident []string
}

// Front is a source of devices besides the API.
type Front interface {
	// Name returns the name of the front, for the log.
	Name() string
	// Run serves the front until ctx ends. If it returns early or panics, the node
	// continues, and Run is called again after a pause.
	Run(ctx context.Context, r *bridge.Registry) error
}

// Limits of the bridge API's server.
const (
	maxBridgeClients = 200 // connections; others wait
	bridgeTimeout    = 10 * time.Second
	frontPause       = 5 * time.Second // before Run of a front is called again
)

// openBridge makes the registry of devices.
func (s *Server) openBridge() (err error) {
	b := s.opt.Bridge
	if b == nil {
		return nil
	}
	s.bridge, err = bridge.New(bridge.Options{Store: s.store, Log: s.log, Expose: b.Expose, Overrides: b.Overrides, Profile: b.Profile, Resident: b.Resident})
	if err != nil {
		return err
	}
	s.teardown.push("bridged devices", func(context.Context) error { return s.bridge.Close() })
	return nil
}

// attachBridge adds the endpoints of the known devices, before the node serves.
func (s *Server) attachBridge() error {
	if s.bridge == nil {
		return nil
	}
	return s.node.Do(func(now time.Time) error { return s.bridge.Attach(now, s.node) })
}

// Devices returns the registry of bridged devices, or nil if the options have no
// bridge.
func (s *Server) Devices() *bridge.Registry { return s.bridge }

// bindBridge binds the sockets of the API.
func (s *Server) bindBridge() error {
	b := s.opt.Bridge
	if b == nil {
		return nil
	}
	if b.Socket != "" {
		l, err := host.ListenUnix(b.Socket, 0o660)
		if err != nil {
			return fmt.Errorf("bridge-socket: %w (choose another with --bridge-socket)", err)
		}
		s.addBridge(l, "")
	}
	if b.Addr != "" {
		l, err := net.Listen("tcp", b.Addr)
		if err != nil {
			return fmt.Errorf("bridge-addr %s: %w", b.Addr, err)
		}
		s.addBridge(l, b.Token)
	}
	return nil
}

// addBridge serves the API on a listener.
func (s *Server) addBridge(l net.Listener, token string) {
	h := bridgeapi.New(bridgeapi.Options{Registry: s.bridge, Log: s.log, Token: token})
	srv := s.addHTTP(netutil.LimitListener(stream.Listen(l), maxBridgeClients), h)
	// A stream lasts as long as it is read. Bodies and headers have a timeout.
	srv.ReadTimeout, srv.IdleTimeout, srv.MaxHeaderBytes = bridgeTimeout, scraperIdle, maxHeader
	s.teardown.push("streams of the bridge API", func(context.Context) error {
		h.Close()
		return nil
	})
}

// startFronts begins the fronts.
func (s *Server) startFronts() {
	if s.bridge == nil || len(s.opt.Bridge.Fronts) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, f := range s.opt.Bridge.Fronts {
		running.Go(func() { keepRunning(ctx, f, s.bridge, s.log) })
	}
	s.teardown.push("fronts", func(context.Context) error {
		cancel()
		return nil
	})
	s.teardown.last(running.Wait)
}

// keepRunning runs a front until ctx ends, and starts it again if it fails.
func keepRunning(ctx context.Context, f Front, r *bridge.Registry, log *slog.Logger) {
	for ctx.Err() == nil {
		err := runFront(ctx, f, r)
		if ctx.Err() != nil {
			return
		}
		log.Error("a source of devices failed and will be restarted", "source", f.Name(), "error", err)
		select {
		case <-time.After(frontPause):
		case <-ctx.Done():
		}
	}
}

// runFront runs a front. It recovers from a panic, which must not stop the node.
func runFront(ctx context.Context, f Front, r *bridge.Registry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if err := f.Run(ctx, r); err != nil {
		return err
	}
	return errors.New("it ended by itself")
}

// checkBridge returns an error if the options of the bridge are not valid.
func (o *Options) checkBridge() error {
	if o.Bridge != nil && o.Bridge.Addr != "" && o.Bridge.Token == "" {
		return errors.New("bridge-addr: the API is on TCP only with a token: name a file with --bridge-token-file")
	}
	return nil
}
