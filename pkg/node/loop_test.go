package node

import (
	"testing"

	"github.com/opcredsd/opcredsd/pkg/session"
)

// Only unauthenticated datagrams are charged to their source.
func TestProves(t *testing.T) {
	of := func(k session.Kind, duplicate bool) *session.Incoming {
		return &session.Incoming{Session: &session.Session{Kind: k}, Duplicate: duplicate}
	}
	for _, tc := range []struct {
		name string
		in   *session.Incoming
		err  error
		want bool
	}{
		{"a message of a session", of(session.CASE, false), nil, true},
		{"a message of a session that came before", of(session.CASE, true), nil, false},
		{"a message outside any session", of(session.Unsecured, false), nil, false},
		{"a message to a group", &session.Incoming{}, nil, true},
		{"the same by another interface", &session.Incoming{}, session.DropCopy, true},
		{"what is dropped for another reason", &session.Incoming{}, session.DropGroup, false},
	} {
		if got := proves(tc.in, tc.err); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
