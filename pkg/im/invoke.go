package im

import (
	"cmp"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// command is a CommandDataIB of an InvokeRequest. fields points into the
// message.
type command struct {
	endpoint    matter.EndpointID
	anyEndpoint bool // no endpoint in the path; only in a message to a group
	cluster     matter.ClusterID
	id          matter.CommandID
	ref         uint16
	hasRef      bool
	fields      tlv.Element
}

// invokeRequest is a decoded InvokeRequest (section 10.7.9).
type invokeRequest struct {
	suppress, timed bool
	commands        []command
}

// noFields is used for a command without fields.
var noFields = func() tlv.Element {
	var w tlv.Writer
	w.StartStruct(tlv.Anonymous)
	w.End()
	r := tlv.NewReader(w.Bytes())
	return r.Element()
}()

// decode decodes a message with at most limit commands. If group is set, paths may
// omit the endpoint.
func (q *invokeRequest) decode(b []byte, limit int, group bool) error {
	*q = invokeRequest{commands: q.commands[:0]}
	r := tlv.NewReader(b)
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		switch got.once(&r, 2) {
		case 0:
			q.suppress = r.Bool()
		case 1:
			q.timed = r.Bool()
		case 2:
			for r.EnterArray(); r.Next(); {
				if len(q.commands) == limit {
					r.Fail(matter.StatusInvalidAction)
					break
				}
				q.commands = append(q.commands, decodeCommand(&r, group))
			}
			r.Exit()
		}
	}
	r.Exit()
	got.need(&r, 1<<0|1<<1|1<<2)
	if r.Err() == nil && !q.distinct() {
		r.Fail(errRepeated)
	}
	return r.End()
}

func decodeCommand(r *tlv.Reader, group bool) command {
	c := command{fields: noFields}
	var got tagSet
	for r.EnterStruct(); r.Next(); {
		switch got.once(r, 2) {
		case 0:
			c.decodePath(r, group)
		case 1:
			if r.Type() != tlv.TypeStruct {
				r.Fail(tlv.ErrType)
			}
			c.fields = r.Element()
		case 2:
			c.ref, c.hasRef = r.Uint16(), true
		}
	}
	r.Exit()
	got.need(r, 1<<0)
	return c
}

func (c *command) decodePath(r *tlv.Reader, group bool) {
	var got tagSet
	for r.EnterList(); r.Next(); {
		switch got.once(r, 2) {
		case 0:
			c.endpoint = decodeEndpoint(r)
		case 1:
			c.cluster = decodeCluster(r)
		case 2:
			c.id = matter.CommandID(r.Uint32())
		}
	}
	r.Exit()
	if c.anyEndpoint = got&(1<<0) == 0; c.anyEndpoint && !group {
		r.Fail(errMissing)
	}
	got.need(r, 1<<1|1<<2)
}

// distinct reports whether the responses to q's commands can be distinguished:
// there is only one command, or all commands have references, and neither
// references nor paths repeat (section 8.8.2).
func (q *invokeRequest) distinct() bool {
	if len(q.commands) == 1 {
		return true
	}
	for n := range q.commands {
		c := &q.commands[n]
		if !c.hasRef {
			return false
		}
		for m := range n {
			d := &q.commands[m]
			if c.ref == d.ref || c.endpoint == d.endpoint && c.cluster == d.cluster && c.id == d.id {
				return false
			}
		}
	}
	return len(q.commands) > 0
}

// invokeRequest handles an InvokeRequest (section 8.8). timed reports whether a
// TimedRequest preceded it. All commands are executed before the first response is
// sent.
func (i *Interaction) invokeRequest(now time.Time, payload []byte, timed bool) {
	e, q := i.e, &i.e.invoke
	if err := q.decode(payload, e.opt.MaxPathsPerInvoke, false); err != nil {
		i.refuse(now, requestStatus(err))
		return
	}
	switch {
	case q.timed != timed:
		i.refuse(now, matter.StatusTimedRequestMismatch)
		return
	case len(q.commands) > 1 && !i.reserve(): // the responses may need several messages
		i.refuse(now, matter.StatusBusy)
		return
	}
	w := e.newMessage()
	startResponses(w)
	e.results = e.results[:0]
	i.executeAll(now, q, payload, timed, w.Len(), 0, nil)
}

// executeAll executes the commands of q from number n on and answers all of them.
// head is the offset of the first response. If finish is not nil, it completes
// command n; see [Request.Later].
func (i *Interaction) executeAll(now time.Time, q *invokeRequest, payload []byte, timed bool, head, n int, finish func(*Request, *tlv.Writer) error) {
	e, w := i.e, &i.e.w
	for ; n < len(q.commands); n++ {
		e.prepare(now, i.conn.Subject(), i.conn.Session(), true)
		e.req.mayWait = e.opt.Background != nil && finish == nil
		m := w.Mark()
		i.execute(&q.commands[n], timed, finish)
		finish, e.req.mayWait = nil, false
		if l := e.req.later; l != nil {
			e.req.later = nil
			i.suspend(now, q, payload, timed, n, head, l)
			return
		}
		if head+len(w.Written(m))+messageEnd > e.opt.MaxPayload {
			e.log.Error("response is too large for a message", "cluster", q.commands[n].cluster, "command", q.commands[n].id)
			w.Rewind(m)
			i.commandStatus(&q.commands[n], matter.ClusterStatus{Status: matter.StatusResourceExhausted})
		}
		e.results = append(e.results, w.Len())
	}
	switch {
	case q.suppress:
		i.finish(now, matter.StatusSuccess)
	case e.room() >= 0:
		w.End()
		if i.send(now, OpcodeInvokeResponse, e.endMessage()) {
			i.finish(now, matter.StatusSuccess)
		}
	default:
		i.rest = newResponses(w.Bytes(), head, e.results)
		i.sendResponses(now)
	}
}

