package im

import (
	"bytes"
	"time"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Limits, in octets, for what peers send in parts.
const (
	maxListSize    = 16 << 10 // a list
	maxListsFabric = 64 << 10 // all partly received lists of a fabric
)

// writeItem is an AttributeDataIB of a WriteRequest. data points into the
// message.
type writeItem struct {
	path       attributePath
	version    matter.DataVersion
	hasVersion bool
	data       tlv.Element
}

// writeRequest is a WriteRequest (section 10.7.6).
type writeRequest struct {
	suppress, timed, more bool
	items                 []writeItem
}

// decode decodes a message to the node own. If group is set, paths may omit the
// endpoint.
func (q *writeRequest) decode(b []byte, own matter.NodeID, group bool) error {
	*q = writeRequest{items: q.items[:0]}
	r := tlv.NewReader(b)
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		switch got.once(&r, 3) {
		case 0:
			q.suppress = r.Bool()
		case 1:
			q.timed = r.Bool()
		case 2:
			for r.EnterArray(); r.Next(); {
				if len(q.items) == maxWrites {
					r.Fail(matter.StatusPathsExhausted)
					break
				}
				q.items = append(q.items, decodeWriteItem(&r, own, group))
			}
			r.Exit()
		case 3:
			q.more = r.Bool()
		}
	}
	r.Exit()
	got.need(&r, 1<<1|1<<2)
	return r.End()
}

func decodeWriteItem(r *tlv.Reader, own matter.NodeID, group bool) (x writeItem) {
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		switch got.once(r, 2) {
		case 0:
			x.version, x.hasVersion = matter.DataVersion(r.Uint32()), true
		case 1:
			x.path = decodeAttributePath(r, own)
		case 2:
			x.data = r.Element()
		}
	}
	r.Exit()
	got.need(r, 1<<1|1<<2)
	if r.Err() == nil && !x.path.concrete() && !(group && x.path.given == partCluster|partAttribute) {
		r.Fail(errPath)
	}
	return x
}

// writeRequest handles a WriteRequest (section 8.7). timed reports whether a
// TimedRequest preceded it.
func (i *Interaction) writeRequest(now time.Time, payload []byte, timed bool) {
	e, q := i.e, &i.e.write
	if err := q.decode(payload, i.ownNodeID(), false); err != nil {
		i.refuse(now, requestStatus(err))
		return
	}
	switch {
	case q.more && (q.suppress || q.timed):
		i.refuse(now, matter.StatusInvalidAction)
		return
	case q.timed != timed:
		i.refuse(now, matter.StatusTimedRequestMismatch)
		return
	case !q.suppress && !e.answerFits(q):
		i.refuse(now, matter.StatusPathsExhausted)
		return
	case q.more && !i.reserve():
		i.refuse(now, matter.StatusBusy)
		return
	case q.more:
		i.wait(now, stateWriting, responseTimeout)
	}
	e.prepare(now, i.conn.Subject(), i.conn.Session(), true)
	w := e.newMessage()
	w.StartArray(tag0)
	for n := range q.items {
		i.writeItem(&q.items[n], timed)
	}
	i.endRun(!q.more)
	w.End()
	payload = e.endMessage()
	if !q.suppress && !i.send(now, OpcodeWriteResponse, payload) || q.more {
		return
	}
	i.finish(now, matter.StatusSuccess)
}

// answerFits reports whether the statuses of all of q's items fit into one
// WriteResponse. A WriteResponse cannot be sent in chunks.
func (e *Engine) answerFits(q *writeRequest) bool {
	w := e.newMessage()
	w.StartArray(tag0)
	for n := range q.items {
		e.writeItemStatus(&q.items[n].path, matter.ClusterStatus{Status: matter.StatusFailure, Code: 0xFF})
	}
	return e.room() >= 0
}

// writeItemStatus writes an AttributeStatusIB.
func (e *Engine) writeItemStatus(p *attributePath, st matter.ClusterStatus) {
	w := &e.w
	w.StartStruct(tlv.Anonymous)
	writeAttributePath(w, tag0, p.endpoint, p.cluster, p.attribute, p.index)
	writeStatus(w, st)
	w.End()
}

// writeItem executes one item, or adds it to a list that the peer sends in parts.
func (i *Interaction) writeItem(x *writeItem, timed bool) {
	e := i.e
	if i.run.continues(x) {
		i.run.add(x)
		return
	}
	i.endRun(true)
	in, n, st := e.checkWrite(e.req.Subject, x, timed)
	status := matter.ClusterStatus{Status: st}
	switch {
	case x.path.index == wholeValue && x.data.Type() == tlv.TypeArray && (in == nil || in.meta.attributes[n].Quality.Has(List)):
		// Access and data version are checked once, for the whole list: its first
		// part may revoke the writer's right to send the rest.
		i.run = e.newListRun(x, in, n, status)
		return
	case st != matter.StatusSuccess:
	case x.path.index == appendItem:
		status.Status = matter.StatusBusy // there is no list to append to
	case in.meta.attributes[n].Quality.Has(List) && !(x.data.Type() == tlv.TypeNull && in.meta.attributes[n].Quality.Has(Nullable)):
		status.Status = matter.StatusInvalidDataType
	default:
		status = e.apply(in, n, x.data)
	}
	i.answer(&x.path, status)
}

// answer writes an item's status, and records the first that is not SUCCESS.
func (i *Interaction) answer(p *attributePath, st matter.ClusterStatus) {
	if i.status == matter.StatusSuccess {
		i.status = st.Status
	}
	i.e.writeItemStatus(p, st)
}

