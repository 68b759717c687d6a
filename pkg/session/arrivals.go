package session

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	rememberedArrivals  = 32
	interfacesOfArrival = 8
)

// arrivals remembers the interfaces by which the latest messages to groups came: a
// host with several on one network receives each message by all of them, and that
// is nobody's fault. Each interface is good for one copy, as a network sends no
// more.
type arrivals struct {
	latest [rememberedArrivals]arrival
	next   int
}

type arrival struct {
	list    senderList
	node    matter.NodeID
	counter uint32
	via     [interfacesOfArrival]int
	n       int // of via; 0: this is none
}

// put remembers a new message.
func (a *arrivals) put(list senderList, node matter.NodeID, counter uint32, via int) {
	a.latest[a.next] = arrival{list: list, node: node, counter: counter, via: [interfacesOfArrival]int{via}, n: 1}
	a.next = (a.next + 1) % len(a.latest)
}

// copied reports whether a message that was received before is a copy that another
// interface brings.
func (a *arrivals) copied(list senderList, node matter.NodeID, counter uint32, via int) bool {
	for i := range a.latest {
		m := &a.latest[i]
		if m.n == 0 || m.list != list || m.node != node || m.counter != counter {
			continue
		}
		if m.n == len(m.via) || slices.Contains(m.via[:m.n], via) {
			return false
		}
		m.via[m.n] = via
		m.n++
		return true
	}
	return false
}
