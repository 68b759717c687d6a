package host

import (
	"fmt"
	"slices"
	"strings"
)

// logServed logs which interfaces are served, and why.
func (w *Watcher) logServed() {
	var not []string
	used := 0
	for _, i := range w.list {
		switch {
		case i.Use:
			used++
			w.log.Info("network interface", "interface", i.Name, "reason", i.Reason)
		case slices.Contains(w.names, i.Name):
			w.log.Warn("network interface is not usable now", "interface", i.Name, "reason", i.Reason)
		default:
			not = append(not, fmt.Sprintf("%s (%s)", i.Name, i.Reason))
		}
	}
	if len(not) > 0 {
		w.log.Info("network interfaces that are not used", "interfaces", strings.Join(not, ", "))
	}
	if used == 0 {
		w.log.Warn("no network interface is usable yet: the node will be announced when one is")
	}
}
