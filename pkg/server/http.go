package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/metrics"
)

// askTimeout is how long a scrape, a probe or the operator waits for the loop.
const askTimeout = 2 * time.Second

// Limits of the metrics server, so that its clients cannot use up the node's file
// descriptors.
const (
	maxScrapers   = 16 // connections; others wait
	headerTimeout = 5 * time.Second
	scrapeTimeout = 10 * time.Second
	scraperIdle   = 2 * time.Minute
	maxHeader     = 16 << 10 // octets
)

// httpGrace is how long answers in progress may take when the node stops.
const httpGrace = time.Second

// httpServer is a bound listener and its server.
type httpServer struct {
	http.Server
	listener  net.Listener
	webConfig string // file with TLS and users; "": neither
}

func (h *httpServer) serve(log *slog.Logger) {
	go func() {
		serve := h.Serve
		if h.webConfig != "" {
			serve = func(l net.Listener) error {
				return exporter.Serve(l, &h.Server, &exporter.FlagConfig{WebConfigFile: &h.webConfig}, log)
			}
		}
		if err := serve(h.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			log.Error("HTTP ended", "address", h.listener.Addr(), "error", err)
		}
	}()
}

// outside is what a Server serves over HTTP.
type outside struct {
	http        []*httpServer
	metricsAddr string
	page        *webPage // nil: none
}

func (s *Server) addHTTP(l net.Listener, h http.Handler) *httpServer {
	srv := &httpServer{listener: l}
	srv.Server.Handler = h
	srv.Server.ConnContext = admin.ConnContext
	srv.Server.ReadHeaderTimeout = headerTimeout
	srv.Server.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	s.http = append(s.http, srv)
	s.teardown.push("HTTP on "+l.Addr().String(), func(ctx context.Context) error {
		_ = srv.listener.Close() // even if it has never served
		ctx, cancel := context.WithTimeout(ctx, httpGrace)
		defer cancel()
		if err := srv.Server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return srv.Server.Close() // including clients that do not read their answer
	})
	return srv
}

// bindHTTP binds the metrics address and the admin socket, if they are configured.
func (s *Server) bindHTTP() error {
	if s.opt.MetricsAddr != "" {
		h, err := s.metricsHandler()
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", s.opt.MetricsAddr)
		if err != nil {
			return fmt.Errorf("metrics-addr %s: %w (choose another with --metrics-addr, or \"\" for none)", s.opt.MetricsAddr, err)
		}
		s.metricsAddr = l.Addr().String()
		srv := s.addHTTP(netutil.LimitListener(l, maxScrapers), h)
		srv.WriteTimeout, srv.IdleTimeout, srv.MaxHeaderBytes = scrapeTimeout, scraperIdle, maxHeader
		srv.HTTP2, srv.webConfig = &http.HTTP2Config{MaxConcurrentStreams: maxScrapers}, s.opt.WebConfigFile
	}
	if s.opt.AdminSocket != "" {
		l, err := admin.Listen(s.opt.AdminSocket)
		if err != nil {
			return err
		}
		s.teardown.push("admin socket", func(context.Context) error {
			if err := os.Remove(s.opt.AdminSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		})
		s.addHTTP(l, admin.Handler(s.operator, s.log))
	}
	if s.opt.StatusSocket != "" {
		// Its group is that of the directory, if that has the set-group-ID bit.
		l, err := host.ListenUnix(s.opt.StatusSocket, 0o660)
		if err != nil {
			return fmt.Errorf("status-socket: %w (choose another with --status-socket, or \"\" for none)", err)
		}
		s.addHTTP(netutil.LimitListener(l, maxScrapers), admin.ReadHandler(s.operator, s.log))
	}
	return nil
}

// MetricsAddr returns the address of the metrics, with the port that was bound, or
// "" if there is none.
func (s *Server) MetricsAddr() string { return s.metricsAddr }

// snapshot returns the content of a scrape, or false if the loop does not answer in
// time.
func (s *Server) snapshot() (m metrics.Snapshot, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	m.MDNS, m.LastBackup, m.MemoryLimit = s.announcer.Status(), s.backups.Last(), host.MemoryLimit()
	err := s.node.Ask(ctx, func(now time.Time) error {
		m.Snapshot = s.node.Snapshot(now)
		if s.bridge != nil {
			m.Bridge = s.bridge.Stats()
		}
		return nil
	})
	return m, err == nil
}

func (s *Server) metricsHandler() (http.Handler, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		metrics.NewProcess(s.begun),
		metrics.New(metrics.Build{Version: s.opt.Version, Revision: s.opt.Revision, Go: runtime.Version()}, s.snapshot),
	)
	for _, c := range s.opt.Collectors {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("collectors: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", landing)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux, nil
}

// landingPage is shown to browsers.
const landingPage = `<!doctype html>
<html lang="en">
<head><title>opcredsd</title></head>
<body>
<h1>opcredsd</h1>
<ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/healthz">Does the process work?</a></li>
<li><a href="/readyz">Can controllers find the node?</a></li>
</ul>
</body>
</html>
`

func landing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, landingPage)
}

// healthz reports whether the process works: the loop answers.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) { s.probe(w, r, "") }

// readyz reports whether controllers can reach the node. Sockets and store are open
// while the node runs, so only the announcement must be checked. The answer names
// an interface on which another host has the node's name.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	fault := ""
	if err := s.announcer.Status().Fault(); err != nil {
		fault = err.Error()
	}
	s.probe(w, r, fault)
}

func (s *Server) probe(w http.ResponseWriter, r *http.Request, fault string) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if err := s.node.Ask(ctx, func(time.Time) error { return nil }); err != nil {
		fault = "the event loop does not answer: " + err.Error()
	}
	if fault != "" {
		http.Error(w, fault, http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
