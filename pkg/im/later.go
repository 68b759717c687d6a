package im

import (
	"bytes"
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	// MaxLater is how many commands may wait for work outside of the Engine.
	MaxLater = 8
	// laterTimeout is how long one may wait. Its peer has given up by then.
	laterTimeout = 60 * time.Second
)

// ErrLater is what [Request.Later] returns for a command that is answered later.
var ErrLater = errors.New("answered later")

// later is what a command waits for, and how it goes on.
type later struct {
	work   func()
	finish func(r *Request, w *tlv.Writer) error
}

// Later lets a command wait for work without the Engine waiting: signing with a key that
// is on a token, say. work is called on another goroutine; it must not use r, nor the
// state of the node. Then finish is called as Invoke is, with a Request of its own: access
// and existence are checked again by then, but what Invoke has found out itself may not
// hold any more. The command takes effect in finish, which is never called if the peer has
// gone meanwhile.
//
// Invoke returns what Later returns, which is BUSY if too many commands wait already.
// Where a command cannot wait, in a message to a group, work and finish are called at
// once.
func (r *Request) Later(w *tlv.Writer, work func(), finish func(r *Request, w *tlv.Writer) error) error {
	switch {
	case !r.mayWait:
		work()
		return finish(r, w)
	case r.engine.waitingLater == MaxLater:
		return matter.StatusBusy
	}
	r.later = &later{work, finish}
	return ErrLater
}

// suspended is an invoke request one of whose commands waits.
type suspended struct {
	request invokeRequest // over a copy of the message
	payload []byte
	timed   bool
	n       int        // the command that waits
	before  *responses // of those before it
	finish  func(r *Request, w *tlv.Writer) error
}

// suspend lets command number n of q wait for l.
func (i *Interaction) suspend(now time.Time, q *invokeRequest, payload []byte, timed bool, n, head int, l *later) {
	e := i.e
	p := i.suspended
	if p == nil {
		p = &suspended{payload: bytes.Clone(payload), timed: timed}
		if err := p.request.decode(p.payload, e.opt.MaxPathsPerInvoke, false); err != nil {
			panic("BUG: im: a request that was decoded is not one: " + err.Error())
		}
		i.suspended = p
	}
	p.n, p.finish = n, l.finish
	p.before = newResponses(e.w.Bytes(), head, e.results)
	e.waitingLater++
	i.wait(now, stateWorking, laterTimeout)
	e.opt.Background(l.work, i.resumeInvoke)
}

// resumeInvoke executes the command that has waited, and those after it.
func (i *Interaction) resumeInvoke(now time.Time) {
	e, p := i.e, i.suspended
	e.waitingLater--
	if i.state != stateWorking {
		return // the peer has gone, or has sent something else
	}
	i.state = stateNew
	i.conn.AwaitResponse(time.Time{})
	w := e.newMessage()
	startResponses(w)
	head := w.Len()
	e.results = e.results[:0]
	for n := range p.before.ends {
		w.Element(tlv.Anonymous, p.before.block(n))
		e.results = append(e.results, w.Len())
	}
	i.executeAll(now, &p.request, p.payload, p.timed, head, p.n, p.finish)
}
