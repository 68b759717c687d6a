package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/logs"
	"github.com/opcredsd/opcredsd/pkg/web"
)

// Web configures the page for browsers.
type Web struct {
	Addr              string   // TCP address; required
	CertFile, KeyFile string   // PEM; both or none
	Names             []string // of this host, by which browsers may ask, besides its own and its addresses
	// Lines is the log as the page shows it; nil: what is logged by the Log of the Options.
	Lines *logs.Tail
	// Findings are the doctor's, for a running node; nil: the page shows none.
	Findings func(ctx context.Context, o *admin.Operator) []doctor.Finding
	// MQTT is the state of the connection to a broker; nil: there is none.
	MQTT func() web.MQTT
}

// Bounds of the page's server.
const (
	maxWebClients = 200 // connections; others wait
	webTimeout    = 30 * time.Second
)

// webPage is the page and where it is served.
type webPage struct {
	*web.Page
	addr netip.AddrPort
}

// checkWeb reports what is wrong with the options of the page.
func (o *Options) checkWeb() error {
	switch w := o.Web; {
	case w == nil:
		return nil
	case w.Addr == "":
		return errors.New("web-addr: none given")
	case (w.CertFile == "") != (w.KeyFile == ""):
		return errors.New("web-cert: a certificate and its key belong together: give --web-cert and --web-key")
	}
	_, port, err := net.SplitHostPort(o.Web.Addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("web-addr: %q is not a host and a port between 0 and 65535, such as :8380", o.Web.Addr)
	}
	return nil
}

// keepLog has the lines of the log kept for the page.
func (o *Options) keepLog() {
	if o.Web == nil || o.Web.Lines != nil {
		return
	}
	w := *o.Web
	w.Lines = logs.NewTail(o.Log.Handler())
	o.Web, o.Log = &w, slog.New(w.Lines)
}

// bindWeb binds the address of the page, if the options name one.
func (s *Server) bindWeb() error {
	w := s.opt.Web
	if w == nil {
		return nil
	}
	l, err := net.Listen("tcp", w.Addr)
	if err != nil {
		return fmt.Errorf("web-addr %s: %w (choose another with --web-addr)", w.Addr, err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	l = netutil.LimitListener(l, maxWebClients)
	if w.CertFile != "" {
		c, err := web.TLS(w.CertFile, w.KeyFile)
		if err != nil {
			_ = l.Close()
			return fmt.Errorf("web-cert: %w", err)
		}
		l = tls.NewListener(l, c)
	}
	operator := s.operator.Audited(s.log)
	opt := web.Options{Operator: operator, Lines: w.Lines, MQTT: w.MQTT, Names: w.Names, TLS: w.CertFile != "", Log: s.log}
	if s.bridge != nil {
		opt.Watch = s.bridge.Watch
	}
	if w.Findings != nil {
		opt.Findings = func(ctx context.Context) []doctor.Finding { return w.Findings(ctx, &operator) }
	}
	s.page = &webPage{web.New(opt), addr}
	srv := s.addHTTP(l, s.page)
	// A stream lasts as long as it is read. Forms and headers have a timeout.
	srv.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug) // strangers cause its lines
	srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout, srv.MaxHeaderBytes = webTimeout, webTimeout, scraperIdle, maxHeader
	s.teardown.push("streams of the page", func(context.Context) error {
		s.page.Close()
		return nil
	})
	return nil
}

// WebAddr returns the address that the page is served at, with the port that was bound;
// the zero value if there is none.
func (s *Server) WebAddr() (a netip.AddrPort) {
	if s.page != nil {
		a = s.page.addr
	}
	return a
}
