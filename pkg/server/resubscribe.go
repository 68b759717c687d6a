package server

import (
	casesession "github.com/opcredsd/opcredsd/pkg/case"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Of returns the record for a fabric and peer.
func (r *resumptions) Of(f matter.FabricIndex, node matter.NodeID) (casesession.Record, bool) {
	rec := r.byPeer[peer{f, node}]
	if rec == nil {
		return casesession.Record{}, false
	}
	return rec.Record, true
}
