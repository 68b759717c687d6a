package im

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// groupRequest serves a message to a group: a write or a command, for each of
// the group's endpoints that its paths may mean. There is no answer to it, and
// what is not allowed is passed over in silence (sections 8.7.2 and 8.8.2).
//
// A sender shall set SuppressResponse. One that forgets is served all the same:
// whether it asks for answers or not, it gets none.
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

// groupWrite carries out the items endpoint by endpoint, so that a list that is
// written in parts stays together.
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
			if !c.anywhere && c.endpoint != ep {
				continue
			}
			c.endpoint = ep
			i.discardResponse(now)
			i.execute(&c, false, nil)
		}
	}
	return matter.StatusSuccess
}

// discardResponse makes room for an answer that is not sent.
func (i *Interaction) discardResponse(now time.Time) {
	i.e.prepare(now, i.conn.Subject(), i.conn.Session(), true)
	i.e.newMessage().StartArray(tag0)
}
