package server

import (
	"fmt"
	"slices"
	"strings"
)

// logInterfaces logs once which interfaces are served, and why. Package mdns logs
// later changes.
func (s *Server) logInterfaces() {
	var not []string
	used := 0
	for _, i := range s.watcher.Interfaces() {
		switch {
		case i.Use:
			used++
			s.log.Info("network interface", "interface", i.Name, "reason", i.Reason)
		case slices.Contains(s.opt.Interfaces, i.Name):
			s.log.Warn("network interface is not usable now", "interface", i.Name, "reason", i.Reason)
		default:
			not = append(not, fmt.Sprintf("%s (%s)", i.Name, i.Reason))
		}
	}
	if len(not) > 0 {
		s.log.Info("network interfaces that are not used", "interfaces", strings.Join(not, ", "))
	}
	if used == 0 {
		s.log.Warn("no network interface is usable yet: the node will be announced when one is")
	}
}
