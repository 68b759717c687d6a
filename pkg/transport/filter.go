package transport

import (
	"maps"
	"net"
	"slices"
	"time"
)

const (
	// filterFresh is how long the name of an interface index is remembered.
	filterFresh = 5 * time.Second
	// filterTidy is the number of indices from which on old ones are removed. Interfaces
	// of containers come and go, each with a new index.
	filterTidy = 64
)

// filter passes the datagrams of named interfaces. The kernel reports an index. Its name
// is looked up and remembered for some seconds, as interfaces come, go and are renamed.
// A filter must be used by one goroutine at a time.
type filter struct {
	names   []string
	name    func(index int) (string, error)
	now     func() time.Time
	verdict map[int]verdict
}

type verdict struct {
	allowed bool
	until   time.Time
}

// newFilter returns a filter for the named interfaces. Without names it returns nil,
// which allows everything.
func newFilter(names []string) *filter {
	if len(names) == 0 {
		return nil
	}
	return &filter{
		names:   slices.Clone(names),
		name:    interfaceName,
		now:     time.Now,
		verdict: make(map[int]verdict),
	}
}

func interfaceName(index int) (string, error) {
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		return "", err
	}
	return ifi.Name, nil
}

func (f *filter) allows(index int) bool {
	if f == nil {
		return true
	}
	now := f.now()
	v, ok := f.verdict[index]
	if ok && now.Before(v.until) {
		return v.allowed
	}
	name, err := f.name(index)
	if err != nil {
		// The interface has gone, and with it the peer.
		delete(f.verdict, index)
		return false
	}
	if !ok && len(f.verdict) >= filterTidy {
		maps.DeleteFunc(f.verdict, func(_ int, v verdict) bool { return !now.Before(v.until) })
	}
	v = verdict{allowed: slices.Contains(f.names, name), until: now.Add(filterFresh)}
	f.verdict[index] = v
	return v.allowed
}
