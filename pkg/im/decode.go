package im

import (
	"errors"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Limits of one request. The specification guarantees 9 paths in a read and 3 in a
// subscription (section 2.11.2). Version filters beyond the limit are ignored, as
// they only save work.
const (
	MaxPaths   = 64
	maxFilters = 128
	maxWrites  = 128
)

var (
	errRepeated = errors.New("im: duplicate part")
	errMissing  = errors.New("im: missing mandatory part")
	errPath     = errors.New("im: invalid path")
)

// requestStatus returns the status for a message that cannot be decoded.
func requestStatus(err error) matter.Status {
	var s matter.Status
	if errors.As(err, &s) {
		return s
	}
	return matter.StatusInvalidAction
}

// tagSet is the set of a structure's parts that have been read.
type tagSet uint16

// once returns the number of r's current tag. It fails r if the tag is between 0
// and last and has been read before.
func (s *tagSet) once(r *tlv.Reader, last int) int {
	n := r.ContextTag()
	if n < 0 || n > last {
		return -1
	}
	bit := tagSet(1) << n
	if *s&bit != 0 {
		r.Fail(errRepeated)
	}
	*s |= bit
	return n
}

// need fails r unless all parts in mask have been read.
func (s tagSet) need(r *tlv.Reader, mask tagSet) {
	if s&mask != mask {
		r.Fail(errMissing)
	}
}

func decodeAttributePath(r *tlv.Reader, own matter.NodeID) (p attributePath) {
	var got tagSet
	for r.EnterList(); r.Next(); {
		switch got.once(r, 6) {
		case 0:
			// With compressed tags an omitted part is not a wildcard but has the
			// previous path's value.
			if r.Bool() {
				r.Fail(errPath)
			}
		case 1:
			p.otherNode = otherNode(r.Uint(), own)
		case 2:
			p.endpoint, p.given = decodeEndpoint(r), p.given|partEndpoint
		case 3:
			p.cluster, p.given = decodeCluster(r), p.given|partCluster
		case 4:
			p.attribute, p.given = matter.AttributeID(r.Uint32()), p.given|partAttribute
			if p.attribute == 0xFFFF_FFFF {
				r.Fail(errPath)
			}
		case 5:
			if p.index = appendItem; !r.Null() {
				p.index = oneItem
				r.Uint16()
			}
		case 6:
			p.flags = wildcardFlags(r.Uint32())
		}
	}
	r.Exit()
	return p
}

// otherNode reports whether a path is for another node. Before this node has an id,
// no path is.
func otherNode(node uint64, own matter.NodeID) bool {
	return own != 0 && matter.NodeID(node) != own
}

// decodeEndpoint reads an endpoint number. It fails r for 0xFFFF, which is
// reserved.
func decodeEndpoint(r *tlv.Reader) matter.EndpointID {
	id := matter.EndpointID(r.Uint16())
	if id == 0xFFFF {
		r.Fail(errPath)
	}
	return id
}

func decodeCluster(r *tlv.Reader) matter.ClusterID {
	id := matter.ClusterID(r.Uint32())
	if id == 0xFFFF_FFFF {
		r.Fail(errPath)
	}
	return id
}

func decodeEventPath(r *tlv.Reader, own matter.NodeID) (p eventPath) {
	var got tagSet
	for r.EnterList(); r.Next(); {
		switch got.once(r, 4) {
		case 0:
			p.otherNode = otherNode(r.Uint(), own)
		case 1:
			p.endpoint, p.given = decodeEndpoint(r), p.given|partEndpoint
		case 2:
			p.cluster, p.given = decodeCluster(r), p.given|partCluster
		case 3:
			p.event, p.given = matter.EventID(r.Uint32()), p.given|partEvent
		case 4:
			p.urgent = r.Bool()
		}
	}
	r.Exit()
	if p.given&(partCluster|partEvent) == partEvent {
		r.Fail(errPath)
	}
	return p
}

// readRequest is a ReadRequest or a SubscribeRequest (sections 10.7.2, 10.7.4).
type readRequest struct {
	attributes     attributePaths
	events         []eventPath
	filters        []versionFilter
	eventMin       matter.EventNumber
	fabricFiltered bool
	own            matter.NodeID // this node's id on the peer's fabric

	// Of a SubscribeRequest only; the intervals are in seconds.
	keepSubscriptions bool
	min, max          uint16
}

func (q *readRequest) reset() {
	*q = readRequest{attributes: q.attributes[:0], events: q.events[:0], filters: q.filters[:0]}
}

// decodeRead decodes a ReadRequest into q. own is this node's id.
func (q *readRequest) decodeRead(b []byte, own matter.NodeID) error {
	q.reset()
	q.own = own
	r := tlv.NewReader(b)
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		switch got.once(&r, 4) {
		case 0:
			q.decodeAttributes(&r)
		case 1:
			q.decodeEvents(&r)
		case 2:
			q.decodeEventFilters(&r)
		case 3:
			q.fabricFiltered = r.Bool()
		case 4:
			q.decodeVersionFilters(&r)
		}
	}
	r.Exit()
	got.need(&r, 1<<3)
	return r.End()
}

