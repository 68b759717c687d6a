package web

import (
	"compress/gzip"
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// policy allows a page to use files from the daemon, but no inline scripts or
// styles (Content Security Policy Level 3).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm bounds the body of a request, in octets.
const maxForm = 8 << 10

// guarded checks every request: the Host header must name this host, and a change
// must come from one of our pages.
func (p *Page) guarded(next http.Handler) http.Handler {
	var origins http.CrossOriginProtection
	next = origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		// Without a referrer, browsers do not send the origin of a form either.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !p.known(r.Host) {
			http.Error(w, "This page is not served under the name "+r.Host+". If it is yours, add it with --web-name.", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// known reports whether a Host header names this host. Another site can make its
// name resolve to this host (DNS rebinding), but it cannot use an address.
func (p *Page) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	if name == "localhost" {
		return true
	}
	for _, n := range p.names {
		if strings.EqualFold(name, n) || strings.EqualFold(name, n+".local") {
			return true
		}
	}
	return false
}

// cookieName returns the name of the session's cookie. With the prefix, browsers
// only accept it from this host over TLS.
func (p *Page) cookieName() string {
	if p.opt.TLS {
		return "__Host-opcredsd"
	}
	return "opcredsd"
}

func (p *Page) setCookie(w http.ResponseWriter, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(), Value: value, Path: "/", MaxAge: int(age / time.Second),
		HttpOnly: true, Secure: p.opt.TLS, SameSite: http.SameSiteStrictMode,
	})
}

// session returns the session of a request, or nil.
func (p *Page) session(r *http.Request) *session {
	c, err := r.Cookie(p.cookieName())
	if err != nil {
		return nil
	}
	return p.gate.session(time.Now(), c.Value)
}

type sessionKey struct{}

// sessionOf returns the session of a request that has passed inside.
func sessionOf(r *http.Request) *session { return r.Context().Value(sessionKey{}).(*session) }

// inside serves only requests with a session. Others get a page that explains how
// to sign in.
func (p *Page) inside(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := p.session(r)
		if s == nil {
			p.showLogin(w, r, http.StatusUnauthorized, "", "")
			return
		}
		h(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)))
	}
}

// changing serves only requests with a session and its CSRF token.
func (p *Page) changing(h func(w http.ResponseWriter, r *http.Request) (to, done string, err error)) http.HandlerFunc {
	return p.inside(func(w http.ResponseWriter, r *http.Request) {
		s := sessionOf(r)
		if subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(s.csrf)) != 1 {
			p.fail(w, r, http.StatusForbidden, "This form is out of date. Open the page again, and try once more.")
			return
		}
		to, done, err := h(w, r)
		p.hub.status.forget()
		switch {
		case err != nil:
			p.gate.say(s, flash{Text: sentence(err.Error()), Fault: true})
		case done != "":
			p.gate.say(s, flash{Text: done})
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
}

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed+2) // the level is valid
	return z
}}

// minZip is the minimum length in octets of a body to compress.
const minZip = 1400

// write sends a response, compressed if the browser accepts that.
func write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Add("Vary", "Accept-Encoding")
	if len(body) < minZip || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(status)
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(w)
	_, _ = z.Write(body)
	_ = z.Close()
}
