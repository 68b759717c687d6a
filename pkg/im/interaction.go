package im

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// state is what an Interaction waits for.
type state uint8

const (
	stateNew       state = iota // the peer's request
	stateTimed                  // the write or invoke that a TimedRequest announced
	stateReading                // the StatusResponse to a chunk of a read
	statePriming                // the StatusResponse to a chunk of a subscription's first report
	stateAnswered               // the acknowledgement of a SubscribeResponse
	stateWriting                // the next chunk of a write
	stateWorking                // work that a command waits for, see [Request.Later]
	stateInvoking               // the StatusResponse to a chunk of invoke responses
	stateReporting              // the StatusResponse to a report to a subscriber
	stateKeepAlive              // nothing; the subscriber may still reject the report
	stateDone
)

// Interaction handles one exchange: a peer's request or a report to a subscriber.
type Interaction struct {
	e      *Engine
	conn   Conn
	state  state
	action Action
	opened time.Time     // when the request came
	status matter.Status // first status other than SUCCESS in the answer

	waits  bool // counted in e.waiting
	fabric matter.FabricIndex

	deadline time.Time // stateTimed: for the announced request; stateKeepAlive: when to close
	reading  *reading
	run      *listRun
	invoking
	sub      *subscription
	serial   uint64 // of a later report: the session that carries it
	complete bool   // of a subscription's report: the last message was sent
}

// invoking is the state of an invoke between its messages.
type invoking struct {
	rest      *responses // not sent yet
	suspended *suspended // nil: no command waits
}

// Open returns the Interaction for an exchange that a peer has started. The caller
// passes the peer's messages to its Receive.
func (e *Engine) Open(now time.Time, c Conn) *Interaction {
	return &Interaction{e: e, conn: c, action: ActionOther, opened: now}
}

// Receive handles a message from the peer. It does not keep payload.
func (i *Interaction) Receive(now time.Time, opcode uint8, payload []byte) {
	i.e.load.received++
	switch {
	case i.state == stateDone:
	case opcode == OpcodeStatusResponse:
		i.statusResponse(now, payload)
	case i.state == stateNew:
		i.opened = now
		i.request(now, opcode, payload)
	case i.state == stateTimed:
		i.opened = now
		i.timedRequest(now, opcode, payload)
	case i.state == stateWriting && opcode == OpcodeWriteRequest:
		i.writeRequest(now, payload, false)
	default:
		i.refuse(now, matter.StatusInvalidAction)
	}
}

// Closed reports that the exchange has ended, normally if err is nil. The
// Interaction does not use its Conn afterwards.
func (i *Interaction) Closed(now time.Time, err error) {
	switch {
	case i.state == stateDone:
	case i.state == stateKeepAlive && err == nil:
		i.leave(now, matter.StatusSuccess)
	case i.state == stateAnswered && err == nil:
		i.begun(now)
	default:
		i.interruptUnconfirmed("no answer")
		i.leave(now, matter.StatusTimeout)
	}
}

// interruptUnconfirmed interrupts the subscription that i reports for or has begun,
// because it is not known whether the subscriber received the message.
func (i *Interaction) interruptUnconfirmed(reason string) {
	if i.sub != nil && (i.state == stateAnswered && i.sub.phase == answered || i.sub.phase == active && i.sub.session.Serial == i.serial) {
		i.e.interrupt(i.sub, reason)
	}
}

func (i *Interaction) request(now time.Time, opcode uint8, payload []byte) {
	if members, ok := i.conn.Group(); ok {
		i.groupRequest(now, opcode, payload, members)
		return
	}
	switch opcode {
	case OpcodeReadRequest:
		i.action = ActionRead
		i.readRequest(now, payload)
	case OpcodeSubscribeRequest:
		i.action = ActionSubscribe
		i.subscribeRequest(now, payload)
	case OpcodeWriteRequest:
		i.action = ActionWrite
		i.writeRequest(now, payload, false)
	case OpcodeInvokeRequest:
		i.action = ActionInvoke
		i.invokeRequest(now, payload, false)
	case OpcodeTimedRequest:
		i.action = ActionTimed
		i.announce(now, payload)
	case OpcodeReportData:
		// This node has no subscriptions of its own.
		st := matter.StatusInvalidAction
		if subscribed, err := decodeReport(payload); err == nil && subscribed {
			st = matter.StatusInvalidSubscription
		}
		i.refuse(now, st)
	default:
		i.refuse(now, matter.StatusInvalidAction)
	}
}