// checkWrite finds the attribute of an item (section 8.7.3). It checks access
// before existence, as for reads.
func (e *Engine) checkWrite(s acl.Subject, x *writeItem, timed bool) (*instance, int, matter.Status) {
	p := &x.path
	in, n, st := e.findAttribute(s, p)
	if st != matter.StatusSuccess {
		return nil, 0, st
	}
	a := &in.meta.attributes[n]
	switch {
	case a.Write == 0 || p.index == oneItem || p.index == appendItem && !a.Quality.Has(List):
		return nil, 0, matter.StatusUnsupportedWrite
	case !e.allowed(s, p.endpoint, p.cluster, a.Write):
		return nil, 0, matter.StatusUnsupportedAccess
	case a.Quality.Has(Timed) && !timed:
		return nil, 0, matter.StatusNeedsTimedInteraction
	case a.Quality.Has(FabricScoped) && s.Fabric == matter.NoFabric:
		return nil, 0, matter.StatusUnsupportedAccess
	case x.hasVersion && x.version != in.version:
		return nil, 0, matter.StatusDataVersionMismatch
	}
	return in, n, matter.StatusSuccess
}

// apply writes a value to the cluster. Subscribers get a report if it differs from
// the value before.
func (e *Engine) apply(in *instance, n int, v tlv.Element) matter.ClusterStatus {
	a := &in.meta.attributes[n]
	before := e.valueOf(in, n)
	e.touch(in.ep)
	if err := in.cluster.Write(e.at(in), a.ID, v); err != nil {
		return e.statusOf(err, in, a.Name)
	}
	if before == nil || !bytes.Equal(before, e.valueOf(in, n)) {
		e.changed(in, n)
	}
	return matter.ClusterStatus{Status: matter.StatusSuccess}
}

// applyList writes a list that was sent in parts. The endpoint may have been
// removed in the meantime.
func (e *Engine) applyList(in *instance, n int, v tlv.Element) matter.ClusterStatus {
	if now, _ := e.find(in.ep.id, in.id); now != in {
		return matter.ClusterStatus{Status: matter.StatusUnsupportedEndpoint}
	}
	return e.apply(in, n, v)
}

// valueOf returns an attribute's encoded value, or nil if it cannot be read.
func (e *Engine) valueOf(in *instance, n int) []byte {
	if in.meta.attributes[n].Read == 0 {
		return nil
	}
	filtered := e.req.FabricFiltered
	e.req.FabricFiltered = false
	defer func() { e.req.FabricFiltered = filtered }()
	var w tlv.Writer
	if in.read(e.at(in), n, &w, tlv.Anonymous) != nil {
		return nil
	}
	return w.Bytes()
}

// listRun is a list that a peer replaces, either whole or with one item for the
// first elements followed by items that append one element each. When the run of
// items ends, the list becomes a single Write, so that the cluster never sees,
// checks or stores an incomplete list.
//
// Items in earlier messages of a chunked write have already been answered with
// SUCCESS. All items in the last message get the status of the Write.
type listRun struct {
	e        *Engine
	fabric   matter.FabricIndex
	path     attributePath
	in       *instance
	index    int
	status   matter.ClusterStatus // reason why the list cannot be written
	buf      []byte               // encoded array so far
	held     int                  // octets counted for the fabric
	replace  bool                 // the first item is in this message
	appends  int                  // in this message
	appended int                  // in all messages
}

func (e *Engine) newListRun(x *writeItem, in *instance, index int, st matter.ClusterStatus) *listRun {
	r := &listRun{e: e, fabric: e.req.Subject.Fabric, path: x.path, in: in, index: index, status: st, replace: true}
	if r.grow(x.data.Len()) {
		r.buf = x.data.AppendTo(nil)
	}
	return r
}

// grow reports whether n more octets of the list may be kept.
func (r *listRun) grow(n int) bool {
	if r.status.Status != matter.StatusSuccess {
		return false
	}
	if len(r.buf)+n > maxListSize || r.e.lists[r.fabric]+n > maxListsFabric {
		r.status.Status = matter.StatusResourceExhausted
		r.free()
		return false
	}
	r.e.lists[r.fabric] += n
	r.held += n
	return true
}

// free releases the list. r may be nil.
func (r *listRun) free() {
	if r != nil {
		r.e.lists[r.fabric] -= r.held
		r.held, r.buf = 0, nil
	}
}

// continues reports whether x appends to the run's list. r may be nil.
func (r *listRun) continues(x *writeItem) bool {
	return r != nil && x.path.index == appendItem && x.path.otherNode == r.path.otherNode &&
		x.path.endpoint == r.path.endpoint && x.path.cluster == r.path.cluster && x.path.attribute == r.path.attribute
}

func (r *listRun) add(x *writeItem) {
	r.appends++
	r.appended++
	if !r.grow(x.data.Len()) {
		return
	}
	end := len(r.buf) - 1
	closing := r.buf[end]
	r.buf = append(x.data.AppendTo(r.buf[:end]), closing)
}

// endRun answers the run's items of this message. If last is set, it writes the
// list first.
func (i *Interaction) endRun(last bool) {
	r := i.run
	if r == nil {
		return
	}
	if last {
		if r.status.Status == matter.StatusSuccess {
			v := tlv.NewReader(r.buf)
			i.e.req.Appended = r.appended
			r.status = i.e.applyList(r.in, r.index, v.Element())
			i.e.req.Appended = 0
		}
		r.free()
		i.run = nil
	}
	if r.replace {
		r.replace = false
		i.answer(&r.path, r.status)
	}
	p := r.path
	p.index = appendItem
	for ; r.appends > 0; r.appends-- {
		i.answer(&p, r.status)
	}
}
