package im

import (
	"bytes"
	"errors"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	// MaxLater is the number of commands that may wait for work outside of the
	// Engine.
	MaxLater = 8
	// laterTimeout is the longest time that a command may wait. After it the peer
	// has given up.
	laterTimeout = 60 * time.Second
)

// ErrLater is returned by [Request.Later] if the command will be answered later.
var ErrLater = errors.New("answered later")

// later is the work that a command waits for, and its continuation.
type later struct {
	work   func()
	finish func(r *Request, w *tlv.Writer) error
}

// Later postpones the answer of a command until work is done, without blocking the
// Engine. An example is a signature with a key on a token. work is called on
// another goroutine. It must not use r or the state of the node. Then finish is
// called in the same way as Invoke, with a new Request. Access and existence are
// checked again before that, but finish must repeat the checks that Invoke has
// made. The command takes effect in finish. finish is not called if the peer has
// gone.
//
// Invoke must return the result of Later. It is BUSY if too many commands wait
// already. In a message to a group, work and finish are called at once.
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

// suspended is an invoke request with a command that waits.
type suspended struct {
	request invokeRequest // refers to a copy of the message
	payload []byte
	timed   bool
	n       int        // the command that waits
	before  *responses // of the commands before it
	finish  func(r *Request, w *tlv.Writer) error
}

// suspend makes command number n of q wait for l.
func (i *Interaction) suspend(now time.Time, q *invokeRequest, payload []byte, timed bool, n, head int, l *later) {
	e := i.e
	p := i.suspended
	if p == nil {
		p = &suspended{payload: bytes.Clone(payload), timed: timed}
		if err := p.request.decode(p.payload, e.opt.MaxPathsPerInvoke, false); err != nil {
			panic("BUG: im: decoding a request for the second time: " + err.Error())
		}
		i.suspended = p
	}
	p.n, p.finish = n, l.finish
	p.before = newResponses(e.w.Bytes(), head, e.results)
	e.waitingLater++
	i.wait(now, stateWorking, laterTimeout)
	e.opt.Background(l.work, i.resumeInvoke)
}

// resumeInvoke completes the command that waited, and executes those after it.
func (i *Interaction) resumeInvoke(now time.Time) {
	e, p := i.e, i.suspended
	e.waitingLater--
	if i.state != stateWorking {
		return // the peer has gone or has sent another message
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