// statusResponse handles a StatusResponse. It is never answered with a status. A
// rejection is counted as FAILURE, as a value that a peer sends must not become a
// metric label.
func (i *Interaction) statusResponse(now time.Time, payload []byte) {
	st, err := decodeStatus(payload)
	if err != nil {
		st = matter.StatusInvalidAction
	}
	if st != matter.StatusSuccess {
		if i.sub != nil {
			i.e.endSubscription(now, i.sub, "rejected by the subscriber: "+st.String())
		}
		i.finish(now, matter.StatusFailure)
		return
	}
	switch i.state {
	case stateReading:
		i.sendReport(now)
	case statePriming:
		i.primed(now)
	case stateReporting:
		i.reported(now)
	case stateInvoking:
		i.sendResponses(now)
	default:
		i.finish(now, matter.StatusSuccess)
	}
}

// readRequest serves a ReadRequest (section 8.4).
func (i *Interaction) readRequest(now time.Time, payload []byte) {
	rd := i.e.takeReading()
	i.reading = rd
	if err := rd.decodeRead(payload, i.ownNodeID()); err != nil {
		i.refuse(now, requestStatus(err))
		return
	}
	rd.subject, rd.session, rd.suppress = i.conn.Subject(), i.conn.Session(), true
	rd.log.next, rd.log.end = rd.eventMin, i.e.events.next
	i.sendReport(now)
}

// ownNodeID returns this node's id on the peer's fabric, or 0 if it has none.
func (i *Interaction) ownNodeID() matter.NodeID {
	if i.e.opt.NodeID == nil {
		return 0
	}
	return i.e.opt.NodeID(i.conn.Subject().Fabric)
}

// sendReport sends the next message of a read.
func (i *Interaction) sendReport(now time.Time) {
	payload, more := i.e.buildReport(now, i.reading)
	switch {
	case !more:
		if i.send(now, OpcodeReportData, payload) {
			i.finish(now, matter.StatusSuccess)
		}
	case !i.reserve():
		i.refuse(now, matter.StatusResourceExhausted)
	default:
		i.wait(now, stateReading, responseTimeout)
		i.send(now, OpcodeReportData, payload)
	}
}

// reserve reports whether the interaction may wait for another message of the peer.
// It returns false if too many of the fabric's interactions already wait.
func (i *Interaction) reserve() bool {
	if i.waits {
		return true
	}
	f := i.conn.Subject().Fabric
	if i.e.waiting[f] >= waitingPerFabric {
		return false
	}
	i.e.waiting[f]++
	i.waits, i.fabric = true, f
	return true
}

// unreserve undoes reserve.
func (i *Interaction) unreserve() {
	if i.waits {
		i.e.waiting[i.fabric]--
		i.waits = false
	}
}

// wait sets the state to s and a timeout for the peer's next message.
func (i *Interaction) wait(now time.Time, s state, d time.Duration) {
	i.state = s
	i.conn.AwaitResponse(now.Add(d))
}

// send sends a message. If that fails, it ends the interaction and returns false.
func (i *Interaction) send(now time.Time, opcode uint8, payload []byte) bool {
	if err := i.conn.Send(now, opcode, payload); err != nil {
		i.e.log.Warn("message not sent", "action", i.action.String(), "error", err)
		i.interruptUnconfirmed("message not sent")
		i.finish(now, matter.StatusFailure)
		return false
	}
	i.e.load.sent++
	return i.state != stateDone
}

// refuse sends a StatusResponse and ends the interaction.
func (i *Interaction) refuse(now time.Time, st matter.Status) {
	if i.send(now, OpcodeStatusResponse, i.e.buildStatusResponse(st)) {
		i.finish(now, st)
	}
}

// finish ends the interaction. st is its outcome.
func (i *Interaction) finish(now time.Time, st matter.Status) {
	was := i.state
	if was == stateDone {
		return
	}
	i.leave(now, st)
	if was != stateAnswered { // sending the SubscribeResponse closed it
		i.conn.Close(now)
	}
}

// leave releases the interaction's resources and counts a request. If it was a
// report that failed, it ends the subscription, unless that was interrupted.
func (i *Interaction) leave(now time.Time, st matter.Status) {
	was := i.state
	i.state = stateDone
	i.unreserve()
	outcome := st
	if outcome == matter.StatusSuccess {
		outcome = i.status
	}
	if i.reading != nil {
		if outcome == matter.StatusSuccess {
			outcome = i.reading.status
		}
		i.e.release(i.reading)
		i.reading = nil
	}
	i.run.free()
	i.run, i.invoking = nil, invoking{}
	if st != matter.StatusSuccess && i.sub != nil && i.sub.phase != interrupted && (was == statePriming || i.sub.session.Serial == i.serial) {
		i.e.endSubscription(now, i.sub, "report failed: "+st.String())
	}
	switch was {
	case stateReporting:
		i.e.reports--
	case stateKeepAlive, stateAnswered:
	case stateTimed:
		// A TimedRequest was counted when it arrived. The announced request may not
		// have arrived.
		if i.action != ActionTimed {
			i.e.record(i.action, outcome, i.opened)
		}
	default:
		i.e.record(i.action, outcome, i.opened)
	}
}