// decodeSubscribe decodes a SubscribeRequest into q. own is this node's id.
func (q *readRequest) decodeSubscribe(b []byte, own matter.NodeID) error {
	q.reset()
	q.own = own
	r := tlv.NewReader(b)
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		switch got.once(&r, 8) {
		case 0:
			q.keepSubscriptions = r.Bool()
		case 1:
			q.min = r.Uint16()
		case 2:
			q.max = r.Uint16()
		case 3:
			q.decodeAttributes(&r)
		case 4:
			q.decodeEvents(&r)
		case 5:
			q.decodeEventFilters(&r)
		case 7:
			q.fabricFiltered = r.Bool()
		case 8:
			q.decodeVersionFilters(&r)
		}
	}
	r.Exit()
	got.need(&r, 1<<0|1<<1|1<<2|1<<7)
	return r.End()
}

func (q *readRequest) full(r *tlv.Reader) bool {
	if len(q.attributes)+len(q.events) < MaxPaths {
		return false
	}
	r.Fail(matter.StatusPathsExhausted)
	return true
}

func (q *readRequest) decodeAttributes(r *tlv.Reader) {
	for r.EnterArray(); r.Next() && !q.full(r); {
		p := decodeAttributePath(r, q.own)
		if p.given&(partCluster|partAttribute) == partAttribute && !globalAttribute(p.attribute) ||
			p.index == appendItem || p.index == oneItem && p.given&partAttribute == 0 {
			r.Fail(errPath)
		}
		q.attributes = append(q.attributes, p)
	}
	r.Exit()
}

func (q *readRequest) decodeEvents(r *tlv.Reader) {
	for r.EnterArray(); r.Next() && !q.full(r); {
		q.events = append(q.events, decodeEventPath(r, q.own))
	}
	r.Exit()
}

// decodeEventFilters keeps the highest of the minimum event numbers, as an event
// must pass all filters. Filters for another node have no effect.
func (q *readRequest) decodeEventFilters(r *tlv.Reader) {
	for r.EnterArray(); r.Next(); {
		var got tagSet
		var lowest matter.EventNumber
		other := false
		for r.EnterStruct(); r.Next(); {
			switch got.once(r, 1) {
			case 0:
				other = otherNode(r.Uint(), q.own)
			case 1:
				lowest = matter.EventNumber(r.Uint())
			}
		}
		r.Exit()
		got.need(r, 1<<1)
		if !other {
			q.eventMin = max(q.eventMin, lowest)
		}
	}
	r.Exit()
}

// decodeVersionFilters keeps the filters that name a cluster instance of this node.
// The others have no effect.
func (q *readRequest) decodeVersionFilters(r *tlv.Reader) {
	for r.EnterArray(); r.Next(); {
		var got tagSet
		var f versionFilter
		var given parts
		for r.EnterStruct(); r.Next(); {
			switch got.once(r, 1) {
			case 0:
				f.endpoint, f.cluster, given = decodeClusterPath(r, q.own)
			case 1:
				f.version = matter.DataVersion(r.Uint32())
			}
		}
		r.Exit()
		got.need(r, 1<<0|1<<1)
		if given == partEndpoint|partCluster && len(q.filters) < maxFilters {
			q.filters = append(q.filters, f)
		}
	}
	r.Exit()
	slices.SortFunc(q.filters, versionFilter.compare)
}

func decodeClusterPath(r *tlv.Reader, own matter.NodeID) (ep matter.EndpointID, cl matter.ClusterID, given parts) {
	var got tagSet
	other := false
	for r.EnterList(); r.Next(); {
		switch got.once(r, 2) {
		case 0:
			other = otherNode(r.Uint(), own)
		case 1:
			ep, given = matter.EndpointID(r.Uint16()), given|partEndpoint
		case 2:
			cl, given = matter.ClusterID(r.Uint32()), given|partCluster
		}
	}
	r.Exit()
	if other {
		given = 0 // it is for another node
	}
	return ep, cl, given
}

// decodeStatus returns the status of a StatusResponse (section 10.7.1).
func decodeStatus(b []byte) (s matter.Status, err error) {
	r := tlv.NewReader(b)
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		if got.once(&r, 0) == 0 {
			s = matter.Status(r.Uint8())
		}
	}
	r.Exit()
	got.need(&r, 1<<0)
	return s, r.End()
}

// decodeTimed returns the milliseconds of a TimedRequest (section 10.7.8).
func decodeTimed(b []byte) (ms uint16, err error) {
	r := tlv.NewReader(b)
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		if got.once(&r, 0) == 0 {
			ms = r.Uint16()
		}
	}
	r.Exit()
	got.need(&r, 1<<0)
	return ms, r.End()
}

// decodeReport reports whether a ReportData names a subscription (section
// 10.7.3).
func decodeReport(b []byte) (subscribed bool, err error) {
	r := tlv.NewReader(b)
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		if got.once(&r, 0) == 0 {
			r.Uint32()
			subscribed = true
		}
	}
	r.Exit()
	return subscribed, r.End()
}
