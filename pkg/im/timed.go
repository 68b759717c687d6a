package im

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// announce handles a TimedRequest (chapter 8, Timed Request). The write or invoke
// that it announces must arrive within its time.
func (i *Interaction) announce(now time.Time, payload []byte) {
	ms, err := decodeTimed(payload)
	if err != nil {
		i.refuse(now, matter.StatusInvalidAction)
		return
	}
	if !i.reserve() {
		i.refuse(now, matter.StatusBusy)
		return
	}
	if i.send(now, OpcodeStatusResponse, i.e.buildStatusResponse(matter.StatusSuccess)) {
		i.e.record(ActionTimed, matter.StatusSuccess, i.opened)
		// Even a late request gets an answer, so the wait is longer than the
		// window.
		window := time.Duration(ms) * time.Millisecond
		i.deadline = now.Add(window)
		i.state = stateTimed
		i.conn.AwaitRequest(now.Add(window + responseTimeout))
	}
}

// timedRequest handles the announced message.
func (i *Interaction) timedRequest(now time.Time, opcode uint8, payload []byte) {
	switch opcode {
	case OpcodeWriteRequest:
		i.action = ActionWrite
	case OpcodeInvokeRequest:
		i.action = ActionInvoke
	default:
		i.action = ActionOther
	}
	switch {
	case now.After(i.deadline):
		i.refuse(now, matter.StatusTimeout)
	case i.action == ActionWrite:
		i.writeRequest(now, payload, true)
	case i.action == ActionInvoke:
		i.invokeRequest(now, payload, true)
	default:
		i.refuse(now, matter.StatusInvalidAction)
	}
}
