package commissioner

import (
	"crypto/rand"

	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// Initiator returns the administrator's side of a CASE handshake with node, for
// tests that transport its messages themselves. resume may be nil.
func (a *Authority) Initiator(id uint16, node matter.NodeID, resume *casesession.Record) casesession.InitiatorConfig {
	return a.initiator(&Client{rand: rand.Reader, params: message.DefaultParameters()}, id, node, resume)
}
