package commissioner

import "github.com/opcredsd/opcredsd/pkg/message"

// Peer returns the session parameters that the node sent in the handshake.
func (s *Session) Peer() message.SessionParameters { return s.s.Params }
