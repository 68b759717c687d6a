package commissioner

import "github.com/opcredsd/opcredsd/pkg/message"

// Peer returns what the node said of itself in the handshake.
func (s *Session) Peer() message.SessionParameters { return s.s.Params }
