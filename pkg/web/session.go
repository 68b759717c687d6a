package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/logs"
)

// Limits for signing in.
const (
	maxTokens   = 8 // unused; the oldest one is removed
	maxSessions = 32
	maxTries    = 10 // wrong tokens in triesTime, from all browsers

	tokenTime   = 10 * time.Minute    // how long a token may be used
	idleTime    = 7 * 24 * time.Hour  // how long a session may be unused
	sessionTime = 30 * 24 * time.Hour // how long a session lasts at most
	triesTime   = time.Minute
)

// gate decides which browsers may sign in. It keeps digests of tokens and cookies,
// only in memory, so a restart of the daemon ends all sessions.
type gate struct {
	mu       sync.Mutex
	tokens   []token // oldest first
	sessions map[[sha256.Size]byte]*session
	failed   []time.Time // wrong tokens, oldest first
	denials  logs.Limit  // limits the log lines about wrong tokens
}

type token struct {
	digest  [sha256.Size]byte
	expires time.Time
}

// session is a browser that is signed in. Only csrf and began may be read without
// the gate's lock.
type session struct {
	csrf  string // required with changes
	began time.Time
	used  time.Time
	ended chan struct{} // closed when the session has been ended
	flash flash
}

// flash is a message for the next page: the result of a change.
type flash struct {
	Text  string
	Fault bool
}

var (
	errToken = errors.New("this link or code is not valid, or has been used already")
	errTries = errors.New("too many wrong codes: wait a minute")
)

// crockford has no letters that look like others.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// tokenOctets gives a token of 16 characters.
const tokenOctets = 10

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic("BUG: web: " + err.Error()) // crypto/rand does not return errors
	}
	return b
}

// newToken returns a token for one browser, and when it expires.
func (g *gate) newToken(now time.Time) (text string, expires time.Time) {
	raw := crockford.EncodeToString(random(tokenOctets))
	t := token{digest: sha256.Sum256([]byte(raw)), expires: now.Add(tokenTime)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.tokens) == maxTokens {
		g.tokens = append(g.tokens[:0], g.tokens[1:]...)
	}
	g.tokens = append(g.tokens, t)
	return raw[:4] + "-" + raw[4:8] + "-" + raw[8:12] + "-" + raw[12:], t.expires
}

// plain normalizes a token, since people type it in different ways.
func plain(text string) string {
	return strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(text))
}

// enter uses a token and returns the value of the browser's cookie. After too many
// wrong tokens it rejects all tokens for a while.
func (g *gate) enter(now time.Time, text string) (cookie string, err error) {
	digest := sha256.Sum256([]byte(plain(text)))
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.failed) > 0 && now.Sub(g.failed[0]) >= triesTime {
		g.failed = g.failed[1:]
	}
	if len(g.failed) >= maxTries {
		return "", errTries
	}
	for i, t := range g.tokens {
		if subtle.ConstantTimeCompare(t.digest[:], digest[:]) == 1 {
			g.tokens = append(g.tokens[:i], g.tokens[i+1:]...)
			if now.Before(t.expires) {
				return g.begin(now), nil
			}
			break
		}
	}
	g.failed = append(g.failed, now)
	return "", errToken
}

// mayLog reports whether to log a wrong token, and how many were not logged.
func (g *gate) mayLog(now time.Time) (missed int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.denials.Allow(now)
}

// begin starts a session. If there are too many, it removes the one that was unused
// for longest.
func (g *gate) begin(now time.Time) (cookie string) {
	if g.sessions == nil {
		g.sessions = map[[sha256.Size]byte]*session{}
	}
	for len(g.sessions) >= maxSessions {
		var oldest [sha256.Size]byte
		var used time.Time
		for id, s := range g.sessions {
			if used.IsZero() || s.used.Before(used) {
				oldest, used = id, s.used
			}
		}
		g.end(oldest)
	}
	cookie = hex.EncodeToString(random(sha256.Size))
	g.sessions[sha256.Sum256([]byte(cookie))] = &session{
		csrf: hex.EncodeToString(random(16)), began: now, used: now, ended: make(chan struct{}),
	}
	return cookie
}

func (g *gate) end(id [sha256.Size]byte) {
	if s := g.sessions[id]; s != nil {
		close(s.ended)
		delete(g.sessions, id)
	}
}

// session returns the session of a cookie, or nil, and records its use.
func (g *gate) session(now time.Time, cookie string) *session {
	id := sha256.Sum256([]byte(cookie))
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sessions[id]
	if s == nil {
		return nil
	}
	if now.Sub(s.used) > idleTime || now.Sub(s.began) > sessionTime {
		g.end(id)
		return nil
	}
	s.used = now
	return s
}

// leave ends the session of a cookie. leaveAll ends all sessions.
func (g *gate) leave(cookie string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end(sha256.Sum256([]byte(cookie)))
}

func (g *gate) leaveAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id := range g.sessions {
		g.end(id)
	}
}

// say stores a message for the session's next page. said returns and removes it.
func (g *gate) say(s *session, f flash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.flash = f
}

func (g *gate) said(s *session) (f flash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, s.flash = s.flash, flash{}
	return f
}
