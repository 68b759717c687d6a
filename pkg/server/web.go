package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
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
		pair := &keyPair{cert: w.CertFile, key: w.KeyFile}
		if _, err := pair.get(nil); err != nil {
			_ = l.Close()
			return fmt.Errorf("web-cert: %w", err)
		}
		l = tls.NewListener(l, &tls.Config{GetCertificate: pair.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	operator := s.Operator().Audited(s.log)
	opt := web.Options{Operator: operator, Lines: w.Lines, MQTT: w.MQTT, Names: hostNames(w.Names), TLS: w.CertFile != "", Log: s.log}
	if s.bridge != nil {
		opt.Watch = s.bridge.Watch
	}
	if w.Findings != nil {
		opt.Findings = func(ctx context.Context) []doctor.Finding { return w.Findings(ctx, &operator) }
	}
	s.page = &webPage{web.New(opt), addr}
	srv := s.addHTTP(l, s.page)
	// Streams go on for as long as they are read; forms and headers do not.
	srv.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug) // strangers cause its lines
	srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout, srv.MaxHeaderBytes = webTimeout, webTimeout, scraperIdle, maxHeader
	s.teardown.push("streams of the page", func(context.Context) error {
		s.page.Close()
		return nil
	})
	return nil
}

// hostNames returns the names of this host that browsers may use.
func hostNames(more []string) []string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return append([]string{name}, more...)
	}
	return more
}

// WebAddr returns the address that the page is served at, with the port that was bound;
// the zero value if there is none.
func (s *Server) WebAddr() (a netip.AddrPort) {
	if s.page != nil {
		a = s.page.addr
	}
	return a
}

// webURL returns an address of the page with a token.
func (o operator) webURL(ctx context.Context) (u admin.WebURL, err error) {
	st, err := o.status(ctx)
	if err != nil {
		return u, err
	}
	token, expires := o.s.page.NewToken()
	u.Token, u.Expires = token, expires.Round(0).UTC()
	scheme := "http://"
	if o.s.opt.Web.CertFile != "" {
		scheme = "https://"
	}
	var all []string
	for _, host := range webHosts(o.s.page.addr.Addr(), st.Interfaces, o.s.opt.Web.Names) {
		all = append(all, scheme+net.JoinHostPort(host, strconv.Itoa(int(o.s.page.addr.Port())))+web.LoginPath(token))
	}
	u.URL, u.Others = all[0], all[1:]
	return u, nil
}

// webHosts returns the hosts that a browser can ask, the one that most can first: what the
// operator has named, an IPv4 address, as people can type it, IPv6 addresses that need no
// zone, which addresses of URLs cannot have.
func webHosts(bound netip.Addr, interfaces []admin.Interface, names []string) (hosts []string) {
	bound = bound.Unmap()
	if !bound.IsUnspecified() {
		return append(slices.Clone(names), bound.String())
	}
	var found []netip.Addr
	for _, i := range interfaces {
		for _, text := range i.Addresses {
			a, err := netip.ParseAddr(text)
			if err == nil && i.Reason == "" && !a.IsLinkLocalUnicast() && (a.Is4() || !bound.Is4()) && !slices.Contains(found, a) {
				found = append(found, a)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	hosts = slices.Clone(names)
	for _, a := range found {
		hosts = append(hosts, a.String())
	}
	if len(hosts) == 0 {
		hosts = append(hosts, "localhost")
	}
	return hosts
}

// keyPair is a certificate with its key, which may be renewed while the node runs.
type keyPair struct {
	cert, key string
	mu        sync.Mutex
	read      *tls.Certificate
	at        time.Time // when the file that was read had been changed
}

// get returns the certificate, read again if its file has changed. One that cannot be read
// does not replace one that could.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st, err := os.Stat(k.cert)
	if err == nil && k.read != nil && st.ModTime().Equal(k.at) {
		return k.read, nil
	}
	c, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		if k.read != nil {
			return k.read, nil
		}
		return nil, err
	}
	k.read = &c
	if st != nil {
		k.at = st.ModTime()
	}
	return k.read, nil
}
