package im

import (
	"cmp"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// parts is the set of elements that a path contains. The other elements are
// wildcards.
type parts uint8

const (
	partEndpoint parts = 1 << iota
	partCluster
	partAttribute
	partEvent
)

// wildcardFlags exclude elements from an expansion (section 8.2).
type wildcardFlags uint32

const (
	skipRootNode wildcardFlags = 1 << iota
	skipGlobalAttributes
	skipAttributeList
	_
	skipCommandLists
	skipCustomElements
	skipFixedAttributes
	skipChangesOmitted
	skipDiagnostics
)

// listIndex is the list index in a path.
type listIndex uint8

const (
	wholeValue listIndex = iota
	appendItem           // null: append
	oneItem              // a number: one member
)

// attributePath is an AttributePathIB (section 10.6.2).
type attributePath struct {
	endpoint  matter.EndpointID
	cluster   matter.ClusterID
	attribute matter.AttributeID
	flags     wildcardFlags
	given     parts
	index     listIndex
	otherNode bool // for another node
}

// concrete reports whether p names exactly one attribute.
func (p *attributePath) concrete() bool {
	return p.given == partEndpoint|partCluster|partAttribute
}

// coversCluster reports whether p includes attributes of the cluster.
func (p *attributePath) coversCluster(in *instance) bool {
	return !p.otherNode && (p.given&partEndpoint == 0 || p.endpoint == in.ep.id) &&
		(p.given&partCluster == 0 || p.cluster == in.id) && !p.skipsCluster(in)
}

// covers reports whether p includes the attribute.
func (p *attributePath) covers(in *instance, a *Attribute) bool {
	return p.coversCluster(in) && (p.given&partAttribute == 0 || p.attribute == a.ID) && !p.skipsAttribute(a)
}

// attributePaths are the paths of a request.
type attributePaths []attributePath

// coverCluster reports whether one of the paths includes attributes of the cluster.
func (list attributePaths) coverCluster(in *instance) bool {
	for i := range list {
		if list[i].coversCluster(in) {
			return true
		}
	}
	return false
}

// cover returns the first path that includes the attribute, or nil. Paths to one
// member of a list are skipped, as they cannot be read.
func (list attributePaths) cover(in *instance, a *Attribute) *attributePath {
	for i := range list {
		if p := &list[i]; p.covers(in, a) && !(p.concrete() && p.index == oneItem) {
			return p
		}
	}
	return nil
}

// skipsCluster reports whether p's flags exclude the cluster. The flags apply only
// to the wildcards of a path.
func (p *attributePath) skipsCluster(in *instance) bool {
	if p.flags == 0 {
		return false
	}
	if p.flags&skipRootNode != 0 && p.given&partEndpoint == 0 && in.ep.id == 0 {
		return true
	}
	if p.given&partCluster != 0 {
		return false
	}
	id := in.id
	return p.flags&skipDiagnostics != 0 && diagnosticsCluster(id) ||
		p.flags&skipCustomElements != 0 && id>>16 != 0
}

func (p *attributePath) skipsAttribute(a *Attribute) bool {
	if p.flags == 0 || p.given&partAttribute != 0 {
		return false
	}
	switch a.ID {
	case matter.AttributeAttributeList:
		if p.flags&(skipGlobalAttributes|skipAttributeList) != 0 {
			return true
		}
	case matter.AttributeAcceptedCommandList, matter.AttributeGeneratedCommandList:
		if p.flags&(skipGlobalAttributes|skipCommandLists) != 0 {
			return true
		}
	}
	return p.flags&skipCustomElements != 0 && a.ID>>16 != 0 ||
		p.flags&skipFixedAttributes != 0 && a.Quality.Has(Fixed) ||
		p.flags&skipChangesOmitted != 0 && a.Quality.Has(ChangesOmitted)
}

// diagnosticsCluster reports whether the cluster has the diagnostics quality:
// General, Software, Thread, Wi-Fi and Ethernet Network Diagnostics, and Diagnostic
// Logs.
func diagnosticsCluster(id matter.ClusterID) bool { return id >= 0x32 && id <= 0x37 }

// globalAttribute reports whether every cluster has the attribute (section 7.13).
func globalAttribute(id matter.AttributeID) bool { return id >= 0xF000 && id <= 0xFFFE }

// eventPath is an EventPathIB (section 10.6.8).
type eventPath struct {
	endpoint matter.EndpointID
	cluster  matter.ClusterID
	event    matter.EventID
	given    parts
	urgent   bool

	otherNode bool // for another node
}

func (p *eventPath) concrete() bool { return p.given == partEndpoint|partCluster|partEvent }

// covers reports whether p includes the event.
func (p *eventPath) covers(in *instance, ev *Event) bool {
	return !p.otherNode && (p.given&partEndpoint == 0 || p.endpoint == in.ep.id) &&
		(p.given&partCluster == 0 || p.cluster == in.id) &&
		(p.given&partEvent == 0 || p.event == ev.ID)
}

// versionFilter is a DataVersionFilterIB that names one cluster instance.
type versionFilter struct {
	endpoint matter.EndpointID
	cluster  matter.ClusterID
	version  matter.DataVersion
}

// compare orders filters by the cluster that they name.
func (f versionFilter) compare(x versionFilter) int {
	return cmp.Or(cmp.Compare(f.endpoint, x.endpoint), cmp.Compare(f.cluster, x.cluster))
}

func writeAttributePath(w *tlv.Writer, t tlv.Tag, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID, index listIndex) {
	w.StartList(t)
	w.Uint(tag2, uint64(ep))
	w.Uint(tag3, uint64(cl))
	w.Uint(tag4, uint64(id))
	if index == appendItem {
		w.Null(tag5)
	}
	w.End()
}

func writeEventPath(w *tlv.Writer, ep matter.EndpointID, cl matter.ClusterID, id matter.EventID) {
	w.StartList(tag0)
	w.Uint(tag1, uint64(ep))
	w.Uint(tag2, uint64(cl))
	w.Uint(tag3, uint64(id))
	w.End()
}

func writeCommandPath(w *tlv.Writer, ep matter.EndpointID, cl matter.ClusterID, id matter.CommandID) {
	w.StartList(tag0)
	w.Uint(tag0, uint64(ep))
	w.Uint(tag1, uint64(cl))
	w.Uint(tag2, uint64(id))
	w.End()
}
