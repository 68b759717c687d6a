package session

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

const (
	rememberedArrivals  = 32
	interfacesOfArrival = 8
)

// arrivals remembers on which interfaces the latest messages to groups arrived. A
// host with several interfaces on one network receives each message on all of them,
// which is normal. Each interface may deliver one copy, as a network sends no more.
type arrivals struct {
	latest [rememberedArrivals]arrival
	next   int
}

type arrival struct {
	list    senderList
	node    matter.NodeID
	counter uint32
	via     [interfacesOfArrival]int
	n       int // number of elements of via; 0: unused
}

// put adds a new message.
func (a *arrivals) put(list senderList, node matter.NodeID, counter uint32, via int) {
	a.latest[a.next] = arrival{list: list, node: node, counter: counter, via: [interfacesOfArrival]int{via}, n: 1}
	a.next = (a.next + 1) % len(a.latest)
}

// copied reports whether a message that was received before arrived as a copy on
// another interface.
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
