package im

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// reading is a read, or a report to a subscriber: the request and how far it
// has got. It outlives the call when the report takes more than one message.
type reading struct {
	readRequest
	subject acl.Subject
	session Session

	// Of subscriptions: the id, and whether only what changed after the change
	// numbered since is wanted, without statuses.
	subscription uint32
	update       bool
	since        uint64
	changed      []*instance // since then, ascending
	begun        uint64      // number of the last change before the report began
	suppress     bool        // the last message wants no answer

	walk   walk
	item   item // expanded, not yet in a message; none if its path is nil
	list   listRest
	status matter.Status // the first path's that failed
	found  bool          // something has been written

	log eventWalk
}

// eventWalk is where the event part of a report stands.
type eventWalk struct {
	path int // the next whose status is to be looked at
	next matter.EventNumber
	end  matter.EventNumber // the first that is too late for this report
}

func (rd *reading) reset() {
	clear(rd.changed)
	*rd = reading{readRequest: rd.readRequest, list: listRest{buf: rd.list.buf[:0]}, changed: rd.changed[:0]}
	rd.readRequest.reset()
}

// takeReading returns an empty reading; release gives it back.
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

// item is one attribute to report, or, with a status, a path that cannot be.
type item struct {
	in     *instance
	index  int // of the attribute in in.meta.attributes
	path   *attributePath
	status matter.Status
	begun  uint64 // number of the last change before the first part of the cluster was written
}

// version returns the data version to report with the item. If parts of the cluster
// have left before it changed, the reader must not get the present one: it would
// believe to have the whole cluster as it is now.
func (it *item) version() matter.DataVersion {
	if it.in.altered > it.begun {
		return it.in.version - 1
	}
	return it.in.version
}

// walk is where the expansion of a list of paths stands.
type walk struct {
	path     int
	started  bool // path's expansion has begun: the rest is valid
	ep       int  // index into layout.ordered; of an update, into reading.changed
	inst     int  // index into that endpoint's instances
	attr     int  // the next attribute of that
	cluster  progress
	at       *endpoint
	revision uint // layout.revision that ep belongs to
}

// maxRestarts bounds how often the expansion of a cluster begins again, so that one
// that changes all the time does not keep a report from its end.
const maxRestarts = 3

// progress is how the expansion of one cluster goes.
type progress struct {
	in       *instance
	granted  grants
	begun    uint64 // number of the last change before it began
	restarts int
}

// enter makes in the cluster that is expanded, and reports whether it was another. If
// it was the same and has changed since its expansion began, that begins again, as a
// part has left with a data version that is no longer true.
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

// grants remembers what one subject may do on one cluster instance.
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

// nextAttribute returns what rd's paths name next (section 8.4.3.2).
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

// concreteAttribute returns the attribute that p names or the status that says
// why there is none; neither, if the reader has it already.
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

// findAttribute finds the attribute that a concrete path names. Access is checked
// first, as for an attribute that anyone might read: without it a peer does not
// learn what exists.
func (e *Engine) findAttribute(s acl.Subject, p *attributePath) (*instance, int, matter.Status) {
	if p.elsewhere {
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

// unchanged reports whether the data version filters say that the reader has the
// cluster's attributes as they are: one names the cluster, and none of those that do
// has another version.
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

// nextWildcard returns the next attribute that p includes. What may not be read
// is left out without a status.
func (e *Engine) nextWildcard(rd *reading, p *attributePath) (item, bool) {
	if p.elsewhere {
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
			w.inst, w.attr = 0, 0 // it was removed: this is the next one
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

// enters reports whether p's expansion may find anything in the instance.
func (e *Engine) enters(rd *reading, p *attributePath, in *instance) bool {
	return (p.given&partCluster == 0 || p.cluster == in.id) && !p.skipsCluster(in) && !rd.unchanged(in) &&
		e.granted(&rd.walk.cluster.granted, rd.subject, in, matter.PrivilegeView)
}

// collectChanged makes rd an update: a report of what has changed since rd.since. It
// costs as much as there is that has changed.
func (e *Engine) collectChanged(rd *reading) {
	rd.update = true
	for in := e.newest; in != nil && in.last > rd.since; in = in.older {
		rd.changed = append(rd.changed, in)
	}
	slices.SortFunc(rd.changed, (*instance).compare)
}

// nextChanged returns the next attribute that has changed and that rd's paths
// include. What may not be read is left out.
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
