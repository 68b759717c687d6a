package web

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var then = time.Unix(1_800_000_000, 0)

// A token lets one browser in, once, for a while, however it is typed.
func TestTokens(t *testing.T) {
	var g gate
	token, expires := g.newToken(then)
	if len(strings.ReplaceAll(token, "-", "")) != 16 || !expires.Equal(then.Add(tokenTime)) {
		t.Errorf("token %q until %v", token, expires)
	}
	if _, err := g.enter(then, "0000-0000-0000-0000"); !errors.Is(err, errToken) {
		t.Errorf("a wrong one: %v", err)
	}
	cookie, err := g.enter(then, " "+strings.ToUpper(strings.ReplaceAll(token, "-", " ")))
	if err != nil || g.session(then, cookie) == nil {
		t.Errorf("the right one: %v", err)
	}
	if _, err := g.enter(then, token); !errors.Is(err, errToken) {
		t.Errorf("a second time: %v", err)
	}
	late, _ := g.newToken(then)
	if _, err := g.enter(then.Add(tokenTime), late); !errors.Is(err, errToken) {
		t.Errorf("too late: %v", err)
	}
	oldest, _ := g.newToken(then)
	for range maxTokens {
		g.newToken(then)
	}
	if _, err := g.enter(then, oldest); !errors.Is(err, errToken) || len(g.tokens) > maxTokens {
		t.Errorf("one of too many: %v, %d wait", err, len(g.tokens))
	}
}

// After too many wrong tokens no browser is let in for a while, not even with a right one:
// nobody can go through them.
func TestTriesAreLimited(t *testing.T) {
	var g gate
	for i := range maxTries {
		if _, err := g.enter(then, "wrong"); !errors.Is(err, errToken) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	token, _ := g.newToken(then)
	if _, err := g.enter(then.Add(triesTime-1), token); !errors.Is(err, errTries) {
		t.Errorf("too many: %v", err)
	}
	if _, err := g.enter(then.Add(triesTime), token); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

func TestSessions(t *testing.T) {
	var g gate
	begin := func(now time.Time) string { return g.begin(now) }
	unused, used, old := begin(then), begin(then), begin(then)
	for now := then; now.Before(then.Add(idleTime)); now = now.Add(time.Hour) {
		g.session(now, used)
	}
	if g.session(then.Add(idleTime+time.Minute), unused) != nil {
		t.Error("one that was not used goes on")
	}
	if g.session(then.Add(idleTime+time.Minute), used) == nil {
		t.Error("one that was used has ended")
	}
	for now := then; now.Before(then.Add(sessionTime)); now = now.Add(time.Hour) {
		g.session(now, old)
	}
	if g.session(then.Add(sessionTime+1), old) != nil {
		t.Error("one goes on for ever")
	}
	if g.session(then, "") != nil || g.session(then, strings.Repeat("0", 64)) != nil {
		t.Error("one that nobody has begun")
	}

	first := begin(then)
	for i := range maxSessions {
		begin(then.Add(time.Duration(i) * time.Second))
	}
	if g.session(then, first) != nil || len(g.sessions) > maxSessions {
		t.Errorf("the oldest of too many is there, or there are %d", len(g.sessions))
	}
}
