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
)

// Bridge configures the bridge of a Server.
type Bridge struct {
	Socket  string        // path of the API's Unix socket; "": none
	Addr    string        // TCP address of the API; "": none
	Token   string        // what requests at Addr must bring; required with Addr
	Expose  bridge.Filter // which devices are shown
	Profile device.Profile
	Fronts  []Front
	// Resident are the sources whose devices live in this program; see [bridge.Options].
	Resident []string
}

// Front is where devices come from, besides the API.
type Front interface {
	// Name is the name of the front, for the log.
	Name() string
	// Run serves the front until ctx ends. What it does is its own business: an error,
	// or a panic, ends the front and nothing else; it is begun anew after a while.
	Run(ctx context.Context, r *bridge.Registry) error
}

// Bounds of the bridge API's server.
const (
	maxBridgeClients = 200 // connections; others wait
	bridgeTimeout    = 10 * time.Second
	frontPause       = 5 * time.Second // before a front is begun anew
)

// openBridge makes the registry of devices.
func (s *Server) openBridge() (err error) {
	b := s.opt.Bridge
	if b == nil {
		return nil
	}
	s.bridge, err = bridge.New(bridge.Options{Store: s.store, Log: s.log, Expose: b.Expose, Profile: b.Profile, Resident: b.Resident})
	if err != nil {
		return err
	}
	s.teardown.push("bridged devices", func(context.Context) error { return s.bridge.Close() })
	return nil
}

// attachBridge makes the known devices endpoints of the node, before it serves.
func (s *Server) attachBridge() error {
	if s.bridge == nil {
		return nil
	}
	return s.node.Do(func(now time.Time) error { return s.bridge.Attach(now, s.node) })
}

// Devices returns the registry of bridged devices, nil if the options name no bridge.
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

// addBridge serves the API at a listener.
func (s *Server) addBridge(l net.Listener, token string) {
	h := bridgeapi.New(bridgeapi.Options{Registry: s.bridge, Log: s.log, Token: token})
	srv := s.addHTTP(netutil.LimitListener(l, maxBridgeClients), h)
	// Streams go on for as long as they are read; bodies and headers do not.
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

// keepRunning runs a front until ctx ends, again and again if it must be.
func keepRunning(ctx context.Context, f Front, r *bridge.Registry, log *slog.Logger) {
	for ctx.Err() == nil {
		err := runFront(ctx, f, r)
		if ctx.Err() != nil {
			return
		}
		log.Error("a source of devices ended and is begun anew", "source", f.Name(), "error", err)
		select {
		case <-time.After(frontPause):
		case <-ctx.Done():
		}
	}
}

// runFront runs a front. What it does wrong must not take the node with it.
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

// checkBridge reports what is wrong with the options of the bridge.
func (o *Options) checkBridge() error {
	if o.Bridge != nil && o.Bridge.Addr != "" && o.Bridge.Token == "" {
		return errors.New("bridge-addr: the API is on TCP only with a token: name a file with --bridge-token-file")
	}
	return nil
}
