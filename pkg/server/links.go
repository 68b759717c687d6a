package server

import (
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/transport"
)

// watchLinks lets the loop know of changes of the host's links while it runs. A
// node on a test's network has none.
func (s *Server) watchLinks(wg *sync.WaitGroup) {
	if s.model.host.none {
		return
	}
	wg.Go(func() {
		transport.Watch(s.loop.quit, func() {
			_ = s.onLoop(s.linksChanged) // fails when the node has stopped
		})
	})
}

// linksChanged makes settle look at the links again.
func (s *Server) linksChanged(time.Time) error {
	s.model.host.changed()
	for _, c := range s.model.links {
		c.LinksChanged()
	}
	s.talk.groups.generation = 0
	return nil
}
