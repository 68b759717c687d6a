package im

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// buildReport writes the next ReportData of rd into e.w (section 10.7.3) and
// reports whether another must follow. Items that do not fit stay in rd.
func (e *Engine) buildReport(now time.Time, rd *reading) (payload []byte, more bool) {
	e.prepare(now, rd.subject, rd.session, rd.fabricFiltered)
	w := e.newMessage()
	if rd.subscription != 0 {
		w.Uint(tag0, uint64(rd.subscription))
	}
	if e.stale(rd) {
		rd.item = item{}
	}
	array, alone := e.openArray(tag1)
	more = e.fillAttributes(rd, alone)
	e.closeArray(rd, array, alone)
	if !more {
		array, alone = e.openArray(tag2)
		more = e.fillEvents(rd)
		e.closeArray(rd, array, alone)
	}
	switch {
	case more:
		w.Bool(tag3, true)
	case rd.suppress:
		w.Bool(tag4, true)
	}
	return e.endMessage(), more
}

// stale reports whether the item that did not fit into the last message must be
// expanded again, because its cluster has changed or was removed.
func (e *Engine) stale(rd *reading) bool {
	in := rd.item.in
	return in != nil && (!rd.item.path.concrete() || rd.update) && (in.altered > rd.item.begun || e.byID[in.ep.id] != in.ep)
}

// openArray opens an array of the message. It returns the positions of the array
// and of its first member.
func (e *Engine) openArray(t tlv.Tag) (array tlv.Mark, members int) {
	array = e.w.Mark()
	e.w.StartArray(t)
	return array, e.w.Len()
}

// closeArray closes the array, or removes it if it is empty.
func (e *Engine) closeArray(rd *reading, array tlv.Mark, members int) {
	if e.w.Len() == members {
		e.w.Rewind(array)
		return
	}
	e.w.End()
	rd.found = true
}

// fillAttributes writes the attribute part of a report and reports whether some
// attributes did not fit. alone is the length of the message while it is empty.
func (e *Engine) fillAttributes(rd *reading, alone int) (more bool) {
	w := &e.w
	for {
		if rd.list.active && !e.fillList(rd) {
			return true
		}
		if rd.item.path == nil {
			it, ok := e.nextAttribute(rd)
			if !ok {
				return false
			}
			rd.item = it
		}
		m := w.Mark()
		e.attributeReport(rd, &rd.item)
		if e.room() >= 0 {
			rd.item = item{}
			continue
		}
		w.Rewind(m)
		if !e.cut(rd, alone) {
			if w.Len() > alone {
				return true
			}
			e.log.Error("attribute is too large for a message", "cluster", rd.item.in.meta.spec.Name,
				"attribute", rd.item.in.meta.attributes[rd.item.index].Name)
			e.attributeStatus(rd, &rd.item, matter.ClusterStatus{Status: matter.StatusResourceExhausted})
		}
		rd.item = item{}
	}
}

// attributeReport writes the AttributeReportIB of an item.
func (e *Engine) attributeReport(rd *reading, it *item) {
	if it.status != matter.StatusSuccess {
		e.attributeStatus(rd, it, matter.ClusterStatus{Status: it.status})
		return
	}
	w := &e.w
	m := w.Mark()
	startAttributeData(w, it.in, it.index, it.version(), wholeValue)
	if err := it.in.read(e.at(it.in), it.index, w, tag2); err != nil {
		w.Rewind(m)
		e.attributeStatus(rd, it, e.statusOf(err, it.in, it.in.meta.attributes[it.index].Name))
		return
	}
	w.End()
	w.End()
}

// startAttributeData opens an AttributeReportIB and its AttributeDataIB. Each of
// them carries the data version, even for parts of a list, because the official SDK
// does not cache an attribute without one.
func startAttributeData(w *tlv.Writer, in *instance, index int, v matter.DataVersion, li listIndex) {
	w.StartStruct(tlv.Anonymous)
	w.StartStruct(tag1)
	w.Uint(tag0, uint64(v))
	writeAttributePath(w, tag1, in.ep.id, in.id, in.meta.attributes[index].ID, li)
}

