package im

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// groupRequest handles a write or a command to a group. It is carried out on each
// of the group's endpoints that its paths include. It is never answered, and paths
// without access are skipped silently (sections 8.7.2 and 8.8.2).
//
// The sender must set SuppressResponse. The flag is not checked, as no response is
// sent in any case.
func (i *Interaction) groupRequest(now time.Time, opcode uint8, payload []byte, members []matter.EndpointID) {
	st := matter.StatusInvalidAction
	switch opcode {
	case OpcodeWriteRequest:
		i.action = ActionWrite
		st = i.groupWrite(now, payload, members)
	case OpcodeInvokeRequest:
		i.action = ActionInvoke
		st = i.groupInvoke(now, payload, members)
	}
	i.finish(now, st)
}

// groupWrite processes all items for one endpoint before the next endpoint, so that
// the parts of a list stay together.
func (i *Interaction) groupWrite(now time.Time, payload []byte, members []matter.EndpointID) matter.Status {
	q := &i.e.write
	if err := q.decode(payload, i.ownNodeID(), true); err != nil {
		return requestStatus(err)
	}
	if q.timed || q.more {
		return matter.StatusInvalidAction
	}
	for _, ep := range members {
		i.discardResponse(now)
		for n := range q.items {
			x := q.items[n]
			if x.path.given&partEndpoint != 0 && x.path.endpoint != ep {
				continue
			}
			x.path.endpoint, x.path.given = ep, x.path.given|partEndpoint
			i.writeItem(&x, false)
		}
		i.endRun(true)
	}
	return matter.StatusSuccess
}

func (i *Interaction) groupInvoke(now time.Time, payload []byte, members []matter.EndpointID) matter.Status {
	e, q := i.e, &i.e.invoke
	if err := q.decode(payload, e.opt.MaxPathsPerInvoke, true); err != nil {
		return requestStatus(err)
	}
	if q.timed {
		return matter.StatusInvalidAction
	}
	for n := range q.commands {
		for _, ep := range members {
			c := q.commands[n]
			if !c.anyEndpoint && c.endpoint != ep {
				continue
			}
			c.endpoint = ep
			i.discardResponse(now)
			i.execute(&c, false, nil)
		}
	}
	return matter.StatusSuccess
}

// discardResponse resets the message of an answer that is not sent.
func (i *Interaction) discardResponse(now time.Time) {
	i.e.prepare(now, i.conn.Subject(), i.conn.Session(), true)
	i.e.newMessage().StartArray(tag0)
}
