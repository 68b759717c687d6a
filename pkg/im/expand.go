package im

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// reading is a read, or a report to a subscriber: the request and its progress. It
// outlives the call if the report takes more than one message.
type reading struct {
	readRequest
	subject acl.Subject
	session Session

	// For subscriptions: the id and, in an update, the number of the change that
	// was reported last. An update contains no statuses.
	subscription uint32
	update       bool
	since        uint64
	changed      []*instance // changed since then, ascending
	begun        uint64      // number of the last change before the report began
	suppress     bool        // the last message needs no response

	walk   walk
	item   item // expanded, but not yet in a message; none if its path is nil
	list   listRest
	status matter.Status // of the first path that failed
	found  bool          // something has been written

	log eventWalk
}

// eventWalk is the progress of the event part of a report.
type eventWalk struct {
	path int // the next path whose status is to be checked
	next matter.EventNumber
	end  matter.EventNumber // first event that is not part of this report
}

func (rd *reading) reset() {
	clear(rd.changed)
	*rd = reading{readRequest: rd.readRequest, list: listRest{buf: rd.list.buf[:0]}, changed: rd.changed[:0]}
	rd.readRequest.reset()
}

// takeReading returns an empty reading. The caller passes it to release after use.
func (e *Engine) takeReading() *reading {
	rd := e.spare
	if rd == nil {
		rd = new(reading)
	}
	e.spare, rd.begun = nil, e.change
	return rd
}

func (e *Engine) release(rd *reading) {
	rd.reset()
	e.spare = rd
}

// item is one attribute to report or, if it has a status, a path that failed.
type item struct {
	in     *instance
	index  int // of the attribute in in.meta.attributes
	path   *attributePath
	status matter.Status
	begun  uint64 // number of the last change before the first part of the cluster was written
}

// version returns the data version to report with the item. If the cluster has
// changed since a part of it was sent, the current version would be wrong: the
// reader would assume that it has the whole cluster in its current state.
func (it *item) version() matter.DataVersion {
	if it.in.altered > it.begun {
		return it.in.version - 1
	}
	return it.in.version
}

// walk is the progress of the expansion of a list of paths.
type walk struct {
	path     int
	started  bool // expansion of path has begun; the fields below are valid
	ep       int  // index into layout.ordered; in an update, into reading.changed
	inst     int  // index into that endpoint's instances
	attr     int  // the next attribute of that instance
	cluster  progress
	at       *endpoint
	revision uint // layout.revision that ep belongs to
}

// maxRestarts limits how often the expansion of a cluster starts again, so that a
// report ends even if a cluster changes all the time.
const maxRestarts = 3

// progress is the progress of the expansion of one cluster.
type progress struct {
	in       *instance
	granted  grants
	begun    uint64 // number of the last change before it began
	restarts int
}

// enter makes in the cluster that is being expanded, and reports whether it was not
// already. If it was, and has changed since its expansion began, the expansion
// starts again, because the data version that was sent with the first part is no
// longer valid.
func (e *Engine) enter(w *walk, in *instance) bool {
	c := &w.cluster
	if c.in != in {
		*c = progress{in: in, begun: e.change}
		return true
	}
	if in.altered > c.begun && c.restarts < maxRestarts {
		c.begun, c.restarts = e.change, c.restarts+1
		w.attr = 0
	}
	return false
}

// grants caches what one subject may do on one cluster instance.
type grants struct{ asked, given uint8 }

func (e *Engine) granted(g *grants, s acl.Subject, in *instance, p matter.Privilege) bool {
	bit := uint8(1) << p
	if g.asked&bit == 0 {
		g.asked |= bit
		if e.allowed(s, in.ep.id, in.id, p) {
			g.given |= bit
		}
	}
	return g.given&bit != 0
}

// nextAttribute returns the next attribute that rd's paths include (section
// 8.4.3.2).
func (e *Engine) nextAttribute(rd *reading) (item, bool) {
	if rd.update {
		return e.nextChanged(rd)
	}
	for rd.walk.path < len(rd.attributes) {
		p := &rd.attributes[rd.walk.path]
		if p.concrete() {
			rd.walk.path++
			if it, ok := e.concreteAttribute(rd, p); ok {
				return it, true
			}
			continue
		}
		if it, ok := e.nextWildcard(rd, p); ok {
			return it, true
		}
		rd.walk = walk{path: rd.walk.path + 1}
	}
	return item{}, false
}

// concreteAttribute returns the attribute that p names, or an item with a status if
// p fails. It returns false if the reader already has the attribute.
func (e *Engine) concreteAttribute(rd *reading, p *attributePath) (item, bool) {
	in, i, st := e.checkRead(rd.subject, p)
	switch {
	case st != matter.StatusSuccess:
		return item{path: p, status: st}, true
	case rd.unchanged(in):
		return item{}, false
	}
	return item{in: in, index: i, path: p, begun: rd.begun}, true
}

