package server

import (
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Of returns the record for a fabric and peer.
func (r *resumptions) Of(f matter.FabricIndex, node matter.NodeID) (casesession.Record, bool) {
	id, ok := r.ids[peer{f, node}]
	if !ok {
		return casesession.Record{}, false
	}
	rec, ok := r.byID[id]
	return rec, ok
}
