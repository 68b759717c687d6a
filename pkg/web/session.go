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

// Bounds of what lets browsers in.
const (
	maxTokens   = 8 // that wait to be used; the oldest goes
	maxSessions = 32
	maxTries    = 10 // wrong tokens in triesTime, of all browsers

	tokenTime   = 10 * time.Minute    // how long a token may be used
	idleTime    = 7 * 24 * time.Hour  // how long a session may be unused
	sessionTime = 30 * 24 * time.Hour // how long a session lasts at most
	triesTime   = time.Minute
)

// gate decides which browsers are let in. It keeps digests of what they bring, and only in
// memory: a restart of the daemon ends all sessions.
type gate struct {
	mu       sync.Mutex
	tokens   []token // oldest first
	sessions map[[sha256.Size]byte]*session
	failed   []time.Time // wrong tokens, oldest first
	denials  logs.Limit  // of the log's lines about them
}

type token struct {
	digest  [sha256.Size]byte
	expires time.Time
}

// session is a browser that was let in. Only csrf and began are read without the gate.
type session struct {
	csrf  string // what its changes must bring
	began time.Time
	used  time.Time
	ended chan struct{} // closed when the session has been ended
	flash flash
}

// flash is what the next page says first: what came of a change.
type flash struct {
	Text  string
	Fault bool
}

var (
	errToken = errors.New("this link or code is not valid, or has been used already")
	errTries = errors.New("too many wrong codes: wait a minute")
)

// crockford has no letters that are taken for others.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// tokenOctets make a token of 16 characters.
const tokenOctets = 10

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic("BUG: web: " + err.Error()) // crypto/rand ends the program before
	}
	return b
}

// newToken returns a token that lets one browser in, and when it expires.
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

// plain is a token as it was drawn: people type it in their own way.
func plain(text string) string {
	return strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1").Replace(strings.ToLower(text))
}

// enter uses a token and returns what the browser's cookie is to be. After too many wrong
// tokens it looks at none for a while.
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

// tell reports whether a line about a wrong token is to be logged, and how many were not.
func (g *gate) tell(now time.Time) (missed int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.denials.Allow(now)
}

// begin begins a session. The one that has not been used for longest makes room.
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

// session returns the session of a cookie, or nil, and notes that it is used.
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

// leave ends the session of a cookie, leaveAll every one.
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

// say keeps what the session's next page is to say, said takes it.
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