// startResponses begins an InvokeResponse (section 10.7.10) and opens its array.
func startResponses(w *tlv.Writer) {
	w.Bool(tag0, false)
	w.StartArray(tag1)
}

// execute executes one command and writes its InvokeResponseIB. If finish is not
// nil, it is called in place of Invoke. Nothing is written for a command that is
// answered later.
func (i *Interaction) execute(c *command, timed bool, finish func(*Request, *tlv.Writer) error) {
	e, w := i.e, &i.e.w
	in, cmd, st := e.checkInvoke(c, timed)
	if st != matter.StatusSuccess {
		i.commandStatus(c, matter.ClusterStatus{Status: st})
		return
	}
	m := w.Mark()
	w.StartStruct(tlv.Anonymous)
	w.StartStruct(tag0)
	writeCommandPath(w, c.endpoint, c.cluster, cmd.Response)
	w.StartStruct(tag1)
	e.touch(in.ep)
	members := w.Guard()
	var err error
	if finish != nil {
		err = finish(e.at(in), w)
	} else {
		err = in.cluster.Invoke(e.at(in), c.id, c.fields, w)
	}
	if !w.Unguard(members) || err == nil && !tlv.Members(w.Written(members)) {
		err = cmp.Or(err, errResponse)
	}
	if e.req.later != nil && err == ErrLater {
		w.Rewind(m)
		return
	}
	e.req.later = nil // the cluster returned another error than ErrLater
	if err != nil || cmd.Response == NoResponse {
		w.Rewind(m)
		i.commandStatus(c, e.statusOf(err, in, cmd.Name))
		return
	}
	w.End()
	if c.hasRef {
		w.Uint(tag2, uint64(c.ref))
	}
	w.End()
	w.End()
}

// commandStatus writes an InvokeResponseIB without data.
func (i *Interaction) commandStatus(c *command, st matter.ClusterStatus) {
	if i.status == matter.StatusSuccess {
		i.status = st.Status
	}
	w := &i.e.w
	w.StartStruct(tlv.Anonymous)
	w.StartStruct(tag1)
	writeCommandPath(w, c.endpoint, c.cluster, c.id)
	writeStatus(w, st)
	if c.hasRef {
		w.Uint(tag2, uint64(c.ref))
	}
	w.End()
	w.End()
}

// checkInvoke finds a command (section 8.8.3). It checks access before existence.
// The required privilege is the command's, or Operate if the command does not
// exist.
func (e *Engine) checkInvoke(c *command, timed bool) (*instance, *Command, matter.Status) {
	in, st := e.find(c.endpoint, c.cluster)
	var cmd *Command
	need := matter.PrivilegeOperate
	if st == matter.StatusSuccess {
		if cmd = in.meta.command(c.id); cmd != nil {
			need = cmd.Privilege
		} else {
			st = matter.StatusUnsupportedCommand
		}
	}
	switch {
	case !e.allowed(e.req.Subject, c.endpoint, c.cluster, need):
		return nil, nil, matter.StatusUnsupportedAccess
	case st != matter.StatusSuccess:
		return nil, nil, st
	case cmd.Quality.Has(FabricScoped) && e.req.Subject.Fabric == matter.NoFabric:
		return nil, nil, matter.StatusUnsupportedAccess
	case cmd.Quality.Has(Timed) && !timed:
		return nil, nil, matter.StatusNeedsTimedInteraction
	}
	return in, cmd, matter.StatusSuccess
}

// responses are the InvokeResponseIBs of a batch that have not been sent.
type responses struct {
	buf  []byte
	ends []int // end of each block in buf
	next int
}

// newResponses copies the blocks that begin at head in message.
func newResponses(message []byte, head int, ends []int) *responses {
	r := &responses{buf: append([]byte(nil), message[head:]...), ends: append([]int(nil), ends...)}
	for n := range r.ends {
		r.ends[n] -= head
	}
	return r
}

// block returns response number n.
func (r *responses) block(n int) tlv.Element {
	start := 0
	if n > 0 {
		start = r.ends[n-1]
	}
	in := tlv.NewReader(r.buf[start:r.ends[n]])
	return in.Element()
}

// sendResponses sends the next message of a batch's responses.
func (i *Interaction) sendResponses(now time.Time) {
	e, r := i.e, i.rest
	w := e.newMessage()
	startResponses(w)
	for ; r.next < len(r.ends); r.next++ {
		m := w.Mark()
		w.Element(tlv.Anonymous, r.block(r.next))
		if e.room() < 0 {
			w.Rewind(m)
			break
		}
	}
	w.End()
	if r.next < len(r.ends) {
		w.Bool(tag2, true)
		i.wait(now, stateInvoking, responseTimeout)
		i.send(now, OpcodeInvokeResponse, e.endMessage())
		return
	}
	if i.send(now, OpcodeInvokeResponse, e.endMessage()) {
		i.finish(now, matter.StatusSuccess)
	}
}