// attributeStatus writes an AttributeReportIB with a status.
func (e *Engine) attributeStatus(rd *reading, it *item, st matter.ClusterStatus) {
	if rd.status == matter.StatusSuccess {
		rd.status = st.Status
	}
	ep, cl, id := it.path.endpoint, it.path.cluster, it.path.attribute
	if it.in != nil {
		ep, cl, id = it.in.ep.id, it.in.id, it.in.meta.attributes[it.index].ID
	}
	w := &e.w
	w.StartStruct(tlv.Anonymous)
	w.StartStruct(tag0)
	writeAttributePath(w, tag0, ep, cl, id, wholeValue)
	writeStatus(w, st)
	w.End()
	w.End()
}

// listRest is a list that is being sent in parts, which may take several messages.
// The value is encoded before the first part is sent and does not change.
type listRest struct {
	active  bool
	started bool // the first part was written
	more    bool // r is at an element that was not written yet
	in      *instance
	index   int
	version matter.DataVersion
	buf     []byte     // the encoded value
	r       tlv.Reader // inside buf's array
}

// cut starts sending rd's item in parts, if it is a list that can be divided. It
// returns false if the list should begin in the next message instead. That is the
// case if the message is not empty and either the list fits whole into the next one
// and little room is wasted, or not even its first element fits into this one.
func (e *Engine) cut(rd *reading, alone int) bool {
	it := &rd.item
	if it.in == nil || !it.in.meta.attributes[it.index].Quality.Has(List) {
		return false
	}
	m := e.w.Mark()
	startAttributeData(&e.w, it.in, it.index, it.version(), appendItem)
	head := len(e.w.Written(m))
	e.w.Rewind(m)

	value := &e.value
	value.Reset(rd.list.buf[:0])
	if it.in.read(e.at(it.in), it.index, value, tlv.Anonymous) != nil {
		return false
	}
	rd.list.buf = value.Bytes()
	r := tlv.NewReader(rd.list.buf)
	if r.Type() != tlv.TypeArray {
		return false
	}
	// An element of n octets takes head+n+3 octets in a report of its own, whether
	// it is the first or an appended one. A whole list takes two octets less.
	empty, free := e.opt.MaxPayload-messageEnd-alone, e.room()
	if head+value.Len()+1 <= empty && free < e.opt.MaxPayload/4 {
		return false
	}
	n := 0
	for r.EnterArray(); r.Next(); n++ {
		size := head + r.Element().Len() + 3
		if size > empty || n == 0 && size > free {
			return false
		}
	}
	r.Exit()
	l := &rd.list
	l.active, l.started, l.in, l.index, l.version = true, false, it.in, it.index, it.version()
	l.r = tlv.NewReader(l.buf)
	l.r.EnterArray()
	l.more = l.r.Next()
	return true
}

// fillList writes as many parts of the list as fit and reports whether it is
// complete.
func (e *Engine) fillList(rd *reading) (done bool) {
	w, l := &e.w, &rd.list
	if !l.started {
		startAttributeData(w, l.in, l.index, l.version, wholeValue)
		w.StartArray(tag2)
		for ; l.more; l.more = l.r.Next() {
			m := w.Mark()
			w.Element(tlv.Anonymous, l.r.Element())
			if e.room() < 3 {
				w.Rewind(m)
				break
			}
		}
		w.End()
		w.End()
		w.End()
		l.started = true
	}
	for ; l.more; l.more = l.r.Next() {
		m := w.Mark()
		startAttributeData(w, l.in, l.index, l.version, appendItem)
		w.Element(tag2, l.r.Element())
		w.End()
		w.End()
		if e.room() < 0 {
			w.Rewind(m)
			return false
		}
	}
	l.active = false
	return true
}
