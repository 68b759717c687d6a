package server

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/transport"
)

// logInterfaces tells once which interfaces are served, and why. What changes
// later mDNS tells.
func (s *Server) logInterfaces() {
	list, err := transport.Interfaces(s.opt.Interfaces)
	if err != nil {
		s.log.Warn("the network interfaces cannot be listed", "error", err)
		return
	}
	var not []string
	used := 0
	for _, i := range list {
		switch {
		case i.Use:
			used++
			s.log.Info("network interface", "interface", i.Name, "reason", i.Reason)
		case slices.Contains(s.opt.Interfaces, i.Name):
			s.log.Warn("network interface cannot be used now", "interface", i.Name, "reason", i.Reason)
		default:
			not = append(not, fmt.Sprintf("%s (%s)", i.Name, i.Reason))
		}
	}
	if len(not) > 0 {
		s.log.Info("network interfaces that are not used", "interfaces", strings.Join(not, ", "))
	}
	if used == 0 {
		s.log.Warn("no network interface can be used yet: the node is announced when one can")
	}
}
