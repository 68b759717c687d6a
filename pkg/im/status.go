package im

import (
	"errors"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// statusOf returns the status for an error of a cluster. An error without a status
// is logged with the name of the attribute or command.
func (e *Engine) statusOf(err error, in *instance, name string) matter.ClusterStatus {
	st := matter.StatusOf(err)
	var s matter.Status
	var c matter.ClusterStatus
	if err != nil && !errors.As(err, &s) && !errors.As(err, &c) {
		e.log.Error("cluster failed", "endpoint", in.ep.id, "cluster", in.meta.spec.Name, "element", name, "error", err)
	}
	return st
}

// writeStatus writes a StatusIB (section 10.6.17). Its tag is always 1. A cluster
// code of 0 means that there is none.
func writeStatus(w *tlv.Writer, st matter.ClusterStatus) {
	w.StartStruct(tag1)
	w.Uint(tag0, uint64(st.Status))
	if st.Code != 0 {
		w.Uint(tag1, uint64(st.Code))
	}
	w.End()
}

// buildStatusResponse writes a StatusResponse (section 10.7.1) into e.w.
func (e *Engine) buildStatusResponse(st matter.Status) []byte {
	w := e.newMessage()
	w.Uint(tag0, uint64(st))
	return e.endMessage()
}
