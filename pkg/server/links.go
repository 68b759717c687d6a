package server

import (
	"sync"
	"time"

	"github.com/opcredsd/opcredsd/pkg/mdns"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// bindAnnouncer opens the mDNS responder, unless a test gave its own.
func (s *Server) bindAnnouncer() error {
	s.ads = s.opt.Announcer
	if s.ads == nil {
		a, err := mdns.NewAnnouncer(mdns.Options{
			Interfaces: transport.Serves(s.opt.Interfaces),
			Log:        s.log,
			Rand:       s.opt.Rand,
		})
		if err != nil {
			return err
		}
		s.ads, s.opt.Resolver = a, a
	}
	s.down.push("mDNS", s.ads.Close)
	return nil
}

// watchLinks lets the loop know of changes of the host's links while it runs. A
// node on a test's network has none.
func (s *Server) watchLinks(wg *sync.WaitGroup) {
	if !s.model.host.Networked() {
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
	s.model.host.Changed()
	for _, c := range s.model.links {
		c.LinksChanged()
	}
	s.talk.groups.generation = 0
	return nil
}