// findAttribute finds the attribute that a concrete path names. It first checks for
// View access, so that a peer without access cannot find out which attributes
// exist.
func (e *Engine) findAttribute(s acl.Subject, p *attributePath) (*instance, int, matter.Status) {
	if p.otherNode {
		return nil, 0, matter.StatusUnsupportedNode
	}
	if !e.allowed(s, p.endpoint, p.cluster, matter.PrivilegeView) {
		return nil, 0, matter.StatusUnsupportedAccess
	}
	in, st := e.find(p.endpoint, p.cluster)
	if st != matter.StatusSuccess {
		return nil, 0, st
	}
	i := in.meta.attribute(p.attribute)
	if i < 0 {
		return nil, 0, matter.StatusUnsupportedAttribute
	}
	return in, i, matter.StatusSuccess
}

// checkRead finds the attribute that a concrete path reads.
func (e *Engine) checkRead(s acl.Subject, p *attributePath) (*instance, int, matter.Status) {
	in, i, st := e.findAttribute(s, p)
	if st != matter.StatusSuccess {
		return nil, 0, st
	}
	a := &in.meta.attributes[i]
	switch {
	case a.Read == 0 || p.index == oneItem:
		return nil, 0, matter.StatusUnsupportedRead
	case a.Read != matter.PrivilegeView && !e.allowed(s, p.endpoint, p.cluster, a.Read):
		return nil, 0, matter.StatusUnsupportedAccess
	}
	return in, i, matter.StatusSuccess
}

// unchanged reports whether the reader's copy of the cluster is current: at least
// one data version filter names the cluster, and all that do have the current
// version.
func (rd *reading) unchanged(in *instance) (same bool) {
	want := versionFilter{endpoint: in.ep.id, cluster: in.id}
	i, _ := slices.BinarySearchFunc(rd.filters, want, versionFilter.compare)
	for ; i < len(rd.filters) && rd.filters[i].compare(want) == 0; i++ {
		if rd.filters[i].version != in.version {
			return false
		}
		same = true
	}
	return same
}

// nextWildcard returns the next attribute that p includes. Attributes that may not
// be read are skipped without a status.
func (e *Engine) nextWildcard(rd *reading, p *attributePath) (item, bool) {
	if p.otherNode {
		return item{}, false
	}
	w := &rd.walk
	switch {
	case !w.started:
		w.started, w.revision = true, e.layout.revision
		if p.given&partEndpoint != 0 {
			w.ep, _ = e.layout.position(p.endpoint)
		}
	case w.revision != e.layout.revision:
		w.ep, _ = e.layout.position(w.at.id)
		w.revision = e.layout.revision
		if w.ep == len(e.ordered) || e.ordered[w.ep] != w.at {
			w.inst, w.attr = 0, 0 // it was removed: continue with the next one
		}
	}
	for ; w.ep < len(e.ordered); w.ep, w.inst, w.attr = w.ep+1, 0, 0 {
		w.at = e.ordered[w.ep]
		if p.given&partEndpoint != 0 && w.at.id != p.endpoint {
			break
		}
		for ; w.inst < len(w.at.instances); w.inst, w.attr = w.inst+1, 0 {
			in := w.at.instances[w.inst]
			if e.enter(w, in) && !e.enters(rd, p, in) {
				continue
			}
			for w.attr < len(in.meta.attributes) {
				i := w.attr
				w.attr++
				a := &in.meta.attributes[i]
				if (p.given&partAttribute == 0 || p.attribute == a.ID) && a.Read != 0 && !p.skipsAttribute(a) &&
					e.granted(&w.cluster.granted, rd.subject, in, a.Read) {
					return item{in: in, index: i, path: p, begun: w.cluster.begun}, true
				}
			}
		}
	}
	return item{}, false
}

// enters reports whether p's expansion can include attributes of the instance.
func (e *Engine) enters(rd *reading, p *attributePath, in *instance) bool {
	return (p.given&partCluster == 0 || p.cluster == in.id) && !p.skipsCluster(in) && !rd.unchanged(in) &&
		e.granted(&rd.walk.cluster.granted, rd.subject, in, matter.PrivilegeView)
}

// collectChanged makes rd an update: a report of what has changed since rd.since.
// Its cost grows only with the number of changes.
func (e *Engine) collectChanged(rd *reading) {
	rd.update = true
	for in := e.newest; in != nil && in.last > rd.since; in = in.older {
		rd.changed = append(rd.changed, in)
	}
	slices.SortFunc(rd.changed, (*instance).compare)
}

// nextChanged returns the next changed attribute that rd's paths include.
// Attributes that may not be read are skipped.
func (e *Engine) nextChanged(rd *reading) (item, bool) {
	for w := &rd.walk; w.ep < len(rd.changed); w.ep, w.attr = w.ep+1, 0 {
		in := rd.changed[w.ep]
		if e.byID[in.ep.id] != in.ep {
			continue // it was removed
		}
		if e.enter(w, in) && !(rd.attributes.coverCluster(in) && e.granted(&w.cluster.granted, rd.subject, in, matter.PrivilegeView)) {
			continue
		}
		for w.attr < len(in.meta.attributes) {
			i := w.attr
			w.attr++
			a := &in.meta.attributes[i]
			if in.changed[i] <= rd.since || a.Read == 0 {
				continue
			}
			if p := rd.attributes.cover(in, a); p != nil && e.granted(&w.cluster.granted, rd.subject, in, a.Read) {
				return item{in: in, index: i, path: p, begun: w.cluster.begun}, true
			}
		}
	}
	return item{}, false
}
